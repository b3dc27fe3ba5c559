//! Probing a next hop: all that a delivery does up to RCPT, told step by step; never DATA.
//!
//! It goes the way of real deliveries (`wire/`, `login.rs`), so that what it finds is what they will find. It changes
//! nothing: no message is sent, no state of a route is read or written.

mod certificate;
mod dialogue;
mod folder;
mod hop;

use std::path::Path;
use std::time::Duration;

use super::classify::{Meaning, Place, meaning};
use super::{NextHop, RouteSettings};
use crate::address::{Mailbox, is_unprintable};
use crate::receipt::Reason;

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
    pub verdict: Verdict,
    /// What was found, on one line.
    pub found: String,
    /// What to do about it; `None` where nothing is to be done.
    pub remedy: Option<String>,
}

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As it should.
    Ok,
    /// Mail goes, but something will bite.
    Warning,
    /// Mail does not go.
    Fault,
}

impl Verdict {
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
        Self { what, verdict: Verdict::Ok, found: printable(found), remedy: None }
    }

    /// A step that found something that will bite.
    pub fn warning(what: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what, verdict: Verdict::Warning, found: printable(found), remedy: Some(remedy.into()) }
    }

    /// A step that failed.
    pub fn fault(what: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what, verdict: Verdict::Fault, found: printable(found), remedy: Some(remedy.into()) }
    }

    /// A step that failed for this reason.
    fn failed(what: &'static str, reason: &Reason, place: &Place) -> Self {
        let explained = |meaning: Meaning| format!("{} {}", meaning.what, meaning.remedy(place));
        Self::fault(what, reason.text.as_str(), meaning(reason).map(explained).unwrap_or_default())
    }
}

/// What a peer or a certificate says may hold anything.
fn printable(text: impl Into<String>) -> String {
    text.into().replace(is_unprintable, "?")
}

/// Looks at a certificate of our own, at `now` in seconds since the epoch.
pub fn own_certificate(path: &Path, now: u64) -> Step {
    certificate::of_file(path, now)
}

/// Nobody waits longer than this for a connection, or for a reply, to learn that there is none.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(30));

/// Probes a next hop whose settings stand at `place`; each step is told when it is done. Blocks; must not be called from
/// inside a runtime.
pub fn probe(settings: &RouteSettings, place: &Place, inquiry: &Inquiry, tell: &mut dyn FnMut(Step)) {
    let mut settings = settings.clone();
    settings.timeouts.connect = settings.timeouts.connect.min(PATIENCE.0);
    settings.timeouts.command = settings.timeouts.command.min(PATIENCE.1);
    if let NextHop::Maildir(path) = &settings.next_hop {
        return tell(folder::step(path, place));
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build() {
        Ok(runtime) => runtime,
        Err(error) => return tell(Step::fault("runtime", error.to_string(), "Look at this host's limits.")),
    };
    runtime.block_on(hop::probe(&settings, place, inquiry, tell));
    // A name look-up may hang in the C library; nobody needs its answer any more.
    runtime.shutdown_background();
}
