//! Where the copy of one recipient goes.

use std::sync::Arc;

use crate::address::Mailbox;
use crate::mailing_list::MailingList;

/// Where a recipient's copy goes.
#[derive(Debug, Clone)]
pub(super) struct Destination {
    /// The address that an alias stands for.
    pub(in crate::queue) alias: Option<Mailbox>,
    /// The addresses, where the alias stands for several, or the members of a list that are known without asking anybody.
    pub(in crate::queue) several: Vec<Mailbox>,
    /// The list, if it is one.
    pub(in crate::queue) list: Option<Arc<MailingList>>,
    /// The route, by index.
    pub(in crate::queue) route: usize,
}

impl Destination {
    /// Whether it stands for several addresses, which get a message of their own.
    pub(super) fn means_several(&self) -> bool {
        !self.several.is_empty() || self.list.is_some()
    }
}
