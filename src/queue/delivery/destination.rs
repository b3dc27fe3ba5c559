//! Where the copy of one recipient goes.

use crate::address::Mailbox;

/// Where a recipient's copy goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Destination {
    /// The address that an alias stands for.
    pub(in crate::queue) alias: Option<Mailbox>,
    /// The addresses, where the alias stands for several.
    pub(in crate::queue) several: Vec<Mailbox>,
    /// The route, by index.
    pub(in crate::queue) route: usize,
}
