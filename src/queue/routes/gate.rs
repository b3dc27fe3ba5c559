//! The gate of one route in this process: whether a worker may deliver a message now. Pure.
//!
//! It combines the state of the route, which all processes share, with what only this one knows: that a probe is under way, that
//! a limit was reached, and how many large messages are being delivered.

use std::time::Duration;

use super::pace::Obstacle;
use super::state::{Admission, RouteState};
use crate::clock::Timestamp;
use crate::id::SpoolId;
use crate::queue::plan::schedule::Urgency;
use crate::receipt::Reason;

#[derive(Debug, Default)]
pub(in crate::queue) struct RouteGate {
    pub(in crate::queue) state: RouteState,
    /// The state could not be saved for the other processes.
    pub(in crate::queue) unsaved: bool,
    /// One worker probes a paused route; the others wait for the result.
    probing: bool,
    /// A pass over this route has ended, as after the first fault.
    over: bool,
    /// Whether a message of this process was let through.
    departed: bool,
    /// The pace keeps it shut.
    slowed: Option<Rest>,
    /// Other processes have all the connections but those that our workers hold.
    crowded: Option<Rest>,
    /// Large messages on their way.
    large: usize,
    /// The message at which the next hop ended the dialogue last, while no other was answered since.
    suspect: Option<SpoolId>,
}

/// Since when the gate is shut, and for how long.
#[derive(Debug, Clone, Copy)]
struct Rest {
    since: Timestamp,
    wait: Duration,
}

impl Rest {
    /// `None` once it is over, and where the clock went back: how much is left is not known then.
    fn left(self, now: Timestamp) -> Option<Duration> {
        let left = (self.since + self.wait).since(now);
        (now >= self.since && !left.is_zero()).then_some(left)
    }
}

/// How soon a connection permit is asked for again when other processes have them all: there is no wake-up for that.
const CROWDED: Duration = Duration::from_secs(1);
/// How long a pass waits for the pace.
const LONGEST_PASS_WAIT: Duration = Duration::from_secs(120);

/// Which workers may deliver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::queue) enum Passage {
    /// All.
    Free,
    /// One, to see whether the route works.
    Probe,
    /// None for this long; without a time, until something changes.
    Shut(Option<Duration>),
    /// None any more in this pass.
    Over,
}

impl RouteGate {
    /// `connected`: whether the worker that asks holds a connection permit.
    pub(in crate::queue) fn passage(&self, pass: bool, connected: bool, urgency: Urgency, now: Timestamp) -> Passage {
        let crowded = self.crowded.filter(|_| !connected);
        if pass && (self.over || crowded.is_some()) {
            return Passage::Over;
        }
        if self.probing {
            return Passage::Shut(None);
        }
        let rests = [self.slowed, crowded].into_iter().flatten();
        if let Some(left) = rests.filter_map(|rest| rest.left(now)).max() {
            return Passage::Shut(Some(left));
        }
        match self.state.admission(urgency, now) {
            Admission::Open => Passage::Free,
            Admission::Probe => Passage::Probe,
            Admission::Closed(_) if pass => Passage::Over,
            Admission::Closed(until) => Passage::Shut(Some(until.since(now))),
        }
    }

    /// Whether another large message may go, so that one connection at least is left to small ones.
    pub(in crate::queue) fn allows_large(&self, connections: usize) -> bool {
        self.large + 1 < connections.max(2)
    }

    /// Which message is the next probe: the first is the one that waits longest; should that be what the route fails at, the
    /// next is another.
    pub(in crate::queue) fn probe_number(&self) -> usize {
        usize::try_from(self.state.failures().saturating_sub(1)).unwrap_or(usize::MAX) % 8
    }

    /// A limit was reached. A pass leaves the work to the processes that have the connections. It waits for the pace only if one
    /// of its own messages was let through: otherwise each run from cron would leave one more waiting process.
    pub(in crate::queue) fn slow_down(&mut self, pass: bool, obstacle: Obstacle, now: Timestamp) {
        match obstacle {
            Obstacle::Pace(wait) if !pass || self.departed && wait <= LONGEST_PASS_WAIT => {
                self.slowed = Some(Rest { since: now, wait })
            }
            Obstacle::Crowded => self.crowded = Some(Rest { since: now, wait: CROWDED }),
            Obstacle::Pace(_) => self.over = true,
        }
    }

    /// A probe begins; returns the state to save for the other processes.
    pub(in crate::queue) fn begin_probe(&mut self, name: &str, now: Timestamp) -> RouteState {
        self.probing = true;
        self.state.while_probing(name, now)
    }

    /// Whether a probe is under way.
    pub(in crate::queue) fn is_probed(&self) -> bool {
        self.probing
    }

    pub(in crate::queue) fn end_probe(&mut self) {
        self.probing = false;
    }

    /// Whether this message may be why the next hop ended the dialogue. A second message that meets the same shows that it is
    /// the route, unless it paused the route before.
    pub(in crate::queue) fn may_be_why(&mut self, id: SpoolId) -> bool {
        let may_be = self.suspect.is_none_or(|suspect| suspect == id) || self.state.was_paused_at(id);
        if may_be {
            self.suspect = Some(id);
        }
        may_be
    }

    /// The next hop answered for a recipient.
    pub(in crate::queue) fn answer(&mut self) {
        self.departed = true;
        self.suspect = None;
    }

    pub(in crate::queue) fn begin_large(&mut self) {
        self.large += 1;
    }

    pub(in crate::queue) fn end_large(&mut self) {
        self.large = self.large.saturating_sub(1);
    }

    /// Takes over what another process found out, unless our own probe is under way or our own state could not be saved.
    pub(in crate::queue) fn learn(&mut self, state: RouteState) {
        if !self.probing && (!self.unsaved || state.is_by_hand()) {
            self.state = state;
        }
    }

    /// The new state after a fault. It counts once, even if several deliveries meet it.
    pub(in crate::queue) fn fault(
        &mut self,
        probe: bool,
        name: &str,
        reason: &Reason,
        now: Timestamp,
    ) -> Option<RouteState> {
        self.over = true;
        let counts = probe || self.state == RouteState::Open;
        counts.then(|| self.state.after_fault(name, reason, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::testing::at;
    use crate::smtp::EnhancedCode;

    #[test]
    fn a_probe_goes_alone_and_a_fault_counts_once() {
        let reason = Reason::new(EnhancedCode(4, 4, 1), "refused");
        let mut gate = RouteGate::default();
        assert_eq!(gate.passage(true, false, Urgency::Due, at(0)), Passage::Free);
        gate.state = gate.fault(false, "main", &reason, at(0)).unwrap();
        assert_eq!(gate.fault(false, "main", &reason, at(0)), None);
        assert_eq!(gate.passage(true, false, Urgency::Now, at(0)), Passage::Over);
        assert!(matches!(gate.passage(false, false, Urgency::Due, at(0)), Passage::Shut(Some(_))));
        assert_eq!(gate.passage(false, false, Urgency::Due, at(60)), Passage::Probe);
        let _ = gate.begin_probe("main", at(60));
        assert_eq!(gate.passage(false, false, Urgency::Now, at(60)), Passage::Shut(None));
        gate.learn(RouteState::Open);
        assert_eq!(gate.state.failures(), 1, "the probe finds out more");
        gate.end_probe();
        assert_eq!(gate.fault(true, "main", &reason, at(60)).unwrap().failures(), 2);
    }

    #[test]
    fn a_pace_is_waited_for_by_whom_it_let_through() {
        let wait = Duration::from_secs(5);
        for (pass, departed, obstacle, expected) in [
            (false, false, Obstacle::Pace(wait), Passage::Shut(Some(wait))),
            (true, true, Obstacle::Pace(wait), Passage::Shut(Some(wait))),
            (true, false, Obstacle::Pace(wait), Passage::Over),
            (true, true, Obstacle::Pace(wait * 60), Passage::Over),
            (true, true, Obstacle::Crowded, Passage::Over),
            (false, false, Obstacle::Crowded, Passage::Shut(Some(CROWDED))),
        ] {
            let mut gate = RouteGate { departed, ..RouteGate::default() };
            gate.slow_down(pass, obstacle, at(0));
            assert_eq!(gate.passage(pass, false, Urgency::Now, at(0)), expected, "{pass} {departed} {obstacle:?}");
            let busy = if obstacle == Obstacle::Crowded { Passage::Free } else { expected };
            assert_eq!(gate.passage(pass, true, Urgency::Now, at(0)), busy, "who has a connection goes on");
            if expected != Passage::Over {
                assert_eq!(gate.passage(pass, false, Urgency::Now, at(5)), Passage::Free);
            }
        }
    }

    #[test]
    fn a_clock_that_went_back_does_not_keep_it_shut() {
        for obstacle in [Obstacle::Pace(Duration::from_secs(5)), Obstacle::Crowded] {
            let mut gate = RouteGate::default();
            gate.slow_down(false, obstacle, at(864_000));
            assert_eq!(gate.passage(false, false, Urgency::Due, at(5)), Passage::Free, "{obstacle:?}");
        }
    }

    #[test]
    fn large_messages_leave_a_connection_to_small_ones() {
        let mut gate = RouteGate::default();
        for (connections, most) in [(1, 1), (2, 1), (4, 3)] {
            let mut began = 0;
            while gate.allows_large(connections) {
                gate.begin_large();
                began += 1;
            }
            assert_eq!(began, most, "{connections}");
            (0..began).for_each(|_| gate.end_large());
        }
    }
}
