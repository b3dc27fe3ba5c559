//! How often something may happen.

use std::time::Duration;

/// At most this number in any period of this length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many, at least 1.
    pub most: u32,
    /// The period: 1 s or longer.
    pub per: Duration,
}
