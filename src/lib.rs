//! leafmail: a store-and-forward SMTP relay.
//!
//! Bytes become commands, commands become questions and effects, effects become files, files become receipts. A client's
//! octets are framed and parsed ([`smtp`]) for a [`session`], which asks a [`policy`] who may send what, and fills a draft of
//! the [`spool`]; a [`driver`] runs it over a socket. The [`queue`] claims what lies in the spool, plans what is due, hands it
//! to a [`transport`], and appends what became of each recipient as [`receipt`]s, until everybody is settled.
//!
//! Everything that decides is pure: it neither reads the clock nor touches a file or a socket. `ARCHITECTURE.md` has the
//! map, `docs/spool-format.md` what is on disk, and `examples/` a receiver with a policy of its own.
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::panic))]

// Values that are valid for ever once they are made.
pub mod address;
pub mod auth;
pub mod clock;
pub mod id;

// The language, what is frozen, and what happened to it.
pub mod envelope;
pub mod receipt;
pub mod smtp;

// Receiving.
pub mod dns;
pub mod driver;
pub mod policy;
pub mod session;
pub mod submission;

// Keeping.
pub mod spool;

// Forwarding.
pub mod chronicle;
pub mod event;
pub mod queue;
pub mod routing;
pub mod transport;

// Running it all.
pub mod admin;
pub mod alarm;
pub mod config;
pub mod mutant;
pub mod supervisor;
pub mod sys;
pub mod syslog;
