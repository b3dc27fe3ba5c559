//! Whether all is in order, before mail finds out: the spool, and the receiver as clients see it. The next hops are
//! `transport::probe`'s.
//!
//! Nothing is changed, and no mail is sent. Each step says what it found and what to do about it.

mod receiver;
mod spool;
mod writing;

pub use receiver::{Door, ReceiverPlan, probe_receiver};
pub use spool::{SpoolPlan, probe_spool};

use serde_json::json;

use crate::transport::Step;

/// A step for people: one line, and one for the remedy.
pub fn step_text(step: &Step) -> String {
    let remedy = step.remedy.as_ref().map(|remedy| format!("{:10}What to do: {remedy}\n", "")).unwrap_or_default();
    format!("{:9} {}: {}\n{remedy}", step.verdict.word(), step.what, step.found)
}

/// A step for programs: an object on one line.
pub fn step_json(subject: &str, step: &Step) -> String {
    let object = json!({
        "subject": subject,
        "step": step.what,
        "verdict": step.verdict.word(),
        "found": step.found,
        "remedy": step.remedy,
    });
    format!("{object}\n")
}
