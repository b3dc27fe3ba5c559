//! Where an access token comes from: a secret that somebody else keeps fresh, or the provider itself.
//!
//! `oauth2.rs` fetches tokens and is there with the feature of that name only; without it such a route is refused at start.

use std::net::IpAddr;

use super::secret::Password;
use crate::transport::settings::{TokenGrant, TokenSource};

/// Whether a token that is known already will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::transport) enum Freshness {
    /// If it has not expired.
    Kept,
    /// The one that is kept was refused.
    New,
}

impl TokenSource {
    /// The token.
    ///
    /// # Errors
    /// In words, without secrets.
    pub(in crate::transport) fn token(&self, freshness: Freshness) -> Result<Password, String> {
        match self {
            // Read again each time, which is all that can be done for its freshness.
            Self::Secret(secret) => secret.read(),
            #[cfg(feature = "oauth2")]
            Self::Grant(grant) => grant.token(freshness),
            #[cfg(not(feature = "oauth2"))]
            Self::Grant(_) => {
                let _ = freshness;
                Err("no token can be fetched: this leafmail was built without the feature oauth2".to_owned())
            }
        }
    }
}

impl TokenGrant {
    /// Whether secrets may go to this URL: encrypted, or not out of this host.
    pub fn is_endpoint(url: &str) -> bool {
        if let Some(rest) = url.strip_prefix("https://") {
            return rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[');
        }
        let Some(rest) = url.strip_prefix("http://") else { return false };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = match authority.strip_prefix('[') {
            Some(inner) => inner.split(']').next().unwrap_or_default(),
            None => authority.split(':').next().unwrap_or_default(),
        };
        // A name is what the resolver makes of it; and what is before an @ is no host.
        !authority.contains('@') && host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_leave_this_host_encrypted_only() {
        for good in ["https://login.example/token", "http://127.0.0.1:80/t", "http://[::1]/t", "http://127.0.0.2"] {
            assert!(TokenGrant::is_endpoint(good), "{good}");
        }
        for bad in [
            "",
            "https://",
            "http://login.example/token",
            "http://localhost/token",
            "http://127.0.0.1@login.example/",
            "http://127.0.0.1.example/",
            "ftp://127.0.0.1/",
        ] {
            assert!(!TokenGrant::is_endpoint(bad), "{bad}");
        }
    }
}
