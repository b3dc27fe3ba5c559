//! Pace: how many messages a next hop takes in a certain time, and the ring of departures that keeps that limit. Pure.
//!
//! At a pace of n messages in a time t, the next message may leave once the n-th message before it left at least t ago. So only
//! n times are stored, and each message costs one look and one note.

use std::collections::VecDeque;
use std::time::Duration;

/// At most this number of messages in any stretch of time of this length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Messages, at least 1.
    pub messages: u32,
    /// The length, more than nothing.
    pub per: Duration,
}

/// Whether a message may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateDecision {
    /// Now; it counts as left from here on.
    Now,
    /// Not before this time is over, and then only if no other message was faster.
    Wait(Duration),
}

/// Why a message cannot go over a route just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::queue) enum Obstacle {
    /// Other processes have all the connections.
    Crowded,
    /// The pace is reached; the next message may leave after this time.
    Pace(Duration),
}

/// No more departures than this are stored.
pub(in crate::queue) const MOST: u32 = 1 << 16;

impl Pace {
    /// A pace that is never faster, and needs no more than [`MOST`] stored departures.
    pub(super) fn bounded(self) -> Self {
        let messages = self.messages.max(1);
        let parts = messages.div_ceil(MOST);
        Self { messages: messages / parts, per: self.per / parts }
    }

    /// Nanoseconds.
    pub(super) fn nanos(self) -> u64 {
        u64::try_from(self.per.as_nanos()).unwrap_or(u64::MAX)
    }

    /// Whether a message may leave at `now`, when the one that left as many before it as this pace allows left at
    /// `departed`, both in nanoseconds of one clock; 0: there was none.
    pub(super) fn decision(self, departed: u64, now: u64) -> RateDecision {
        match self.nanos().saturating_sub(now.saturating_sub(departed)) {
            0 => RateDecision::Now,
            _ if departed == 0 => RateDecision::Now,
            left => RateDecision::Wait(Duration::from_nanos(left)),
        }
    }
}

/// The departures of one process.
#[derive(Debug, Default)]
pub(super) struct Departures(VecDeque<u64>);

impl Departures {
    /// Whether a message may leave at `now`, in nanoseconds; if so, it has left.
    pub(in crate::queue) fn admit(&mut self, pace: Pace, now: u64) -> RateDecision {
        let capacity = usize::try_from(pace.messages).unwrap_or(usize::MAX);
        while self.0.len() > capacity {
            self.0.pop_front();
        }
        let oldest = if self.0.len() == capacity { self.0.front().copied() } else { None };
        let decision = pace.decision(oldest.unwrap_or(0), now);
        if decision == RateDecision::Now {
            self.0.push_back(now);
        }
        decision
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_of_many_is_cut_into_shorter_stretches_and_never_faster() {
        for messages in [0, 1, 25, MOST, MOST + 1, 1_000_000, u32::MAX] {
            let pace = Pace { messages, per: Duration::from_secs(86_400) };
            let bounded = pace.bounded();
            let parts = messages.max(1).div_ceil(MOST);
            assert!((1..=MOST).contains(&bounded.messages), "{bounded:?}");
            assert!(u64::from(bounded.messages) * u64::from(parts) <= u64::from(messages.max(1)));
            assert!(bounded.per * parts <= pace.per && bounded.per > Duration::ZERO);
        }
    }

    #[test]
    fn one_process_keeps_the_pace_alone() {
        let pace = Pace { messages: 2, per: Duration::from_nanos(10) };
        let mut departures = Departures::default();
        let mut admit = |now| departures.admit(pace, now);
        let wait = |nanos| RateDecision::Wait(Duration::from_nanos(nanos));
        assert_eq!((admit(5), admit(6), admit(7)), (RateDecision::Now, RateDecision::Now, wait(8)));
        assert_eq!((admit(15), admit(15), admit(16)), (RateDecision::Now, wait(1), RateDecision::Now));
    }
}
