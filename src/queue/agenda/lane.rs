//! A lane: the messages of one route that are due, in the order in which they are taken. Pure.
//!
//! Senders take turns, so that a flood from one does not keep the others waiting, and each sender's messages go by age. Small
//! messages overtake large ones, within limits: after [`OVERTAKING`] of them a waiting large one gets its turn.

use std::collections::{BTreeMap, BTreeSet};

use super::next_due::MessageKind;
use crate::clock::Timestamp;
use crate::id::SpoolId;

/// When it became due, and which.
pub(in crate::queue) type Due = (Timestamp, SpoolId);

/// How many small messages go before a large one that waits.
const OVERTAKING: u32 = 8;

/// The messages of a route that are due.
#[derive(Debug, Default)]
pub(super) struct Lane {
    small: Turns,
    large: Turns,
    /// Those that come when nothing else does, as the route may have failed at them.
    last: BTreeSet<Due>,
    /// Small ones that were taken since a large one was.
    overtaken: u32,
}

/// Messages by sender.
#[derive(Debug, Default)]
struct Turns {
    senders: BTreeMap<u32, BTreeSet<Due>>,
    /// Which sender had the last turn.
    last: u32,
    len: usize,
}

impl Lane {
    pub(in crate::queue) fn insert(&mut self, kind: MessageKind, due: Due) {
        self.turns(kind).insert(kind.sender, due);
    }

    pub(super) fn put_last(&mut self, due: Due) {
        self.last.insert(due);
    }

    pub(in crate::queue) fn remove(&mut self, kind: MessageKind, due: Due) {
        self.turns(kind).remove(kind.sender, due);
        self.last.remove(&due);
    }

    /// Takes the next message; one that is large only where that is allowed.
    pub(in crate::queue) fn take(&mut self, allow_large: bool) -> Option<Due> {
        let large_waits = allow_large && self.large.len > 0;
        if self.small.len > 0 && !(large_waits && self.overtaken >= OVERTAKING) {
            self.overtaken += 1;
            return self.small.take();
        }
        if large_waits {
            self.overtaken = 0;
            return self.large.take();
        }
        if self.large.len == 0 { self.last.pop_first() } else { None }
    }

    /// Takes the next message where one has to go before `other`, which is small as far as is known; otherwise that one.
    pub(super) fn take_before(&mut self, other: Due, allow_large: bool) -> Option<Due> {
        let large_is_next = allow_large && self.large.len > 0 && self.overtaken >= OVERTAKING;
        if self.small.len > 0 || large_is_next {
            return self.take(allow_large);
        }
        self.overtaken += 1;
        Some(other)
    }

    /// All of them, oldest first, and then the last.
    pub(super) fn by_age(&self) -> Vec<Due> {
        let all = self.small.senders.values().chain(self.large.senders.values());
        let mut all: Vec<Due> = all.flatten().copied().collect();
        all.sort_unstable();
        all.extend(&self.last);
        all
    }

    pub(in crate::queue) fn len(&self) -> usize {
        self.small.len + self.large.len + self.last.len()
    }

    fn turns(&mut self, kind: MessageKind) -> &mut Turns {
        if kind.large { &mut self.large } else { &mut self.small }
    }
}

impl Turns {
    fn insert(&mut self, sender: u32, due: Due) {
        self.len += usize::from(self.senders.entry(sender).or_default().insert(due));
    }

    fn remove(&mut self, sender: u32, due: Due) {
        let Some(messages) = self.senders.get_mut(&sender) else { return };
        self.len -= usize::from(messages.remove(&due));
        if messages.is_empty() {
            self.senders.remove(&sender);
        }
    }

    /// The oldest message of the sender whose turn it is.
    fn take(&mut self) -> Option<Due> {
        let after = self.senders.range(self.last.saturating_add(1)..).next();
        let (sender, messages) = after.or_else(|| self.senders.iter().next())?;
        let (sender, due) = (*sender, *messages.first()?);
        self.last = sender;
        self.remove(sender, due);
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::testing::{at, id};

    fn small(sender: u32) -> MessageKind {
        MessageKind { sender, large: false }
    }

    const LARGE: MessageKind = MessageKind { sender: 7, large: true };

    fn taken(lane: &mut Lane, count: usize) -> Vec<u16> {
        let number = |due: Due| (0..2_000).find(|number| id(*number) == due.1).unwrap();
        (0..count).filter_map(|_| lane.take(true)).map(number).collect()
    }

    #[test]
    fn nobodys_flood_keeps_others_waiting() {
        let mut lane = Lane::default();
        for number in 0..1_000 {
            lane.insert(small(1), (at(u64::from(number)), id(number)));
        }
        lane.insert(small(2), (at(5_000), id(1_000)));
        lane.insert(small(u32::MAX), (at(6_000), id(1_001)));
        assert_eq!(taken(&mut lane, 6), [0, 1_000, 1_001, 1, 2, 3]);
    }

    #[test]
    fn small_ones_overtake_large_ones_within_limits() {
        let mut lane = Lane::default();
        lane.insert(LARGE, (at(0), id(100)));
        lane.insert(LARGE, (at(1), id(101)));
        for number in 0..20 {
            lane.insert(small(1), (at(2), id(number)));
        }
        let order = taken(&mut lane, 22);
        assert_eq!((order[8], order[17]), (100, 101), "{order:?}");
        lane.insert(LARGE, (at(0), id(102)));
        assert_eq!((lane.take(false), lane.len()), (None, 1));
        assert_eq!(taken(&mut lane, 2), [102]);
    }

    #[test]
    fn what_the_route_may_have_failed_at_comes_last() {
        let mut lane = Lane::default();
        lane.put_last((at(0), id(1)));
        lane.put_last((at(1), id(2)));
        lane.insert(small(1), (at(5), id(3)));
        lane.insert(LARGE, (at(6), id(4)));
        lane.remove(small(1), (at(1), id(2)));
        assert_eq!(lane.by_age().last(), Some(&(at(0), id(1))));
        assert_eq!((lane.len(), taken(&mut lane, 9)), (3, vec![3, 4, 1]));
    }

    #[test]
    fn what_is_withdrawn_does_not_come() {
        let mut lane = Lane::default();
        for number in 0..3 {
            lane.insert(small(1), (at(u64::from(number)), id(number)));
        }
        lane.insert(LARGE, (at(1), id(9)));
        lane.remove(small(1), (at(0), id(0)));
        lane.remove(small(1), (at(0), id(0)));
        lane.remove(small(3), (at(1), id(1)));
        assert_eq!(lane.by_age(), [(at(1), id(1)), (at(1), id(9)), (at(2), id(2))].map(|due| due));
    }
}
