//! A shift: the workers of one pass or one watch, and the board where they take their work from.
//!
//! Under the board's lock there is bookkeeping only, but for the small file of the route's state when that changes; messages are
//! worked on outside. A worker that panics over a message is a trouble with that message, and takes the next.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::concurrency::Crew;
use super::wakeup::{Wakeup, Wakeups};
use crate::clock::Timestamp;
use crate::id::SpoolId;
use crate::queue::agenda::{Agenda, Hindrance};
use crate::queue::delivery::job::Job;
use crate::queue::delivery::task::{End, Worked};
use crate::queue::plan::schedule::Urgency;
use crate::queue::routes::gate::Gate;
use crate::queue::runner::{Runner, Summary};
use crate::receipt::Receipt;
use crate::spool::{Claim, Durability, Entry, Spool};

/// When the workers go home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// When nothing is due, or the route fails.
    Pass,
    /// When they are told to.
    Watch,
}

/// How often a watching runner scans the whole queue.
const SCAN_INTERVAL: Duration = Duration::from_secs(60);
/// How long what is told of the queue gathers while the workers are busy.
const GATHERING: Duration = Duration::from_millis(5);

pub(super) struct Shift<'r, S: Spool> {
    pub(super) runner: &'r Runner<S>,
    pub(super) mode: Mode,
    pub(super) urgency: Urgency,
    board: Mutex<Board<S::Claim>>,
}

pub(super) struct Board<C> {
    pub(super) agenda: Agenda,
    /// One for each route.
    pub(super) gates: Vec<Gate>,
    /// Likewise; called when there may be something to do, or nothing any more.
    pub(super) crews: Vec<Crew>,
    /// The routes that a message was tried on in this pass.
    pub(super) tried: HashMap<SpoolId, Vec<usize>>,
    pub(super) summary: Summary,
    /// Claims that are kept until their receipts can be written.
    pub(super) unrecorded: Vec<(C, Receipt)>,
}

/// Who is woken once a message was worked on.
enum Call {
    None,
    /// There may be something new for a worker of any route; whoever takes it calls the next.
    OneEach,
    All,
}

impl<'r, S: Spool> Shift<'r, S> {
    pub(super) fn new(runner: &'r Runner<S>, mode: Mode, urgency: Urgency) -> Self {
        let board = Board {
            agenda: Agenda::new(runner.routes.len()),
            gates: runner.routes.iter().map(|_| Gate::default()).collect(),
            crews: runner.routes.iter().map(|_| Crew::default()).collect(),
            tried: HashMap::new(),
            summary: Summary::default(),
            unrecorded: Vec::new(),
        };
        let shift = Self { runner, mode, urgency, board: Mutex::new(board) };
        shift.reload_routes(&mut shift.board());
        shift
    }

    /// Puts those on the agenda that are due; how many are not.
    pub(super) fn enlist(&self, mut entries: Vec<Entry>, now: Timestamp) -> usize {
        let listed = entries.len();
        entries.retain(|entry| entry.due <= now || self.urgency == Urgency::Now);
        for entry in &mut entries {
            entry.due = entry.due.min(now);
        }
        let later = listed - entries.len();
        self.board().agenda.align(entries, now);
        later
    }

    pub(super) fn waiting(&self) -> usize {
        self.board().agenda.in_all()
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
                scanned = Some(now);
                continue;
            };
            let woken = wakeups.wait(rest);
            // The workers have something to do, so that more may gather before each of them is called.
            if self.board().crews.iter().any(Crew::is_busy) {
                thread::sleep(GATHERING);
            }
            let now = self.runner.clock.now();
            let mut board = self.board();
            for wakeup in woken {
                match wakeup {
                    Wakeup::Id(id) => board.agenda.appear(id, now),
                    Wakeup::Something => board.agenda.retry_busy(now),
                    Wakeup::Overflow => scanned = None,
                    Wakeup::Routes => {
                        self.reload_routes(&mut board);
                        board.call_all();
                    }
                }
            }
            board.call_one_each();
        }
        // Under the lock no worker is between its look at the flag and its wait.
        self.board().call_all();
    }

    /// What was done, after the workers left.
    pub(super) fn close(&self) -> Summary {
        let mut board = self.board();
        self.retry_records(&mut board);
        // With the claim goes the knowledge that somebody has it already. On a full disk a time can still be written, and
        // keeps the next runs from sending a copy each.
        let later = self.runner.clock.now() + self.runner.schedule.longest();
        board.unrecorded.iter().for_each(|(claim, _)| claim.note_due(later));
        board.summary.remaining += board.agenda.in_all();
        std::mem::take(&mut board.summary)
    }

    pub(super) fn done(&self, job: &Job, worked: Worked<S::Claim>) {
        if !self.runner.spool.is_sound() {
            // What is recorded from now on proves nothing: whoever supervises us is to know.
            self.runner.stop.raise();
        }
        let now = self.runner.clock.now();
        let mut board = self.board();
        if let Some(gate) = board.gates.get_mut(job.route) {
            if job.probe {
                gate.end_probe();
            } else if job.large {
                gate.end_large();
            }
            if worked.answered {
                gate.depart();
            }
        }
        let event = match &worked.end {
            // We broke it off ourselves, most likely: the route is as good as it was before.
            End::Faulted(..) if self.runner.stop.is_raised() => self.leave_route(&mut board, job, now),
            End::Faulted(fault, _) => self.pause(&mut board, job, fault, now),
            _ if worked.answered => self.resume(&mut board, job),
            _ => self.leave_route(&mut board, job, now),
        };
        let (is_told, took) = (!worked.notices.is_empty(), worked.took);
        board.summary.bounced += worked.notices.len();
        for notice in worked.notices {
            board.agenda.offer(notice, now);
        }
        let call = match &worked.end {
            _ if event.is_some() || job.probe => Call::All,
            End::Faulted(..) | End::Slowed(..) => Call::All,
            // Whoever worked on it looks for more itself, and for this one when it is time.
            End::Removed | End::Busy if !job.large && !is_told => Call::None,
            _ => Call::OneEach,
        };
        self.enter(&mut board, job, worked.end, now);
        board.crews[job.route].end(took);
        match call {
            Call::All => board.call_all(),
            // In a pass those who sleep leave once none is on its way any more.
            _ if self.mode == Mode::Pass && board.agenda.is_grounded() => board.call_all(),
            Call::OneEach => board.call_one_each(),
            Call::None => {}
        }
        drop(board);
        if let Some(event) = event {
            self.runner.tell(&event);
        }
    }

    /// Enters how it ended into the agenda and the summary.
    fn enter(&self, board: &mut Board<S::Claim>, job: &Job, end: End<S::Claim>, now: Timestamp) {
        let (id, watch) = (job.id, self.mode == Mode::Watch);
        // In a pass each route is tried once.
        let rest = match &end {
            End::Sorted(prospect) => Some(prospect.clone()),
            End::Slowed(obstacle, prospect) => {
                board.gates[job.route].slow_down(!watch, *obstacle, now);
                Some(if watch { prospect.clone() } else { prospect.without(&[], self.urgency, now) })
            }
            End::Later(prospect) | End::Faulted(_, prospect) if watch => Some(prospect.clone()),
            End::Later(prospect) | End::Faulted(_, prospect) => {
                let tried = board.tried.entry(id).or_default();
                tried.push(job.route);
                Some(prospect.without(tried, self.urgency, now)).filter(|rest| !rest.due.is_empty())
            }
            _ => None,
        };
        if let Some(rest) = rest {
            board.summary.faults += usize::from(matches!(end, End::Faulted(..)));
            board.summary.deferred += usize::from(watch && matches!(end, End::Later(_)));
            board.agenda.put_back(id, &rest);
            return;
        }
        if matches!(end, End::Busy) && self.asks_again(board, id) {
            board.agenda.postpone(id, Hindrance::Busy, now);
            return;
        }
        board.tried.remove(&id);
        let summary = &mut board.summary;
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
            End::Troubled if watch => board.agenda.postpone(id, Hindrance::Trouble, now),
            End::Unrecorded(claim, receipt) => {
                board.unrecorded.push((claim, receipt));
                board.agenda.forget(id);
            }
            _ => board.agenda.forget(id),
        }
    }

    /// Tries again to write what must not get lost.
    pub(super) fn retry_records(&self, board: &mut Board<S::Claim>) {
        board.unrecorded.retain_mut(|(claim, receipt)| claim.record(receipt.clone(), Durability::Synced).is_err());
    }

    pub(super) fn board(&self) -> MutexGuard<'_, Board<S::Claim>> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C> Board<C> {
    /// Calls a worker of each route: something may be due. Whoever takes something calls the next.
    pub(super) fn call_one_each(&mut self) {
        self.crews.iter_mut().for_each(Crew::call_one);
    }

    pub(super) fn call_all(&mut self) {
        self.crews.iter_mut().for_each(Crew::call_all);
    }
}
