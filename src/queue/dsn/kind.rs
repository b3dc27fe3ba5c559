//! The kinds of notices, as RFC 3464 has them.

use crate::id::SpoolId;
use crate::smtp::EnhancedCode;

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeKind {
    /// The message could not be delivered.
    Failed,
    /// The same, for the administrator: a copy of what the sender receives, or instead of it where there is no sender.
    FailureCopy,
    /// The message could not be delivered yet, and is retried.
    Delayed,
    /// It was relayed to a next hop without DSN, and the sender asked for reports of success (RFC 3461 5.2.2).
    Relayed,
    /// It was delivered, and the sender asked for reports of success (RFC 3461 5.2.3).
    Delivered,
    /// An alias was replaced by several recipients, and the sender asked for reports of success (RFC 3461 5.2.7.3).
    Expanded,
}

impl NoticeKind {
    /// RFC 3464 2.3.3.
    pub fn action(self) -> &'static str {
        match self {
            Self::Failed | Self::FailureCopy => "failed",
            Self::Delayed => "delayed",
            Self::Relayed => "relayed",
            Self::Delivered => "delivered",
            Self::Expanded => "expanded",
        }
    }

    /// The status of a recipient; of a delay, RFC 3464 2.3.4 wants a transient one.
    pub(in crate::queue) fn status(self, status: EnhancedCode) -> EnhancedCode {
        let EnhancedCode(_, subject, detail) = status;
        if self == Self::Delayed { EnhancedCode(4, subject, detail) } else { status }
    }

    /// What has to be reported of a success, as a receipt notes it.
    pub(in crate::queue) fn of_success(action: &str) -> Self {
        let known = [Self::Delivered, Self::Expanded].into_iter().find(|kind| kind.action() == action);
        known.unwrap_or(Self::Relayed)
    }

    /// The id of the notice about these recipients of `original`.
    pub(in crate::queue) fn id(self, original: SpoolId, recipients: &[u16]) -> SpoolId {
        let what: &[u8] = match self {
            Self::Failed => b"failure",
            Self::FailureCopy => b"failure-copy",
            Self::Delayed => b"delayed",
            Self::Relayed => b"relayed",
            Self::Delivered => b"delivered",
            Self::Expanded => b"expanded",
        };
        let indices = recipients.iter().flat_map(|index| index.to_be_bytes());
        original.derived(&what.iter().copied().chain(indices).collect::<Vec<_>>())
    }

    pub(super) fn subject(self) -> &'static str {
        match self {
            Self::Failed => "Undelivered mail returned to sender",
            Self::FailureCopy => "Undelivered mail (a copy for the administrator)",
            Self::Delayed => "Delayed mail (it is still being tried)",
            Self::Relayed => "Mail handed on to the next mail system",
            Self::Delivered => "Mail delivered",
            Self::Expanded => "Mail handed on to the members of an alias",
        }
    }
}
