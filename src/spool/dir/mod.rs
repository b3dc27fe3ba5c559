//! The directory spool: `queue/ hold/ failed/ bad/ routes/ log/` under one folder, one file per message.
//!
//! `spool.rs` opens it, `draft.rs` takes messages in, `claim.rs` works on one, `manage.rs` is for people. Invariant: a message is
//! where its file is, a lock says who works on it, and nothing else is remembered, so any number of processes share a spool.

mod chance;
mod claim;
mod contents;
mod draft;
mod draft_file;
mod durable;
mod gauge;
mod inner;
mod look;
mod manage;
mod mark;
mod room;
mod spool;
mod syncs;

pub use claim::DirClaim;
pub use draft::DirDraft;
pub use inner::{Creation, SpoolSettings, SpoolSync};
pub use manage::DirReading;
pub use mark::mark;
pub use room::Reserve;
pub use spool::DirSpool;
