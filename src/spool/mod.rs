//! The spool: one file per message, from the 250 until every recipient is settled.
//!
//! `traits.rs` is all that the receiver and the queue know of it, `manage.rs` what a person does with it besides. `dir/` is the
//! spool in a folder; it reads and writes the format of `frozen/` through the seam of `disk/`.

mod dir;
pub mod disk;
mod error;
mod folder;
pub mod frozen;
mod manage;
#[cfg(test)]
mod tests;
mod traits;

pub use dir::{Creation, DirClaim, DirDraft, DirReading, DirSpool, Reserve, SpoolSettings, SpoolSync, mark};
pub use disk::FileSystem;
pub use error::{SpoolError, SpoolErrorKind};
pub use folder::Folder;
pub use manage::{Finding, Handled, Manage, Reading};
pub use traits::{Claim, Claimed, Committed, Draft, Durability, Glance, Intake, QueueEntry, Spool};
