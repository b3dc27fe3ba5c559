//! One line of the history: the outcome for one recipient, as JSON. Pure.
//!
//! A line is bounded, whatever peers sent: long texts are cut. This version ignores names of later ones.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::envelope::{Envelope, Seal};
use crate::event::Event;
use crate::id::SpoolId;
use crate::receipt::{Outcome, Reason};
use crate::smtp::EnhancedCode;

/// Characters kept of a reply, and of a Message-ID (RFC 5322 2.1.1: no line is longer).
const MOST_TEXT: usize = 998;

/// What became of one recipient, or of the message as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// When, in milliseconds since the epoch.
    pub time: u64,
    /// The message.
    pub id: String,
    /// What happened.
    pub what: Departure,
    /// The envelope sender, empty for the null reverse-path; `None` where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// Whom it concerns; `None`: the whole message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// The address that was written, where an alias meant another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<String>,
    /// Its Message-ID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// The enhanced status code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The code of the next hop's reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_code: Option<u16>,
    /// Why, or the id of the message that it became.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// The route.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub route: String,
    /// The next hop.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub relay: String,
    /// Seconds from the acceptance to the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<u64>,
}

/// How somebody left the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Departure {
    /// The next hop took responsibility.
    Delivered,
    /// Refused permanently.
    Failed,
    /// Given up after a long time.
    Expired,
    /// Removed by a person.
    Removed,
    /// Moved into another spool by a person; the text says where.
    Exported,
    /// An alias means several: they got a message of their own, whose id is the text.
    Expanded,
    /// The sender was notified of a failure, by the message whose id is the text.
    SenderTold,
    /// The sender was not notified of a failure; the text says why.
    SenderNotTold,
    /// Written by a later version.
    #[serde(other)]
    Other,
}

impl Departure {
    /// For people.
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Removed => "removed",
            Self::Exported => "exported",
            Self::Expanded => "expanded",
            Self::SenderTold => "sender notified",
            Self::SenderNotTold => "sender not notified",
            Self::Other => "noted by a later version",
        }
    }
}

/// Of which message an entry made by hand is.
#[derive(Debug, Clone, Copy)]
pub struct Whose<'a> {
    /// Its id.
    pub id: SpoolId,
    /// Its envelope.
    pub envelope: &'a Envelope,
    /// What was known at its end.
    pub seal: &'a Seal,
}

impl HistoryEntry {
    /// The line for an event; `None` for what is no departure.
    pub fn of(event: &Event, now: Timestamp) -> Option<Self> {
        let bare = |id: &SpoolId, what| Self::new(*id, what, now);
        Some(match event {
            Event::Attempted { id, sender, message_id, recipient, written, route, relay, delays, outcome } => {
                let (what, reason) = match outcome {
                    Outcome::Delivered(reason) => (Departure::Delivered, reason),
                    Outcome::Failed(reason) => (Departure::Failed, reason),
                    Outcome::Deferred(_) | Outcome::InDoubt(_) | Outcome::Postponed(_) => return None,
                };
                Self {
                    sender: Some(sender.to_string()),
                    message_id: message_id.as_deref().map(cut),
                    recipient: Some(recipient.to_string()),
                    written: written.as_ref().map(ToString::to_string),
                    route: route.clone(),
                    relay: relay.clone(),
                    delay: Some(delays.total().as_secs()),
                    ..bare(id, what).because(reason)
                }
            }
            Event::Expired { id, recipient, text, .. } => Self {
                recipient: Some(recipient.to_string()),
                // RFC 3463 X.4.7: delivery time expired.
                status: Some(EnhancedCode(4, 4, 7).to_string()),
                text: cut(text),
                ..bare(id, Departure::Expired)
            },
            Event::Expanded { id, into } => Self { text: into.to_string(), ..bare(id, Departure::Expanded) },
            Event::Notified { id, notice } => Self { text: notice.to_string(), ..bare(id, Departure::SenderTold) },
            Event::NotNotified { id, text } => Self { text: cut(text), ..bare(id, Departure::SenderNotTold) },
            _ => return None,
        })
    }

    /// The lines for a message that a person took out of the spool, one for each recipient of `left`, by index. `text` is why
    /// it was removed, or where it was exported to; it may be empty.
    pub fn by_hand(whose: Whose<'_>, left: &[u16], what: Departure, text: &str, now: Timestamp) -> Vec<Self> {
        let Whose { id, envelope, seal } = whose;
        let entry = |recipient: String| Self {
            sender: Some(envelope.reverse_path.to_string()),
            message_id: seal.message_id.as_deref().map(cut),
            recipient: Some(recipient),
            text: cut(text),
            delay: Some(now.since(envelope.received_at).as_secs()),
            ..Self::new(id, what, now)
        };
        let named = left.iter().filter_map(|index| envelope.recipients.get(usize::from(*index)));
        named.map(|recipient| entry(recipient.mailbox.to_string())).collect()
    }

    /// The line for a message that a person removed without anybody having looked at it.
    pub fn removed_unseen(id: SpoolId, now: Timestamp) -> Self {
        Self::new(id, Departure::Removed, now)
    }

    /// Why, as the transport said it.
    pub fn reason(&self) -> Reason {
        let code = self.status.as_deref().and_then(|status| status.parse().ok());
        let class = if self.what == Departure::Delivered { 2 } else { 5 };
        let mut reason = Reason::new(code.unwrap_or(EnhancedCode(class, 0, 0)), self.text.as_str());
        reason.reply_code = self.reply_code;
        reason
    }

    /// Whether it concerns the message, and no recipient more than another.
    pub fn is_of_whole(&self) -> bool {
        self.recipient.is_none()
    }

    /// When.
    pub fn at(&self) -> Timestamp {
        Timestamp::from_millis(self.time)
    }

    fn new(id: SpoolId, what: Departure, now: Timestamp) -> Self {
        Self {
            time: now.as_millis(),
            id: id.to_string(),
            what,
            sender: None,
            recipient: None,
            written: None,
            message_id: None,
            status: None,
            reply_code: None,
            text: String::new(),
            route: String::new(),
            relay: String::new(),
            delay: None,
        }
    }

    fn because(self, reason: &Reason) -> Self {
        let (status, text) = (Some(reason.status.to_string()), cut(&reason.text));
        Self { status, reply_code: reason.reply_code, text, ..self }
    }
}

fn cut(text: &str) -> String {
    text.chars().take(MOST_TEXT).collect()
}
