//! The library for applications that receive mail: a [`Handler`] of your own, and a [`Server`] that runs it.
//!
//! `docs/library.md` says what of this stays as it is between versions, and has the whole story. The handler is asked as the last
//! policy of a [`Chain`](crate::policy::Chain); its messages arrive by way of an [`Intake`](crate::spool::Intake). The session
//! knows nothing of either.

mod builder;
mod deliver;
mod error;
mod handler;
mod inbox;
mod intake;
mod logins;
mod mail;
mod octets;
mod running;
mod storing;
mod structured;
mod visits;

pub use builder::{Server, ServerBuilder};
pub use deliver::{Consumer, ConsumerDispatch, Delivered};
pub use error::ServerError;
pub use handler::{Accepted, Handler};
pub use inbox::Inbox;
pub use mail::Mail;
pub use octets::OctetReader;
pub use running::{Bound, Running};
pub use structured::{AddressPart, ConnectPart, DataPart, EhloPart, StructuredMail};

/// What most handlers need.
///
/// ```
/// use leafmail::server::prelude::*;
///
/// let reply = Reply::new(550, EnhancedCode(5, 1, 1), "there is no such user");
/// assert!(!Verdict::Refuse(reply).accepts());
/// ```
pub mod prelude {
    pub use super::{Accepted, Handler, Mail, Running, Server};
    pub use crate::address::{Mailbox, ReversePath};
    pub use crate::auth::Verifier;
    pub use crate::policy::ClientInfo;
    pub use crate::session::{Additions, HeaderBlock, Verdict};
    pub use crate::smtp::{EnhancedCode, Reply};
}
