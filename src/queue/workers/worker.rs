//! What the workers of a shift do: they take messages from the board, sort those that nobody knows, work, and wait.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, PoisonError};
use std::time::Duration;

use super::concurrency::Rest;
use super::lookahead::Ahead;
use super::pool::{Board, Mode, Shift};
use crate::clock::Timestamp;
use crate::event::Event;
use crate::id::SpoolId;
use crate::queue::agenda::Hindrance;
use crate::queue::agenda::prospect::Prospect;
use crate::queue::delivery::job::Job;
use crate::queue::delivery::look::Look;
use crate::queue::delivery::task::{End, Worked};
use crate::queue::plan::schedule::Urgency;
use crate::queue::routes::connection::Line;
use crate::queue::routes::gate::Passage;
use crate::spool::Spool;

/// How often a pass asks for a message that somebody else has: over 315 ms in all.
const PASS_STRIKES: u32 = 6;
/// A wait for nothing in particular ends after this, only to begin again.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// The same in a pass, as nobody rings there when it is time to stop.
const LONGEST_PASS_WAIT: Duration = Duration::from_secs(1);

/// What a worker does next.
enum Turn {
    Work(Job),
    /// These are to be looked at.
    Sort(Vec<SpoolId>),
    Wait(Option<Duration>),
    /// There are enough others, as long as they get on.
    Watch(Duration),
    Leave,
}

impl<S: Spool> Shift<'_, S> {
    /// What a worker of a route does until it leaves.
    pub(super) fn labour(&self, route: usize) {
        let mut line = Line::default();
        let bell = Arc::new(Condvar::new());
        let mut ahead = Ahead::new(self, route);
        loop {
            let (job, begun) = match ahead.take() {
                Some((job, ready)) => (job, Some(ready)),
                None => match self.next(route, &mut line, &bell) {
                    Some(job) => (job, None),
                    None => break,
                },
            };
            // Nothing that a panic may have left half done is used again: the claim is gone, and the line is given up.
            let work = AssertUnwindSafe(|| match begun {
                Some((task, parcel)) => task.run(parcel, &mut line, &mut ahead),
                None => match self.runner.begin(job) {
                    Ok(task) => task.run(None, &mut line, &mut ahead),
                    Err(worked) => *worked,
                },
            });
            let worked = catch_unwind(work).unwrap_or_else(|_| {
                line.abandon();
                self.defect(job)
            });
            line.release();
            if let Some(octets) = line.news_of_size() {
                self.note_largest_message(route, octets);
            }
            self.done(&job, worked);
        }
        line.hang_up();
    }

    pub(super) fn defect(&self, job: Job) -> Worked<S::Claim> {
        self.runner.tell(&Event::Trouble { text: format!("working on {}: a defect stopped it", job.id) });
        Worked::unasked(End::Troubled)
    }

    /// The next message, as soon as one is due; `None` when it is time to leave.
    fn next(&self, route: usize, line: &mut Line, bell: &Arc<Condvar>) -> Option<Job> {
        let longest = if self.mode == Mode::Pass { LONGEST_PASS_WAIT } else { LONGEST_WAIT };
        let mut board = self.board();
        loop {
            let mut watches = false;
            let limit = match self.turn(&mut board, route, line.is_connected(), self.runner.clock.now()) {
                Turn::Work(job) => {
                    board.crews[route].begin();
                    // Who takes one calls another, as long as there are more.
                    if board.agenda.due(route, self.runner.clock.now()) > 0 {
                        board.crews[route].call_more();
                    }
                    return Some(job);
                }
                Turn::Leave => return None,
                Turn::Wait(limit) => limit.unwrap_or(longest).min(longest),
                Turn::Watch(limit) => {
                    watches = true;
                    limit
                }
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
                    if watches {
                        board.crews[route].unwatch();
                    }
                }
                patience => {
                    let limit = patience.map_or(limit, |patience| patience.min(limit));
                    board.crews[route].lie_down(bell);
                    board = bell.wait_timeout(board, limit).unwrap_or_else(PoisonError::into_inner).0;
                    board.crews[route].get_up(bell);
                    if watches {
                        board.crews[route].unwatch();
                    }
                }
            }
        }
    }

    fn turn(&self, board: &mut Board<S::Claim>, route: usize, connected: bool, now: Timestamp) -> Turn {
        let pass = self.mode == Mode::Pass;
        let Board { agenda, gates, crews, .. } = board;
        let Some(gate) = gates.get_mut(route).filter(|_| !self.runner.stop.is_raised()) else { return Turn::Leave };
        let passage = gate.passage(pass, connected, self.urgency, now);
        // Who could go, but would only be in the way of others.
        if passage == Passage::Free && agenda.due(route, now) > 0 {
            match crews[route].rest() {
                Some(Rest::Watch(limit)) => return Turn::Watch(limit),
                Some(Rest::UntilCalled) => return Turn::Wait(None),
                None => {}
            }
        }
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
    pub(super) fn sort(&self, ids: Vec<SpoolId>) {
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
        // With nothing on its way any more, those who sleep in a pass have to leave.
        if self.mode == Mode::Pass && board.agenda.is_grounded() {
            board.call_all();
        } else {
            board.call_one_each();
        }
    }

    /// Whether a message that somebody else has is asked for again. In a pass for a moment only: who looks at a message has it
    /// for some microseconds, who delivers it for longer.
    pub(super) fn asks_again(&self, board: &Board<S::Claim>, id: SpoolId) -> bool {
        self.mode == Mode::Watch || board.agenda.strikes(id) < PASS_STRIKES
    }
}
