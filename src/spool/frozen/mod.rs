//! The file format, version 1: how a message with its envelope and its history is in one file.
//!
//! `docs/spool-format.md` is its specification. Nothing here opens a file: freezing hands out octets, and thawing reads
//! [`Octets`] of a known size. No input makes it panic, reserve memory for what is not there, or hand out anything
//! else than what was frozen, but for a torn tail of receipts, which [`Thawed::end`] leaves out.

mod convert;
mod freeze;
mod history;
mod layout;
mod octets;
mod thaw;
mod wire;

pub use freeze::{freeze_end, freeze_head, freeze_receipt};
pub use layout::{END_MAGIC, HEADER, LENGTH_AT, MAGIC, TRAILER, UNFINISHED, VERSION};
pub use octets::{Octets, sum_on};
pub use thaw::{Depth, Thawed, thaw};
