//! What a shift does to its routes: pauses them, reopens them, and shares their states with other processes.

use super::pool::{Board, Shift};
use crate::clock::Timestamp;
use crate::event::Event;
use crate::queue::delivery::job::Job;
use crate::queue::routes::state::RouteState;
use crate::spool::Spool;
use crate::transport::Fault;

impl<S: Spool> Shift<'_, S> {
    pub(super) fn pause(&self, board: &mut Board<S::Claim>, job: &Job, fault: &Fault, now: Timestamp) -> Option<Event> {
        let name = &self.runner.routes[job.route].name;
        let gate = board.gates.get_mut(job.route)?;
        let was_open = gate.state == RouteState::Open;
        let paused = gate.fault(job.probe, name, &fault.reason, now)?;
        let RouteState::Paused(pause) = &paused else { return None };
        let retry_in = Timestamp::from_millis(pause.until).since(now);
        self.set_state(board, job.route, paused);
        let (route, text) = (name.clone(), fault.to_string());
        Some(match was_open {
            true => Event::RoutePaused { route, text, retry_in },
            false => Event::RouteStillPaused { route, text, retry_in },
        })
    }

    /// The next hop was not asked, or its answer not heard: after a probe, the next message is the probe.
    pub(super) fn leave_route(&self, board: &mut Board<S::Claim>, job: &Job, now: Timestamp) -> Option<Event> {
        if job.probe {
            let state = board.gates.get(job.route)?.state.after_no_answer(now);
            self.set_state(board, job.route, state);
        }
        None
    }

    /// Only the probe reopens: what was under way when the route failed says nothing about it.
    pub(super) fn resume(&self, board: &mut Board<S::Claim>, job: &Job) -> Option<Event> {
        (job.probe && board.gates.get(job.route)?.state != RouteState::Open).then(|| {
            self.set_state(board, job.route, RouteState::Open);
            Event::RouteResumed { route: self.runner.routes[job.route].name.clone() }
        })
    }

    pub(super) fn set_state(&self, board: &mut Board<S::Claim>, route: usize, state: RouteState) {
        let name = &self.runner.routes[route].name;
        // A person who paused it meanwhile has the last word.
        if let Ok(Some(stored)) = self.runner.states.load(name)
            && stored.is_by_hand()
        {
            board.gates[route].state = stored;
            return;
        }
        let saved = self.runner.states.save(name, &state);
        board.gates[route].unsaved = saved.is_err();
        if let Err(error) = saved {
            self.runner.tell(&Event::Trouble { text: format!("saving the state of route {name}: {error}") });
        }
        board.gates[route].state = state;
    }

    /// So that what is too large is refused where it is received.
    pub(super) fn note_largest_message(&self, route: usize, octets: u64) {
        let name = &self.runner.routes[route].name;
        if let Err(error) = self.runner.states.note_largest_message(name, octets) {
            self.runner.tell(&Event::Trouble { text: format!("keeping the size limit of route {name}: {error}") });
        }
    }

    /// Another process may have found out more.
    pub(super) fn reload_routes(&self, board: &mut Board<S::Claim>) {
        for (route, gate) in self.runner.routes.iter().zip(&mut board.gates) {
            // A disk that was full may have room again.
            gate.unsaved = gate.unsaved && self.runner.states.save(&route.name, &gate.state).is_err();
            match self.runner.states.load(&route.name) {
                Ok(Some(state)) => gate.learn(state),
                Ok(None) => {}
                Err(error) => {
                    let text = format!("loading the state of route {}: {error}", route.name);
                    self.runner.tell(&Event::Trouble { text });
                }
            }
        }
    }
}
