//! The backlog: what a scan found beyond the agenda's horizon, as ids and times. Pure.
//!
//! The oldest come first, but each fourth is the newest that is due, so that new arrivals are looked at soon. What is due later
//! comes after all that is due.

use std::collections::VecDeque;

use super::lane::Due;
use crate::clock::Timestamp;
use crate::spool::QueueEntry;

#[derive(Debug, Default)]
pub(super) struct Backlog {
    due: VecDeque<Due>,
    later: VecDeque<Due>,
    count: usize,
}

impl Backlog {
    pub(in crate::queue) fn new(entries: Vec<QueueEntry>, now: Timestamp) -> Self {
        let mut all: Vec<Due> = entries.into_iter().map(|entry| (entry.due, entry.id)).collect();
        all.sort_unstable();
        let later = all.split_off(all.partition_point(|(due, _)| *due <= now));
        Self { due: all.into(), later: later.into(), count: 0 }
    }

    pub(in crate::queue) fn next(&mut self) -> Option<Due> {
        self.count += 1;
        let newest = self.count.is_multiple_of(4);
        let due = if newest { self.due.pop_back() } else { self.due.pop_front() };
        due.or_else(|| self.later.pop_front())
    }

    pub(in crate::queue) fn len(&self) -> usize {
        self.due.len() + self.later.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::testing::{at, id};

    #[test]
    fn each_fourth_is_the_newest_and_the_future_comes_last() {
        let entries = (0..8).map(|number| QueueEntry { id: id(number), due: at(u64::from(number)) }).collect();
        let mut backlog = Backlog::new(entries, at(5));
        assert_eq!(backlog.len(), 8);
        let order: Vec<_> = std::iter::from_fn(|| backlog.next()).map(|(due, _)| due.as_millis() / 1000).collect();
        assert_eq!(order, [0, 1, 2, 5, 3, 4, 6, 7]);
    }
}
