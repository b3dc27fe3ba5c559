//! What a runner did since it started: counts and rates by route, and the last events as lines.
//!
//! It only counts and keeps a bounded number of lines, so it delays no delivery. It does not know what other
//! processes deliver.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::rate::Rate;
use super::text;
use crate::clock::{Clock, Timestamp};
use crate::event::{self, Event, Observer};
use crate::receipt::Outcome;

/// Lines that are kept.
const LINES: usize = 200;
/// Columns of a line that are kept; no terminal shows more.
const COLUMNS: usize = 500;

/// Counts events, and keeps the last of them.
pub struct LiveObserver {
    clock: Arc<dyn Clock>,
    started: Timestamp,
    seen: Mutex<Seen>,
}

struct Seen {
    routes: Vec<Route>,
    expired: u64,
    lines: VecDeque<Noted>,
}

struct Route {
    counts: RouteCounts,
    sent: Rate,
}

/// A line and when it was noted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// When.
    pub at: Timestamp,
    /// What, without control characters.
    pub text: String,
}

/// What was done over one route, in recipients.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RouteCounts {
    /// The route.
    pub name: String,
    /// Delivered.
    pub sent: u64,
    /// Attempts that are to be repeated.
    pub deferred: u64,
    /// Refused permanently.
    pub bounced: u64,
    /// Delivered in the last minute.
    pub last_minute: u64,
    /// Delivered in the last hour.
    pub last_hour: u64,
}

/// What was done over all routes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// By route, in the order in which they were named.
    pub routes: Vec<RouteCounts>,
    /// Recipients who were given up, their time being over.
    pub expired: u64,
}

impl LiveObserver {
    /// Nothing has happened yet on these routes; those that are not named here are not counted.
    pub fn new(routes: impl IntoIterator<Item = String>, clock: Arc<dyn Clock>) -> Self {
        let route = |name| Route { counts: RouteCounts { name, ..RouteCounts::default() }, sent: Rate::default() };
        let routes = routes.into_iter().map(route).collect();
        let seen = Mutex::new(Seen { routes, expired: 0, lines: VecDeque::with_capacity(LINES) });
        Self { started: clock.now(), clock, seen }
    }

    /// Since when it counts.
    pub fn started(&self) -> Timestamp {
        self.started
    }

    /// Keeps a line that is no event.
    pub fn note(&self, text: &str) {
        let noted = Noted { at: self.clock.now(), text: text::cut(text, COLUMNS) };
        self.seen().keep(noted);
    }

    /// The counts as they are now.
    pub fn counts(&self) -> Counts {
        let now = self.clock.now();
        let mut seen = self.seen();
        let expired = seen.expired;
        let counts = |route: &mut Route| RouteCounts {
            last_minute: route.sent.within(Duration::from_secs(60), now),
            last_hour: route.sent.within(Duration::from_secs(3600), now),
            ..route.counts.clone()
        };
        Counts { routes: seen.routes.iter_mut().map(counts).collect(), expired }
    }

    /// The last lines, as many as there are up to `most`; the latest is the last.
    pub fn lines(&self, most: usize) -> Vec<Noted> {
        let seen = self.seen();
        seen.lines.iter().skip(seen.lines.len().saturating_sub(most)).cloned().collect()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn keep(&mut self, noted: Noted) {
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(noted);
    }
}

impl Observer for LiveObserver {
    fn observe(&self, event: &Event) {
        let at = self.clock.now();
        let lines = told(event);
        let mut seen = self.seen();
        match event {
            Event::Attempted { route, outcome, .. } => {
                if let Some(Route { counts, sent }) = seen.routes.iter_mut().find(|one| one.counts.name == *route) {
                    match outcome {
                        Outcome::Delivered(_) => {
                            counts.sent += 1;
                            sent.add(at);
                        }
                        Outcome::Deferred(_) | Outcome::InDoubt(_) | Outcome::Postponed(_) => counts.deferred += 1,
                        Outcome::Failed(_) => counts.bounced += 1,
                    }
                }
            }
            Event::Expired { .. } => seen.expired += 1,
            _ => {}
        }
        for line in lines {
            seen.keep(Noted { at, text: text::cut(&line, COLUMNS) });
        }
    }
}

/// As in the log; of an attempt, what came of it comes first, as a narrow page shows no more.
fn told(event: &Event) -> Vec<String> {
    let Event::Attempted { id, recipient, route, outcome, .. } = event else { return event::lines(event) };
    let status = match outcome {
        Outcome::Delivered(_) => "sent",
        Outcome::Deferred(_) | Outcome::InDoubt(_) | Outcome::Postponed(_) => "deferred",
        Outcome::Failed(_) => "bounced",
    };
    let text = &outcome.reason().text;
    vec![format!("{id}: status={status}, to=<{recipient}>, route={route} ({text})")]
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::address::ReversePath;
    use crate::event::Delays;
    use crate::id::SpoolId;
    use crate::receipt::Reason;
    use crate::smtp::EnhancedCode;

    struct Still;

    impl Clock for Still {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(1_795_226_607_123)
        }
    }

    pub(in crate::admin::live) fn attempt(number: u64, route: &str, outcome: fn(Reason) -> Outcome) -> Event {
        Event::Attempted {
            id: SpoolId::new(Timestamp::from_millis(1), 1, number),
            sender: ReversePath::Null,
            message_id: None,
            recipient: "bob@example.com".parse().unwrap(),
            written: None,
            route: route.to_owned(),
            relay: "mx.example.com[192.0.2.9]:25".to_owned(),
            delays: Delays::default(),
            outcome: outcome(Reason::new(EnhancedCode(2, 0, 0), "said \u{1b}[2J \u{9b}x")),
        }
    }

    #[test]
    fn each_outcome_counts_for_its_route_and_no_route_is_made_up() {
        let live = LiveObserver::new(["relay".to_owned(), "other".to_owned()], Arc::new(Still));
        for (route, outcome) in [
            ("relay", Outcome::Delivered as fn(Reason) -> Outcome),
            ("relay", Outcome::Delivered),
            ("relay", Outcome::Deferred),
            ("other", Outcome::Failed),
            ("nobody", Outcome::Delivered),
        ] {
            live.observe(&attempt(1, route, outcome));
        }
        let counts = live.counts().routes;
        let figures = |one: &RouteCounts| (one.sent, one.deferred, one.bounced, one.last_minute, one.last_hour);
        assert_eq!(counts.iter().map(figures).collect::<Vec<_>>(), [(2, 1, 0, 2, 2), (0, 0, 1, 0, 0)]);
    }

    #[test]
    fn the_lines_are_the_last_ones_bounded_and_without_control_characters() {
        let live = LiveObserver::new([], Arc::new(Still));
        for number in 0..3 * LINES as u64 {
            live.observe(&attempt(number, "relay", Outcome::Delivered));
        }
        live.note(&format!("last\r\n{}", "x".repeat(10_000)));
        let lines = live.lines(usize::MAX);
        assert_eq!(lines.len(), LINES);
        assert!(lines.iter().all(|line| !line.text.contains(char::is_control) && line.text.len() <= COLUMNS));
        assert_eq!((live.lines(1).len(), live.lines(1)[0].text.starts_with("last??x")), (1, true));
    }
}
