//! A shift: the workers of one pass or one watch, and the board where they take their work from.
//!
//! Under the board's lock there is bookkeeping only, but for the small file of the route's state when that changes; messages are
//! worked on outside. A worker that panics over a message is a trouble with that message, and takes the next.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::agenda::{Agenda, Hindrance};
use super::delivery::{End, Worked};
use super::line::Line;
use super::route::{Admission, RouteState};
use super::runner::{Runner, Summary};
use super::schedule::Urgency;
use super::wakeup::{Wakeup, Wakeups};
use crate::clock::Timestamp;
use crate::event::Event;
use crate::id::SpoolId;
use crate::receipt::Receipt;
use crate::spool::{Claim, Durability, Entry, Spool};
use crate::transport::Fault;

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
/// A wait for nothing in particular ends after this, only to begin again.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

pub(super) struct Shift<'r, S: Spool> {
    runner: &'r Runner<S>,
    mode: Mode,
    urgency: Urgency,
    board: Mutex<Board<S::Claim>>,
    /// Rung when there may be something to do, or nothing any more.
    bell: Condvar,
}

struct Board<C> {
    agenda: Agenda,
    route: RouteState,
    /// One worker tries a paused route; the others wait for what comes of it.
    probing: bool,
    /// A pass ends with the first fault.
    faulted: bool,
    summary: Summary,
    /// Claims that are kept until their receipts can be written.
    unrecorded: Vec<(C, Receipt)>,
}

/// One message for one worker.
struct Job {
    id: SpoolId,
    probe: bool,
}

/// What a worker does next.
enum Turn {
    Work(Job),
    Wait(Option<Duration>),
    Leave,
}

impl<'r, S: Spool> Shift<'r, S> {
    pub(super) fn new(runner: &'r Runner<S>, mode: Mode, urgency: Urgency) -> Self {
        let board = Board {
            agenda: Agenda::default(),
            route: RouteState::Open,
            probing: false,
            faulted: false,
            summary: Summary::default(),
            unrecorded: Vec::new(),
        };
        let shift = Self { runner, mode, urgency, board: Mutex::new(board), bell: Condvar::new() };
        shift.reload_route(&mut shift.board());
        shift
    }

    /// Puts those on the agenda that are due; how many are not.
    pub(super) fn enlist(&self, entries: Vec<Entry>, now: Timestamp) -> usize {
        let mut board = self.board();
        let mut later = 0;
        for entry in entries {
            if entry.due <= now || self.urgency == Urgency::Now {
                board.agenda.offer(entry.id, entry.due.min(now));
            } else {
                later += 1;
            }
        }
        later
    }

    pub(super) fn waiting(&self) -> usize {
        self.board().agenda.waiting()
    }

    /// What a worker does until it leaves.
    pub(super) fn labour(&self) {
        let mut line = Line::default();
        while let Some(job) = self.next(&mut line) {
            // Nothing that a panic may have left half done is used again: the claim is gone, and the line is given up.
            let work = AssertUnwindSafe(|| self.runner.work(job.id, &mut line, self.urgency));
            let worked = catch_unwind(work).unwrap_or_else(|_| {
                line.abandon();
                self.runner.tell(&Event::Trouble { text: format!("working on {}: a defect stopped it", job.id) });
                Worked { end: End::Troubled, notices: Vec::new(), answered: false }
            });
            line.release();
            if let Some(octets) = line.news_of_size() {
                self.note_largest_message(octets);
            }
            self.done(&job, worked);
        }
        line.hang_up();
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
            let now = self.runner.clock.now();
            let mut board = self.board();
            for wakeup in woken {
                match wakeup {
                    Wakeup::Id(id) => board.agenda.appear(id, now),
                    Wakeup::Something => board.agenda.retry_busy(now),
                    Wakeup::Overflow => scanned = None,
                }
            }
            drop(board);
            self.bell.notify_all();
        }
        // The lock is taken so that no worker is between its look at the flag and its wait.
        drop(self.board());
        self.bell.notify_all();
    }

    /// What was done, after the workers left.
    pub(super) fn close(&self) -> Summary {
        let mut board = self.board();
        self.retry_records(&mut board);
        board.summary.remaining += board.agenda.waiting();
        std::mem::take(&mut board.summary)
    }

    fn scan(&self, now: Timestamp) {
        self.runner.tell_what_was_withheld(now);
        let entries = self.runner.entries(now);
        let mut board = self.board();
        self.reload_route(&mut board);
        self.retry_records(&mut board);
        match entries {
            Ok(entries) => board.agenda.align(entries),
            Err(error) => self.runner.tell(&Event::Trouble { text: error.to_string() }),
        }
        drop(board);
        self.bell.notify_all();
    }

    /// The next message, as soon as one is due; `None` when it is time to leave.
    fn next(&self, line: &mut Line) -> Option<Job> {
        let mut board = self.board();
        loop {
            let limit = match self.turn(&mut board, self.runner.clock.now()) {
                Turn::Work(job) => return Some(job),
                Turn::Leave => return None,
                Turn::Wait(limit) => limit.unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT),
            };
            match line.patience() {
                Some(patience) if patience.is_zero() => {
                    drop(board);
                    line.hang_up();
                    board = self.board();
                }
                patience => {
                    let limit = patience.map_or(limit, |patience| patience.min(limit));
                    board = self.bell.wait_timeout(board, limit).unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
    }

    fn turn(&self, board: &mut Board<S::Claim>, now: Timestamp) -> Turn {
        let pass = self.mode == Mode::Pass;
        if self.runner.stop.is_raised() || pass && board.faulted {
            return Turn::Leave;
        }
        if board.probing {
            return Turn::Wait(None);
        }
        let admission = board.route.admission(self.urgency, now);
        if let Admission::Closed(until) = admission {
            return if pass { Turn::Leave } else { Turn::Wait(Some(until.since(now))) };
        }
        let probe = admission == Admission::Probe;
        if probe {
            // The first probe is the message that waits longest. Should that be what the route fails at, the next is another.
            let failures = usize::try_from(board.route.failures()).unwrap_or(usize::MAX);
            board.agenda.rotate(failures.saturating_sub(1) % 8, now);
        }
        match board.agenda.take(now) {
            Some(id) => {
                if probe {
                    board.probing = true;
                    self.set_route(board, board.route.while_probing(&self.runner.route, now));
                }
                Turn::Work(Job { id, probe })
            }
            // What is in flight may still bring notices.
            None if pass && board.agenda.is_grounded() => Turn::Leave,
            None if pass => Turn::Wait(None),
            None => Turn::Wait(board.agenda.next_due().map(|due| due.since(now))),
        }
    }

    fn done(&self, job: &Job, worked: Worked<S::Claim>) {
        if !self.runner.spool.is_sound() {
            // What is recorded from now on proves nothing: whoever supervises us is to know.
            self.runner.stop.raise();
        }
        let now = self.runner.clock.now();
        let mut board = self.board();
        board.probing &= !job.probe;
        let event = match &worked.end {
            // We broke it off ourselves, most likely: the route is as good as it was before.
            End::Faulted(_) if self.runner.stop.is_raised() => self.leave_route(&mut board, job, now),
            End::Faulted(fault) => self.pause(&mut board, job, fault, now),
            _ if worked.answered => self.resume(&mut board, job),
            _ => self.leave_route(&mut board, job, now),
        };
        board.summary.bounced += worked.notices.len();
        for notice in worked.notices {
            board.agenda.offer(notice, now);
        }
        self.enter(&mut board, job.id, worked.end, now);
        drop(board);
        self.bell.notify_all();
        if let Some(event) = event {
            self.runner.tell(&event);
        }
    }

    /// Enters how it ended into the agenda and the summary.
    fn enter(&self, board: &mut Board<S::Claim>, id: SpoolId, end: End<S::Claim>, now: Timestamp) {
        let watch = self.mode == Mode::Watch;
        let summary = &mut board.summary;
        let (count, remains) = match &end {
            End::Removed => (&mut summary.sent, false),
            End::Later(_) => (&mut summary.deferred, true),
            End::SetAside => (&mut summary.set_aside, false),
            End::Damaged => (&mut summary.damaged, false),
            End::Busy => (&mut summary.busy, true),
            End::Gone => (&mut summary.gone, false),
            End::Faulted(_) => (&mut summary.faults, true),
            End::Troubled | End::Unrecorded(..) => (&mut summary.troubles, true),
        };
        *count += 1;
        summary.remaining += usize::from(remains && !watch);
        match end {
            End::Later(due) if watch => board.agenda.put_back(id, due),
            // Behind those that are due, in case it is this message that the route fails at.
            End::Faulted(_) if watch => board.agenda.put_back(id, now),
            End::Busy if watch => board.agenda.postpone(id, Hindrance::Busy, now),
            End::Troubled if watch => board.agenda.postpone(id, Hindrance::Trouble, now),
            End::Unrecorded(claim, receipt) => {
                board.unrecorded.push((claim, receipt));
                board.agenda.forget(id);
            }
            _ => board.agenda.forget(id),
        }
    }

    /// A fault counts once, although several deliveries under way may meet it.
    fn pause(&self, board: &mut Board<S::Claim>, job: &Job, fault: &Fault, now: Timestamp) -> Option<Event> {
        board.faulted = true;
        if board.route != RouteState::Open && !job.probe {
            return None;
        }
        let name = &self.runner.route;
        let paused = board.route.after_fault(name, &fault.reason, now);
        let RouteState::Paused(pause) = &paused else { return None };
        let retry_in = Timestamp::from_millis(pause.until).since(now);
        self.set_route(board, paused);
        Some(Event::RoutePaused { route: name.clone(), text: fault.to_string(), retry_in })
    }

    /// The next hop was not asked, or its answer not heard: after a probe, the next message is the probe.
    fn leave_route(&self, board: &mut Board<S::Claim>, job: &Job, now: Timestamp) -> Option<Event> {
        if job.probe {
            let route = board.route.after_no_answer(now);
            self.set_route(board, route);
        }
        None
    }

    /// Only the probe reopens: what was under way when the route failed says nothing about it.
    fn resume(&self, board: &mut Board<S::Claim>, job: &Job) -> Option<Event> {
        (job.probe && board.route != RouteState::Open).then(|| {
            self.set_route(board, RouteState::Open);
            Event::RouteResumed { route: self.runner.route.clone() }
        })
    }

    fn set_route(&self, board: &mut Board<S::Claim>, state: RouteState) {
        if let Err(error) = self.runner.routes.save(&self.runner.route, &state) {
            let text = format!("saving the state of route {}: {error}", self.runner.route);
            self.runner.tell(&Event::Trouble { text });
        }
        board.route = state;
    }

    /// So that what is too large is refused where it is received.
    fn note_largest_message(&self, octets: u64) {
        if let Err(error) = self.runner.routes.note_largest_message(&self.runner.route, octets) {
            let text = format!("keeping the size limit of route {}: {error}", self.runner.route);
            self.runner.tell(&Event::Trouble { text });
        }
    }

    /// Another process may have found out more.
    fn reload_route(&self, board: &mut Board<S::Claim>) {
        match self.runner.routes.load(&self.runner.route) {
            Ok(Some(state)) if !board.probing => board.route = state,
            Ok(_) => {}
            Err(error) => {
                let text = format!("loading the state of route {}: {error}", self.runner.route);
                self.runner.tell(&Event::Trouble { text });
            }
        }
    }

    /// Tries again to write what must not get lost.
    fn retry_records(&self, board: &mut Board<S::Claim>) {
        board.unrecorded.retain_mut(|(claim, receipt)| claim.record(receipt.clone(), Durability::Synced).is_err());
    }

    fn board(&self) -> MutexGuard<'_, Board<S::Claim>> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
