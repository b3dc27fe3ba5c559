//! The wire of the SMTP client: a connection with TLS, deadlines, whole replies, and a memory of what was said.
//!
//! `connect.rs` opens one up to the reply to EHLO, `stream.rs` reads and writes it, `control.rs` is the handle that the client
//! keeps. Invariant: nothing is sent while a reply that nobody asked for is unread, and nothing at all after a [`WireError`].

mod capabilities;
mod channel;
mod connect;
mod control;
mod dial;
mod end;
mod facts;
mod hidden;
mod outgoing;
mod shown;
mod stream;

pub(in crate::transport) use capabilities::Capabilities;
pub(in crate::transport) use connect::{Opened, Protection, connect, open, open_over, open_to_anyone};
pub(in crate::transport) use control::{Control, Phase, WireError, closed_at_ehlo, failed_at_tls};
pub(in crate::transport) use dial::{addresses, look_up};
pub(in crate::transport) use facts::TlsFacts;
pub(super) use stream::Wire;
