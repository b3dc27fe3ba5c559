//! How many notices are written, who receives them besides the senders, and with which sender they leave.

use crate::address::Mailbox;

/// The settings of notices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeSettings {
    /// The administrator, who receives digests and copies.
    pub admin: Option<Mailbox>,
    /// How many notices of failure are written in an hour of the wall clock, and as many of delay.
    pub per_hour: u32,
    /// Whether the administrator gets a copy of each notice of failure, and a notice of each failure without a sender to tell.
    pub copy_failures: bool,
    /// The senders with which notices leave, by the name of the route; on a route that is not here it is `<>` (RFC 5321 6.1).
    pub senders: Vec<(String, Mailbox)>,
}

impl Default for NoticeSettings {
    /// 100 an hour, no administrator.
    fn default() -> Self {
        Self { admin: None, per_hour: 100, copy_failures: false, senders: Vec::new() }
    }
}

impl NoticeSettings {
    /// The sender with which notices leave over a route, where it is not `<>`.
    pub(in crate::queue) fn sender_on(&self, route: &str) -> Option<&Mailbox> {
        self.senders.iter().find(|(name, _)| name == route).map(|(_, sender)| sender)
    }

    /// Who receives a copy of a notice of failure, besides `sender`.
    pub(in crate::queue) fn copies_to(&self, sender: Option<&Mailbox>) -> Option<&Mailbox> {
        self.admin.as_ref().filter(|admin| self.copy_failures && Some(*admin) != sender)
    }
}
