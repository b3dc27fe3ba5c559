//! Where the copy of one recipient goes.

use crate::address::Mailbox;

/// Where a recipient's copy goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Destination {
    /// Whom the address means, where that is another.
    pub(in crate::queue) alias: Option<Mailbox>,
    /// Whom it means, where that is several.
    pub(in crate::queue) several: Vec<Mailbox>,
    /// By which route.
    pub(in crate::queue) route: usize,
}
