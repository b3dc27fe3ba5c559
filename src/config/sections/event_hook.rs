//! `[[event_hook]]`: commands and URLs that learn what happens to messages.

use std::time::Duration;

use serde::Deserialize;

use crate::config::alarm::Webhook;
use crate::config::error::{Fault, unexpected};
use crate::config::values::{self, FromText};
use crate::event_hook::{EventHookSettings, EventKind, EventTarget};

/// `[[event_hook]]`: a command or a URL.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventHookSection {
    /// A command for the shell, which gets reports on its standard input.
    #[serde(deserialize_with = "values::optional")]
    pub command: Option<String>,
    /// A URL that gets them by POST.
    #[serde(deserialize_with = "values::optional")]
    pub url: Option<Webhook>,
    /// What is reported; never empty.
    #[serde(deserialize_with = "values::non_empty_list")]
    pub events: Vec<EventKind>,
    /// Only events of these routes; empty: all.
    #[serde(deserialize_with = "values::list")]
    pub routes: Vec<String>,
    /// The most events of one report: 1 to 1,000.
    #[serde(deserialize_with = "values::whole::<1, 1_000, _, _>")]
    pub batch: usize,
    /// How long an event waits for others: 0 s to 1 h.
    #[serde(deserialize_with = "values::duration::<0, 3_600, _>")]
    pub gather: Duration,
    /// How long a report may take: 1 s to 5 min.
    #[serde(deserialize_with = "values::duration::<1, 300, _>")]
    pub timeout: Duration,
    /// How many events may wait: 1 to 100,000.
    #[serde(deserialize_with = "values::whole::<1, 100_000, _, _>")]
    pub queue: usize,
}

impl Default for EventHookSection {
    fn default() -> Self {
        Self {
            command: None,
            url: None,
            events: vec![EventKind::Delivered, EventKind::Deferred, EventKind::Bounced, EventKind::Expired],
            routes: Vec::new(),
            batch: 100,
            gather: Duration::from_secs(1),
            timeout: Duration::from_secs(30),
            queue: 1_000,
        }
    }
}

impl EventHookSection {
    /// Where it reports; `None` without a command or a URL, which is a fault.
    fn target(&self) -> Option<EventTarget> {
        let url = || self.url.as_ref().map(|url| EventTarget::Url(url.reveal().to_owned()));
        self.command.clone().map(EventTarget::Command).or_else(url)
    }

    /// The hook of this number, as it works; `host` is what reports call this host.
    pub(in crate::config) fn settings(&self, index: usize, host: &str) -> Option<EventHookSettings> {
        Some(EventHookSettings {
            name: format!("event_hook[{index}]"),
            host: host.to_owned(),
            target: self.target()?,
            kinds: self.events.clone(),
            routes: self.routes.clone(),
            batch: self.batch,
            gather: self.gather,
            timeout: self.timeout,
            queue: self.queue,
        })
    }
}

/// A hook that reports nowhere, twice, or of a route that does not exist.
pub(in crate::config) fn faults(hooks: &[EventHookSection], routes: &[String]) -> Vec<Fault> {
    let faults_of = |(index, hook): (usize, &EventHookSection)| {
        let place = format!("event_hook[{index}]");
        let mut faults = Vec::new();
        match (&hook.command, &hook.url) {
            (None, None) => {
                let reason = format!("{place} reports nowhere; set {place}.command or {place}.url");
                faults.push(Fault::new(place.clone(), reason));
            }
            (Some(_), Some(_)) => {
                let reason = format!("{place} has a command and a URL; make two [[event_hook]] of it");
                faults.push(Fault::new(format!("{place}.url"), reason));
            }
            (None, Some(_)) if !cfg!(feature = "webhook") => {
                let reason = "this leafmail was built without the feature webhook; use event_hook.command with curl \
                              instead";
                faults.push(Fault::new(format!("{place}.url"), reason));
            }
            _ => {}
        }
        let unknown = hook.routes.iter().enumerate().filter(|(_, name)| !routes.contains(name));
        faults.extend(unknown.map(|(number, name)| {
            let (name, known) = (name.escape_debug(), routes.join(", "));
            let reason = format!("there is no route \"{name}\" to report of; there is {known}");
            Fault::new(format!("{place}.routes[{number}]"), reason)
        }));
        faults
    };
    hooks.iter().enumerate().flat_map(faults_of).collect()
}

impl FromText for EventKind {
    const EXPECTED: &'static str = "accepted, delivered, deferred, bounced, expired, held or failed";

    fn from_text(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.word() == text).ok_or_else(|| unexpected(Self::EXPECTED, text))
    }
}
