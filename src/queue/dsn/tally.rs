//! The tally of notices: how many were written in this hour, and which were withheld because there were too many. Pure.
//!
//! All processes share one. What was withheld is kept until the administrator receives one digest of it, once its hour is over.
//! The messages themselves are in `failed/`, so nothing is lost with the tally.

use serde::{Deserialize, Serialize};

use super::kind::NoticeKind;
use crate::clock::Timestamp;

/// Counts by the hour of the wall clock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// Which hour, counted from the epoch, the two numbers are of.
    pub hour: u64,
    /// Notices of failure.
    pub failed: u32,
    /// Notices of delay.
    pub delayed: u32,
    /// What was withheld and is in no digest yet.
    pub withheld: Option<Batch>,
}

/// What was withheld since the last digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The hour of the first.
    pub hour: u64,
    /// How many messages.
    pub total: u64,
    /// The first of them, at most [`MOST_NAMED`] and at least one.
    pub named: Vec<WithheldFailure>,
}

/// A message whose failure was not reported to its sender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithheldFailure {
    /// Its id.
    pub id: String,
    /// Its sender; empty where it has none.
    pub sender: String,
    /// The last reason.
    pub reason: String,
}

/// No more are named in a digest.
pub const MOST_NAMED: usize = 200;
/// No more characters of a reason are kept.
const MOST_SAID: usize = 300;
const HOUR: u64 = 3_600_000;

fn hour(now: Timestamp) -> u64 {
    now.as_millis() / HOUR
}

impl Tally {
    /// Whether one more notice may be written, of at most `per_hour` of each kind; if so, it is counted. Reports of success are
    /// always granted.
    pub(in crate::queue) fn grant(&mut self, kind: NoticeKind, per_hour: u32, now: Timestamp) -> bool {
        if self.hour != hour(now) {
            (self.hour, self.failed, self.delayed) = (hour(now), 0, 0);
        }
        let count = match kind {
            NoticeKind::Failed | NoticeKind::FailureCopy => &mut self.failed,
            NoticeKind::Delayed => &mut self.delayed,
            NoticeKind::Relayed | NoticeKind::Delivered | NoticeKind::Expanded => return true,
        };
        let granted = *count < per_hour;
        *count += u32::from(granted);
        granted
    }

    /// Notes a failure for the digest, once for each message.
    pub(in crate::queue) fn withhold(&mut self, mut untold: WithheldFailure, now: Timestamp) {
        let empty = || Batch { hour: hour(now), total: 0, named: Vec::new() };
        let batch = self.withheld.get_or_insert_with(empty);
        if batch.named.iter().any(|named| named.id == untold.id) {
            return;
        }
        batch.total = batch.total.saturating_add(1);
        if batch.named.len() < MOST_NAMED {
            untold.reason = untold.reason.chars().take(MOST_SAID).collect();
            batch.named.push(untold);
        }
    }

    /// What the digest has to report now, as its hour is over.
    pub(in crate::queue) fn due(&self, now: Timestamp) -> Option<&Batch> {
        self.withheld.as_ref().filter(|batch| batch.hour != hour(now) && !batch.named.is_empty())
    }
}

impl Batch {
    /// When its hour began.
    pub(in crate::queue) fn began(&self) -> Timestamp {
        Timestamp::from_millis(self.hour.saturating_mul(HOUR))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::testing::at;

    fn untold(id: u32) -> WithheldFailure {
        WithheldFailure { id: id.to_string(), sender: "s@x".into(), reason: "\u{e9}".repeat(400) }
    }

    #[test]
    fn each_hour_has_its_number_of_each_kind() {
        let mut tally = Tally::default();
        let mut grant = |kind, seconds| tally.grant(kind, 2, at(seconds));
        assert!(grant(NoticeKind::Failed, 7_200) && grant(NoticeKind::FailureCopy, 7_300));
        assert!(
            !grant(NoticeKind::Failed, 10_799)
                && grant(NoticeKind::Delayed, 10_799)
                && grant(NoticeKind::Relayed, 10_799)
        );
        assert!(grant(NoticeKind::Failed, 10_800), "the next hour");
        assert!(grant(NoticeKind::Failed, 0), "the clock went back");
        assert!(!Tally::default().grant(NoticeKind::Failed, 0, at(1)));
    }

    #[test]
    fn what_was_withheld_is_named_once_and_kept_until_its_hour_is_over() {
        let mut tally = Tally::default();
        for number in (0..300).chain(0..100) {
            tally.withhold(untold(number), at(5_000));
        }
        assert_eq!(tally.due(at(7_199)), None);
        tally.withhold(untold(999), at(7_200));
        let batch = tally.due(at(7_200)).unwrap();
        assert_eq!((batch.total, batch.named.len(), batch.began()), (301, 200, at(3_600)));
        assert_eq!(batch.named[0].reason.chars().count(), 300);
    }
}
