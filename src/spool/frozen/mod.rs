//! The file format, version 1: how a message with its envelope and its history lies in one file.
//!
//! `docs/spool-format.md` is its specification. Nothing here opens a file: freezing hands out octets, and thawing reads
//! [`Octets`] of a known size. No input makes it panic, reserve memory for what is not there, or hand out anything
//! else than what was frozen, but for a torn tail of receipts, which [`Thawed::end`] leaves out.

mod convert;
mod freeze;
mod history;
mod thaw;
mod wire;

use std::io;

pub use freeze::{freeze_end, freeze_head, freeze_receipt};
pub use thaw::{Depth, Thawed, thaw};

/// The first octets of every spool file. The high bit and the line ends show a transfer that was not binary.
pub const MAGIC: [u8; 8] = *b"\x89LEAF\r\n\x1a";
/// The last octets of the trailer.
pub const END_MAGIC: [u8; 8] = *b"\x89DONE\r\n\x1a";
/// The version that is written.
pub const VERSION: u16 = 1;
/// Octets before the envelope.
pub const HEADER: usize = 28;
/// How many octets of the header the first sum covers, beside the envelope.
const COVERED: usize = 16;
/// Where the message's length stands, in the header.
pub const LENGTH_AT: usize = 20;
/// The message's length while it is still arriving. Not 0, as a message may be empty.
pub const UNFINISHED: u64 = u64::MAX;
/// Octets between the message and the seal.
pub const TRAILER: usize = 24;
/// The version of a receipt that is written.
const RECEIPT_VERSION: u8 = 1;
/// Octets before a receipt's payload.
const RECEIPT_HEADER: usize = 9;
/// More than 1,000 recipients with the longest addresses and parameters need.
const MAX_ENVELOPE: u64 = 4 << 20;
/// More than the longest header block, from which a seal is taken.
const MAX_SEAL: u64 = 1 << 20;

/// Something that can be read at any place: an open file, or a slice.
pub trait Octets {
    /// Reads from `offset` into `octets`; 0 at the end.
    ///
    /// # Errors
    /// When reading fails.
    fn read_at(&self, offset: u64, octets: &mut [u8]) -> io::Result<usize>;
}

impl Octets for [u8] {
    fn read_at(&self, offset: u64, octets: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..)).unwrap_or_default();
        let count = rest.len().min(octets.len());
        octets[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

/// The sum that everything in a spool file is under: CRC-32C, continued.
pub fn sum_on(sum: u32, octets: &[u8]) -> u32 {
    crc32c::crc32c_append(sum, octets)
}
