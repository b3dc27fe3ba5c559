//! One step of a probe, with what was found.
//!
//! Invariant: what a step shows has no octet that a terminal would obey.

use crate::address::is_unprintable;

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
}

/// What a peer or a certificate says may hold anything.
fn printable(text: impl Into<String>) -> String {
    text.into().replace(is_unprintable, "?")
}
