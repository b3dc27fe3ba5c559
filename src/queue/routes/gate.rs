//! The gate of one route in this process: whether a worker may go through with a message now. Pure.
//!
//! It combines what all processes share, the route's state, with what only this one knows: that a probe is under way, that the
//! route asked for a slower pace, how many large messages are on their way.

use std::time::Duration;

use super::pace::Obstacle;
use super::state::{Admission, RouteState};
use crate::clock::Timestamp;
use crate::queue::plan::schedule::Urgency;
use crate::receipt::Reason;

#[derive(Debug, Default)]
pub(in crate::queue) struct RouteGate {
    pub(in crate::queue) state: RouteState,
    /// The state could not be kept for the others, and for our own next look at what is kept.
    pub(in crate::queue) unsaved: bool,
    /// One worker tries a paused route; the others wait for what comes of it.
    probing: bool,
    /// A pass over this route ends, as with the first fault.
    over: bool,
    /// Whether a message of this process went.
    departed: bool,
    /// The pace keeps it shut.
    slowed: Option<Rest>,
    /// Other processes have all the connections but those that our workers hold.
    crowded: Option<Rest>,
    /// Large messages on their way.
    large: usize,
}

/// Since when nobody goes through, and for how long.
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

/// How soon a connection is asked for again where other processes have them all: nobody rings.
const CROWDED: Duration = Duration::from_secs(1);
/// How long a pass waits for the pace.
const LONGEST_PASS_WAIT: Duration = Duration::from_secs(120);

/// Who may go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::queue) enum Passage {
    /// Anybody.
    Free,
    /// One, to see whether the route works.
    Probe,
    /// Nobody for as long; `None`: until something changes.
    Shut(Option<Duration>),
    /// Nobody any more in this pass.
    Over,
}

impl RouteGate {
    /// `connected`: whether the worker that asks holds a connection, or the right to one.
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

    /// Something kept a message from going. A worker that only passes by leaves the work to those who have the connections, and
    /// a pass waits for the pace only where it has had part in it: or each run from cron would leave another process waiting.
    pub(in crate::queue) fn slow_down(&mut self, pass: bool, obstacle: Obstacle, now: Timestamp) {
        match obstacle {
            Obstacle::Pace(wait) if !pass || self.departed && wait <= LONGEST_PASS_WAIT => {
                self.slowed = Some(Rest { since: now, wait })
            }
            Obstacle::Crowded => self.crowded = Some(Rest { since: now, wait: CROWDED }),
            Obstacle::Pace(_) => self.over = true,
        }
    }

    /// A message went.
    pub(in crate::queue) fn depart(&mut self) {
        self.departed = true;
    }

    /// A probe begins; the state to keep for the others.
    pub(in crate::queue) fn begin_probe(&mut self, name: &str, now: Timestamp) -> RouteState {
        self.probing = true;
        self.state.while_probing(name, now)
    }

    pub(in crate::queue) fn end_probe(&mut self) {
        self.probing = false;
    }

    pub(in crate::queue) fn begin_large(&mut self) {
        self.large += 1;
    }

    pub(in crate::queue) fn end_large(&mut self) {
        self.large = self.large.saturating_sub(1);
    }

    /// What another process found out, unless we are about to find out more, or know what could not be told to the others.
    pub(in crate::queue) fn learn(&mut self, state: RouteState) {
        if !self.probing && (!self.unsaved || state.is_by_hand()) {
            self.state = state;
        }
    }

    /// The new state after a fault, which counts once, although several deliveries under way may meet it.
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
