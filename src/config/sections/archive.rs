//! `[archive]`: a copy of every message that is accepted.

use serde::Deserialize;

use crate::address::Mailbox;
use crate::config::values;

/// `[archive]`: who gets a copy of every message that is accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ArchiveSection {
    /// The address, whose route says where copies go; ASCII only.
    #[serde(deserialize_with = "values::optional_ascii_mailbox")]
    pub address: Option<Mailbox>,
}
