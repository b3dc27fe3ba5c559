//! `[alarm]`: when an alarm is sent, and by which channels other than mail.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::Deserialize;

use super::error::{Fault, unexpected};
use super::values::{self, FromText};

/// `[alarm]`: after how long, and over which channels.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlarmSection {
    /// A command for the shell, which gets the text on its standard input and in `LEAFMAIL_ALARM`.
    #[serde(deserialize_with = "values::optional")]
    pub command: Option<String>,
    /// A URL that gets the text as JSON by POST.
    #[serde(deserialize_with = "values::optional")]
    pub webhook: Option<Webhook>,
    /// Whether alarms go to syslog, with the severity `alert`.
    pub syslog: bool,
    /// How long a route may be paused: 1 s to 30 d.
    #[serde(deserialize_with = "values::duration::<1, 2_592_000, _>")]
    pub route_paused: Duration,
    /// How old the oldest message in the queue may be: 1 s to 60 d.
    #[serde(deserialize_with = "values::duration::<1, 5_184_000, _>")]
    pub oldest: Duration,
    /// From how many messages in `failed/` on: 0, which is never, to 100,000.
    #[serde(deserialize_with = "values::whole::<0, 100_000, _, _>")]
    pub failed: usize,
    /// How long a program that is asked about mail may give no answer: 1 s to 7 d.
    #[serde(deserialize_with = "values::duration::<1, 604_800, _>")]
    pub helper_down: Duration,
    /// After how long an alarm that goes on is repeated: 1 m to 30 d.
    #[serde(deserialize_with = "values::duration::<60, 2_592_000, _>")]
    pub repeat: Duration,
}

impl Default for AlarmSection {
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        Self {
            command: None,
            webhook: None,
            syslog: false,
            route_paused: minutes(15),
            oldest: minutes(4 * 60),
            failed: 1,
            helper_down: minutes(5),
            repeat: minutes(24 * 60),
        }
    }
}

/// A URL for alarms. It may hold a token, and so is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook(String);

impl Webhook {
    /// The URL itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether nobody on the way can read what is posted: by TLS, or because it does not leave this host.
    pub(super) fn is_private(&self) -> bool {
        let Some(rest) = self.0.strip_prefix("http://") else { return true };
        let place = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
        let host = place.rsplit('@').next().unwrap_or_default();
        let host = match host.strip_prefix('[') {
            Some(v6) => v6.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        };
        host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Webhook(***)")
    }
}

impl FromText for Webhook {
    const EXPECTED: &'static str = "a URL such as https://alerts.example.com/hook";

    fn from_text(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let host = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or(""));
        let is_url = host.is_some_and(|host| !host.is_empty()) && text.bytes().all(|octet| octet.is_ascii_graphic());
        // What was found may be nearly right, and hold a token.
        if is_url { Ok(Self(text.to_owned())) } else { Err(unexpected(Self::EXPECTED, "***")) }
    }
}

/// A channel that this program was built without.
pub(super) fn faults(alarm: &AlarmSection) -> Vec<Fault> {
    let missing = alarm.webhook.is_some() && !cfg!(feature = "webhook");
    let reason = "this leafmail was built without the feature webhook; use alarm.command with curl instead";
    missing.then(|| Fault::new("alarm.webhook", reason)).into_iter().collect()
}
