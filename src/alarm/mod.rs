//! Alarms: reports, by a channel other than mail, that mail does not work; and heartbeats, which show that it works.
//!
//! [`alarms`] is pure: from what is known now and what was sent before, it computes what to send. A [`Monitor`] looks,
//! calls it, and sends. All processes of a spool share the alarms, so runs from cron and restarts repeat none. It
//! works in a thread of its own, or after a pass, and never delays mail.

mod channels;
mod command;
mod decide;
mod heartbeat;
mod monitor;
mod webhook;

pub use channels::Channels;
pub use decide::{Alarm, AlarmState, AlarmStates, AlarmThresholds, Facts, Pulse, Stage, Waiting, alarms};
pub use heartbeat::Heartbeat;
pub use monitor::Monitor;
