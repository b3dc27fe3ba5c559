//! One message for one worker, and under which circumstances it is worked on.

use crate::id::SpoolId;
use crate::queue::plan::schedule::Urgency;

/// One message for one worker.
#[derive(Debug, Clone, Copy)]
pub(in crate::queue) struct Job {
    pub(in crate::queue) id: SpoolId,
    pub(in crate::queue) route: usize,
    pub(in crate::queue) urgency: Urgency,
    /// Whether the message may be large.
    pub(in crate::queue) large: bool,
    /// Whether it is the probe of a paused route.
    pub(in crate::queue) probe: bool,
}
