//! What is to be tried at a next hop, and a step that failed for a reason.

use crate::address::Mailbox;
use crate::receipt::Reason;
use crate::transport::classify::{Meaning, Place, meaning};
use crate::transport::step::Step;

/// What is to be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inquiry {
    /// Each is named in a MAIL of its own.
    pub senders: Vec<Mailbox>,
    /// Each is named in a RCPT after each MAIL; empty: each sender itself.
    pub recipients: Vec<Mailbox>,
    /// Octets of the largest message that this relay accepts.
    pub largest: u64,
    /// Seconds since the epoch, for certificates.
    pub now: u64,
}

/// A step that failed for this reason.
pub(super) fn failed(what: &'static str, reason: &Reason, place: &Place) -> Step {
    let explained = |meaning: Meaning| format!("{} {}", meaning.what, meaning.remedy(place));
    Step::fault(what, reason.text.as_str(), meaning(reason).map(explained).unwrap_or_default())
}
