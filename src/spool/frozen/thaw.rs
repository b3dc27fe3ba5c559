//! Thawing: from the octets of a file to what was frozen, or to why not.
//!
//! Lengths are checked against the file's size before anything is reserved for them, sums before anything is decoded,
//! and addresses are parsed after that. The order tells torn (a cut file: never acknowledged) from corrupt (a changed one).

use super::history;
use super::layout::{
    COVERED, END_MAGIC, HEADER, LENGTH_AT, MAGIC, MAX_ENVELOPE, MAX_SEAL, TRAILER, UNFINISHED, VERSION,
};
use super::octets::{Octets, fill, octets_of, sum_on};
use super::wire::{EnvelopeV1, SealV1, decode};
use crate::envelope::{Envelope, Seal};
use crate::receipt::Receipt;
use crate::spool::error::SpoolErrorKind;

/// Octets of a message that are read at once when it is verified.
const PIECE: usize = 64 * 1024;

/// How much of a file is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// All of it, and the sum of message and seal is verified.
    Whole,
    /// All but the message. The seal is decoded, but its sum, which covers the message too, is not verified.
    WithoutMessage,
}

/// What a file contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thawed {
    /// The envelope, with the changes that the seal has.
    pub envelope: Envelope,
    /// What was known at the message's end.
    pub seal: Seal,
    /// The history.
    pub receipts: Vec<Receipt>,
    /// Where the message begins in the file.
    pub message_at: u64,
    /// Octets of the message.
    pub size: u64,
    /// Where the last good receipt ends, and the next one goes. Less than the file's size when the tail is torn.
    pub end: u64,
}

/// Reads a file of `file_size` octets.
///
/// # Errors
/// [`SpoolErrorKind::Torn`], [`SpoolErrorKind::Corrupt`] or [`SpoolErrorKind::Newer`] by what is in it; [`SpoolErrorKind::Io`] when it cannot be read.
pub fn thaw<O: Octets + ?Sized>(file: &O, file_size: u64, depth: Depth) -> Result<Thawed, SpoolErrorKind> {
    let head = thaw_head(file, file_size)?;
    let end = thaw_end(file, file_size, &head, depth)?;
    let envelope = end.seal.sealed(head.envelope).map_err(SpoolErrorKind::Corrupt)?;
    let (receipts, history_end) = history::read(file, end.at, file_size, envelope.recipients.len())?;
    Ok(Thawed { envelope, seal: end.seal, receipts, message_at: head.message_at, size: head.size, end: history_end })
}

struct Head {
    envelope: Envelope,
    message_at: u64,
    size: u64,
}

fn thaw_head<O: Octets + ?Sized>(file: &O, file_size: u64) -> Result<Head, SpoolErrorKind> {
    if file_size < HEADER as u64 {
        return Err(SpoolErrorKind::Torn("the header is not complete"));
    }
    let mut header = [0; HEADER];
    fill(file, 0, &mut header)?;
    if header == [0; HEADER] {
        return Err(SpoolErrorKind::Torn("the header never reached the disk"));
    }
    if header[..8] != MAGIC {
        return Err(SpoolErrorKind::Corrupt("it does not begin as a spool file does"));
    }
    let length = u64::from(u32::from_le_bytes(octets_of(&header, 12)));
    if length > MAX_ENVELOPE {
        return Err(SpoolErrorKind::Corrupt("the envelope is longer than any"));
    }
    let message_at = HEADER as u64 + length;
    if message_at > file_size {
        return Err(SpoolErrorKind::Torn("the envelope is not complete"));
    }
    let mut payload = vec![0; length as usize];
    fill(file, HEADER as u64, &mut payload)?;
    if sum_on(sum_on(0, &header[..COVERED]), &payload) != u32::from_le_bytes(octets_of(&header, COVERED)) {
        return Err(SpoolErrorKind::Corrupt("the envelope checksum does not match"));
    }
    match u16::from_le_bytes(octets_of(&header, 8)) {
        VERSION => {}
        0 => return Err(SpoolErrorKind::Corrupt("format version 0 was never written")),
        newer => return Err(SpoolErrorKind::Newer(newer)),
    }
    if header[10..12] != [0; 2] {
        return Err(SpoolErrorKind::Corrupt("the reserved octets of the header are in use"));
    }
    let size = u64::from_le_bytes(octets_of(&header, LENGTH_AT));
    if size == UNFINISHED {
        return Err(SpoolErrorKind::Torn("the message is not complete"));
    }
    let envelope: EnvelopeV1 = decode(&payload).ok_or(SpoolErrorKind::Corrupt("the envelope is no envelope"))?;
    Ok(Head { envelope: envelope.thaw().map_err(SpoolErrorKind::Corrupt)?, message_at, size })
}

struct End {
    seal: Seal,
    /// Where the history begins.
    at: u64,
}

fn thaw_end<O: Octets + ?Sized>(file: &O, file_size: u64, head: &Head, depth: Depth) -> Result<End, SpoolErrorKind> {
    let torn = || SpoolErrorKind::Torn("the message is not complete");
    let trailer_at = head.message_at.checked_add(head.size).ok_or_else(torn)?;
    let seal_at = trailer_at.checked_add(TRAILER as u64).filter(|at| *at <= file_size).ok_or_else(torn)?;
    let mut trailer = [0; TRAILER];
    fill(file, trailer_at, &mut trailer)?;
    if trailer == [0; TRAILER] {
        return Err(SpoolErrorKind::Torn("the trailer never reached the disk"));
    }
    if trailer[16..] != END_MAGIC {
        return Err(SpoolErrorKind::Corrupt("there is no trailer where the message ends"));
    }
    if u64::from_le_bytes(octets_of(&trailer, 0)) != head.size {
        return Err(SpoolErrorKind::Corrupt("header and trailer differ about the message's length"));
    }
    let length = u64::from(u32::from_le_bytes(octets_of(&trailer, 8)));
    if length > MAX_SEAL {
        return Err(SpoolErrorKind::Corrupt("the seal is longer than any"));
    }
    let at = seal_at + length;
    if at > file_size {
        return Err(SpoolErrorKind::Torn("the seal is not complete"));
    }
    let mut payload = vec![0; length as usize];
    fill(file, seal_at, &mut payload)?;
    if depth == Depth::Whole {
        let message_sum = sum_of_message(file, head)?;
        if sum_on(sum_on(message_sum, &trailer[..12]), &payload) != u32::from_le_bytes(octets_of(&trailer, 12)) {
            return Err(SpoolErrorKind::Corrupt("the message checksum does not match"));
        }
    }
    let seal: SealV1 = decode(&payload).ok_or(SpoolErrorKind::Corrupt("the seal is no seal"))?;
    Ok(End { seal: seal.thaw().map_err(SpoolErrorKind::Corrupt)?, at })
}

fn sum_of_message<O: Octets + ?Sized>(file: &O, head: &Head) -> Result<u32, SpoolErrorKind> {
    let mut piece = vec![0; head.size.min(PIECE as u64) as usize];
    let (mut sum, mut done) = (0, 0);
    while done < head.size {
        let count = (head.size - done).min(PIECE as u64) as usize;
        fill(file, head.message_at + done, &mut piece[..count])?;
        sum = sum_on(sum, &piece[..count]);
        done += count as u64;
    }
    Ok(sum)
}
