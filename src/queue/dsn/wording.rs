//! What a notice can be about, and its words. Pure.

use super::notice::{Original, Reported};
use crate::id::SpoolId;
use crate::smtp::EnhancedCode;

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// The message did not reach somebody.
    Failed,
    /// The same, for the administrator: a copy of what the sender is told, or instead of it where there is no sender.
    FailureCopy,
    /// The message did not reach somebody yet, and is still tried.
    Delayed,
    /// It was handed to a next hop that does no DSN, and the sender wanted to know (RFC 3461 5.2.2).
    Relayed,
    /// It is where it was to go, and the sender wanted to know (RFC 3461 5.2.3).
    Delivered,
}

impl Report {
    /// RFC 3464 2.3.3.
    pub fn action(self) -> &'static str {
        match self {
            Self::Failed | Self::FailureCopy => "failed",
            Self::Delayed => "delayed",
            Self::Relayed => "relayed",
            Self::Delivered => "delivered",
        }
    }

    /// The status of a recipient; of a delay, RFC 3464 2.3.4 wants a transient one.
    pub(in crate::queue) fn status(self, status: EnhancedCode) -> EnhancedCode {
        let EnhancedCode(_, subject, detail) = status;
        if self == Self::Delayed { EnhancedCode(4, subject, detail) } else { status }
    }

    /// What is to be reported of a success, as a receipt notes it.
    pub(in crate::queue) fn of_success(action: &str) -> Self {
        if action == Self::Delivered.action() { Self::Delivered } else { Self::Relayed }
    }

    /// The id under which this is told of these recipients of `original`.
    pub(in crate::queue) fn id(self, original: SpoolId, recipients: &[u16]) -> SpoolId {
        let what: &[u8] = match self {
            Self::Failed => b"failure",
            Self::FailureCopy => b"failure-copy",
            Self::Delayed => b"delayed",
            Self::Relayed => b"relayed",
            Self::Delivered => b"delivered",
        };
        let indices = recipients.iter().flat_map(|index| index.to_be_bytes());
        original.derived(&what.iter().copied().chain(indices).collect::<Vec<_>>())
    }

    pub(in crate::queue) fn subject(self) -> &'static str {
        match self {
            Self::Failed => "Undelivered mail returned to sender",
            Self::FailureCopy => "Undelivered mail (a copy for the administrator)",
            Self::Delayed => "Delayed mail (it is still being tried)",
            Self::Relayed => "Mail handed on to the next mail system",
            Self::Delivered => "Mail delivered",
        }
    }

    /// The first part of a notice, for people.
    pub(in crate::queue) fn explanation(
        self,
        original: &Original<'_>,
        reported: &[Reported<'_>],
        host: &str,
    ) -> String {
        let mut text = format!("This is the mail relay {host}.\r\n\r\n{}\r\n", self.opening(original));
        for one in reported {
            let by = if one.relay.is_empty() { "this relay" } else { one.relay };
            let (recipient, said) = (&one.recipient.mailbox, &one.reason.text);
            text.push_str(&format!("\r\n<{recipient}>\r\n    {} {by}:\r\n    {said}\r\n", self.happened(one)));
            if let Some(until) = one.retry_until {
                text.push_str(&format!("    It will be tried until about {}.\r\n", until.rfc5322()));
            }
        }
        let follows = match (self, original.whole) {
            (Self::FailureCopy, _) => "The header of the message",
            (_, true) => "Your message",
            (_, false) => "The header of your message",
        };
        text.push_str(&format!(
            "\r\nRecipients who are not named here are not affected by this notice.\r\n\
             {follows} follows below. When you ask somebody for help,\r\n\
             quote the number {}.\r\n",
            original.id
        ));
        text
    }

    fn opening(self, original: &Original<'_>) -> String {
        let received = original.envelope.received_at.rfc5322();
        match self {
            Self::Failed => format!(
                "Your message of {received} could not be delivered to everybody.\r\n\
                 It was not delivered to:"
            ),
            Self::FailureCopy => {
                let told = match original.envelope.reverse_path.mailbox() {
                    Some(sender) => format!("from\r\n<{sender}>, who is told so,"),
                    None => "without a sender,\r\nwhich is kept in the folder failed/,".to_owned(),
                };
                format!(
                    "A message of {received} {told}\r\n\
                     could not be delivered to everybody. It was not delivered to:"
                )
            }
            Self::Delayed => format!(
                "Your message of {received} could not be delivered to everybody yet.\r\n\
                 It is still being tried: you need not do anything, nor send it again.\r\n\
                 Those who do not have it yet:"
            ),
            Self::Relayed => format!(
                "Your message of {received} was handed on to a mail system that\r\n\
                 may not report its delivery, for:"
            ),
            Self::Delivered => format!("Your message of {received} was delivered to:"),
        }
    }

    fn happened(self, one: &Reported<'_>) -> &'static str {
        match self {
            Self::Relayed => "It was taken by",
            Self::Delivered => "It was put into",
            Self::Delayed => "The last answer of",
            // What was given up keeps a transient status.
            Self::Failed | Self::FailureCopy if one.reason.status.0 == 4 => {
                "It was tried again and again without success, and will not be tried any more. The last answer of"
            }
            Self::Failed | Self::FailureCopy => "It was refused by",
        }
    }
}
