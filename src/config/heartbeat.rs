//! `[heartbeat]`: a message at an interval that shows that mail works.

use std::time::Duration;

use serde::Deserialize;

use super::values;
use crate::address::Mailbox;

/// `[heartbeat]`: a message at an interval.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HeartbeatSection {
    /// Who gets it; ASCII only. `None`: there is none.
    #[serde(deserialize_with = "values::optional_ascii_mailbox")]
    pub to: Option<Mailbox>,
    /// Its sender; ASCII only. `None`: the null reverse-path, as notices have.
    #[serde(deserialize_with = "values::optional_ascii_mailbox")]
    pub from: Option<Mailbox>,
    /// From one to the next: 1 m to 30 d.
    #[serde(deserialize_with = "values::duration::<60, 2_592_000, _>")]
    pub interval: Duration,
}

impl Default for HeartbeatSection {
    fn default() -> Self {
        Self { to: None, from: None, interval: Duration::from_secs(60 * 60) }
    }
}
