//! The one SMTP client: a connection, a login, and one mail transaction after another.
//!
//! `wire/` opens connections and reads and writes them; `client.rs` is one open connection, and the only file that knows lettre;
//! `login.rs` logs in; `transaction.rs` offers a message, and `judging.rs` keeps what came of it for each recipient, `lmtp.rs`
//! where each gets a verdict of its own. Invariant:
//! a recipient that was judged keeps the verdict.

mod client;
mod connection_settings;
mod group;
mod header_first;
mod judging;
mod lmtp;
mod login;
mod origin;
mod parameters;
mod pieces;
mod sasl;
mod tls;
pub(super) mod transaction;
pub(super) mod wire;

pub(super) use client::SmtpClient;
pub(super) use connection_settings::ConnectionSettings;
pub(super) use header_first::HeaderFirst;
pub(super) use judging::Ended;
pub(super) use login::{Login, Refusal};
pub(super) use tls::Certificates;
