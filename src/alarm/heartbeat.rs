//! Heartbeats: small messages that go the whole way. While one waits, no other is sent, so an outage does not end
//! with a flood.
//!
//! All processes of a spool share the time of the last one. A failed heartbeat is not reported by mail: it goes to
//! `failed/`, where the next look finds and removes it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::decide::Pulse;
use crate::address::{Domain, Mailbox, ReversePath};
use crate::annotation;
use crate::clock::Timestamp;
use crate::envelope::{Envelope, Origin, Protocol, Recipients, Seal};
use crate::id::SpoolId;
use crate::queue::dsn::notice;
use crate::spool::Folder;

/// A heartbeat's addresses and times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// Who gets it.
    pub to: Mailbox,
    /// Its sender; `None`: the null reverse-path.
    pub from: Option<Mailbox>,
    /// From one to the next.
    pub interval: Duration,
    /// This host.
    pub hostname: Domain,
}

/// The last heartbeat, as all processes know it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Last {
    /// When it was sent, in milliseconds since the epoch; `None`: never yet.
    sent: Option<u64>,
    /// Its id.
    id: String,
    /// Whether the one before could not be delivered.
    after_failure: bool,
}

impl Last {
    pub(super) fn id(&self) -> Option<SpoolId> {
        self.id.parse().ok()
    }

    /// What follows once another is sent.
    pub(super) fn followed_by(&self, id: SpoolId, now: Timestamp, lies: Option<Folder>) -> Self {
        let after_failure = match lies {
            Some(Folder::Failed | Folder::Bad) => true,
            Some(_) => self.after_failure,
            None => false,
        };
        Self { sent: Some(now.as_millis()), id: id.to_string(), after_failure }
    }

    /// What became of it, if it is there; `None` means that it is gone.
    pub(super) fn pulse(&self, lies: Option<Folder>, interval: Duration, now: Timestamp) -> Pulse {
        let (Some(id), Some(sent)) = (self.id(), self.sent) else { return Pulse::Steady };
        match lies {
            None => Pulse::Steady,
            Some(Folder::Failed | Folder::Bad) => Pulse::Failed(id),
            Some(_) if now.since(Timestamp::from_millis(sent)) >= interval => Pulse::Late(id),
            // That it may yet arrive proves nothing.
            Some(_) if self.after_failure => Pulse::Failed(id),
            Some(_) => Pulse::Steady,
        }
    }

    /// Whether it is time for the next.
    pub(super) fn is_over(&self, lies: Option<Folder>, interval: Duration, now: Timestamp) -> bool {
        let waits = matches!(lies, Some(Folder::Queue | Folder::Hold));
        // One from the future was sent before the clock went back.
        let passed = |sent: u64| sent > now.as_millis() || now.since(Timestamp::from_millis(sent)) >= interval;
        !waits && self.sent.is_none_or(passed)
    }
}

impl Heartbeat {
    pub(super) fn envelope(&self, now: Timestamp) -> Envelope {
        Envelope {
            annotations: vec![notice::ours(annotation::HEARTBEAT)],
            ..Envelope::new(
                self.from.clone().map_or(ReversePath::Null, ReversePath::Mailbox),
                Recipients::one(self.to.clone().into()),
                Origin::local(Protocol::SMTP),
                now,
            )
        }
    }

    /// The message, and what is known at its end.
    pub(super) fn message(&self, id: SpoolId, now: Timestamp) -> (String, Seal) {
        let host = if self.hostname.is_ascii() { self.hostname.as_str() } else { "localhost" };
        let from = self.from.as_ref().map_or_else(|| format!("MAILER-DAEMON@{host}"), ToString::to_string);
        let (to, date, message_id) = (&self.to, now.rfc5322(), format!("<heartbeat.{id}@{host}>"));
        // RFC 3834 5: so that nothing answers it.
        let text = format!(
            "Date: {date}\r\nFrom: {from}\r\nTo: {to}\r\nSubject: leafmail heartbeat from {host}\r\n\
             Message-ID: {message_id}\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n\
             Content-Type: text/plain; charset=us-ascii\r\n\r\n\
             {host} sent this through its queue at {now}.\r\nThe next follows after {} minutes.\r\n",
            self.interval.as_secs().div_ceil(60)
        );
        let message_id = Some(message_id);
        (text, Seal { completed_at: now, eight_bit: false, hops: 0, message_id, annotations: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn one_follows_another_at_the_interval_but_never_while_one_waits() {
        let id = SpoolId::new(at(0), 0, 0);
        assert!(Last::default().is_over(None, HOUR, at(0)));
        let last = Last::default().followed_by(id, at(10_000), None);
        for (lies, seconds, over, pulse) in [
            (None, 13_599, false, Pulse::Steady),
            (None, 13_600, true, Pulse::Steady),
            (Some(Folder::Queue), 13_599, false, Pulse::Steady),
            (Some(Folder::Queue), 13_600, false, Pulse::Late(id)),
            (Some(Folder::Hold), 99_999, false, Pulse::Late(id)),
            (Some(Folder::Failed), 10_001, false, Pulse::Failed(id)),
            (Some(Folder::Failed), 13_600, true, Pulse::Failed(id)),
            (None, 9_000, true, Pulse::Steady),
        ] {
            assert_eq!(last.is_over(lies, HOUR, at(seconds)), over, "{lies:?} at {seconds}");
            assert_eq!(last.pulse(lies, HOUR, at(seconds)), pulse, "{lies:?} at {seconds}");
        }
    }

    #[test]
    fn after_a_failure_only_one_that_left_proves_that_mail_works() {
        let id = |n| SpoolId::new(at(0), n, 0);
        let failed = Last::default().followed_by(id(1), at(0), None);
        let next = failed.followed_by(id(2), at(3_600), Some(Folder::Failed));
        assert_eq!(next.pulse(Some(Folder::Queue), HOUR, at(3_601)), Pulse::Failed(id(2)));
        assert_eq!(next.pulse(None, HOUR, at(3_602)), Pulse::Steady);
        let third = next.followed_by(id(3), at(7_200), None);
        assert_eq!(third.pulse(Some(Folder::Queue), HOUR, at(7_201)), Pulse::Steady);
    }

    #[test]
    fn it_names_itself_and_asks_for_no_answer() {
        let to: Mailbox = "me@example.com".parse().unwrap();
        let heartbeat = Heartbeat { to, from: None, interval: HOUR, hostname: "relay.example".parse().unwrap() };
        let (text, seal) = heartbeat.message(SpoolId::new(at(0), 0, 0), at(0));
        assert!(text.contains("\r\nAuto-Submitted: auto-generated\r\n"), "{text}");
        assert!(seal.message_id.unwrap().starts_with("<heartbeat.0000000000"));
        assert!(text.lines().all(|line| line.len() < 78) && !text.replace("\r\n", "").contains(['\r', '\n']), "{text}");
        assert!(notice::is_ours(&heartbeat.envelope(at(0))));
    }
}
