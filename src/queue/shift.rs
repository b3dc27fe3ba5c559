//! A shift: the workers of one pass or one watch, and the board where they take their work from.
//!
//! Under the board's lock there is bookkeeping only, but for the small file of the route's state when that changes; messages are
//! worked on outside. A worker that panics over a message is a trouble with that message, and takes the next.

mod routes;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::agenda::{Agenda, Hindrance};
use super::gate::{Gate, Passage};
use super::line::Line;
use super::prospect::{Look, Prospect};
use super::runner::{Runner, Summary};
use super::schedule::Urgency;
use super::task::{End, Worked};
use super::wakeup::{Wakeup, Wakeups};
use crate::clock::Timestamp;
use crate::event::Event;
use crate::id::SpoolId;
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
/// How often a pass asks for a message that somebody else has: over 315 ms in all.
const PASS_STRIKES: u32 = 6;
/// A wait for nothing in particular ends after this, only to begin again.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// The same in a pass, as nobody rings there when it is time to stop.
const LONGEST_PASS_WAIT: Duration = Duration::from_secs(1);

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
    /// One for each route.
    gates: Vec<Gate>,
    /// The routes that a message was tried on in this pass.
    tried: HashMap<SpoolId, Vec<usize>>,
    summary: Summary,
    /// Claims that are kept until their receipts can be written.
    unrecorded: Vec<(C, Receipt)>,
}

/// One message for one worker.
pub(super) struct Job {
    pub(super) id: SpoolId,
    pub(super) route: usize,
    pub(super) urgency: Urgency,
    /// Whether the message may be large.
    pub(super) large: bool,
    /// Whether it is to show if a paused route works.
    pub(super) probe: bool,
}

/// What a worker does next.
enum Turn {
    Work(Job),
    /// These are to be looked at.
    Sort(Vec<SpoolId>),
    Wait(Option<Duration>),
    Leave,
}

impl<'r, S: Spool> Shift<'r, S> {
    pub(super) fn new(runner: &'r Runner<S>, mode: Mode, urgency: Urgency) -> Self {
        let board = Board {
            agenda: Agenda::new(runner.routes.len()),
            gates: runner.routes.iter().map(|_| Gate::default()).collect(),
            tried: HashMap::new(),
            summary: Summary::default(),
            unrecorded: Vec::new(),
        };
        let shift = Self { runner, mode, urgency, board: Mutex::new(board), bell: Condvar::new() };
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

    /// What a worker of a route does until it leaves.
    pub(super) fn labour(&self, route: usize) {
        let mut line = Line::default();
        while let Some(job) = self.next(route, &mut line) {
            // Nothing that a panic may have left half done is used again: the claim is gone, and the line is given up.
            let work = AssertUnwindSafe(|| self.runner.work(&job, &mut line));
            let worked = catch_unwind(work).unwrap_or_else(|_| {
                line.abandon();
                self.runner.tell(&Event::Trouble { text: format!("working on {}: a defect stopped it", job.id) });
                Worked { end: End::Troubled, notices: Vec::new(), answered: false }
            });
            line.release();
            if let Some(octets) = line.news_of_size() {
                self.note_largest_message(route, octets);
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
                    Wakeup::Routes => self.reload_routes(&mut board),
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
        // With the claim goes the knowledge that somebody has it already. On a full disk a time can still be written, and
        // keeps the next runs from sending a copy each.
        let later = self.runner.clock.now() + self.runner.schedule.longest();
        board.unrecorded.iter().for_each(|(claim, _)| claim.note_due(later));
        board.summary.remaining += board.agenda.in_all();
        std::mem::take(&mut board.summary)
    }

    fn scan(&self, now: Timestamp) {
        self.runner.tell_what_was_withheld(now);
        let entries = self.runner.entries(now);
        let mut board = self.board();
        self.reload_routes(&mut board);
        self.retry_records(&mut board);
        match entries {
            Ok(entries) => board.agenda.align(entries, now),
            Err(error) => self.runner.tell(&Event::Trouble { text: error.to_string() }),
        }
        drop(board);
        self.bell.notify_all();
    }

    /// The next message, as soon as one is due; `None` when it is time to leave.
    fn next(&self, route: usize, line: &mut Line) -> Option<Job> {
        let longest = if self.mode == Mode::Pass { LONGEST_PASS_WAIT } else { LONGEST_WAIT };
        let mut board = self.board();
        loop {
            let limit = match self.turn(&mut board, route, line.is_connected(), self.runner.clock.now()) {
                Turn::Work(job) => return Some(job),
                Turn::Leave => return None,
                Turn::Wait(limit) => limit.unwrap_or(longest).min(longest),
                Turn::Sort(ids) => {
                    drop(board);
                    self.sort(ids);
                    board = self.board();
                    continue;
                }
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

    fn turn(&self, board: &mut Board<S::Claim>, route: usize, connected: bool, now: Timestamp) -> Turn {
        let pass = self.mode == Mode::Pass;
        let Board { agenda, gates, .. } = board;
        let Some(gate) = gates.get_mut(route).filter(|_| !self.runner.stop.is_raised()) else { return Turn::Leave };
        let passage = gate.passage(pass, connected, self.urgency, now);
        let sample = match passage {
            Passage::Free => agenda.sample(route, now),
            // The probe is a message of this route, where there is a choice.
            Passage::Probe if agenda.has_none_for(route) => agenda.sample(route, now),
            _ => Vec::new(),
        };
        let taken = match passage {
            Passage::Over => return Turn::Leave,
            Passage::Shut(limit) => return Turn::Wait(limit),
            Passage::Probe | Passage::Free if !sample.is_empty() => return Turn::Sort(sample),
            Passage::Probe => agenda.take_probe(route, gate.probe_number(), now).map(|id| (id, true)),
            Passage::Free => {
                let large = gate.allows_large(self.runner.routes[route].dispatch.connections());
                agenda.take(route, large, now)
            }
        };
        match taken {
            Some((id, large)) => {
                let probe = passage == Passage::Probe;
                if probe {
                    let state = gate.begin_probe(&self.runner.routes[route].name, now);
                    self.set_state(board, route, state);
                } else if large {
                    gate.begin_large();
                }
                Turn::Work(Job { id, route, urgency: self.urgency, large, probe })
            }
            // What is in flight may still bring notices, or turn out to be for this route.
            None if pass && agenda.is_grounded() => {
                agenda.retry_soon(now).map_or(Turn::Leave, |pause| Turn::Wait(Some(pause)))
            }
            None if pass => Turn::Wait(None),
            None => Turn::Wait(agenda.next_due().map(|due| due.since(now))),
        }
    }

    /// Looks at messages of which nothing is known but that they are there.
    fn sort(&self, ids: Vec<SpoolId>) {
        let pressing = self.urgency == Urgency::Now;
        // What a defect in looking at one makes of it, whoever claims it will find out.
        let look = |id| catch_unwind(AssertUnwindSafe(|| self.runner.look(id, pressing))).unwrap_or(Look::Unknown);
        let looks: Vec<_> = ids.into_iter().map(|id| (id, look(id))).collect();
        let now = self.runner.clock.now();
        let mut board = self.board();
        for (id, look) in looks {
            match look {
                Look::Ahead(prospect) => board.agenda.put_back(id, &prospect),
                Look::Unknown => board.agenda.put_back(id, &Prospect::unknown(now)),
                Look::Busy if self.asks_again(&board, id) => board.agenda.postpone(id, Hindrance::Busy, now),
                Look::Busy => {
                    board.summary.busy += 1;
                    board.summary.remaining += 1;
                    board.agenda.forget(id);
                }
                Look::Gone => {
                    board.summary.gone += 1;
                    board.agenda.forget(id);
                }
            }
        }
        drop(board);
        self.bell.notify_all();
    }

    /// Whether a message that somebody else has is asked for again. In a pass for a moment only: who looks at a message has it
    /// for some microseconds, who delivers it for longer.
    fn asks_again(&self, board: &Board<S::Claim>, id: SpoolId) -> bool {
        self.mode == Mode::Watch || board.agenda.strikes(id) < PASS_STRIKES
    }

    fn done(&self, job: &Job, worked: Worked<S::Claim>) {
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
        board.summary.bounced += worked.notices.len();
        for notice in worked.notices {
            board.agenda.offer(notice, now);
        }
        self.enter(&mut board, job, worked.end, now);
        drop(board);
        self.bell.notify_all();
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
    fn retry_records(&self, board: &mut Board<S::Claim>) {
        board.unrecorded.retain_mut(|(claim, receipt)| claim.record(receipt.clone(), Durability::Synced).is_err());
    }

    fn board(&self) -> MutexGuard<'_, Board<S::Claim>> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
