//! One claimed message: planned, delivered, recorded and planned again, until there is nothing left to do for now.

mod attempt;
mod body;
pub(in crate::queue) mod digest;
mod ending;
mod expansion;
mod notify;
pub(in crate::queue) mod outgoing;
pub(in crate::queue) mod readdressing;
mod record;
pub(in crate::queue) mod task;
