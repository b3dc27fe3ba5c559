//! The words of a notice that people read.

use super::kind::NoticeKind;
use super::original::{OriginalMessage, Reported};
use super::returned::Returned;

impl NoticeKind {
    /// The first part of a notice, for people.
    pub(super) fn explanation(
        self,
        original: &OriginalMessage<'_>,
        reported: &[Reported<'_>],
        returned: Returned,
        host: &str,
    ) -> String {
        let mut text = format!("This is the mail relay {host}.\r\n\r\n{}\r\n", self.opening(original));
        for one in reported {
            let by = if one.relay.is_empty() { "this relay" } else { one.relay };
            let (recipient, said) = (&one.recipient.mailbox, &one.reason.text);
            text.push_str(&format!("\r\n<{recipient}>\r\n    {} {by}:\r\n    {said}\r\n", self.happened(one)));
            if one.may_have_arrived && matches!(self, Self::Failed | Self::FailureCopy) {
                text.push_str(
                    "    It may have arrived all the same: at an earlier attempt the message was\r\n    \
                     sent whole, and the answer to it was lost.\r\n",
                );
            }
            if let Some(until) = one.retry_until {
                text.push_str(&format!("    It will be tried until about {}.\r\n", until.rfc5322()));
            }
        }
        let follows = match (self, returned) {
            (Self::FailureCopy, _) => "The header of the message",
            (_, Returned::Whole | Returned::WholeEncoded) => "Your message",
            (_, Returned::Header { whole_wanted: false }) => "The header of your message",
            (_, Returned::Header { whole_wanted: true }) => {
                "A line of your message does not fit into a notice, so that only its header"
            }
        };
        text.push_str(&format!(
            "\r\nRecipients who are not named here are not affected by this notice.\r\n\
             {follows} follows below. When you ask somebody for help,\r\n\
             quote the number {}.\r\n",
            original.id
        ));
        text
    }

    fn opening(self, original: &OriginalMessage<'_>) -> String {
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
            Self::Expanded => format!(
                "Your message of {received} was sent on to the members of an alias.\r\n\
                 Whether each of them receives it is not reported; a failure is. The alias:"
            ),
        }
    }

    fn happened(self, one: &Reported<'_>) -> &'static str {
        match self {
            Self::Relayed => "It was taken by",
            Self::Delivered => "It was put into",
            Self::Expanded => "It was sent on by",
            Self::Delayed if one.is_our_trouble => {
                "It waits in this relay, which cannot hand mail on at present. That is no fault of your\r\n    \
                 message, and while it is so the message is not given up. The last failure, as seen by"
            }
            Self::Delayed => "The last answer of",
            // What was given up keeps a transient status.
            Self::Failed | Self::FailureCopy if one.reason.status.0 == 4 => {
                "It was tried again and again without success, and will not be tried any more. The last answer of"
            }
            Self::Failed | Self::FailureCopy => "It was refused by",
        }
    }
}
