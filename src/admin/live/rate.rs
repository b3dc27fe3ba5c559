//! How often something happened recently: counts for ten seconds each, for an hour. Pure.
//!
//! If the wall clock goes back, the latest known time is used.

use std::time::Duration;

use crate::clock::Timestamp;

/// How long one count is, in milliseconds.
const SLOT: u64 = 10_000;
/// Counts of an hour.
const SLOTS: usize = 360;

/// The counts of the last hour.
#[derive(Debug, Clone)]
pub(super) struct Rate {
    slots: Vec<u32>,
    /// The number of the latest slot since the epoch.
    latest: u64,
}

impl Default for Rate {
    fn default() -> Self {
        Self { slots: vec![0; SLOTS], latest: 0 }
    }
}

impl Rate {
    /// Once, now.
    pub(super) fn add(&mut self, now: Timestamp) {
        self.go_to(now);
        let slot = &mut self.slots[place(self.latest)];
        *slot = slot.saturating_add(1);
    }

    /// How often in the time up to now: an hour at most, to ten seconds.
    pub(super) fn within(&mut self, time: Duration, now: Timestamp) -> u64 {
        self.go_to(now);
        let slots = (time.as_millis() / u128::from(SLOT)).min(SLOTS as u128) as u64;
        (0..slots.min(self.latest + 1)).map(|back| u64::from(self.slots[place(self.latest - back)])).sum()
    }

    fn go_to(&mut self, now: Timestamp) {
        let slot = now.as_millis() / SLOT;
        let passed = slot.saturating_sub(self.latest);
        for ahead in 1..=passed.min(SLOTS as u64) {
            self.slots[place(slot - passed + ahead)] = 0;
        }
        if passed > SLOTS as u64 {
            self.slots.fill(0);
        }
        self.latest = self.latest.max(slot);
    }
}

fn place(slot: u64) -> usize {
    (slot % SLOTS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_hour_counts_and_a_clock_set_back_forgets_nothing() {
        let at = |seconds: u64| Timestamp::from_millis(1_795_226_600_000 + seconds * 1000);
        let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3600));
        let mut rate = Rate::default();
        for seconds in [0, 1, 30, 100] {
            rate.add(at(seconds));
        }
        assert_eq!((rate.within(minute, at(100)), rate.within(hour, at(100))), (1, 4));
        rate.add(at(50));
        assert_eq!((rate.within(minute, at(100)), rate.within(hour, at(100))), (2, 5));
        assert_eq!(rate.within(hour, at(3_620)), 3, "the first two are over an hour old");
        assert_eq!(rate.within(hour, at(1_000_000)), 0);
        assert_eq!(Rate::default().within(hour, Timestamp::from_millis(0)), 0);
    }
}
