//! Where what is in a spool file, as `docs/spool-format.md` has it.

/// The first octets of every spool file. The high bit and the line ends show a transfer that was not binary.
pub const MAGIC: [u8; 8] = *b"\x89LEAF\r\n\x1a";
/// The last octets of the trailer.
pub const END_MAGIC: [u8; 8] = *b"\x89DONE\r\n\x1a";
/// The version that is written.
pub const VERSION: u16 = 1;
/// Octets before the envelope.
pub const HEADER: usize = 28;
/// How many octets of the header the first sum covers, beside the envelope.
pub(super) const COVERED: usize = 16;
/// Where the message's length is, in the header.
pub const LENGTH_AT: usize = 20;
/// The message's length while it is still arriving. Not 0, as a message may be empty.
pub const UNFINISHED: u64 = u64::MAX;
/// Octets between the message and the seal.
pub const TRAILER: usize = 24;
/// The version of a receipt that is written.
pub(super) const RECEIPT_VERSION: u8 = 1;
/// Octets before a receipt's payload.
pub(super) const RECEIPT_HEADER: usize = 9;
/// More than 1,000 recipients with the longest addresses and parameters need.
pub(super) const MAX_ENVELOPE: u64 = 4 << 20;
/// More than the longest header block, from which a seal is taken.
pub(super) const MAX_SEAL: u64 = 1 << 20;
