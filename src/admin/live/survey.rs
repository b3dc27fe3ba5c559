//! What waits, by route and age, read again each second or two at a small cost.
//!
//! A survey lists the folder, and reads a bounded number of messages: first those that it does not know yet, then
//! known ones in turn, because some of their recipients may have been delivered to. The id gives the age of a
//! message. On a queue of 100,000 messages the routes are known after some minutes, ages and sums at once; the page
//! says what is not known yet.

use std::collections::HashMap;

use crate::admin::listing::Listing;
use crate::admin::routes::Routes;
use crate::admin::shape::{COLUMNS, column_of};
use crate::clock::Timestamp;
use crate::id::SpoolId;
use crate::spool::{Folder, Manage, SpoolError};

/// Messages that one survey reads because it does not know them.
const LOOKS: usize = 500;
/// Messages whose routes are remembered; each takes some 50 octets and its list of routes.
const REMEMBERED: usize = 100_000;

/// What waits for one route.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Messages; one that takes two routes counts for both.
    pub waiting: u64,
    /// When the oldest was accepted.
    pub oldest: Option<Timestamp>,
}

/// What waits in all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueView {
    /// Messages in the queue.
    pub all: Backlog,
    /// By route, in the order of the configuration.
    pub routes: Vec<Backlog>,
    /// Messages by age, in the columns of [`crate::admin::COLUMNS`].
    pub ages: [u64; COLUMNS.len()],
    /// Messages of which it is not known yet for which route they wait.
    pub unsorted: u64,
    /// Messages that a person holds.
    pub held: u64,
    /// Messages that failed, for a person to decide.
    pub failed: u64,
}

/// Remembers what it saw of the queue.
#[derive(Debug, Default)]
pub struct Survey {
    /// The places of the routes that a message waits for.
    known: HashMap<SpoolId, Vec<usize>>,
    /// The last that was read again.
    turn: Option<SpoolId>,
}

impl Survey {
    /// Looks. What cannot be read counts as not known.
    ///
    /// # Errors
    /// When a folder cannot be listed.
    pub fn look<S: Manage>(&mut self, spool: &S, routes: &Routes, now: Timestamp) -> Result<QueueView, SpoolError> {
        let ids = spool.ids(Folder::Queue)?;
        let kept = ids.iter().filter_map(|id| Some((*id, self.known.remove(id)?))).collect();
        self.known = kept;
        self.read(spool, routes, &ids);
        let mut view = QueueView { routes: vec![Backlog::default(); routes.all().len()], ..QueueView::default() };
        for id in ids {
            let arrived = id.time();
            view.all.add(arrived);
            view.ages[column_of(now.since(arrived))] += 1;
            match self.known.get(&id) {
                Some(places) => {
                    places.iter().filter_map(|place| view.routes.get_mut(*place).map(|one| one.add(arrived))).count()
                }
                None => {
                    view.unsorted += 1;
                    0
                }
            };
        }
        view.held = spool.ids(Folder::Hold)?.len() as u64;
        view.failed = spool.ids(Folder::Failed)?.len() as u64;
        Ok(view)
    }

    fn read<S: Manage>(&mut self, spool: &S, routes: &Routes, ids: &[SpoolId]) {
        let room = REMEMBERED.saturating_sub(self.known.len()).min(LOOKS);
        let new: Vec<SpoolId> = ids.iter().filter(|id| !self.known.contains_key(id)).take(room).copied().collect();
        let begin = self.turn.map_or(0, |last| ids.partition_point(|id| *id <= last));
        let around = ids[begin..].iter().chain(&ids[..begin]).filter(|id| self.known.contains_key(id));
        let again: Vec<SpoolId> = around.take((LOOKS - new.len()).min(LOOKS / 5)).copied().collect();
        self.turn = again.last().copied().or(self.turn);
        for id in new.into_iter().chain(again) {
            // Gone, or not to be read: the next survey tells.
            let Ok(Some(glance)) = spool.peek_at(id, Folder::Queue) else { continue };
            let listing = Listing::new(id, &glance, routes);
            let named = |route: &crate::admin::RouteView| {
                listing.recipients.iter().any(|one| one.route.as_deref() == Some(&route.name))
            };
            let places = routes.all().iter().enumerate().filter(|(_, route)| named(route)).map(|(place, _)| place);
            self.known.insert(id, places.collect());
        }
    }
}

impl Backlog {
    fn add(&mut self, arrived: Timestamp) {
        self.waiting += 1;
        self.oldest = Some(self.oldest.map_or(arrived, |oldest| oldest.min(arrived)));
    }
}

#[cfg(test)]
mod tests;
