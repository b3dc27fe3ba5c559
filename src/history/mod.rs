//! The history: one line for each recipient that left the spool, in `spool/log/`, so that "where is my mail?" has an answer
//! for mail that is gone.
//!
//! It is written by an observer, after everything else is done. It is never synced, and a failure to write it stops no mail.
//! Beside it, `visits.rs` keeps a record of clients that were refused.
//!
//! Its size is bounded: `history` grows to half of the limit, then becomes `history.1`, which replaces the one before.

mod entry;
mod file;
mod observer;
mod read;
#[cfg(test)]
mod tests;
mod visits;

pub use entry::{Departure, HistoryEntry, Whose};
pub use file::HistoryFile;
pub use observer::HistoryObserver;
pub use read::{Search, search};
pub use visits::{Fate, Visit, VisitObserver, visits};
