//! The agenda: which messages a runner knows of, and when each is due. Pure.
//!
//! An id is either waiting or in flight, never both, so that one process never offers a message to two workers. Of a waiting
//! message only its id and its time are kept: the rest is read when it is claimed.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::id::SpoolId;
use crate::spool::Entry;

/// Messages by the time at which they are due.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    /// The waiting ones in the order in which they are taken.
    order: BTreeSet<(Timestamp, SpoolId)>,
    /// The same, by id.
    due: HashMap<SpoolId, Timestamp>,
    in_flight: HashSet<SpoolId>,
    /// How often in a row a message could not be worked on, for the few for which that is so.
    strikes: HashMap<SpoolId, u32>,
    /// The waiting ones that somebody else had.
    busy: HashSet<SpoolId>,
}

/// Why a message could not be worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hindrance {
    /// Somebody else has it: asked again after 5 ms, then less often, at last once a second.
    Busy,
    /// Trouble of our own: tried again after a second, then less often, at last every five minutes.
    Trouble,
}

impl Hindrance {
    fn pause(self, strikes: u32) -> Duration {
        let (first, most) = match self {
            Self::Busy => (Duration::from_millis(5), Duration::from_secs(1)),
            Self::Trouble => (Duration::from_secs(1), Duration::from_secs(300)),
        };
        first.saturating_mul(1 << strikes.min(16)).min(most)
    }
}

impl Agenda {
    /// Notes that a message is due at `due`, whatever was noted before; what is in flight stays so.
    pub(super) fn offer(&mut self, id: SpoolId, due: Timestamp) {
        if !self.in_flight.contains(&id) {
            self.withdraw(id);
            self.due.insert(id, due);
            self.order.insert((due, id));
        }
    }

    /// Notes that a message is new. What is known is not disturbed, not even what somebody else had: our own letting go, also
    /// after a look in vain, is told like that of others, so each look would lead to the next at once.
    pub(super) fn appear(&mut self, id: SpoolId, now: Timestamp) {
        if !self.due.contains_key(&id) {
            self.offer(id, now);
        }
    }

    /// Makes those due that somebody else had.
    pub(super) fn retry_busy(&mut self, now: Timestamp) {
        for id in std::mem::take(&mut self.busy) {
            self.offer(id, now);
        }
    }

    /// Brings the agenda into line with a scan, whose hints count where they are earlier than what is known.
    pub(super) fn align(&mut self, mut entries: Vec<Entry>) {
        entries.sort_unstable_by_key(|entry| entry.id);
        let listed = |id: &SpoolId| entries.binary_search_by_key(id, |entry| entry.id).is_ok();
        let vanished: Vec<_> = self.due.keys().filter(|id| !listed(id)).copied().collect();
        for id in vanished {
            self.forget(id);
        }
        for entry in entries {
            let hindered = self.strikes.contains_key(&entry.id);
            if !hindered && self.due.get(&entry.id).is_none_or(|known| entry.due < *known) {
                self.offer(entry.id, entry.due);
            }
        }
    }

    /// Takes the message that has been due for longest; it is then in flight.
    pub(super) fn take(&mut self, now: Timestamp) -> Option<SpoolId> {
        let (due, id) = *self.order.first()?;
        (due <= now).then(|| {
            self.withdraw(id);
            self.in_flight.insert(id);
            id
        })
    }

    /// Puts the `count` messages that have been due for longest behind all others that are due, if there are others.
    pub(super) fn rotate(&mut self, count: usize, now: Timestamp) {
        let first: Vec<_> = self.order.iter().take_while(|(due, _)| *due <= now).take(count + 1).copied().collect();
        let Some((_, first)) = first.split_last() else { return };
        for (_, id) in first {
            self.offer(*id, now);
        }
    }

    /// Ends the flight of a message that is due again at `due`.
    pub(super) fn put_back(&mut self, id: SpoolId, due: Timestamp) {
        self.strikes.remove(&id);
        self.in_flight.remove(&id);
        self.offer(id, due);
    }

    /// Ends the flight of a message that could not be worked on; it is due again after a growing pause.
    pub(super) fn postpone(&mut self, id: SpoolId, hindrance: Hindrance, now: Timestamp) {
        let strikes = self.strikes.entry(id).or_default();
        let due = now + hindrance.pause(*strikes);
        *strikes = strikes.saturating_add(1);
        self.in_flight.remove(&id);
        self.offer(id, due);
        if hindrance == Hindrance::Busy {
            self.busy.insert(id);
        }
    }

    /// Ends the flight of a message that is not in the queue any more, or is not to be looked at again.
    pub(super) fn forget(&mut self, id: SpoolId) {
        self.in_flight.remove(&id);
        self.strikes.remove(&id);
        self.withdraw(id);
    }

    /// When the first message is due.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.order.first().map(|(due, _)| *due)
    }

    /// How many messages wait.
    pub(super) fn waiting(&self) -> usize {
        self.order.len()
    }

    /// Whether no message is in flight.
    pub(super) fn is_grounded(&self) -> bool {
        self.in_flight.is_empty()
    }

    fn withdraw(&mut self, id: SpoolId) {
        self.busy.remove(&id);
        if let Some(due) = self.due.remove(&id) {
            self.order.remove(&(due, id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::testing::{at, id};

    #[test]
    fn what_is_in_flight_is_not_offered_again() {
        let mut agenda = Agenda::default();
        agenda.offer(id(2), at(5));
        agenda.offer(id(1), at(7));
        assert_eq!(agenda.take(at(4)), None);
        assert_eq!(agenda.take(at(9)), Some(id(2)));
        agenda.appear(id(2), at(9));
        agenda.align(vec![Entry { id: id(2), due: at(0) }, Entry { id: id(1), due: at(9) }]);
        assert_eq!((agenda.take(at(9)), agenda.take(at(9))), (Some(id(1)), None));
        agenda.put_back(id(2), at(20));
        agenda.forget(id(1));
        assert!(agenda.is_grounded());
        assert_eq!((agenda.waiting(), agenda.next_due()), (1, Some(at(20))));
    }

    #[test]
    fn our_own_letting_go_does_not_make_a_waiting_message_due() {
        let mut agenda = Agenda::default();
        agenda.offer(id(1), at(60));
        agenda.appear(id(1), at(1));
        assert_eq!(agenda.next_due(), Some(at(60)));
        agenda.offer(id(2), at(1));
        assert_eq!(agenda.take(at(1)), Some(id(2)));
        agenda.postpone(id(2), Hindrance::Busy, at(1));
        agenda.appear(id(2), at(1));
        assert_eq!(agenda.take(at(1)), None);
        agenda.retry_busy(at(1));
        assert_eq!(agenda.take(at(1)), Some(id(2)), "somebody else let something go");
    }

    #[test]
    fn pauses_grow_and_are_bounded() {
        let mut agenda = Agenda::default();
        let mut now = at(0);
        let mut pauses = Vec::new();
        agenda.offer(id(1), now);
        for _ in 0..40 {
            let taken = agenda.take(now).unwrap();
            agenda.postpone(taken, Hindrance::Busy, now);
            let due = agenda.next_due().unwrap();
            pauses.push(due.since(now).as_millis());
            now = due;
        }
        assert_eq!(pauses[..9], [5, 10, 20, 40, 80, 160, 320, 640, 1000]);
        assert_eq!(pauses[39], 1000);
        assert_eq!(Hindrance::Trouble.pause(90), Duration::from_secs(300));
    }

    #[test]
    fn a_scan_adds_drops_and_hastens() {
        let mut agenda = Agenda::default();
        agenda.offer(id(1), at(50));
        agenda.offer(id(2), at(50));
        agenda.align(vec![Entry { id: id(3), due: at(4) }, Entry { id: id(2), due: at(9) }]);
        assert_eq!((agenda.take(at(99)), agenda.take(at(99)), agenda.take(at(99))), (Some(id(3)), Some(id(2)), None));
    }

    #[test]
    fn the_one_that_keeps_failing_does_not_stay_in_front() {
        let mut agenda = Agenda::default();
        for number in 1..4 {
            agenda.offer(id(number), at(u64::from(number)));
        }
        agenda.rotate(1, at(10));
        assert_eq!(agenda.take(at(10)), Some(id(2)));
        agenda.rotate(7, at(10));
        assert_eq!(agenda.waiting(), 2);
        agenda.rotate(7, at(2));
        assert!(agenda.take(at(10)).is_some());
    }
}
