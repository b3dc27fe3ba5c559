//! Checks the spool, and the receiver as clients see it, before mail meets a problem. `transport::probe` checks the
//! next hops.
//!
//! Nothing changes, and no mail is sent. Each step reports what it found and what to do about it.

mod receiver;
mod sending;
mod signing;
mod spool;
mod writing;

pub use receiver::{ReceiverAddress, ReceiverPlan, probe_receiver};
pub use sending::{SendingPlan, probe_sending};
pub use signing::probe_dkim;
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
