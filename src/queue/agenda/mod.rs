//! The agenda: which messages a runner knows of, and when each is due on which route. Pure.
//!
//! An id is either waiting or in flight, never both, so one process never offers a message to two workers. A message that was
//! just found is *unsorted*: only its id and its time are known, until a worker has looked at it. Of a very long queue, the
//! agenda sorts only a part at a time (its horizon); of the rest, the backlog, it keeps ids and times in a row.

mod backlog;
mod lane;
pub(in crate::queue) mod next_due;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::id::SpoolId;
use crate::spool::QueueEntry;
use backlog::Backlog;
use lane::{Due, Lane};
use next_due::{MessageKind, NextDue};

/// Messages by the time at which they are due.
#[derive(Debug)]
pub(in crate::queue) struct Agenda {
    /// Those that are not due yet, and what they will wait for.
    later: BTreeSet<(Timestamp, SpoolId, WaitsFor)>,
    /// Those that are due, but of which nothing else is known.
    unsorted: BTreeSet<Due>,
    /// Those that are due on each route.
    lanes: Vec<Lane>,
    known: HashMap<SpoolId, Known>,
    in_flight: HashSet<SpoolId>,
    /// How often in a row a message could not be worked on, for the few for which that is so.
    strikes: HashMap<SpoolId, u32>,
    /// The waiting ones that another process had.
    busy: HashSet<SpoolId>,
    /// What the last scan found besides.
    backlog: Backlog,
}

/// What a message waits for: a route, or a look at it (`None`).
type WaitsFor = Option<usize>;

/// What is known of a waiting message, and when it is due for each that it waits for.
#[derive(Debug)]
struct Known {
    kind: Option<MessageKind>,
    due: Vec<(WaitsFor, Timestamp)>,
}

/// How many messages are within the horizon after a scan, besides those that wait for their route.
const HORIZON: usize = 20_000;
/// How many including those. A paused route may have many, which must not hide what other routes could take.
const MOST: usize = 10 * HORIZON;
/// From this number of unsorted messages on, they are looked at before one is taken.
const CROWD: usize = 16;
/// How many are looked at together.
const SAMPLE: usize = 32;

/// Why a message could not be worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::queue) enum Hindrance {
    /// Another process has it: asked again after 5 ms, then less often, at last once a second.
    Busy,
    /// Trouble of our own: tried again after a second, then less often, at last every five minutes.
    Trouble,
}

/// The longest pause after a hindrance.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

impl Hindrance {
    fn pause(self, strikes: u32) -> Duration {
        let (first, most) = match self {
            Self::Busy => (Duration::from_millis(5), Duration::from_secs(1)),
            Self::Trouble => (Duration::from_secs(1), LONGEST_PAUSE),
        };
        first.saturating_mul(1 << strikes.min(16)).min(most)
    }
}

impl Agenda {
    /// An empty agenda for this number of routes.
    pub(in crate::queue) fn new(routes: usize) -> Self {
        Self {
            later: BTreeSet::new(),
            unsorted: BTreeSet::new(),
            lanes: (0..routes).map(|_| Lane::default()).collect(),
            known: HashMap::new(),
            in_flight: HashSet::new(),
            strikes: HashMap::new(),
            busy: HashSet::new(),
            backlog: Backlog::default(),
        }
    }

    /// Notes that a message is due at `due`, whatever was noted before; what is in flight stays so.
    pub(in crate::queue) fn offer(&mut self, id: SpoolId, due: Timestamp) {
        self.place(id, Known { kind: None, due: vec![(None, due)] });
    }

    /// Notes that a message is new. A known message is left alone, also one that another process had: our own release raises a
    /// wake-up too, even after a look, so reacting to it would loop.
    pub(in crate::queue) fn appear(&mut self, id: SpoolId, now: Timestamp) {
        if !self.known.contains_key(&id) {
            self.offer(id, now);
        }
    }

    /// Makes those due that another process had.
    pub(in crate::queue) fn retry_busy(&mut self, now: Timestamp) {
        for id in std::mem::take(&mut self.busy) {
            self.offer(id, now);
        }
    }

    /// Brings the agenda into line with a scan, whose hints count where they are earlier than what is known.
    pub(in crate::queue) fn align(&mut self, mut entries: Vec<QueueEntry>, now: Timestamp) {
        entries.sort_unstable_by_key(|entry| entry.id);
        let listed = |id: &SpoolId| entries.binary_search_by_key(id, |entry| entry.id).is_ok();
        let vanished: Vec<_> = self.known.keys().filter(|id| !listed(id)).copied().collect();
        for id in vanished {
            self.forget(id);
        }
        for entry in &entries {
            // What is due already, and has been sorted, stays where it is.
            let hastened = |(waits_for, due): &(WaitsFor, Timestamp)| {
                entry.due < *due && self.later.contains(&(*due, entry.id, *waits_for))
            };
            // A pause is kept, unless it is longer than any: then the clock went back.
            let pauses = |known: &&Known| {
                self.strikes.contains_key(&entry.id) && known.due.iter().all(|(_, due)| due.since(now) <= LONGEST_PAUSE)
            };
            let known = self.known.get(&entry.id).filter(|known| !pauses(known));
            if known.is_some_and(|known| known.due.iter().all(hastened)) {
                self.offer(entry.id, entry.due);
            }
        }
        if entries.len() > HORIZON {
            self.make_room(now);
        }
        self.backlog = Backlog::new(entries, now);
        self.refill();
    }

    /// Takes what is due later out of the horizon, which is for those that are due first.
    fn make_room(&mut self, now: Timestamp) {
        let is_due_later =
            |id: &SpoolId, known: &Known| !self.strikes.contains_key(id) && known.due.iter().all(|(_, due)| *due > now);
        let later = self.known.iter().filter(|(id, known)| is_due_later(id, known));
        for id in later.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.forget(id);
        }
    }

    /// Fills the horizon from the backlog.
    fn refill(&mut self) {
        while self.not_at_a_route() < HORIZON
            && self.waiting() < MOST
            && let Some((due, id)) = self.backlog.next()
        {
            // It may have become known since the scan, or be in flight.
            if !self.known.contains_key(&id) {
                self.offer(id, due);
            }
        }
    }

    /// Takes a message that is due on a route, or one that may turn out to be; it is then in flight. Also returns whether it
    /// is large, as far as is known.
    pub(in crate::queue) fn take(
        &mut self,
        route: usize,
        allow_large: bool,
        now: Timestamp,
    ) -> Option<(SpoolId, bool)> {
        self.ripen(now);
        let lane = self.lanes.get_mut(route)?;
        // A message that was not looked at is most likely small.
        let taken = match self.unsorted.first() {
            None => lane.take(allow_large),
            Some(unsorted) => lane.take_before(*unsorted, allow_large),
        };
        let (_, id) = taken?;
        let large = self.known.get(&id).and_then(|known| known.kind).is_some_and(|kind| kind.large);
        self.launch(id);
        Some((id, large))
    }

    /// How many messages are due on a route, or may turn out to be.
    pub(in crate::queue) fn due(&mut self, route: usize, now: Timestamp) -> usize {
        self.ripen(now);
        self.unsorted.len() + self.lanes.get(route).map_or(0, Lane::len)
    }

    /// Takes a message to try a route with: the one that has been due for longest, or the `skip`-th after it, should it be the
    /// message that the route fails at. Those that are passed over go behind all others, or they would be next.
    pub(in crate::queue) fn take_probe(&mut self, route: usize, skip: usize, now: Timestamp) -> Option<SpoolId> {
        self.ripen(now);
        let mut due = self.lanes.get(route)?.by_age();
        if due.is_empty() {
            due = self.unsorted.iter().take(8).copied().collect();
        }
        let skip = skip % due.len().max(1);
        let (_, id) = *due.get(skip)?;
        for passed in &due[..skip] {
            self.put_last(route, *passed);
        }
        self.launch(id);
        Some(id)
    }

    /// Takes unsorted messages to be looked at, half the oldest and half the newest, where there are many and the route has
    /// few others; each is to be put back or forgotten.
    pub(in crate::queue) fn sample(&mut self, route: usize, now: Timestamp) -> Vec<SpoolId> {
        self.ripen(now);
        let crowd = if self.lanes.len() > 1 { 1 } else { CROWD };
        if self.unsorted.len() < crowd || self.lanes.get(route).is_none_or(|lane| lane.len() >= 2 * SAMPLE) {
            return Vec::new();
        }
        let mut ids: Vec<_> = self.unsorted.iter().take(SAMPLE / 2).map(|(_, id)| *id).collect();
        for id in &ids {
            self.launch(*id);
        }
        let newest: Vec<_> = self.unsorted.iter().rev().take(SAMPLE / 2).map(|(_, id)| *id).collect();
        for id in newest {
            self.launch(id);
            ids.push(id);
        }
        ids
    }

    /// Ends the flight of a message that has something ahead of it.
    pub(in crate::queue) fn put_back(&mut self, id: SpoolId, next_due: &NextDue) {
        self.strikes.remove(&id);
        self.in_flight.remove(&id);
        let due = next_due.due.iter().map(|(route, due)| (Some(*route), *due)).collect();
        self.place(id, Known { kind: Some(next_due.kind), due });
    }

    /// Ends the flight of a message that could not be worked on; it is due again after a growing pause.
    pub(in crate::queue) fn postpone(&mut self, id: SpoolId, hindrance: Hindrance, now: Timestamp) {
        let strikes = self.strikes.entry(id).or_default();
        let due = now + hindrance.pause(*strikes);
        *strikes = strikes.saturating_add(1);
        self.in_flight.remove(&id);
        self.offer(id, due);
        if hindrance == Hindrance::Busy {
            self.busy.insert(id);
        }
    }

    /// How often in a row a message could not be worked on.
    pub(in crate::queue) fn strikes(&self, id: SpoolId) -> u32 {
        self.strikes.get(&id).copied().unwrap_or(0)
    }

    /// Makes those due that another process had, once the caller has waited for the returned time.
    pub(in crate::queue) fn retry_soon(&mut self, now: Timestamp) -> Option<Duration> {
        let pauses = self.busy.iter().map(|id| Hindrance::Busy.pause(self.strikes(*id).saturating_sub(1)));
        let longest = pauses.max()?;
        self.retry_busy(now);
        Some(longest)
    }

    /// Whether no message is known to be due on a route.
    pub(in crate::queue) fn has_none_for(&self, route: usize) -> bool {
        self.lanes.get(route).is_none_or(|lane| lane.len() == 0)
    }

    /// Ends the flight of a message that is not in the queue any more, or is not to be looked at again.
    pub(in crate::queue) fn forget(&mut self, id: SpoolId) {
        self.in_flight.remove(&id);
        self.strikes.remove(&id);
        self.withdraw(id);
    }

    /// When the first message is due that is not due yet.
    pub(in crate::queue) fn next_due(&self) -> Option<Timestamp> {
        self.later.first().map(|(due, ..)| *due)
    }

    /// How many messages wait within the horizon or at a route.
    pub(in crate::queue) fn waiting(&self) -> usize {
        self.known.len()
    }

    /// How many are not due, or not sorted, yet.
    fn not_at_a_route(&self) -> usize {
        self.later.len() + self.unsorted.len()
    }

    /// How many messages wait, as far as the last scan found.
    pub(in crate::queue) fn in_all(&self) -> usize {
        self.known.len() + self.backlog.len()
    }

    /// Whether no message is in flight.
    pub(in crate::queue) fn is_grounded(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// Moves what has become due to where it is taken from.
    fn ripen(&mut self, now: Timestamp) {
        if self.not_at_a_route() < HORIZON / 4 {
            self.refill();
        }
        while let Some((due, id, waits_for)) = self.later.first().copied().filter(|(due, ..)| *due <= now) {
            self.later.pop_first();
            match (waits_for, self.known.get(&id).and_then(|known| known.kind)) {
                (Some(route), Some(kind)) => self.lanes[route].insert(kind, (due, id)),
                _ => {
                    self.unsorted.insert((due, id));
                }
            }
        }
    }

    fn place(&mut self, id: SpoolId, known: Known) {
        if self.in_flight.contains(&id) {
            return;
        }
        self.withdraw(id);
        for (waits_for, due) in &known.due {
            debug_assert!(waits_for.is_none_or(|route| route < self.lanes.len()));
            self.later.insert((*due, id, *waits_for));
        }
        self.known.insert(id, known);
    }

    fn put_last(&mut self, route: usize, due: Due) {
        let Some(known) = self.withdraw(due.1) else { return };
        let others =
            known.due.into_iter().filter(|(waits_for, _)| waits_for.is_some_and(|waits_for| waits_for != route));
        let kind = known.kind.unwrap_or(MessageKind::UNKNOWN);
        self.place(due.1, Known { kind: Some(kind), due: others.collect() });
        self.known.entry(due.1).and_modify(|known| known.due.push((Some(route), due.0)));
        self.lanes[route].put_last(due);
    }

    fn launch(&mut self, id: SpoolId) {
        self.withdraw(id);
        self.in_flight.insert(id);
    }

    fn withdraw(&mut self, id: SpoolId) -> Option<Known> {
        self.busy.remove(&id);
        let known = self.known.remove(&id)?;
        for (waits_for, due) in known.due.iter().copied() {
            let waited = self.later.remove(&(due, id, waits_for));
            match (waits_for, known.kind) {
                _ if waited => {}
                (Some(route), Some(kind)) => self.lanes[route].remove(kind, (due, id)),
                _ => {
                    self.unsorted.remove(&(due, id));
                }
            }
        }
        Some(known)
    }
}

#[cfg(test)]
mod tests;
