//! The channels of an alarm: all that are configured, one after the other. The alarm is sent if one of them accepted
//! it.

use std::time::Duration;

use super::command;
use super::decide::{Alarm, Stage};
use super::webhook;
use crate::clock::Timestamp;
use crate::syslog::{Sender, Severity, SystemLog};

/// How long one channel may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The channels of a site.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Channels {
    /// A command for the shell.
    pub command: Option<String>,
    /// A URL for a POST; it may hold a token.
    pub webhook: Option<String>,
    /// The system's log.
    pub syslog: Option<SystemLog>,
}

impl Channels {
    /// Whether there is one.
    pub fn is_any(&self) -> bool {
        self.command.is_some() || self.webhook.is_some() || self.syslog.is_some()
    }

    /// Reports an alarm. Returns whether a channel accepted it, and what failed. Without a channel, the line in the log counts.
    pub(super) fn tell(&self, alarm: &Alarm, host: &str, now: Timestamp) -> (bool, Vec<String>) {
        let command = self.command.as_ref().map(|line| command::run(line, alarm, host, PATIENCE));
        let webhook = self.webhook.as_ref().map(|url| webhook::post(url, alarm, host, PATIENCE));
        let syslog = self.syslog.as_ref().map(|log| write(log, alarm, now));
        let results: Vec<_> = [command, webhook, syslog].into_iter().flatten().collect();
        let told = results.is_empty() || results.iter().any(Result::is_ok);
        (told, results.into_iter().filter_map(Result::err).collect())
    }
}

fn write(log: &SystemLog, alarm: &Alarm, now: Timestamp) -> Result<(), String> {
    let severity = if alarm.stage == Stage::Over { Severity::Notice } else { Severity::Alert };
    let datagram = log.datagram(severity, now, "alarm", std::process::id(), &alarm.text);
    Sender::new(log.clone()).send(&datagram).map_err(|error| format!("telling syslog of an alarm: {error}"))
}
