//! What is remembered of messages whose routes have been paused for long.

use crate::id::SpoolId;

/// Which messages were looked at, and in which situation of the routes: those that have been paused for long, and those that are open.
#[derive(Debug, Default)]
pub(super) struct Delays {
    pub(super) situation: (Vec<usize>, Vec<bool>),
    /// In order.
    pub(super) seen: Vec<SpoolId>,
}
