//! What the pool does to its routes: pauses them, reopens them, and shares their states with other processes.

use std::io;

use super::pool::{PoolState, WorkerPool};
use crate::clock::Timestamp;
use crate::event::Event;
use crate::queue::delivery::job::Job;
use crate::queue::routes::gate::RouteGate;
use crate::queue::routes::state::RouteState;
use crate::spool::Spool;
use crate::transport::RouteFailure;

impl<S: Spool> WorkerPool<'_, S> {
    pub(super) fn pause(
        &self,
        shared: &mut PoolState<S::Claim>,
        job: &Job,
        fault: &RouteFailure,
        now: Timestamp,
    ) -> Option<Event> {
        let name = &self.runner.routes[job.route].name;
        let gate = shared.gates.get_mut(job.route)?;
        let was_open = gate.state == RouteState::Open;
        let paused = gate.fault(job.probe, name, &fault.reason, now)?;
        let paused = if fault.in_transaction { paused.at_message(job.id) } else { paused };
        let paused = fault.again_after.map_or(paused.clone(), |wait| paused.resting_for(wait, now));
        let paused = paused.marked(self.runner.routes[job.route].dispatch.mark());
        let RouteState::Paused(pause) = &paused else { return None };
        let retry_in = Timestamp::from_millis(pause.until).since(now);
        self.set_state(shared, job.route, paused);
        let (route, text) = (name.clone(), fault.to_string());
        Some(match was_open {
            true => Event::RoutePaused { route, text, retry_in },
            false => Event::RouteStillPaused { route, text, retry_in },
        })
    }

    /// The next hop was not asked, or did not answer: after a probe, the next message is the probe.
    pub(super) fn leave_route(&self, shared: &mut PoolState<S::Claim>, job: &Job, now: Timestamp) -> Option<Event> {
        if job.probe {
            let state = shared.gates.get(job.route)?.state.after_no_answer(now);
            self.set_state(shared, job.route, state);
        }
        None
    }

    /// Only the probe reopens a route: deliveries that were under way when it failed say nothing about it.
    pub(super) fn resume(&self, shared: &mut PoolState<S::Claim>, job: &Job) -> Option<Event> {
        (job.probe && shared.gates.get(job.route)?.state != RouteState::Open).then(|| {
            self.set_state(shared, job.route, RouteState::Open);
            Event::RouteResumed { route: self.runner.routes[job.route].name.clone() }
        })
    }

    pub(super) fn set_state(&self, shared: &mut PoolState<S::Claim>, route: usize, state: RouteState) {
        let name = &self.runner.routes[route].name;
        let gate = &mut shared.gates[route];
        gate.state = state;
        if let Err(error) = self.save_state(name, gate) {
            self.runner.emit(&Event::Trouble { text: format!("saving the state of route {name}: {error}") });
        }
    }

    /// A person who paused it meanwhile has the last word: no process takes such a pause for a state of its own.
    fn save_state(&self, name: &str, gate: &mut RouteGate) -> io::Result<()> {
        let mut by_hand = None;
        let saved = self.runner.states.change(name, &mut |stored| {
            by_hand = stored.is_by_hand().then(|| stored.clone());
            by_hand.is_none().then(|| gate.state.clone())
        });
        gate.unsaved = saved.is_err();
        if let Some(stored) = by_hand {
            gate.state = stored;
        }
        saved
    }

    /// A route that failed with other passwords, tokens or settings than there are now is tried at once. At the start of a watch,
    /// so is each route that failed at its login: the person who restarts it may have corrected what no mark shows.
    pub(super) fn retry_corrected(&self, shared: &mut PoolState<S::Claim>, at_start: bool) {
        let now = self.runner.clock.now();
        for (at, route) in self.runner.routes.iter().enumerate() {
            let Some(gate) = shared.gates.get(at).filter(|gate| gate.state.failures() > 0 && !gate.is_probed()) else {
                continue;
            };
            let mark = route.dispatch.mark();
            if gate.state.is_corrected(mark) || at_start && gate.state.is_about_login() {
                let state = gate.state.after_no_answer(now).marked(mark);
                self.set_state(shared, at, state);
            }
        }
    }

    /// Shares the size limit, so that the receiver refuses messages that are too large.
    pub(super) fn note_largest_message(&self, route: usize, octets: u64) {
        let name = &self.runner.routes[route].name;
        if let Err(error) = self.runner.states.note_largest_message(name, octets) {
            self.runner.emit(&Event::Trouble { text: format!("keeping the size limit of route {name}: {error}") });
        }
    }

    /// Loads the states again, as another process may have found out more.
    pub(super) fn reload_routes(&self, shared: &mut PoolState<S::Claim>) {
        for (route, gate) in self.runner.routes.iter().zip(&mut shared.gates) {
            // A disk that was full may have room again.
            if gate.unsaved {
                let _still_unsaved = self.save_state(&route.name, gate);
            }
            match self.runner.states.load(&route.name) {
                Ok(Some(state)) => gate.learn(state),
                Ok(None) => {}
                Err(error) => {
                    let text = format!("loading the state of route {}: {error}", route.name);
                    self.runner.emit(&Event::Trouble { text });
                }
            }
        }
    }
}
