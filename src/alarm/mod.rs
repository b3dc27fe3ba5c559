//! Alarms: that mail is broken, told by another road than mail; and heartbeats, which show that it works.
//!
//! [`alarms`] is pure: from what is known now and what was told before to what is to be told. A [`Sentry`] looks, asks it, and
//! tells. Which alarms go on is shared by all processes of a spool, so that runs from cron and restarts repeat none. It works
//! in a thread of its own, or after a pass: it never holds up mail.

mod command;
mod decide;
mod heartbeat;
mod roads;
mod sentry;
#[cfg(feature = "webhook")]
mod webhook;

pub use decide::{Alarm, Facts, Limits, Pulse, Stage, Standing, Standings, Waiting, alarms};
pub use heartbeat::Heartbeat;
pub use roads::Roads;
pub use sentry::Sentry;
