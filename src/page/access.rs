//! Who asks, and what they may do.
//!
//! A right comes from a token, or from the user who owns the other end of a connection on this host. Whoever fails to sign
//! in waits longer each time. Nothing here grants a right by default.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::roles::Roles;
use super::tokens::TokenFile;

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// A user of this host, over the Unix socket.
    Socket(u32),
    /// Over TCP; on the loopback with the user whose socket it is, where that is known.
    Tcp(IpAddr, Option<u32>),
}

/// What failures are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Source {
    User(u32),
    Address(IpAddr),
}

impl Peer {
    fn source(self) -> Source {
        match self {
            Self::Socket(uid) => Source::User(uid),
            // A customer of a provider has a whole /64.
            Self::Tcp(IpAddr::V6(address), _) => {
                Source::Address(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into())
            }
            Self::Tcp(address, _) => Source::Address(address),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(uid) => write!(f, "uid {uid}"),
            Self::Tcp(address, None) => address.fmt(f),
            Self::Tcp(address, Some(uid)) => write!(f, "{address}, uid {uid}"),
        }
    }
}

/// Whoever sent a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Visitor {
    /// What they may do.
    pub(super) roles: Roles,
    /// Who they are, for the log and for receipts.
    pub(super) name: String,
    /// The user's number, for receipts.
    pub(super) uid: u32,
}

/// Why a visitor was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// Nobody signed in, and the connection gives no right.
    Unknown,
    /// What was presented is no token.
    Wrong,
    /// After too many failures, for as long as this.
    Later(Duration),
}

/// Failures that cost nothing yet.
const FREE_FAILURES: u32 = 5;
/// The first pause, which doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// Addresses that are remembered; of more, the one that failed longest ago is forgotten.
const MOST_SOURCES: usize = 1_000;

/// The door: tokens, users of this host, and the pauses after failures.
pub(super) struct Access {
    tokens: TokenFile,
    /// The user that this process runs as.
    own: u32,
    /// What other users may do who can open the Unix socket.
    of_socket: Roles,
    failures: Mutex<HashMap<Source, (u32, Instant)>>,
}

impl Access {
    pub(super) fn new(tokens: TokenFile, own: u32, of_socket: Roles) -> Self {
        Self { tokens, own, of_socket, failures: Mutex::new(HashMap::new()) }
    }

    /// Who sent a request with this `Authorization`.
    pub(super) fn visitor(&self, peer: Peer, authorization: Option<&str>) -> Result<Visitor, Denied> {
        let Some(authorization) = authorization else { return self.by_connection(peer).ok_or(Denied::Unknown) };
        if let Some(pause) = self.pause(peer.source(), Instant::now()) {
            return Err(Denied::Later(pause));
        }
        let known = secret(authorization).and_then(|secret| self.tokens.find(&secret));
        let Some(token) = known else {
            self.failed(peer.source(), Instant::now());
            return Err(Denied::Wrong);
        };
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).remove(&peer.source());
        Ok(Visitor { roles: token.roles(), name: format!("token {}", token.name), uid: self.own })
    }

    fn by_connection(&self, peer: Peer) -> Option<Visitor> {
        let (uid, roles) = match peer {
            // Root could read the spool itself, and so could the user of the programs.
            Peer::Socket(uid) if uid == 0 || uid == self.own => (uid, Roles::ALL),
            Peer::Socket(uid) => (uid, self.of_socket),
            // Not root, unless this runs as root: a proxy or a forwarder for anybody may run as root.
            Peer::Tcp(_, Some(uid)) if uid == self.own => (uid, Roles::ALL),
            Peer::Tcp(..) => return None,
        };
        (!roles.is_empty()).then(|| Visitor { roles, name: format!("uid {uid}"), uid })
    }

    fn pause(&self, source: Source, now: Instant) -> Option<Duration> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, last) = failures.get(&source)?;
        let pause = pause_after(*count);
        pause.checked_sub(now.saturating_duration_since(*last)).filter(|rest| !rest.is_zero())
    }

    fn failed(&self, source: Source, now: Instant) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= MOST_SOURCES && !failures.contains_key(&source) {
            let oldest = failures.iter().min_by_key(|(_, (_, last))| *last).map(|(source, _)| *source);
            oldest.map(|oldest| failures.remove(&oldest));
        }
        let entry = failures.entry(source).or_insert((0, now));
        *entry = (entry.0.saturating_add(1), now);
    }
}

fn pause_after(failures: u32) -> Duration {
    match failures.checked_sub(FREE_FAILURES) {
        None => Duration::ZERO,
        Some(doublings) => FIRST_PAUSE.saturating_mul(2u32.saturating_pow(doublings.min(16))).min(LONGEST_PAUSE),
    }
}

/// The token in `Authorization`: as a bearer token, or as the password of any user.
fn secret(authorization: &str) -> Option<String> {
    let (scheme, value) = authorization.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(value.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(value.trim()).ok()?).ok()?;
    pair.split_once(':').map(|(_, password)| password.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::roles::PageRole;

    fn access(of_socket: Roles) -> Access {
        Access::new(TokenFile::new("/nowhere/tokens.json"), 1000, of_socket)
    }

    #[test]
    fn only_root_and_the_own_user_have_rights_without_a_token() {
        let loopback: IpAddr = "127.0.0.1".parse().unwrap();
        let roles = |peer| access(Roles::NONE).visitor(peer, None).map(|visitor| visitor.roles);
        assert_eq!(roles(Peer::Socket(0)), Ok(Roles::ALL));
        assert_eq!(roles(Peer::Socket(1000)), Ok(Roles::ALL));
        assert_eq!(roles(Peer::Socket(1001)), Err(Denied::Unknown));
        assert_eq!(roles(Peer::Tcp(loopback, Some(1000))), Ok(Roles::ALL));
        // A proxy that runs as root brings anybody.
        assert_eq!(roles(Peer::Tcp(loopback, Some(0))), Err(Denied::Unknown));
        assert_eq!(roles(Peer::Tcp(loopback, None)), Err(Denied::Unknown));
        let group = access([PageRole::Read].into_iter().collect()).visitor(Peer::Socket(1001), None).unwrap();
        assert!(
            group.roles.have(PageRole::Read)
                && !group.roles.have(PageRole::Act)
                && !group.roles.have(PageRole::Content)
        );
    }

    #[test]
    fn failures_cost_ever_longer_pauses_and_only_their_own_address() {
        let access = access(Roles::NONE);
        let (one, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        for _ in 0..5 {
            assert_eq!(access.visitor(Peer::Tcp(one, None), Some("Bearer wrong")), Err(Denied::Wrong));
        }
        assert!(matches!(access.visitor(Peer::Tcp(one, None), Some("Bearer wrong")), Err(Denied::Later(_))));
        assert_eq!(access.visitor(Peer::Tcp(other, None), Some("Bearer wrong")), Err(Denied::Wrong));
        assert_eq!([0, 4, 5, 6, 8, 100].map(|count| pause_after(count).as_secs()), [0, 0, 1, 2, 8, 300]);
        let in_64: Vec<Source> = ["2001:db8::1", "2001:db8::2"]
            .into_iter()
            .map(|text| Peer::Tcp(text.parse().unwrap(), None).source())
            .collect();
        assert_eq!(in_64[0], in_64[1]);
    }

    #[test]
    fn pauses_are_remembered_for_a_bounded_number_of_addresses() {
        let access = access(Roles::NONE);
        for number in 0..3_000u32 {
            access.failed(Source::User(number), Instant::now());
        }
        assert!(access.failures.lock().unwrap().len() <= MOST_SOURCES);
    }

    #[test]
    fn a_token_comes_as_a_bearer_or_as_the_password_of_any_user() {
        assert_eq!(secret("Bearer leafmail_x").as_deref(), Some("leafmail_x"));
        assert_eq!(secret("bearer  leafmail_x ").as_deref(), Some("leafmail_x"));
        assert_eq!(secret(&format!("Basic {}", STANDARD.encode("me:leafmail_x"))).as_deref(), Some("leafmail_x"));
        for wrong in ["", "Bearer", "Basic !", "Digest x"] {
            assert_eq!(secret(wrong), None, "{wrong}");
        }
    }
}
