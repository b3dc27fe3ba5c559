//! Which alarms begin, persist and end. Pure.
//!
//! An alarm is sent once when its condition begins, again after [`AlarmThresholds::repeat`] while it persists, and once when
//! it ends. An unknown condition neither begins nor ends anything.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::address::is_unprintable;
use crate::clock::Timestamp;
use crate::helper_states::HelperState;
use crate::id::SpoolId;
use crate::queue::RouteState;

/// From when on something is an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlarmThresholds {
    /// How long a route may be paused.
    pub route_paused: Duration,
    /// How old the oldest message in the queue may be.
    pub oldest: Duration,
    /// From how many messages in `failed/` on; 0: never.
    pub failed: usize,
    /// How long a program that is asked about mail may give no answer.
    pub helper_down: Duration,
    /// After how long an alarm that persists is repeated.
    pub repeat: Duration,
}

/// How things are. `None` is: not known at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The routes by name.
    pub routes: Vec<(String, Option<RouteState>)>,
    /// What waits.
    pub waiting: Option<Waiting>,
    /// What failed, and nobody was notified of it: messages without a sender, above all notices that were refused themselves.
    pub failed: Option<Failed>,
    /// What became of the last heartbeat.
    pub pulse: Option<Pulse>,
    /// Why the spool takes no mail, if it takes none.
    pub full: Option<Option<String>>,
    /// Whether the disk can be trusted.
    pub sound: bool,
    /// The programs that are asked about mail, by name.
    pub helpers: Vec<(String, Option<HelperState>)>,
}

/// The queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// How many messages.
    pub messages: usize,
    /// The oldest of them.
    pub oldest: Option<SpoolId>,
}

/// The folder `failed/`, without heartbeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failed {
    /// How many messages.
    pub messages: usize,
    /// The newest of them.
    pub newest: Option<SpoolId>,
}

/// What became of the last heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulse {
    /// It left, or is on its way.
    Steady,
    /// It has not left the queue in time.
    Late(SpoolId),
    /// It could not be delivered.
    Failed(SpoolId),
}

/// The alarms that go on, by condition.
pub type AlarmStates = BTreeMap<String, AlarmState>;

/// An alarm that goes on. Times are in milliseconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmState {
    /// When it began.
    pub since: u64,
    /// What it was when it began, in words.
    pub text: String,
    /// When it was last reported; `None`: not yet, as all channels failed.
    pub told: Option<u64>,
    /// When that was last tried.
    pub tried: u64,
    /// When it ended, of which nobody could be notified yet; `None`: it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<u64>,
}

/// Something to report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// Which condition: `route_paused:NAME`, `helper_down:NAME`, `oldest`, `failed`, `heartbeat`, `spool_full` or `disk`.
    pub condition: String,
    /// Whether it begins or ends.
    pub stage: Stage,
    /// When it began.
    pub since: Timestamp,
    /// In words, without control characters.
    pub text: String,
}

/// The state of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It begins.
    Begun,
    /// It goes on.
    GoesOn,
    /// It is over.
    Over,
}

impl Stage {
    /// The word for programs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::GoesOn => "goes_on",
            Self::Over => "over",
        }
    }
}

/// After how long a report that failed over all channels is tried again.
const RETRY: Duration = Duration::from_secs(5 * 60);

/// What is to be reported now, and what goes on from now.
pub fn alarms(
    now: Timestamp,
    facts: &Facts,
    limits: &AlarmThresholds,
    before: &AlarmStates,
) -> (Vec<Alarm>, AlarmStates) {
    let findings = findings(now, facts, limits);
    let (mut alarms, mut after) = (Vec::new(), AlarmStates::new());
    for (condition, finding) in &findings {
        let standing = before.get(condition);
        match (finding, standing) {
            (Finding::Unknown, Some(standing)) => {
                after.insert(condition.clone(), standing.clone());
            }
            (Finding::Holds(text), standing) => {
                let (alarm, standing) = goes_on(now, condition, text, standing, limits.repeat);
                alarms.extend(alarm);
                after.insert(condition.clone(), standing);
            }
            (Finding::Fine | Finding::Unknown, _) => {}
        }
    }
    // Over are also those of which nobody asks any more, such as that of a route that is gone.
    for (condition, standing) in before.iter().filter(|(_, standing)| standing.told.is_some()) {
        if !after.contains_key(condition) {
            let (alarm, standing) = over(now, condition, standing);
            alarms.extend(alarm);
            after.insert(condition.clone(), standing);
        }
    }
    (alarms, after)
}

/// Notes that somebody was notified.
pub(super) fn note_told(standings: &mut AlarmStates, alarm: &Alarm, now: Timestamp) {
    let Some(standing) = standings.get_mut(&alarm.condition) else { return };
    match (alarm.stage, standing.over) {
        (Stage::Over, Some(_)) => {
            standings.remove(&alarm.condition);
        }
        // It began again meanwhile.
        (Stage::Over, None) => standing.told = None,
        (Stage::Begun | Stage::GoesOn, _) => standing.told = Some(now.as_millis()),
    }
}

fn over(now: Timestamp, condition: &str, before: &AlarmState) -> (Option<Alarm>, AlarmState) {
    let millis = now.as_millis();
    let tried = before.tried.min(millis);
    let ended = before.over.map_or(millis, |ended| ended.min(millis));
    let due = before.over.is_none() || now.since(Timestamp::from_millis(tried)) >= RETRY;
    let alarm = Alarm {
        condition: condition.to_owned(),
        stage: Stage::Over,
        since: Timestamp::from_millis(before.since),
        text: format!("over since {}: {}", Timestamp::from_millis(ended), before.text),
    };
    let standing = AlarmState { over: Some(ended), tried: if due { millis } else { tried }, ..before.clone() };
    (Some(alarm).filter(|_| due), standing)
}

fn goes_on(
    now: Timestamp,
    condition: &str,
    text: &str,
    before: Option<&AlarmState>,
    repeat: Duration,
) -> (Option<Alarm>, AlarmState) {
    let text: String = text.chars().map(|c| if is_unprintable(c) { ' ' } else { c }).take(1_000).collect();
    let alarm = |stage, since| Some(Alarm { condition: condition.to_owned(), stage, since, text: text.clone() });
    let millis = now.as_millis();
    let Some(before) = before else {
        let standing = AlarmState { since: millis, text: text.clone(), told: None, tried: millis, over: None };
        return (alarm(Stage::Begun, now), standing);
    };
    // From the future: the clock went back, and how long ago it was is not known.
    let told = before.told.map(|told| told.min(millis));
    let tried = before.tried.min(millis);
    let passed = |time: u64, at_least: Duration| now.since(Timestamp::from_millis(time)) >= at_least;
    let due = passed(tried, RETRY) && told.is_none_or(|told| passed(told, repeat));
    let since = before.since.min(millis);
    let tried = if due { millis } else { tried };
    let standing = AlarmState { since, told, tried, text: before.text.clone(), over: None };
    let stage = if told.is_none() { Stage::Begun } else { Stage::GoesOn };
    (alarm(stage, Timestamp::from_millis(since)).filter(|_| due), standing)
}

enum Finding {
    Holds(String),
    Fine,
    Unknown,
}

impl Finding {
    fn when<T>(fact: &Option<T>, holds: impl FnOnce(&T) -> Option<String>) -> Self {
        match fact {
            None => Self::Unknown,
            Some(fact) => holds(fact).map_or(Self::Fine, Self::Holds),
        }
    }
}

fn findings(now: Timestamp, facts: &Facts, limits: &AlarmThresholds) -> Vec<(String, Finding)> {
    let route = |(name, state): &(String, Option<RouteState>)| {
        let finding = Finding::when(state, |state| match state {
            // Whoever paused it knows.
            RouteState::Paused(pause) if !pause.by_hand => {
                let since = Timestamp::from_millis(pause.since);
                (now.since(since) >= limits.route_paused)
                    .then(|| format!("route {name} has been paused since {since}: {}", pause.text))
            }
            _ => None,
        });
        (format!("route_paused:{name}"), finding)
    };
    let mut findings: Vec<_> = facts.routes.iter().map(route).collect();
    findings.extend(facts.helpers.iter().map(|(name, state)| helper(name, state.as_ref(), limits)));
    let oldest = Finding::when(&facts.waiting, |waiting| {
        let oldest = waiting.oldest.filter(|id| now.since(id.time()) >= limits.oldest)?;
        let (since, messages) = (oldest.time(), waiting.messages);
        Some(format!("the oldest of {messages} messages in the queue, {oldest}, waits since {since}"))
    });
    let failed = Finding::when(&facts.failed, |failed| {
        let newest = failed.newest.filter(|_| limits.failed > 0 && failed.messages >= limits.failed)?;
        let messages = failed.messages;
        Some(format!("{messages} messages failed without a notice to a sender; the newest in failed/ is {newest}"))
    });
    let heartbeat = Finding::when(&facts.pulse, |pulse| match pulse {
        Pulse::Steady => None,
        Pulse::Late(id) => Some(format!("the heartbeat {id} of {} has not left the queue", id.time())),
        Pulse::Failed(id) => Some(format!("the heartbeat {id} of {} could not be delivered", id.time())),
    });
    let full = Finding::when(&facts.full, |full| full.as_ref().map(|why| format!("the spool takes no mail: {why}")));
    let broken = "the disk failed to sync, and the program leaves; nothing that it had acknowledged is lost";
    let disk = Finding::when(&Some(facts.sound), |sound| (!sound).then(|| broken.to_owned()));
    let others =
        [("oldest", oldest), ("failed", failed), ("heartbeat", heartbeat), ("spool_full", full), ("disk", disk)];
    findings.extend(others.map(|(name, finding)| (name.to_owned(), finding)));
    findings
}

/// One question without an answer is no alarm: it went unanswered for a while, between an earlier one and a later one.
fn helper(name: &str, state: Option<&HelperState>, limits: &AlarmThresholds) -> (String, Finding) {
    let finding = Finding::when(&state, |state| match state {
        HelperState::Silent(trouble) => {
            let since = Timestamp::from_millis(trouble.since);
            let for_how_long = Timestamp::from_millis(trouble.last).since(since);
            (for_how_long >= limits.helper_down).then(|| trouble.describe(name, &since))
        }
        HelperState::Answers => None,
    });
    // Shells split at spaces.
    (format!("helper_down:{}", name.replace(' ', "_")), finding)
}

#[cfg(test)]
mod tests;
