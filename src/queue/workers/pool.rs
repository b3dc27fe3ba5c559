//! The worker pool of one pass or one watch, and the state that its workers share.
//!
//! The lock of that state covers bookkeeping only, and the small file of a route's state when that changes. Messages are
//! delivered outside of it. A worker whose delivery panics counts it as trouble with that message, and takes the next.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::concurrency::Concurrency;
use super::delays::Delays;
use super::wakeup::{Wakeup, Wakeups};
use crate::clock::Timestamp;
use crate::id::SpoolId;
use crate::queue::agenda::{Agenda, Hindrance};
use crate::queue::delivery::job::Job;
use crate::queue::delivery::task::{End, Worked};
use crate::queue::plan::schedule::Urgency;
use crate::queue::routes::gate::{Passage, RouteGate};
use crate::queue::runner::{Runner, Summary};
use crate::receipt::Receipt;
use crate::spool::{Claim, Durability, QueueEntry, Spool};

/// When the workers end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// When nothing is due, or the route fails.
    Pass,
    /// When the stop flag is raised.
    Watch,
}

/// How often a watching runner scans the whole queue.
const SCAN_INTERVAL: Duration = Duration::from_secs(60);
/// How long changes of the queue are gathered while workers are busy.
const GATHERING: Duration = Duration::from_millis(5);

pub(super) struct WorkerPool<'r, S: Spool> {
    pub(super) runner: &'r Runner<S>,
    pub(super) mode: Mode,
    pub(super) urgency: Urgency,
    shared: Mutex<PoolState<S::Claim>>,
}

pub(super) struct PoolState<C> {
    pub(super) agenda: Agenda,
    /// One for each route.
    pub(super) gates: Vec<RouteGate>,
    /// Likewise; woken when there may be something to do, or nothing any more.
    pub(super) concurrency: Vec<Concurrency>,
    /// How many workers of each route have not ended, in a pass.
    pub(super) staff: Vec<usize>,
    /// The routes over which a message was tried in this pass.
    pub(super) tried: HashMap<SpoolId, Vec<usize>>,
    pub(super) summary: Summary,
    /// Claims that are kept until their receipts can be written.
    pub(super) unrecorded: Vec<(C, Receipt)>,
    /// Which messages were looked at as their routes are paused.
    pub(super) delays: Delays,
}

/// Which workers are woken once one has finished with a message.
enum Wake {
    None,
    /// One of each route, as there may be something new for it; a worker that takes a message wakes the next.
    OneEach,
    All,
}

/// How soon a corrected password of a failing route is noticed.
const CORRECTED: Duration = Duration::from_secs(5);

impl<'r, S: Spool> WorkerPool<'r, S> {
    pub(super) fn new(runner: &'r Runner<S>, mode: Mode, urgency: Urgency) -> Self {
        let shared = PoolState {
            agenda: Agenda::new(runner.routes.len()),
            gates: runner.routes.iter().map(|_| RouteGate::default()).collect(),
            concurrency: runner.routes.iter().map(|_| Concurrency::default()).collect(),
            staff: vec![0; runner.routes.len()],
            tried: HashMap::new(),
            summary: Summary::default(),
            unrecorded: Vec::new(),
            delays: Delays::default(),
        };
        let pool = Self { runner, mode, urgency, shared: Mutex::new(shared) };
        let mut shared = pool.shared();
        pool.reload_routes(&mut shared);
        pool.retry_corrected(&mut shared, mode == Mode::Watch);
        drop(shared);
        pool
    }

    /// Puts the entries that are due on the agenda; returns how many are not due.
    pub(super) fn enlist(&self, mut entries: Vec<QueueEntry>, now: Timestamp) -> usize {
        let listed = entries.len();
        entries.retain(|entry| entry.due <= now || self.urgency == Urgency::Now);
        for entry in &mut entries {
            entry.due = entry.due.min(now);
        }
        let later = listed - entries.len();
        self.shared().agenda.align(entries, now);
        later
    }

    pub(super) fn waiting(&self) -> usize {
        self.shared().agenda.in_all()
    }

    /// Counts the workers of a pass before any of them begins: none ends before the others have begun.
    pub(super) fn hire(&self, workers: &[usize]) {
        self.shared().staff.copy_from_slice(workers);
    }

    /// These workers of a route have ended, or could not begin.
    pub(super) fn dismiss(&self, route: usize, workers: usize) {
        let mut shared = self.shared();
        shared.staff[route] = shared.staff[route].saturating_sub(workers);
        if shared.staff[route] == 0 {
            shared.wake_all();
        }
    }

    /// Keeps the agenda of a watch until it is time to stop.
    pub(super) fn attend(&self, wakeups: &mut impl Wakeups) {
        let mut scanned: Option<Timestamp> = None;
        while !self.runner.stop.is_raised() {
            let now = self.runner.clock.now();
            let since_scan = scanned.filter(|scanned| *scanned <= now).map(|scanned| now.since(scanned));
            let rest = SCAN_INTERVAL.checked_sub(since_scan.unwrap_or(SCAN_INTERVAL)).filter(|rest| !rest.is_zero());
            let Some(rest) = rest else {
                self.scan(now);
                self.report_pauses(now);
                scanned = Some(now);
                continue;
            };
            let is_failing = self.shared().gates.iter().any(|gate| gate.state.failures() > 0);
            let woken = wakeups.wait(if is_failing { rest.min(CORRECTED) } else { rest });
            if is_failing {
                self.retry_corrected(&mut self.shared(), false);
            }
            // The workers are busy, so more changes may be gathered before each of them is woken.
            if self.shared().concurrency.iter().any(Concurrency::is_busy) {
                thread::sleep(GATHERING);
            }
            let now = self.runner.clock.now();
            let mut shared = self.shared();
            for wakeup in woken {
                match wakeup {
                    Wakeup::Id(id) => shared.agenda.appear(id, now),
                    Wakeup::Something => shared.agenda.retry_busy(now),
                    Wakeup::Overflow => scanned = None,
                    Wakeup::Routes => {
                        self.reload_routes(&mut shared);
                        shared.wake_all();
                    }
                }
            }
            shared.wake_one_each();
        }
        // While the lock is held, no worker is between its look at the flag and its wait.
        self.shared().wake_all();
    }

    /// What was done, once the workers have ended.
    pub(super) fn close(&self) -> Summary {
        let mut shared = self.shared();
        self.retry_records(&mut shared);
        // Without the claim, nothing shows that the message is delivered already. A full disk still takes a time of
        // modification, which keeps the next runs from sending one more copy each.
        let later = self.runner.clock.now() + self.runner.schedule.longest();
        shared.unrecorded.iter().for_each(|(claim, _)| claim.note_due(later));
        shared.summary.remaining += shared.agenda.in_all();
        std::mem::take(&mut shared.summary)
    }

    pub(super) fn done(&self, job: &Job, worked: Worked<S::Claim>) {
        if !self.runner.spool.is_sound() {
            // Nothing that is recorded from now on can be relied on: the supervisor has to know.
            self.runner.stop.raise();
        }
        let now = self.runner.clock.now();
        let mut shared = self.shared();
        if let Some(gate) = shared.gates.get_mut(job.route) {
            if job.probe {
                gate.end_probe();
            } else if job.large {
                gate.end_large();
            }
            if worked.answered {
                gate.answer();
            }
        }
        let event = match &worked.end {
            // Most likely we broke it off ourselves: that says nothing about the route.
            End::Faulted(..) if self.runner.stop.is_raised() => self.leave_route(&mut shared, job, now),
            End::Faulted(fault, _) => self.pause(&mut shared, job, fault, now),
            _ if worked.answered => self.resume(&mut shared, job),
            _ => self.leave_route(&mut shared, job, now),
        };
        let (is_told, took) = (!worked.notices.is_empty(), worked.took);
        shared.summary.bounced += worked.notices.len();
        for notice in worked.notices {
            shared.agenda.offer(notice, now);
        }
        let wake = match &worked.end {
            _ if event.is_some() || job.probe => Wake::All,
            End::Faulted(..) | End::Slowed(..) => Wake::All,
            // The worker that finished it looks for the next one itself, and for this one when it is due.
            End::Removed | End::Busy if !job.large && !is_told => Wake::None,
            _ => Wake::OneEach,
        };
        self.enter(&mut shared, job, worked.end, now);
        shared.concurrency[job.route].end(took);
        match wake {
            Wake::All => shared.wake_all(),
            // In a pass, parked workers end once no message is in flight.
            _ if self.mode == Mode::Pass && shared.agenda.is_grounded() => shared.wake_all(),
            Wake::OneEach => shared.wake_one_each(),
            Wake::None => {}
        }
        drop(shared);
        if let Some(event) = event {
            self.runner.emit(&event);
        }
    }

    /// Enters how it ended into the agenda and the summary.
    fn enter(&self, shared: &mut PoolState<S::Claim>, job: &Job, end: End<S::Claim>, now: Timestamp) {
        let (id, watch) = (job.id, self.mode == Mode::Watch);
        // In a pass each route is tried once.
        let rest = match &end {
            End::Sorted(next_due) => Some(next_due.clone()),
            End::Slowed(obstacle, next_due) => {
                shared.gates[job.route].slow_down(!watch, *obstacle, now);
                Some(if watch { next_due.clone() } else { next_due.without(&[], self.urgency, now) })
            }
            End::Later(next_due) | End::Faulted(_, next_due) if watch => Some(next_due.clone()),
            End::Later(next_due) | End::Faulted(_, next_due) => {
                let tried = shared.tried.entry(id).or_default();
                tried.push(job.route);
                Some(next_due.without(tried, self.urgency, now)).filter(|rest| !rest.due.is_empty())
            }
            _ => None,
        };
        if let Some(rest) = rest {
            shared.summary.faults += usize::from(matches!(end, End::Faulted(..)));
            shared.summary.deferred += usize::from(watch && matches!(end, End::Later(_)));
            shared.agenda.put_back(id, &rest);
            return;
        }
        if matches!(end, End::Busy) && self.asks_again(shared, id) {
            shared.agenda.postpone(id, Hindrance::Busy, now);
            return;
        }
        shared.tried.remove(&id);
        let summary = &mut shared.summary;
        let (count, remains) = match &end {
            End::Removed => (&mut summary.sent, false),
            End::Later(_) | End::Sorted(_) | End::Slowed(..) => (&mut summary.deferred, true),
            End::SetAside => (&mut summary.set_aside, false),
            End::Damaged => (&mut summary.damaged, false),
            End::Busy => (&mut summary.busy, true),
            End::Gone => (&mut summary.gone, false),
            End::Faulted(..) => (&mut summary.faults, true),
            End::Troubled | End::Unrecorded(..) => (&mut summary.troubles, true),
        };
        *count += 1;
        summary.remaining += usize::from(remains && !watch);
        match end {
            End::Troubled if watch => shared.agenda.postpone(id, Hindrance::Trouble, now),
            End::Unrecorded(claim, receipt) => {
                shared.unrecorded.push((claim, receipt));
                shared.agenda.forget(id);
            }
            _ => shared.agenda.forget(id),
        }
    }

    /// Tries again to write the receipts that must not get lost.
    pub(super) fn retry_records(&self, shared: &mut PoolState<S::Claim>) {
        shared.unrecorded.retain_mut(|(claim, receipt)| claim.record(receipt.clone(), Durability::Synced).is_err());
    }

    pub(super) fn shared(&self) -> MutexGuard<'_, PoolState<S::Claim>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C> PoolState<C> {
    /// Whether workers of another route are yet to take a message in this pass. What becomes of it may lead to a notice for
    /// this route.
    pub(super) fn others_begin(&mut self, route: usize, urgency: Urgency, now: Timestamp) -> bool {
        let Self { agenda, gates, staff, .. } = self;
        let others = gates.iter().zip(staff).enumerate().filter(|(other, (_, staff))| *other != route && **staff > 0);
        let mut open = others.filter(|(_, (gate, _))| gate.passage(true, true, urgency, now) != Passage::Over);
        open.any(|(other, _)| agenda.due(other, now) > 0)
    }

    /// Wakes a worker of each route, as something may be due. A worker that takes a message wakes the next.
    pub(super) fn wake_one_each(&mut self) {
        self.concurrency.iter_mut().for_each(Concurrency::wake_one);
    }

    pub(super) fn wake_all(&mut self) {
        self.concurrency.iter_mut().for_each(Concurrency::wake_all);
    }
}
