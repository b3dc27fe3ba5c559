//! One claimed message: planned, delivered, recorded and planned again, until there is nothing left to do for now.

mod attempt;
mod body;
mod destination;
mod digest;
mod ending;
mod expansion;
pub(in crate::queue) mod follow;
pub(in crate::queue) mod job;
pub(in crate::queue) mod look;
pub(in crate::queue) mod notify;
pub(in crate::queue) mod outgoing;
mod prepare;
mod readdressing;
mod record;
pub(in crate::queue) mod task;
