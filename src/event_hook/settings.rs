//! Which events a hook gets, where, and how much of it may wait.

use std::fmt;
use std::time::Duration;

use super::kind::{self, EventKind};
use crate::event::Event;

/// Where events are reported.
#[derive(Clone, PartialEq, Eq)]
pub enum EventTarget {
    /// A command for the shell, on its standard input.
    Command(String),
    /// A URL, by POST; it may hold a token.
    Url(String),
}

impl fmt::Debug for EventTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Command(_) => "Command(***)",
            Self::Url(_) => "Url(***)",
        })
    }
}

/// One hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventHookSettings {
    /// What the log calls it.
    pub name: String,
    /// This host, as reports name it.
    pub host: String,
    /// Where events are reported.
    pub target: EventTarget,
    /// Which are.
    pub kinds: Vec<EventKind>,
    /// Only those of these routes; empty: all, also those without a route.
    pub routes: Vec<String>,
    /// The most events of one report.
    pub batch: usize,
    /// How long an event may wait for others.
    pub gather: Duration,
    /// How long a report may take.
    pub timeout: Duration,
    /// How many events may wait.
    pub queue: usize,
}

impl EventHookSettings {
    pub(super) fn wants(&self, kind: EventKind, event: &Event) -> bool {
        let is_routed = || kind::route(event).is_some_and(|route| self.routes.iter().any(|name| name == route));
        self.kinds.contains(&kind) && (self.routes.is_empty() || is_routed())
    }
}
