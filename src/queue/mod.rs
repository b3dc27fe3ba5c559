//! The queue: what becomes of accepted messages.
//!
//! *Scan, claim, plan, deliver, record.* [`ledger`] says where each recipient stands, [`schedule`] what is due, [`route`]
//! whether the next hop can be used and [`bounce`] what the sender is told; those four are pure. [`Runner`] does what they
//! decide, through the traits of the spool and the transport: it knows neither where messages lie nor who takes them.

pub mod bounce;
pub mod ledger;
mod mime;
pub mod schedule;
#[cfg(test)]
mod testing;

pub use schedule::{Plan, Schedule, Situation, Urgency};
