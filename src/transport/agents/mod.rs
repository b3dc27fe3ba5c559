//! Delivery agents: what takes mail at a URL that leads to no SMTP server.
//!
//! A further kind is one file or folder here, and one line in [`KINDS`]: sandbox, `--check`, `doctor` and help follow from what
//! it says of itself.

mod discard;
mod folder;
mod lines;
mod maildir;
mod maildir_quota;
mod mbox;
#[cfg(any(feature = "sql", feature = "webhook"))]
mod message;
mod pipe;
mod sql;
mod store;
mod template;
mod waiting;
mod web;

pub use maildir::{MaildirDispatch, MaildirTransport};
pub use sql::{AddressQuery, DatabaseAsker, DatabaseKind, DatabaseQuestion, DatabaseUrl, schema};

use super::settings::AgentKind;

/// The kinds, in the order in which help lists them.
pub(super) const KINDS: &[AgentKind] =
    &[maildir::KIND, mbox::KIND, pipe::KIND, sql::KIND, web::KIND, discard::HOLD, discard::DISCARD, discard::ERROR];

/// The kind that a URL with this scheme leads to.
pub(super) fn kind_of(scheme: &str) -> Option<&'static AgentKind> {
    KINDS.iter().find(|kind| kind.schemes.iter().any(|known| known.eq_ignore_ascii_case(scheme)))
}

/// Whether an agent took the mail, by the name of the relay in a receipt or in the history: nobody is after it.
pub fn is_agent(relay: &str) -> bool {
    relay.split_once(':').is_some_and(|(scheme, _)| kind_of(scheme).is_some())
}
