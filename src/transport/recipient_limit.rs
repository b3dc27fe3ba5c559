//! How many recipients a next hop takes in one transaction: what the route says, what the next hop announced (RFC 9422), and
//! what was learned from its refusals. Shared by all connections of a route.
//!
//! What was learned counts for a day, as the next hop may change its mind; all processes know it.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::memory::HopRecord;

/// See the module.
#[derive(Debug)]
pub(super) struct RecipientLimit {
    configured: Option<usize>,
    /// 0: none.
    announced: AtomicUsize,
}

impl RecipientLimit {
    /// What the route says.
    pub(super) fn of(configured: Option<usize>) -> Self {
        Self { configured, announced: AtomicUsize::new(0) }
    }

    /// What the next hop announced when it last greeted us.
    pub(super) fn announce(&self, announced: Option<usize>) {
        self.announced.store(announced.unwrap_or(0), Ordering::Relaxed);
    }

    /// A message with more recipients than this was refused.
    pub(super) fn learn(record: &HopRecord, most: usize) {
        log::info!("the next hop takes {most} recipients in one transaction at most: messages with more are split");
        record.set_recipients(most);
    }

    /// The least of them.
    pub(super) fn most(&self, record: &HopRecord) -> Option<usize> {
        let announced = Some(self.announced.load(Ordering::Relaxed)).filter(|most| *most > 0);
        [self.configured, announced, record.recipients()].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_of_what_is_known_counts() {
        let (limit, record) = (RecipientLimit::of(None), HopRecord::forgetful());
        assert_eq!(limit.most(&record), None);
        RecipientLimit::learn(&record, 50);
        limit.announce(Some(100));
        assert_eq!(limit.most(&record), Some(50));
        limit.announce(Some(20));
        assert_eq!(limit.most(&record), Some(20));
        limit.announce(None);
        assert_eq!(limit.most(&record), Some(50));
        assert_eq!(RecipientLimit::of(Some(7)).most(&record), Some(7));
    }
}
