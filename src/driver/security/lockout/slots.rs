//! Failures of addresses in buckets of a fixed size. Under a flood those with the fewest and oldest failures are forgotten.
//!
//! A bucket is read from a file, so that any octets are one.

use std::net::IpAddr;
use std::time::Duration;

use crate::driver::security::table::{TableBucket, TableForm};

/// Buckets that there are.
pub(super) const BUCKETS: u16 = 512;
/// Addresses in a bucket.
const SLOTS: usize = 16;
/// Octets of an address with its failures.
const SLOT: usize = 64;
/// Octets of a bucket.
pub(super) const BUCKET: usize = SLOTS * SLOT;
/// Users of an address whose failures can be taken back; those of others expire only.
const USERS: usize = 3;

/// What an address failed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::driver) enum Failure {
    /// Logins.
    Login,
    /// Senders and recipients that were refused.
    Refusal,
    /// Messages that were refused at their end.
    Message,
}

/// Whose failures.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    pub(super) failure: Failure,
    pub(super) host: IpAddr,
}

impl Key {
    /// What it was, and the address as one of IPv6.
    pub(super) fn octets(self) -> [u8; 17] {
        let mut octets = [0; 17];
        octets[0] = match self.failure {
            Failure::Login => 1,
            Failure::Refusal => 2,
            Failure::Message => 3,
        };
        let address = match self.host {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        octets[1..].copy_from_slice(&address.octets());
        octets
    }
}

/// Some addresses with their failures.
#[derive(Debug, Clone, Default)]
pub(super) struct Bucket(Vec<Slot>);

/// One address.
#[derive(Debug, Clone, Default)]
struct Slot {
    key: [u8; 17],
    /// When it failed last.
    last: u64,
    /// How often, not as one of the users below.
    others: u32,
    /// The number of a user, and how often.
    users: [(u32, u32); USERS],
}

impl Slot {
    fn count(&self) -> u32 {
        self.users.iter().fold(self.others, |sum, (_, count)| sum.saturating_add(*count))
    }

    fn is_alive(&self, now: u64, duration: Duration) -> bool {
        // A time to come is of another start of the host, or of nobody.
        now.checked_sub(self.last).is_some_and(|age| u128::from(age) < duration.as_nanos())
    }

    fn strike(&mut self, user: Option<u32>) {
        let place = |number: u32| {
            let known = self.users.iter().position(|(known, _)| *known == number);
            known.or_else(|| self.users.iter().position(|(_, count)| *count == 0))
        };
        match user.and_then(|number| Some((number, place(number)?))) {
            Some((number, at)) => self.users[at] = (number, self.users[at].1.saturating_add(1)),
            None => self.others = self.others.saturating_add(1),
        }
    }
}

impl Bucket {
    /// How often this address failed.
    pub(super) fn count(&self, key: Key, now: u64, duration: Duration) -> u32 {
        let found = self.0.iter().find(|slot| slot.key == key.octets() && slot.is_alive(now, duration));
        found.map_or(0, Slot::count)
    }

    /// It failed once more; how often in all.
    pub(super) fn strike(&mut self, key: Key, user: Option<u32>, now: u64, duration: Duration) -> u32 {
        self.0.retain(|slot| slot.is_alive(now, duration));
        let at = match self.0.iter().position(|slot| slot.key == key.octets()) {
            Some(at) => at,
            None => {
                if self.0.len() >= SLOTS
                    && let Some(least) = (0..SLOTS).min_by_key(|at| (self.0[*at].count(), self.0[*at].last))
                {
                    self.0.swap_remove(least);
                }
                self.0.push(Slot { key: key.octets(), ..Slot::default() });
                self.0.len() - 1
            }
        };
        self.0[at].last = now;
        self.0[at].strike(user);
        self.0[at].count()
    }

    /// What this user failed at from this address is forgotten.
    pub(super) fn forgive(&mut self, key: Key, user: u32) {
        for slot in self.0.iter_mut().filter(|slot| slot.key == key.octets()) {
            slot.users.iter_mut().filter(|(known, _)| *known == user).for_each(|entry| *entry = (0, 0));
        }
        self.0.retain(|slot| slot.count() > 0);
    }
}

impl TableBucket for Bucket {
    const FORM: TableForm =
        TableForm { name: "clients.failures", magic: *b"LEAFFAIL", buckets: BUCKETS, bucket: BUCKET };

    fn read(octets: &[u8]) -> Self {
        let number = |octets: &[u8]| octets.iter().rev().fold(0_u64, |number, octet| number << 8 | u64::from(*octet));
        let small = |octets: &[u8]| u32::try_from(number(octets)).unwrap_or(u32::MAX);
        let slot = |octets: &[u8]| {
            let mut slot = Slot { last: number(&octets[24..32]), others: small(&octets[32..36]), ..Slot::default() };
            slot.key.copy_from_slice(&octets[..17]);
            for (user, octets) in slot.users.iter_mut().zip(octets[36..60].chunks_exact(8)) {
                *user = (small(&octets[..4]), small(&octets[4..]));
            }
            (slot.key[0] != 0).then_some(slot)
        };
        Self(octets.chunks_exact(SLOT).filter_map(slot).collect())
    }

    fn octets(&self) -> Vec<u8> {
        let mut octets = vec![0; BUCKET];
        for (slot, octets) in self.0.iter().zip(octets.chunks_exact_mut(SLOT)) {
            octets[..17].copy_from_slice(&slot.key);
            octets[24..32].copy_from_slice(&slot.last.to_le_bytes());
            octets[32..36].copy_from_slice(&slot.others.to_le_bytes());
            for ((user, count), octets) in slot.users.iter().zip(octets[36..60].chunks_exact_mut(8)) {
                octets[..4].copy_from_slice(&user.to_le_bytes());
                octets[4..].copy_from_slice(&count.to_le_bytes());
            }
        }
        octets
    }
}
