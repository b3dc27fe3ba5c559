//! Rewriting: under which sender a message goes on, where the next hop takes but certain ones.

use super::Criteria;
use crate::address::{Domain, Mailbox};

/// What is changed in the messages that its criteria and routes mean; what is `None` or empty stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rewriting {
    /// Which messages.
    pub criteria: Criteria,
    /// Only on these routes, by name; empty: on all.
    pub routes: Vec<String>,
    /// The envelope sender; the null reverse-path stays null.
    pub envelope_sender: Option<Mailbox>,
    /// The address in `From:`; the old field's content is kept in `Reply-To:` where there is none.
    pub from: Option<Mailbox>,
    /// The address in `Sender:`.
    pub sender: Option<Mailbox>,
    /// Hosts below these domains are hidden: `user@host.example.com` becomes `user@example.com`, in the envelope sender,
    /// `From:`, `Sender:` and `Reply-To:`.
    pub masquerade: Vec<Domain>,
}
