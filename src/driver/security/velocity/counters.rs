//! Counters of what happened in a period, in buckets of a fixed size.
//!
//! A period is cut into eleven parts, and twelve are kept: so in no stretch of time of its length is more counted than the limit,
//! and a place becomes free at most one part late. A bucket is read from a file, so that any octets are one.

use std::time::Duration;

use super::rate::Rate;
use crate::driver::security::table::{TableBucket, TableForm};

/// Counters in a bucket.
const COUNTERS: usize = 24;
/// Octets of a counter.
const COUNTER: usize = 88;
/// Parts of a period, and one more, as the present one is not over.
const PARTS: u64 = 11;
const KEPT: usize = PARTS as usize + 1;

/// Some counters.
#[derive(Debug, Clone, Default)]
pub(super) struct Counters(Vec<Counter>);

#[derive(Debug, Clone, Default)]
struct Counter {
    /// What stands for what it counts.
    key: [u8; 16],
    /// When it counted last, in nanoseconds since the host's start.
    last: u64,
    /// Its period in seconds.
    period: u32,
    /// How many in the part of `last`, in the one before it, and so on.
    parts: [u32; KEPT],
    /// Until when the refusals are reported already.
    reported: u64,
}

/// A counter whose limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fill {
    /// How long until there is room.
    pub(super) wait: Duration,
    /// Whether that was reported in this period.
    pub(super) reported: bool,
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The length of a part, never nothing.
fn part(period: Duration) -> u64 {
    (nanos(period) / PARTS).max(1)
}

impl Counter {
    /// How many there are now, by parts; a time to come is of nobody.
    fn parts_at(&self, period: Duration, now: u64) -> [u32; KEPT] {
        let part = part(period);
        let mut parts = [0; KEPT];
        if let Some(passed) = (now / part).checked_sub(self.last / part)
            && let Ok(passed) = usize::try_from(passed)
            && passed < KEPT
        {
            parts[passed..].copy_from_slice(&self.parts[..KEPT - passed]);
        }
        parts
    }

    fn is_alive(&self, now: u64) -> bool {
        let period = Duration::from_secs(u64::from(self.period));
        self.parts_at(period, now).iter().any(|count| *count > 0)
    }

    fn total(&self) -> u32 {
        sum(&self.parts)
    }

    fn is_reported(&self, period: Duration, now: u64) -> bool {
        self.reported > now && self.reported - now <= nanos(period)
    }
}

fn sum(parts: &[u32]) -> u32 {
    parts.iter().fold(0, |sum, count| sum.saturating_add(*count))
}

impl Counters {
    fn find(&self, key: [u8; 16], rate: Rate) -> Option<&Counter> {
        self.0.iter().find(|counter| counter.key == key && Duration::from_secs(counter.period.into()) == rate.per)
    }

    /// Whether the limit is reached.
    pub(super) fn full(&self, key: [u8; 16], rate: Rate, now: u64) -> Option<Fill> {
        let counter = self.find(key, rate)?;
        let parts = counter.parts_at(rate.per, now);
        let most = rate.most.max(1);
        if sum(&parts) < most {
            return None;
        }
        // The oldest parts end first.
        let kept = (0..KEPT).rev().find(|kept| sum(&parts[..*kept]) < most).unwrap_or(0);
        let part = part(rate.per);
        let free_at = (now / part + (KEPT - kept) as u64).saturating_mul(part);
        let wait = Duration::from_nanos(free_at.saturating_sub(now));
        Some(Fill { wait, reported: counter.is_reported(rate.per, now) })
    }

    /// One more.
    pub(super) fn add(&mut self, key: [u8; 16], rate: Rate, now: u64) {
        let counter = self.counter(key, rate, now);
        counter.parts = counter.parts_at(rate.per, now);
        counter.last = now;
        counter.parts[0] = counter.parts[0].saturating_add(1);
    }

    /// Its refusals are reported. `true`: nobody did that in this period.
    pub(super) fn report(&mut self, key: [u8; 16], rate: Rate, now: u64) -> bool {
        let counter = self.counter(key, rate, now);
        let is_first = !counter.is_reported(rate.per, now);
        if is_first {
            counter.reported = now.saturating_add(nanos(rate.per));
        }
        is_first
    }

    /// That of this key. In a full bucket, those that count the least and the oldest are forgotten.
    fn counter(&mut self, key: [u8; 16], rate: Rate, now: u64) -> &mut Counter {
        let period = u32::try_from(rate.per.as_secs()).unwrap_or(u32::MAX);
        let at = match self.0.iter().position(|counter| counter.key == key && counter.period == period) {
            Some(at) => at,
            None => {
                self.0.retain(|counter| counter.is_alive(now));
                if self.0.len() >= COUNTERS
                    && let Some(least) = (0..COUNTERS).min_by_key(|at| (self.0[*at].total(), self.0[*at].last))
                {
                    self.0.swap_remove(least);
                }
                self.0.push(Counter { key, period, last: now, ..Counter::default() });
                self.0.len() - 1
            }
        };
        &mut self.0[at]
    }
}

impl TableBucket for Counters {
    const FORM: TableForm =
        TableForm { name: "clients.rates", magic: *b"LEAFRATE", buckets: 1_024, bucket: COUNTERS * COUNTER };

    fn read(octets: &[u8]) -> Self {
        let number = |octets: &[u8]| octets.iter().rev().fold(0_u64, |number, octet| number << 8 | u64::from(*octet));
        let small = |octets: &[u8]| u32::try_from(number(octets)).unwrap_or(u32::MAX);
        let counter = |octets: &[u8]| {
            let mut counter = Counter {
                last: number(&octets[16..24]),
                reported: number(&octets[24..32]),
                period: small(&octets[32..36]),
                ..Counter::default()
            };
            counter.key.copy_from_slice(&octets[..16]);
            for (count, octets) in counter.parts.iter_mut().zip(octets[40..].chunks_exact(4)) {
                *count = small(octets);
            }
            (counter.key[0] != 0).then_some(counter)
        };
        Self(octets.chunks_exact(COUNTER).filter_map(counter).collect())
    }

    fn octets(&self) -> Vec<u8> {
        let mut octets = vec![0; COUNTERS * COUNTER];
        for (counter, octets) in self.0.iter().zip(octets.chunks_exact_mut(COUNTER)) {
            octets[..16].copy_from_slice(&counter.key);
            octets[16..24].copy_from_slice(&counter.last.to_le_bytes());
            octets[24..32].copy_from_slice(&counter.reported.to_le_bytes());
            octets[32..36].copy_from_slice(&counter.period.to_le_bytes());
            for (count, octets) in counter.parts.iter().zip(octets[40..].chunks_exact_mut(4)) {
                octets.copy_from_slice(&count.to_le_bytes());
            }
        }
        octets
    }
}
