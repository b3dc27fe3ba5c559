//! What is to be tried at a next hop, and one step of it with what was found.
//!
//! Invariant: what a step shows has no octet that a terminal would obey.

use crate::address::{Mailbox, is_unprintable};
use crate::receipt::Reason;
use crate::transport::classify::{Meaning, Place, meaning};

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

/// One step, and what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Which step, in one or two words.
    pub what: &'static str,
    /// How it went.
    pub verdict: ProbeVerdict,
    /// What was found, on one line.
    pub found: String,
    /// What to do about it; `None` where nothing is to be done.
    pub remedy: Option<String>,
}

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProbeVerdict {
    /// As it should.
    Ok,
    /// Mail goes, but something will bite.
    Warning,
    /// Mail does not go.
    Fault,
}

impl ProbeVerdict {
    /// As reports show it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Fault => "fault",
        }
    }
}

impl Step {
    /// A step that went as it should.
    pub fn ok(what: &'static str, found: impl Into<String>) -> Self {
        Self { what, verdict: ProbeVerdict::Ok, found: printable(found), remedy: None }
    }

    /// A step that found something that will bite.
    pub fn warning(what: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what, verdict: ProbeVerdict::Warning, found: printable(found), remedy: Some(remedy.into()) }
    }

    /// A step that failed.
    pub fn fault(what: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what, verdict: ProbeVerdict::Fault, found: printable(found), remedy: Some(remedy.into()) }
    }

    /// A step that failed for this reason.
    pub(super) fn failed(what: &'static str, reason: &Reason, place: &Place) -> Self {
        let explained = |meaning: Meaning| format!("{} {}", meaning.what, meaning.remedy(place));
        Self::fault(what, reason.text.as_str(), meaning(reason).map(explained).unwrap_or_default())
    }
}

/// What a peer or a certificate says may hold anything.
fn printable(text: impl Into<String>) -> String {
    text.into().replace(is_unprintable, "?")
}
