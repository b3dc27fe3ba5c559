//! Addresses with too many failures: AUTH, or all of SMTP, is refused to them for a while, in all sessions of all processes.
//!
//! An address is locked out by its own failures alone, and what is kept is bounded: under a flood of addresses those with
//! the fewest and oldest failures are forgotten. A success takes back the failures of one user, never those of others.

mod slots;

use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;

use super::table::{Table, now};
use crate::envelope::Peer;
pub(in crate::driver) use slots::Failure;
use slots::{Bucket, Key};

/// Counts failures by address.
pub struct Lockout {
    duration: Duration,
    table: Table<Bucket>,
}

impl Lockout {
    /// For this process alone; failures count that are each less than `duration` after the one before, and lock out for as long.
    pub fn of_process(duration: Duration) -> Self {
        Self { duration, table: Table::of_process() }
    }

    /// The same for all processes with this folder, that of the states of routes.
    pub fn shared(folder: &Path, duration: Duration) -> Self {
        Self { duration, table: Table::shared(folder) }
    }

    /// Whether this client's address has failed so often. Where that cannot be found out, it has not.
    pub(in crate::driver) fn holds(&self, failure: Failure, peer: Peer, limit: u32) -> bool {
        host(peer).is_some_and(|host| self.count(Key { failure, host }) >= limit)
    }

    fn count(&self, key: Key) -> u32 {
        self.table.read(&key.octets(), |_, bucket| bucket.count(key, now(), self.duration)).unwrap_or(0)
    }

    /// It failed once more, as this user if any. `true`: the address is locked out from now on.
    ///
    /// # Errors
    /// When the file cannot be changed.
    pub(in crate::driver) fn strike(
        &self,
        failure: Failure,
        peer: Peer,
        user: Option<&str>,
        limit: u32,
    ) -> io::Result<bool> {
        let Some(host) = host(peer) else { return Ok(false) };
        let key = Key { failure, host };
        let count = self.table.change(&key.octets(), |seed, bucket| {
            let user = user.map(|user| seed.user(user));
            bucket.strike(key, user, now(), self.duration)
        })?;
        Ok(count >= limit)
    }

    /// A user logged in: what failed as this user, from this address, is forgotten.
    ///
    /// # Errors
    /// When the file cannot be changed.
    pub(in crate::driver) fn forgive(&self, peer: Peer, user: &str) -> io::Result<()> {
        let Some(host) = host(peer) else { return Ok(()) };
        let key = Key { failure: Failure::Login, host };
        // Nearly always there is nothing to forgive, and nobody waits for the lock.
        if self.count(key) == 0 {
            return Ok(());
        }
        self.table.change(&key.octets(), |seed, bucket| bucket.forgive(key, seed.user(user)))
    }
}

fn host(peer: Peer) -> Option<IpAddr> {
    peer.ip().map(counted)
}

/// The address by which limits count a client: one IPv6 host has a whole /64. On a link, where all hosts share one, it is the
/// address itself.
pub(in crate::driver) fn counted(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) if !address.is_unicast_link_local() => {
            Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests;
