//! Pace: how many messages a route's next hop takes in a certain time.

use std::time::Duration;

/// At most so many messages in any stretch of time of this length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Messages, at least 1.
    pub messages: u32,
    /// The length, more than nothing.
    pub per: Duration,
}
