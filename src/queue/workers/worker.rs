//! What a worker does: it takes a message from the agenda, delivers it, looks at new messages, and parks.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, PoisonError};
use std::time::Duration;

use super::concurrency::Rest;
use super::lookahead::Lookahead;
use super::pool::{Mode, PoolState, WorkerPool};
use crate::clock::Timestamp;
use crate::event::Event;
use crate::id::SpoolId;
use crate::queue::agenda::Hindrance;
use crate::queue::agenda::next_due::NextDue;
use crate::queue::delivery::job::Job;
use crate::queue::delivery::look::Look;
use crate::queue::delivery::task::{End, Worked};
use crate::queue::plan::schedule::Urgency;
use crate::queue::routes::connection::RouteConnection;
use crate::queue::routes::gate::Passage;
use crate::spool::Spool;

/// How often a pass asks for a message that another process has: during 315 ms in all.
const PASS_STRIKES: u32 = 6;
/// A wait without an end of its own ends after this, and begins again.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// The same in a pass, where nothing wakes the workers when the stop flag is raised.
const LONGEST_PASS_WAIT: Duration = Duration::from_secs(1);

/// What a worker does next.
enum Turn {
    Work(Job),
    /// These are to be looked at.
    Sort(Vec<SpoolId>),
    Wait(Option<Duration>),
    /// Enough others work, as long as they make progress.
    Watch(Duration),
    Leave,
}

impl<S: Spool> WorkerPool<'_, S> {
    /// Runs a worker of a route until it ends.
    pub(super) fn run_worker(&self, route: usize) {
        let mut connection = RouteConnection::default();
        let signal = Arc::new(Condvar::new());
        let mut lookahead = Lookahead::new(self, route);
        loop {
            let (job, begun) = match lookahead.take() {
                Some((job, ready)) => (job, Some(ready)),
                None => match self.next(route, &mut connection, &signal) {
                    Some(job) => (job, None),
                    None => break,
                },
            };
            // Nothing that a panic may have left half done is used again: the claim is gone, and the connection is given up.
            let work = AssertUnwindSafe(|| match begun {
                Some((task, message)) => task.run(message, &mut connection, &mut lookahead),
                None => match self.runner.begin(job) {
                    Ok(task) => task.run(None, &mut connection, &mut lookahead),
                    Err(worked) => *worked,
                },
            });
            let worked = catch_unwind(work).unwrap_or_else(|_| {
                connection.abandon();
                self.internal_error(job)
            });
            connection.release();
            if let Some(octets) = connection.newly_announced_size() {
                self.note_largest_message(route, octets);
            }
            self.done(&job, worked);
        }
        connection.close();
    }

    pub(super) fn internal_error(&self, job: Job) -> Worked<S::Claim> {
        self.runner.emit(&Event::Trouble { text: format!("internal error while delivering {}", job.id) });
        Worked::unasked(End::Troubled)
    }

    /// The next message, as soon as one is due; `None` when the worker has to end.
    fn next(&self, route: usize, connection: &mut RouteConnection, signal: &Arc<Condvar>) -> Option<Job> {
        let longest = if self.mode == Mode::Pass { LONGEST_PASS_WAIT } else { LONGEST_WAIT };
        let mut shared = self.shared();
        loop {
            let mut watches = false;
            let limit = match self.turn(&mut shared, route, connection.is_connected(), self.runner.clock.now()) {
                Turn::Work(job) => {
                    shared.concurrency[route].begin();
                    // A worker that takes one wakes another, as long as there are more.
                    if shared.agenda.due(route, self.runner.clock.now()) > 0 {
                        shared.concurrency[route].wake_more();
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
                    drop(shared);
                    self.sort(ids);
                    shared = self.shared();
                    continue;
                }
            };
            match connection.time_left() {
                Some(time_left) if time_left.is_zero() => {
                    drop(shared);
                    connection.close();
                    shared = self.shared();
                    if watches {
                        shared.concurrency[route].unwatch();
                    }
                }
                time_left => {
                    let limit = time_left.map_or(limit, |time_left| time_left.min(limit));
                    shared.concurrency[route].park(signal);
                    shared = signal.wait_timeout(shared, limit).unwrap_or_else(PoisonError::into_inner).0;
                    shared.concurrency[route].unpark(signal);
                    if watches {
                        shared.concurrency[route].unwatch();
                    }
                }
            }
        }
    }

    fn turn(&self, shared: &mut PoolState<S::Claim>, route: usize, connected: bool, now: Timestamp) -> Turn {
        let pass = self.mode == Mode::Pass;
        let PoolState { agenda, gates, concurrency, .. } = shared;
        let Some(gate) = gates.get_mut(route).filter(|_| !self.runner.stop.is_raised()) else { return Turn::Leave };
        let passage = gate.passage(pass, connected, self.urgency, now);
        // A worker that could work, but would only be in the way of others.
        if passage == Passage::Free && agenda.due(route, now) > 0 {
            match concurrency[route].rest() {
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
                    self.set_state(shared, route, state);
                } else if large {
                    gate.begin_large();
                }
                Turn::Work(Job { id, route, urgency: self.urgency, large, probe })
            }
            // A message in flight, or one that another route is about to take, may still lead to notices, or turn out to be
            // for this route.
            None if pass && agenda.is_grounded() && !shared.others_begin(route, self.urgency, now) => {
                shared.agenda.retry_soon(now).map_or(Turn::Leave, |pause| Turn::Wait(Some(pause)))
            }
            None if pass => Turn::Wait(None),
            None => Turn::Wait(shared.agenda.next_due().map(|due| due.since(now))),
        }
    }

    /// Looks at messages of which only the id is known.
    pub(super) fn sort(&self, ids: Vec<SpoolId>) {
        let pressing = self.urgency == Urgency::Now;
        // If the look panics, treat the message as unknown: the claim will find the cause.
        let look = |id| catch_unwind(AssertUnwindSafe(|| self.runner.look(id, pressing))).unwrap_or(Look::Unknown);
        let looks: Vec<_> = ids.into_iter().map(|id| (id, look(id))).collect();
        let now = self.runner.clock.now();
        let mut shared = self.shared();
        for (id, look) in looks {
            match look {
                Look::Due(next_due) => shared.agenda.put_back(id, &next_due),
                Look::Unknown => shared.agenda.put_back(id, &NextDue::unknown(now)),
                Look::Busy if self.asks_again(&shared, id) => shared.agenda.postpone(id, Hindrance::Busy, now),
                Look::Busy => {
                    shared.summary.busy += 1;
                    shared.summary.remaining += 1;
                    shared.agenda.forget(id);
                }
                Look::Gone => {
                    shared.summary.gone += 1;
                    shared.agenda.forget(id);
                }
            }
        }
        // In a pass, parked workers have to end once no message is in flight.
        if self.mode == Mode::Pass && shared.agenda.is_grounded() {
            shared.wake_all();
        } else {
            shared.wake_one_each();
        }
    }

    /// Whether to ask again for a message that another process has. A pass asks for a moment only: a look holds a message for
    /// some microseconds, a delivery for longer.
    pub(super) fn asks_again(&self, shared: &PoolState<S::Claim>, id: SpoolId) -> bool {
        self.mode == Mode::Watch || shared.agenda.strikes(id) < PASS_STRIKES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::runner::Runner;
    use crate::queue::testing::House;
    use crate::routing::Criteria;

    /// Whether a worker without a message ends in a pass where a message waits for the worker of another route.
    fn ends(staff: &[usize]) -> bool {
        let house = House::new();
        let of_a = Criteria { recipients: vec!["@a".parse().unwrap()], ..Criteria::default() };
        let routes = vec![house.route("first", of_a), house.route("rest", Criteria::default())];
        let runner = Runner { routes, ..house.runner() };
        house.put(1, "joe@c", &["amy@a"]);
        let now = runner.clock.now();
        let pool = WorkerPool::new(&runner, Mode::Pass, Urgency::Due);
        pool.enlist(runner.entries(now, |_| {}).unwrap(), now);
        pool.hire(staff);
        let turn = |pool: &WorkerPool<'_, _>| pool.turn(&mut pool.shared(), 1, false, now);
        match turn(&pool) {
            Turn::Sort(ids) => pool.sort(ids),
            _ => panic!("what is listed is to be looked at first"),
        }
        matches!(turn(&pool), Turn::Leave)
    }

    #[test]
    fn a_worker_of_a_pass_stays_until_the_others_have_begun_as_they_may_write_notices() {
        assert!(!ends(&[1, 1]));
        assert!(ends(&[0, 1]), "nobody is left to work on that message");
    }
}
