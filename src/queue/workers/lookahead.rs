//! The lookahead of a worker: while it delivers one message, the next one is claimed and prepared, so that the transport can
//! announce it in the same command group (RFC 2920 3.1).
//!
//! It happens only when more messages are due than there are workers: a message that another worker could take at once must
//! not wait behind this one. A prepared message goes back to the agenda when the route is no longer open.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::pool::{Mode, PoolState, WorkerPool};
use crate::id::SpoolId;
use crate::queue::delivery::follow::Follow;
use crate::queue::delivery::job::Job;
use crate::queue::delivery::outgoing::OutgoingMessage;
use crate::queue::delivery::task::{DeliveryTask, End, Worked};
use crate::queue::routes::gate::Passage;
use crate::spool::Spool;
use crate::transport::DeliveryRequest;

/// A claimed message, and what goes out of it if delivery is its next step.
type Ready<'s, S> = (DeliveryTask<'s, S>, Option<OutgoingMessage>);

/// The next message of one worker.
pub(super) struct Lookahead<'s, 'r, S: Spool> {
    pool: &'s WorkerPool<'r, S>,
    route: usize,
    ready: Option<(Job, Ready<'s, S>)>,
}

impl<'s, 'r, S: Spool> Lookahead<'s, 'r, S> {
    pub(super) fn new(pool: &'s WorkerPool<'r, S>, route: usize) -> Self {
        Self { pool, route, ready: None }
    }

    /// Takes the prepared message, if the route still lets it through.
    pub(super) fn take(&mut self) -> Option<(Job, Ready<'s, S>)> {
        let (job, ready) = self.ready.take()?;
        if self.pool.is_open(self.route) {
            self.pool.shared().concurrency[self.route].begin();
            return Some((job, ready));
        }
        self.put_back(job, ready);
        None
    }

    fn put_back(&self, job: Job, ready: Ready<'s, S>) {
        let next_due = ready.0.next_due();
        // The claim ends first: the worker that takes it from the agenda must find it free.
        drop(ready);
        self.pool.give_back(job, Worked::unasked(End::Sorted(next_due)));
    }
}

impl<S: Spool> Follow for Lookahead<'_, '_, S> {
    fn look(&mut self) {
        if self.ready.is_some() {
            return;
        }
        let Some(job) = self.pool.next_ahead(self.route) else { return };
        let runner = self.pool.runner;
        let begin = || {
            let task = runner.begin(job)?;
            let message = task.next_outgoing(runner.clock.now());
            Ok::<_, Box<Worked<S::Claim>>>((task, message))
        };
        match catch_unwind(AssertUnwindSafe(begin)) {
            Ok(Ok(ready)) => self.ready = Some((job, ready)),
            Ok(Err(worked)) => self.pool.give_back(job, *worked),
            Err(_) => self.pool.give_back(job, self.pool.internal_error(job)),
        }
    }

    fn release(&mut self) {
        if let Some((job, ready)) = self.ready.take() {
            log::info!("{} does not wait any longer behind a message whose answer does not come", job.id);
            self.put_back(job, ready);
        }
    }

    fn request(&self) -> Option<DeliveryRequest<'_>> {
        let (_, (task, message)) = self.ready.as_ref()?;
        let message = message.as_ref()?;
        Some(task.request(message))
    }

    fn may_be_why(&mut self, id: SpoolId) -> bool {
        self.pool.shared().gates[self.route].may_be_why(id)
    }
}

impl<S: Spool> WorkerPool<'_, S> {
    /// The next message for a worker that is about to deliver another; none unless more are due than there are workers.
    fn next_ahead(&self, route: usize) -> Option<Job> {
        let way = &self.runner.routes[route];
        // A message that the pace let through has to leave; and each domain has a next hop of its own.
        if way.limits.is_paced() || way.dispatch.per_domain() {
            return None;
        }
        loop {
            let now = self.runner.clock.now();
            let mut shared = self.shared();
            let open = self.passes(&shared, route)
                && !shared.concurrency[route].is_crowded()
                && shared.agenda.due(route, now) >= way.dispatch.connections().min(shared.concurrency[route].useful());
            let sample = if open { shared.agenda.sample(route, now) } else { return None };
            if sample.is_empty() {
                // A large one would delay the message that is announced after it for too long.
                let (id, large) = shared.agenda.take(route, false, now)?;
                shared.concurrency[route].wake_more();
                return Some(Job { id, route, urgency: self.urgency, large, probe: false });
            }
            drop(shared);
            self.sort(sample);
        }
    }

    /// Gives back a message that was not worked on after all.
    fn give_back(&self, job: Job, worked: Worked<S::Claim>) {
        self.shared().concurrency[job.route].begin();
        self.done(&job, worked);
    }

    fn is_open(&self, route: usize) -> bool {
        self.passes(&self.shared(), route)
    }

    fn passes(&self, shared: &PoolState<S::Claim>, route: usize) -> bool {
        let passage = |gate: &crate::queue::routes::gate::RouteGate| {
            gate.passage(self.mode == Mode::Pass, true, self.urgency, self.runner.clock.now())
        };
        !self.runner.stop.is_raised() && shared.gates.get(route).map(passage) == Some(Passage::Free)
    }
}
