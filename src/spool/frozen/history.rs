//! The tail of a spool file: receipts, one after the other, until the end.
//!
//! An append that a crash cut short leaves fewer octets than the entry says, or zeros in the place of sectors: that tail
//! is torn and left out, as nothing was promised on the strength of it. What was synced is before it. Any other damage
//! is corruption, never a shorter history: forgetting a receipt could deliver a message twice.

use super::freeze::receipt_sum;
use super::layout::{RECEIPT_HEADER, RECEIPT_VERSION};
use super::octets::{Octets, fill, octets_of};
use super::wire::{ReceiptV1, decode};
use crate::receipt::Receipt;
use crate::spool::error::SpoolErrorKind;

/// The receipts between `at` and `file_size`, and where the last good one ends.
pub(super) fn read<O: Octets + ?Sized>(
    file: &O,
    mut at: u64,
    file_size: u64,
    recipients: usize,
) -> Result<(Vec<Receipt>, u64), SpoolErrorKind> {
    let mut receipts = Vec::new();
    let mut payload = Vec::new();
    while file_size - at >= RECEIPT_HEADER as u64 {
        let mut header = [0; RECEIPT_HEADER];
        fill(file, at, &mut header)?;
        let length = u16::from_le_bytes(octets_of(&header, 1));
        if u16::from_le_bytes(octets_of(&header, 3)) != !length {
            if lacks_a_sector(file, at, at + RECEIPT_HEADER as u64, file_size)? {
                break;
            }
            return Err(SpoolErrorKind::Corrupt("a receipt's length and its complement do not match"));
        }
        let end = at + RECEIPT_HEADER as u64 + u64::from(length);
        if end > file_size {
            break;
        }
        payload.resize(usize::from(length), 0);
        fill(file, at + RECEIPT_HEADER as u64, &mut payload)?;
        let sum = u32::from_le_bytes(octets_of(&header, 5));
        if receipt_sum(header[0], length, &payload) != sum {
            if lacks_a_sector(file, at, end, file_size)? {
                break;
            }
            return Err(SpoolErrorKind::Corrupt("a receipt's checksum does not match"));
        }
        receipts.push(thaw_receipt(header[0], &payload, recipients)?);
        at = end;
    }
    Ok((receipts, at))
}

/// From a payload whose sum was found right.
fn thaw_receipt(version: u8, payload: &[u8], recipients: usize) -> Result<Receipt, SpoolErrorKind> {
    match version {
        RECEIPT_VERSION => {}
        0 => return Err(SpoolErrorKind::Corrupt("receipt version 0 was never written")),
        newer => return Err(SpoolErrorKind::Newer(u16::from(newer))),
    }
    let receipt: ReceiptV1 = decode(payload).ok_or(SpoolErrorKind::Corrupt("a receipt is no receipt"))?;
    if receipt.recipients.iter().any(|index| usize::from(*index) >= recipients) {
        return Err(SpoolErrorKind::Corrupt("a receipt names a recipient that is not there"));
    }
    Ok(receipt.thaw())
}

/// What a disk writes as a whole.
const SECTOR: u64 = 512;

/// Whether a sector that the octets from `from` to `to` are in is zero, from `from` on. File systems show zeros where a
/// size reached the disk and the octets did not, and of an append across sectors any may be missing.
fn lacks_a_sector<O: Octets + ?Sized>(file: &O, from: u64, to: u64, file_size: u64) -> Result<bool, SpoolErrorKind> {
    let (mut piece, mut at) = ([0; SECTOR as usize], from);
    while at < to {
        let next = ((at / SECTOR + 1) * SECTOR).min(file_size);
        let piece = &mut piece[..(next - at) as usize];
        fill(file, at, piece)?;
        if piece.iter().all(|octet| *octet == 0) {
            return Ok(true);
        }
        at = next;
    }
    Ok(false)
}
