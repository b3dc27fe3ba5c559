//! Receipts: what happened to which recipients of a message, when, and why.
//!
//! An [`Outcome`] is what a transport says about one recipient at one attempt. A [`Receipt`] is the record of it that is
//! appended to the spool file; a message's whole history, and what is due next, are computed from its receipts alone.

mod cause;

pub use cause::Cause;

use crate::clock::Timestamp;
use crate::smtp::{EnhancedCode, Reply, is_unprintable};

/// What became of one recipient at one attempt.
///
/// ```
/// use leafmail::receipt::{Outcome, Reason};
/// use leafmail::smtp::EnhancedCode;
///
/// let outcome = Outcome::Deferred(Reason::new(EnhancedCode(4, 3, 0), "the store is locked"));
/// assert_eq!(outcome.reason().text, "the store is locked");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The next hop took responsibility.
    Delivered(Reason),
    /// Not now; counts as an attempt.
    Deferred(Reason),
    /// Never; the sender is notified.
    Failed(Reason),
    /// The message was handed over, but the answer was lost: it may or may not have arrived. Counts as an attempt.
    InDoubt(Reason),
    /// The next hop takes no more recipients in this transaction or over this connection: to be offered in another one at
    /// once. No attempt.
    Postponed(Reason),
}

impl Outcome {
    /// Why.
    pub fn reason(&self) -> &Reason {
        match self {
            Self::Delivered(reason)
            | Self::Deferred(reason)
            | Self::Failed(reason)
            | Self::InDoubt(reason)
            | Self::Postponed(reason) => reason,
        }
    }
}

/// Why something came out as it did: a status code for machines, words for people.
///
/// ```
/// use leafmail::receipt::Reason;
/// use leafmail::smtp::{EnhancedCode, Reply};
///
/// let reason = Reason::reply(&Reply::new(550, EnhancedCode(5, 1, 1), "no such user"));
/// assert_eq!((reason.reply_code, reason.text.as_str()), (Some(550), "550 5.1.1 no such user"));
/// assert_eq!(reason.deferred().status, EnhancedCode(4, 1, 1));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The enhanced status code (RFC 3463).
    pub status: EnhancedCode,
    /// The code of the next hop's reply, where it gave one.
    pub reply_code: Option<u16>,
    /// In words, on one line without control characters: the reply as it came, or what was being done and what failed.
    pub text: String,
    /// What is behind it, where it is a failure of our own and the transport knows.
    pub cause: Option<Cause>,
}

impl Reason {
    /// A reason of our own.
    pub fn new(status: EnhancedCode, text: impl Into<String>) -> Self {
        let text: String = text.into();
        Self { status, reply_code: None, text: text.replace(is_unprintable, " "), cause: None }
    }

    /// The same with what is behind it.
    #[must_use]
    pub fn because(self, cause: Cause) -> Self {
        Self { cause: Some(cause), ..self }
    }

    /// The same as the reason of a deferral: class 5 would say that trying again is of no use (RFC 3463 2).
    #[must_use]
    pub fn deferred(&self) -> Self {
        let EnhancedCode(_, subject, detail) = self.status;
        Self { status: EnhancedCode(4, subject, detail), ..self.clone() }
    }

    /// The next hop's reply as the reason.
    pub fn reply(reply: &Reply) -> Self {
        let status = reply.enhanced().unwrap_or(EnhancedCode::of_class(reply.code()));
        Self { status, reply_code: Some(reply.code()), text: reply.to_string(), cause: None }
    }
}

/// One entry of a message's history.
///
/// ```
/// use leafmail::clock::Timestamp;
/// use leafmail::receipt::{Reason, Receipt, ReceiptKind};
/// use leafmail::smtp::EnhancedCode;
///
/// let reason = Reason::new(EnhancedCode(4, 3, 0), "the store is locked");
/// let at = Timestamp::from_millis(1_795_000_000_000);
/// let receipt = Receipt::new(at, ReceiptKind::Deferred, vec![0], reason);
/// assert!(receipt.route.is_empty() && receipt.recipients == [0]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// When it happened, by the wall clock.
    pub at: Timestamp,
    /// What happened.
    pub what: ReceiptKind,
    /// To which recipients, by their index in the envelope.
    pub recipients: Vec<u16>,
    /// Why.
    pub reason: Reason,
    /// The route that was used, by name; empty where none was.
    pub route: String,
    /// The next hop as `host[address]:port`; empty where there was none.
    pub relay: String,
    /// Whatever else is known, by name; for capabilities to come.
    pub annotations: Vec<(String, String)>,
}

impl Receipt {
    /// A receipt of something that no next hop had a part in.
    pub fn new(at: Timestamp, what: ReceiptKind, recipients: Vec<u16>, reason: Reason) -> Self {
        Self { at, what, recipients, reason, route: String::new(), relay: String::new(), annotations: Vec::new() }
    }
}

/// What a receipt can record.
///
/// ```
/// use leafmail::receipt::{Receipt, ReceiptKind};
///
/// fn settles(receipt: &Receipt) -> bool {
///     matches!(receipt.what, ReceiptKind::Delivered | ReceiptKind::Bounced)
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiptKind {
    /// The next hop took responsibility: settled.
    Delivered,
    /// An attempt that failed for now.
    Deferred,
    /// An attempt that failed permanently: settled once the sender is notified.
    Failed,
    /// Everything but the end mark was handed out. Where no later receipt speaks of the recipient, a copy may have arrived.
    InDoubt,
    /// The sender was notified of the delay.
    DelayNotified,
    /// The notification of failure is in the spool: settled.
    Bounced,
    /// Held by a person.
    Held,
    /// Released by a person.
    Released,
    /// Put back by a person as if it had just come; attempts before this do not count.
    Requeued,
}
