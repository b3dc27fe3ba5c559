//! Addresses with too many failed logins: AUTH is refused to them for a while, in all sessions.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::envelope::Peer;

/// Addresses that are remembered at once; beyond, the oldest strikes are forgotten first.
const REMEMBERED: usize = 10_000;

/// Counts failed logins by address.
#[derive(Debug)]
pub(super) struct Lockout {
    failures: u32,
    duration: Duration,
    strikes: Mutex<HashMap<IpAddr, Strikes>>,
}

#[derive(Debug, Clone, Copy)]
struct Strikes {
    count: u32,
    last: Instant,
}

impl Lockout {
    /// After this many failures, each less than `duration` after the one before, for `duration`.
    pub(super) fn new(failures: u32, duration: Duration) -> Self {
        Self { failures, duration, strikes: Mutex::default() }
    }

    /// Whether this client's address is locked out.
    pub(super) fn holds(&self, peer: Peer, now: Instant) -> bool {
        let strikes = self.strikes.lock().unwrap_or_else(PoisonError::into_inner);
        let found = peer.ip().map(network).and_then(|address| strikes.get(&address));
        found.is_some_and(|found| found.count >= self.failures && now.duration_since(found.last) < self.duration)
    }

    /// A login failed. `true`: the address is locked out from now on.
    pub(super) fn strike(&self, peer: Peer, now: Instant) -> bool {
        let Some(address) = peer.ip().map(network) else { return false };
        let mut strikes = self.strikes.lock().unwrap_or_else(PoisonError::into_inner);
        if strikes.len() >= REMEMBERED {
            strikes.retain(|_, found| now.duration_since(found.last) < self.duration);
            if strikes.len() >= REMEMBERED
                && let Some(oldest) = strikes.iter().min_by_key(|(_, found)| found.last).map(|(address, _)| *address)
            {
                strikes.remove(&oldest);
            }
        }
        let found = strikes.entry(address).or_insert(Strikes { count: 0, last: now });
        if now.duration_since(found.last) >= self.duration {
            found.count = 0;
        }
        found.count += 1;
        found.last = now;
        found.count >= self.failures
    }

    /// A login succeeded.
    pub(super) fn forgive(&self, peer: Peer) {
        if let Some(address) = peer.ip().map(network) {
            self.strikes.lock().unwrap_or_else(PoisonError::into_inner).remove(&address);
        }
    }
}

/// One IPv6 host has a whole /64.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: &str) -> Peer {
        Peer::tcp(SocketAddr::new(address.parse().unwrap(), 1))
    }

    use std::net::SocketAddr;

    #[test]
    fn three_failures_lock_an_address_out_for_a_while() {
        let (start, minute) = (Instant::now(), Duration::from_secs(60));
        let lockout = Lockout::new(3, 10 * minute);
        let client = peer("192.0.2.1");
        assert!(!lockout.strike(client, start) && !lockout.strike(client, start) && !lockout.holds(client, start));
        assert!(lockout.strike(client, start) && lockout.holds(client, start + 9 * minute));
        assert!(!lockout.holds(client, start + 10 * minute), "the time is over");
        assert!(!lockout.strike(client, start + 10 * minute), "and it begins anew");
        assert!(!lockout.holds(peer("192.0.2.2"), start));
    }

    #[test]
    fn a_success_forgives_and_an_ipv6_host_is_its_network() {
        let now = Instant::now();
        let lockout = Lockout::new(2, Duration::from_secs(60));
        let client = peer("192.0.2.1");
        lockout.strike(client, now);
        lockout.forgive(client);
        assert!(!lockout.strike(client, now));
        lockout.strike(peer("2001:db8::1"), now);
        assert!(lockout.strike(peer("2001:db8::2"), now) && lockout.holds(peer("2001:db8::3"), now));
        assert!(!lockout.strike(Peer::Local, now) && !lockout.strike(Peer::Local, now));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let now = Instant::now();
        let lockout = Lockout::new(2, Duration::from_secs(60));
        for number in 0..(REMEMBERED as u32 + 5) {
            lockout.strike(Peer::tcp(SocketAddr::new(IpAddr::V4(number.into()), 1)), now);
        }
        assert!(lockout.strikes.lock().unwrap().len() <= REMEMBERED);
    }
}
