//! Long pauses of routes: the senders of messages that wait for them are notified of the delay.

use super::delays::Delays;
use super::pool::WorkerPool;
use crate::clock::Timestamp;
use crate::id::SpoolId;
use crate::queue::delivery::notify::paused::Delay;
use crate::queue::routes::state::{Pause, RouteState};
use crate::spool::{Folder, QueueEntry, Spool};

/// No more messages are looked at in one round, which comes once a minute.
const MOST: usize = 500;

impl<S: Spool> WorkerPool<'_, S> {
    /// Reports the delay of the oldest messages that wait for a route that has been paused for long. Where none is, this costs
    /// nothing but a look at the states.
    pub(super) fn report_pauses(&self, now: Timestamp) {
        let (pauses, open): (Vec<(usize, Pause)>, Vec<bool>) = {
            let shared = self.shared();
            let pause = |(route, state): (usize, &RouteState)| match state {
                RouteState::Paused(pause) if self.runner.is_long(pause) => Some((route, pause.clone())),
                _ => None,
            };
            let states = || shared.gates.iter().map(|gate| &gate.state);
            (
                states().enumerate().filter_map(pause).collect(),
                states().map(|state| *state == RouteState::Open).collect(),
            )
        };
        // What was looked at in another situation is looked at again.
        let situation = (pauses.iter().map(|(route, _)| *route).collect(), open);
        let mut seen = {
            let mut shared = self.shared();
            if pauses.is_empty() {
                shared.delays = Delays::default();
                return;
            }
            if shared.delays.situation != situation {
                shared.delays = Delays { situation: situation.clone(), seen: Vec::new() };
            }
            std::mem::take(&mut shared.delays.seen)
        };
        let candidates = self.oldest(now, &mut seen);
        let is_open = |route: usize| situation.1.get(route).copied().unwrap_or(false);
        for id in candidates {
            let mut is_done = true;
            for (route, pause) in &pauses {
                if self.runner.stop.is_raised() {
                    return;
                }
                match self.runner.report_pause(id, *route, pause, &is_open) {
                    Delay::Reported(notice) => {
                        let mut shared = self.shared();
                        shared.summary.bounced += 1;
                        shared.agenda.offer(notice, now);
                        shared.wake_one_each();
                    }
                    Delay::Nothing => {}
                    Delay::Later => is_done = false,
                }
            }
            if is_done {
                seen.push(id);
            }
        }
        seen.sort_unstable();
        self.shared().delays.seen = seen;
    }

    /// The oldest messages that were not looked at, of those that are old enough; what has left is forgotten.
    fn oldest(&self, now: Timestamp, seen: &mut Vec<SpoolId>) -> Vec<SpoolId> {
        let (mut found, mut known) = (Vec::new(), Vec::new());
        let scanned = self.runner.spool.scan(Folder::Queue, &mut |QueueEntry { id, .. }| {
            if seen.binary_search(&id).is_ok() {
                known.push(id);
            } else if now.since(id.time()) >= self.runner.schedule.delay_notice {
                found.push(id);
            }
        });
        if scanned.is_err() {
            return Vec::new();
        }
        known.sort_unstable();
        *seen = known;
        found.sort_unstable();
        found.truncate(MOST);
        found
    }
}
