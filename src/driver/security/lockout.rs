//! Addresses with too many failures: AUTH, or all of SMTP, is refused to them for a while, in all sessions of all processes.
//!
//! An address is locked out by its own failures alone, and what is kept is bounded: under a flood of addresses those with
//! the fewest and oldest failures are forgotten. A success takes back the failures of one user, never those of others.

mod file;
mod slots;

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::BootClock;
use crate::envelope::Peer;
use crate::sys::SystemClock;
use file::FailureFile;
pub(in crate::driver) use slots::Failure;
use slots::{Bucket, Key, Seed};

/// Counts failures by address.
pub struct Lockout {
    duration: Duration,
    kept: Kept,
}

enum Kept {
    /// By this process, for itself.
    Here(Seed, Mutex<HashMap<u16, Bucket>>),
    /// In a file that all processes share.
    Shared(FailureFile),
}

impl Lockout {
    /// For this process alone; failures count that are each less than `duration` after the one before, and lock out for as long.
    pub fn of_process(duration: Duration) -> Self {
        let state = RandomState::new();
        let seed = [state.hash_one(0).to_le_bytes(), state.hash_one(1).to_le_bytes()].concat();
        let kept = Kept::Here(Seed::of(seed.try_into().unwrap_or_default()), Mutex::default());
        Self { duration, kept }
    }

    /// The same for all processes with this folder, that of the states of routes.
    pub fn shared(folder: &Path, duration: Duration) -> Self {
        Self { duration, kept: Kept::Shared(FailureFile::new(folder, SystemClock.boot_id())) }
    }

    /// Whether this client's address has failed so often. Where that cannot be found out, it has not.
    pub(in crate::driver) fn holds(&self, failure: Failure, peer: Peer, limit: u32) -> bool {
        let Some(host) = host(peer) else { return false };
        let (key, now) = (Key { failure, host }, now());
        let count = match &self.kept {
            Kept::Here(seed, buckets) => {
                let buckets = buckets.lock().unwrap_or_else(PoisonError::into_inner);
                buckets.get(&seed.place(key)).map_or(0, |bucket| bucket.count(key, now, self.duration))
            }
            Kept::Shared(file) => file.read(key, |bucket| bucket.count(key, now, self.duration)).unwrap_or(0),
        };
        count >= limit
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
        let change = |seed: &Seed, bucket: &mut Bucket| {
            let user = user.map(|user| seed.user(user));
            bucket.strike(key, user, now(), self.duration)
        };
        let count = match &self.kept {
            Kept::Here(seed, buckets) => {
                let mut buckets = buckets.lock().unwrap_or_else(PoisonError::into_inner);
                change(seed, buckets.entry(seed.place(key)).or_default())
            }
            Kept::Shared(file) => file.change(key, change)?,
        };
        Ok(count >= limit)
    }

    /// A user logged in: what failed as this user, from this address, is forgotten.
    ///
    /// # Errors
    /// When the file cannot be changed.
    pub(in crate::driver) fn forgive(&self, peer: Peer, user: &str) -> io::Result<()> {
        let Some(host) = host(peer) else { return Ok(()) };
        let key = Key { failure: Failure::Login, host };
        match &self.kept {
            Kept::Here(seed, buckets) => {
                let mut buckets = buckets.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(bucket) = buckets.get_mut(&seed.place(key)) {
                    bucket.forgive(key, seed.user(user));
                }
                Ok(())
            }
            // Nearly always there is nothing to forgive, and nobody waits for the lock.
            Kept::Shared(file) => match file.read(key, |bucket| bucket.count(key, now(), self.duration)) {
                Ok(count) if count > 0 => file.change(key, |seed, bucket| bucket.forgive(key, seed.user(user))),
                _ => Ok(()),
            },
        }
    }
}

/// Nanoseconds since the host's start, by the clock that all processes share.
fn now() -> u64 {
    u64::try_from(SystemClock.since_boot().as_nanos()).unwrap_or(u64::MAX)
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
