//! The state of a route: open, or paused because the next hop could not be used. Pure.
//!
//! A pause costs a message nothing: no attempt, no receipt, no age. It ends with one probe, whose success reopens the route for
//! all. Processes share the state through a [`RouteStore`], so that runs from cron keep one pause between them, and a listing
//! can say why mail waits.

use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::{Timestamp, longest_varied, varied};
use crate::id::SpoolId;
use crate::queue::dsn::tally::Tally;
use crate::queue::plan::schedule::Urgency;
use crate::receipt::{Cause, Reason};
use crate::smtp::EnhancedCode;
use crate::transport::HopNotes;

/// Whether a route can be used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum RouteState {
    /// It works, as far as is known.
    #[default]
    Open,
    /// It failed.
    Paused(Pause),
}

/// Why and how long a route is not used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// When it first failed, in milliseconds since the epoch.
    pub since: u64,
    /// When the next probe is due, in milliseconds since the epoch.
    pub until: u64,
    /// How many times it failed in a row, at least 1.
    pub failures: u32,
    /// The status code of the last failure.
    pub status: EnhancedCode,
    /// The last failure in words.
    pub text: String,
    /// What was behind it, where it was a failure of our own.
    #[serde(default, deserialize_with = "Cause::known", skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// The message that it failed at, where that may be why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The [mark](crate::transport::Dispatch::mark) of what it failed with.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub mark: u64,
    /// Whether a person paused it: then nothing but a person ends the pause.
    #[serde(default)]
    pub by_hand: bool,
    /// When it failed last, in milliseconds since the epoch.
    #[serde(default)]
    pub last: u64,
    /// For how many milliseconds it has failed: the time from failure to failure, of which each gap counts as an hour at most, so that
    /// a clock that jumps makes no pause long.
    #[serde(default)]
    pub age: u64,
}

fn is_zero(mark: &u64) -> bool {
    *mark == 0
}

/// Whether a delivery may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// As many as there are connections.
    Open,
    /// One, as a probe.
    Probe,
    /// None before this time.
    Closed(Timestamp),
}

/// How many seconds a route rests after the first, second, ... failure in a row; the last one repeats.
const BACK_OFF: [u64; 6] = [30, 60, 120, 300, 600, 900];
/// The longest of them.
const LONGEST_REST: Duration = Duration::from_secs(BACK_OFF[BACK_OFF.len() - 1]);

/// A next hop may ask for that.
const SHORTEST_REST: Duration = Duration::from_secs(1);

/// As much of the time between two failures in a row counts.
const LONGEST_GAP: Duration = Duration::from_secs(3_600);

impl Pause {
    /// For how long it has failed, as far as that is certain.
    pub fn age(&self) -> Duration {
        Duration::from_millis(self.age)
    }

    /// The last failure.
    pub fn reason(&self) -> Reason {
        Reason { cause: self.cause, ..Reason::new(self.status, self.text.as_str()) }
    }
}

impl RouteState {
    /// Whether a delivery may begin; an urgent one does not wait for the end of the pause.
    pub fn admission(&self, urgency: Urgency, now: Timestamp) -> Admission {
        let Self::Paused(pause) = self else { return Admission::Open };
        if pause.by_hand {
            return Admission::Closed(now + LONGEST_REST);
        }
        let until = Timestamp::from_millis(pause.until);
        // No pause is longer than this: the clock went back, and how long is left is not known.
        let jumped = until > now + longest_varied(LONGEST_REST);
        if urgency == Urgency::Now || until <= now || jumped { Admission::Probe } else { Admission::Closed(until) }
    }

    /// The state after a fault; `name` makes the routes of one host differ in their jitter.
    #[must_use]
    pub fn after_fault(&self, name: &str, reason: &Reason, now: Timestamp) -> Self {
        let (since, failures, age) = match self {
            Self::Open => (now.as_millis(), 1, 0),
            Self::Paused(pause) => {
                let before = Timestamp::from_millis(if pause.last == 0 { pause.since } else { pause.last });
                let gap = now.since(before).min(LONGEST_GAP).as_secs() * 1_000;
                (pause.since, pause.failures.saturating_add(1), pause.age.saturating_add(gap))
            }
        };
        let until = (now + rest(name, failures)).as_millis();
        let (status, text, cause) = (reason.status, reason.text.clone(), reason.cause);
        let (message, mark, by_hand, last) = (None, 0, false, now.as_millis());
        Self::Paused(Pause { since, until, failures, status, text, cause, message, mark, by_hand, last, age })
    }

    /// The same where the next hop says how long it wants to be left alone. No pause is longer than without its word, as a probe costs
    /// little and it may err.
    #[must_use]
    pub fn resting_for(self, wait: Duration, now: Timestamp) -> Self {
        match self {
            Self::Open => Self::Open,
            Self::Paused(pause) => {
                let wait = wait.clamp(SHORTEST_REST, LONGEST_REST);
                Self::Paused(Pause { until: (now + wait).as_millis(), ..pause })
            }
        }
    }

    /// The same after a fault that this message may be the reason of.
    #[must_use]
    pub fn at_message(self, id: SpoolId) -> Self {
        match self {
            Self::Open => Self::Open,
            Self::Paused(pause) => Self::Paused(Pause { message: Some(id.to_string()), ..pause }),
        }
    }

    /// Whether it was paused because of a fault that this message may be the reason of.
    pub fn was_paused_at(&self, id: SpoolId) -> bool {
        let Self::Paused(pause) = self else { return false };
        pause.message.as_deref() == Some(id.to_string().as_str())
    }

    /// The state once a person has paused it, saying why.
    pub fn paused_by_hand(why: &str, now: Timestamp) -> Self {
        let reason = Reason::new(EnhancedCode(4, 0, 0), why);
        let (since, text) = (now.as_millis(), reason.text);
        Self::Paused(Pause {
            since,
            until: since,
            failures: 0,
            status: reason.status,
            text,
            cause: None,
            message: None,
            mark: 0,
            by_hand: true,
            last: since,
            age: 0,
        })
    }

    /// The state while a probe is under way: other processes wait for its result as for the end of another pause.
    #[must_use]
    pub fn while_probing(&self, name: &str, now: Timestamp) -> Self {
        match self {
            Self::Open => Self::Open,
            Self::Paused(pause) => {
                Self::Paused(Pause { until: (now + rest(name, pause.failures)).as_millis(), ..pause.clone() })
            }
        }
    }

    /// The state after a probe that did not reach the next hop, because its message could not be worked on: another is due.
    #[must_use]
    pub fn after_no_answer(&self, now: Timestamp) -> Self {
        match self {
            Self::Open => Self::Open,
            Self::Paused(pause) => Self::Paused(Pause { until: now.as_millis(), ..pause.clone() }),
        }
    }

    /// The same with the mark of what the route failed with.
    #[must_use]
    pub fn marked(self, mark: u64) -> Self {
        match self {
            Self::Open => Self::Open,
            Self::Paused(pause) => Self::Paused(Pause { mark, ..pause }),
        }
    }

    /// Whether it failed with another mark than this, so that trying again at once may help: once for each change.
    pub fn is_corrected(&self, mark: u64) -> bool {
        matches!(self, Self::Paused(pause) if !pause.by_hand && pause.mark != 0 && mark != 0 && pause.mark != mark)
    }

    /// Whether what it failed at is about the login or the right to send (RFC 3463 X.7).
    pub fn is_about_login(&self) -> bool {
        matches!(self, Self::Paused(Pause { status: EnhancedCode(_, 7, _), by_hand: false, .. }))
    }

    /// Whether a person paused it.
    pub fn is_by_hand(&self) -> bool {
        matches!(self, Self::Paused(Pause { by_hand: true, .. }))
    }

    /// Failures in a row; 0 while it is open.
    pub fn failures(&self) -> u32 {
        if let Self::Paused(pause) = self { pause.failures } else { 0 }
    }
}

fn rest(name: &str, failures: u32) -> Duration {
    let step = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX);
    let rest = BACK_OFF.get(step).map_or(LONGEST_REST, |seconds| Duration::from_secs(*seconds));
    varied(rest, name.bytes().fold(0, |seed, octet| seed << 7 ^ seed >> 57 ^ u64::from(octet)), failures)
}

/// Where the states of routes are kept between processes.
pub trait RouteStore: Send + Sync {
    /// The state of a route; `None` where none are kept, so that only what this process found out counts.
    ///
    /// # Errors
    /// When it cannot be read.
    fn load(&self, route: &str) -> io::Result<Option<RouteState>>;

    /// Keeps the state of a route.
    ///
    /// # Errors
    /// When it cannot be written.
    fn save(&self, route: &str, state: &RouteState) -> io::Result<()>;

    /// Changes the state of a route, while no other process does: `change` gets what is kept, and says what is to be, or `None`
    /// to leave it.
    ///
    /// # Errors
    /// When it cannot be read or written; then it is as it was.
    fn change(&self, route: &str, change: &mut dyn FnMut(&RouteState) -> Option<RouteState>) -> io::Result<()> {
        let before = self.load(route)?.unwrap_or_default();
        change(&before).map_or(Ok(()), |after| self.save(route, &after))
    }

    /// What was found out about the next hops of a route; nothing where it is not kept.
    fn hop_notes(&self, _route: &str) -> HopNotes {
        HopNotes::new()
    }

    /// Keeps how large a message the next hop takes, in octets; 0: any.
    ///
    /// # Errors
    /// When it cannot be written.
    fn note_largest_message(&self, _route: &str, _octets: u64) -> io::Result<()> {
        Ok(())
    }

    /// Changes the tally of notices, which all routes share, while no other process does. `change` gets an empty one where none
    /// is kept.
    ///
    /// # Errors
    /// When it cannot be read or written; it may have been changed all the same.
    fn tally(&self, change: &mut dyn FnMut(&mut Tally)) -> io::Result<()> {
        change(&mut Tally::default());
        Ok(())
    }
}

/// Keeps nothing: each process finds out for itself.
impl RouteStore for () {
    fn load(&self, _route: &str) -> io::Result<Option<RouteState>> {
        Ok(None)
    }

    fn save(&self, _route: &str, _state: &RouteState) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::testing::at;

    fn reason() -> Reason {
        Reason::new(EnhancedCode(4, 4, 1), "connecting to mx: connection refused")
    }

    #[test]
    fn each_failure_in_a_row_rests_longer_up_to_a_quarter_of_an_hour() {
        let mut state = RouteState::Open;
        for (failures, seconds) in (1..).zip([30, 60, 120, 300, 600, 900, 900, 900]) {
            state = state.after_fault("main", &reason(), at(1_000));
            let RouteState::Paused(pause) = &state else { panic!("a fault pauses") };
            let rest = (pause.until - 1_000_000) / 1000;
            assert!((seconds * 8 / 10..=seconds * 12 / 10).contains(&rest), "{rest} is not about {seconds}");
            assert_eq!((pause.failures, pause.since), (failures, 1_000_000));
        }
    }

    #[test]
    fn a_pause_ends_with_one_probe_and_a_pressing_delivery_does_not_wait() {
        let paused = RouteState::Open.after_fault("main", &reason(), at(1_000));
        assert_eq!(RouteState::Open.admission(Urgency::Due, at(0)), Admission::Open);
        assert!(matches!(paused.admission(Urgency::Due, at(1_001)), Admission::Closed(until) if until > at(1_001)));
        assert_eq!(paused.admission(Urgency::Now, at(1_001)), Admission::Probe);
        assert_eq!(paused.admission(Urgency::Due, at(1_037)), Admission::Probe);
        let probing = paused.while_probing("main", at(1_037));
        assert!(matches!(probing.admission(Urgency::Due, at(1_037)), Admission::Closed(_)), "one probe, not two");
        assert_eq!(probing.failures(), 1);
    }

    #[test]
    fn a_next_hop_says_how_long_it_rests_within_limits() {
        let paused = RouteState::Open.after_fault("main", &reason(), at(1_000));
        for (wait, seconds) in [(0, 1), (7, 7), (900, 900), (u64::MAX / 1000, 900)] {
            let resting = paused.clone().resting_for(Duration::from_secs(wait), at(1_000));
            let until = at(1_000 + seconds);
            assert_eq!(resting.admission(Urgency::Due, at(1_000)), Admission::Closed(until), "{wait}");
            assert_eq!((resting.admission(Urgency::Due, until), resting.failures()), (Admission::Probe, 1));
        }
        assert_eq!(RouteState::Open.resting_for(Duration::from_secs(9), at(1)), RouteState::Open);
    }

    #[test]
    fn what_a_person_paused_no_time_and_no_pressure_reopens() {
        let paused = RouteState::paused_by_hand("moving the\nsmarthost", at(1_000));
        for (urgency, now) in [(Urgency::Now, at(1_001)), (Urgency::Due, at(90_000_000)), (Urgency::Due, at(1))] {
            assert!(matches!(paused.admission(urgency, now), Admission::Closed(until) if until > now));
        }
        assert!(matches!(&paused, RouteState::Paused(pause) if pause.text == "moving the smarthost"));
    }

    #[test]
    fn what_was_mended_is_tried_at_once_and_once() {
        let paused = RouteState::Open.after_fault("main", &reason(), at(1_000)).marked(7);
        assert!(!paused.is_corrected(7) && !paused.is_corrected(0), "nothing changed, or nothing is known");
        assert!(paused.is_corrected(8));
        let tried = paused.after_no_answer(at(1_001)).marked(8);
        assert_eq!(tried.admission(Urgency::Due, at(1_001)), Admission::Probe);
        assert!(!tried.is_corrected(8));
        assert!(!RouteState::Open.is_corrected(8) && !RouteState::paused_by_hand("x", at(1)).marked(7).is_corrected(8));
        let login = RouteState::Open.after_fault("main", &Reason::new(EnhancedCode(4, 7, 8), "no"), at(1_000));
        assert!(login.is_about_login() && !paused.is_about_login());
    }

    #[test]
    fn a_clock_that_went_back_does_not_keep_a_route_paused() {
        let paused = RouteState::Open.after_fault("main", &reason(), at(1_000_000_000));
        assert_eq!(paused.admission(Urgency::Due, at(1_000)), Admission::Probe);
    }
}
