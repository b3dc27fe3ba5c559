//! Why a list does not take a message, and how a client or a sender learns of it.

use crate::smtp::{EnhancedCode, Reply};

/// Why a list does not take a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListRefusal {
    /// It is from `<>`: a notification.
    Notification,
    /// Its sender may not write to the list.
    MayNotPost,
    /// It has more octets than this.
    TooLarge(u64),
    /// A program wrote it (RFC 3834).
    Automatic,
    /// It came from the list.
    Loop,
}

/// Nobody can say now who the members of a list are: its mail waits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is not known now who the members of the mailing list are: {reason}")]
pub struct MembersUnknown {
    reason: String,
}

impl MembersUnknown {
    /// For a reason that is safe to show.
    pub(super) fn new(reason: &str) -> Self {
        Self { reason: reason.to_owned() }
    }

    /// The reply to a client, who is not told of what is behind this relay.
    pub fn reply() -> Reply {
        let text = "this relay could not find out who the members of the mailing list are; try again later";
        Reply::new(451, Self::STATUS, text)
    }

    /// The status (RFC 3463): other or undefined mail system status.
    pub const STATUS: EnhancedCode = EnhancedCode(4, 3, 0);
}

impl ListRefusal {
    /// The reply to a client.
    pub fn reply(self) -> Reply {
        let code = if matches!(self, Self::TooLarge(_)) { 552 } else { 550 };
        Reply::new(code, self.status(), self.text())
    }

    /// The status (RFC 3463).
    pub fn status(self) -> EnhancedCode {
        match self {
            // Mailing list expansion prohibited.
            Self::MayNotPost => EnhancedCode(5, 7, 2),
            // Message length exceeds administrative limit.
            Self::TooLarge(_) => EnhancedCode(5, 2, 3),
            Self::Notification | Self::Automatic => EnhancedCode(5, 7, 1),
            // Routing loop detected.
            Self::Loop => EnhancedCode(5, 4, 6),
        }
    }

    /// In words.
    pub fn text(self) -> String {
        match self {
            Self::Notification => "this mailing list takes no notifications; they go to its address for bounces".into(),
            Self::MayNotPost => "this address may not write to the mailing list; the setting post of the [[list]] in the relay allows it".into(),
            Self::TooLarge(limit) => format!("the mailing list takes messages of at most {limit} octets"),
            Self::Automatic => "the mailing list takes no messages that programs wrote (Auto-Submitted)".into(),
            Self::Loop => "the message has passed this mailing list already (List-Id)".into(),
        }
    }
}
