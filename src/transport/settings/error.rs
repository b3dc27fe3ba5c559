//! Why a text is not the URL of a next hop.
//!
//! Invariant: no error repeats the part before an `@`.

use crate::address::is_unprintable;

/// The text is not the URL of a next hop.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NextHopError {
    /// Something else is where a part of the URL was expected.
    #[error("expected {expected}, but found {found}")]
    Unexpected {
        /// What belongs there.
        expected: &'static str,
        /// What is there, never a secret.
        found: String,
    },
    /// A URL is no place for a secret.
    #[error(
        "expected a user name before the @, but found a password too: \
         take it out of the URL and name password_file, password_env or password_command instead"
    )]
    Password,
    /// A password must not go to whoever answers.
    #[error(
        "expected {expected} for a user name, but found {found}: use that, or tls=none to send the password in the clear"
    )]
    Unverified {
        /// What belongs there.
        expected: &'static str,
        /// What is there, and what is wrong with it.
        found: &'static str,
    },
}

impl NextHopError {
    pub(in crate::transport) fn unexpected(expected: &'static str, found: &str) -> Self {
        // Whatever is before an @ may hold a password.
        let shown = found.rsplit_once('@').map_or(found, |(_, rest)| rest);
        let shown: String = shown.chars().take(60).map(|c| if is_unprintable(c) { '?' } else { c }).collect();
        let found = if shown.is_empty() { "nothing".to_owned() } else { format!("\"{shown}\"") };
        Self::Unexpected { expected, found }
    }
}
