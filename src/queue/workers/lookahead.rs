//! A worker's look ahead: the message that it will deliver next is claimed and made ready before the one before leaves, so that
//! the transport can announce it in the same flight (RFC 2920 3.1).
//!
//! Only where there is a crowd: a message that another worker could take at once must not wait behind this one. What was made
//! ready goes back to the agenda where the route is not open any more.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::pool::{Board, Mode, Shift};
use crate::queue::delivery::follow::Follow;
use crate::queue::delivery::job::Job;
use crate::queue::delivery::outgoing::Parcel;
use crate::queue::delivery::task::{End, Task, Worked};
use crate::queue::routes::gate::Passage;
use crate::spool::Spool;
use crate::transport::Consignment;

/// A message that was begun, with what goes out of it where that is the next step.
type Ready<'s, S> = (Task<'s, S>, Option<Parcel>);

/// See the module.
pub(super) struct Ahead<'s, 'r, S: Spool> {
    shift: &'s Shift<'r, S>,
    route: usize,
    ready: Option<(Job, Ready<'s, S>)>,
}

impl<'s, 'r, S: Spool> Ahead<'s, 'r, S> {
    pub(super) fn new(shift: &'s Shift<'r, S>, route: usize) -> Self {
        Self { shift, route, ready: None }
    }

    /// Takes what is ready, if it may go.
    pub(super) fn take(&mut self) -> Option<(Job, Ready<'s, S>)> {
        let (job, ready) = self.ready.take()?;
        if self.shift.is_open(self.route) {
            self.shift.board().crews[self.route].begin();
            return Some((job, ready));
        }
        let prospect = ready.0.prospect();
        // Whoever takes it from the agenda must find it free.
        drop(ready);
        self.shift.give_back(job, Worked::unasked(End::Sorted(prospect)));
        None
    }
}

impl<S: Spool> Follow for Ahead<'_, '_, S> {
    fn look(&mut self) {
        if self.ready.is_some() {
            return;
        }
        let Some(job) = self.shift.next_ahead(self.route) else { return };
        let runner = self.shift.runner;
        let begin = || {
            let task = runner.begin(job)?;
            let parcel = task.next_parcel(runner.clock.now());
            Ok::<_, Box<Worked<S::Claim>>>((task, parcel))
        };
        match catch_unwind(AssertUnwindSafe(begin)) {
            Ok(Ok(ready)) => self.ready = Some((job, ready)),
            Ok(Err(worked)) => self.shift.give_back(job, *worked),
            Err(_) => self.shift.give_back(job, self.shift.defect(job)),
        }
    }

    fn consignment(&self) -> Option<Consignment<'_>> {
        let (_, (task, parcel)) = self.ready.as_ref()?;
        let parcel = parcel.as_ref()?;
        Some(task.consignment(parcel))
    }
}

impl<S: Spool> Shift<'_, S> {
    /// The next message for a worker that is about to deliver another, where more are due than there are workers.
    fn next_ahead(&self, route: usize) -> Option<Job> {
        let way = &self.runner.routes[route];
        // What the pace lets through has to leave; and each domain has a next hop of its own.
        if way.turnstile.is_paced() || way.dispatch.per_domain() {
            return None;
        }
        loop {
            let now = self.runner.clock.now();
            let mut board = self.board();
            let open = self.passes(&board, route)
                && !board.crews[route].is_crowded()
                && board.agenda.due(route, now) >= way.dispatch.connections().min(board.crews[route].useful());
            let sample = if open { board.agenda.sample(route, now) } else { return None };
            if sample.is_empty() {
                // A large one would keep the one that waits behind it for too long.
                let (id, large) = board.agenda.take(route, false, now)?;
                board.crews[route].call_more();
                return Some(Job { id, route, urgency: self.urgency, large, probe: false });
            }
            drop(board);
            self.sort(sample);
        }
    }

    /// Ends the flight of what was not worked on after all.
    fn give_back(&self, job: Job, worked: Worked<S::Claim>) {
        self.board().crews[job.route].begin();
        self.done(&job, worked);
    }

    fn is_open(&self, route: usize) -> bool {
        self.passes(&self.board(), route)
    }

    fn passes(&self, board: &Board<S::Claim>, route: usize) -> bool {
        let passage = |gate: &crate::queue::routes::gate::Gate| {
            gate.passage(self.mode == Mode::Pass, true, self.urgency, self.runner.clock.now())
        };
        !self.runner.stop.is_raised() && board.gates.get(route).map(passage) == Some(Passage::Free)
    }
}
