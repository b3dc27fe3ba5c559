//! Freezing: the parts of a spool file as octets, in the order in which they are written.
//!
//! The caller writes the head, the message, the end, and later any number of receipts, and keeps the running sum of the
//! message. What is frozen here always thaws: limits are checked on this side too.

use super::layout::{
    COVERED, END_MAGIC, HEADER, MAGIC, MAX_ENVELOPE, MAX_SEAL, RECEIPT_HEADER, RECEIPT_VERSION, TRAILER, UNFINISHED,
    VERSION,
};
use super::octets::sum_on;
use super::wire::{EnvelopeV1, ReceiptV1, SealV1, encode};
use crate::envelope::{Envelope, Seal};
use crate::receipt::Receipt;

/// The header, which says that the message is unfinished, and the envelope.
///
/// `None` when the envelope is larger than a file may carry (4 MiB).
pub fn freeze_head(envelope: &Envelope) -> Option<Vec<u8>> {
    let payload = encode(&EnvelopeV1::from(envelope), MAX_ENVELOPE)?;
    let length = u32::try_from(payload.len()).ok()?;
    let mut head = Vec::with_capacity(HEADER + payload.len());
    head.extend_from_slice(&MAGIC);
    head.extend_from_slice(&VERSION.to_le_bytes());
    head.extend_from_slice(&[0; 2]);
    head.extend_from_slice(&length.to_le_bytes());
    debug_assert_eq!(head.len(), COVERED);
    let sum = sum_on(sum_on(0, &head), &payload);
    head.extend_from_slice(&sum.to_le_bytes());
    head.extend_from_slice(&UNFINISHED.to_le_bytes());
    head.extend_from_slice(&payload);
    Some(head)
}

/// What follows a message of `size` octets whose sum is `message_sum`: trailer and seal.
///
/// `None` when the seal is larger than a file may carry (1 MiB).
pub fn freeze_end(size: u64, message_sum: u32, seal: &Seal) -> Option<Vec<u8>> {
    let payload = encode(&SealV1::from(seal), MAX_SEAL)?;
    let mut end = Vec::with_capacity(TRAILER + payload.len());
    end.extend_from_slice(&size.to_le_bytes());
    end.extend_from_slice(&u32::try_from(payload.len()).ok()?.to_le_bytes());
    let sum = sum_on(sum_on(message_sum, &end), &payload);
    end.extend_from_slice(&sum.to_le_bytes());
    end.extend_from_slice(&END_MAGIC);
    end.extend_from_slice(&payload);
    Some(end)
}

/// One entry of the history. `None` when it is longer than an entry can be (65,535 octets).
pub fn freeze_receipt(receipt: &Receipt) -> Option<Vec<u8>> {
    let payload = encode(&ReceiptV1::from(receipt), u64::from(u16::MAX))?;
    let length = u16::try_from(payload.len()).ok()?;
    let mut entry = Vec::with_capacity(RECEIPT_HEADER + payload.len());
    entry.push(RECEIPT_VERSION);
    entry.extend_from_slice(&length.to_le_bytes());
    entry.extend_from_slice(&(!length).to_le_bytes());
    entry.extend_from_slice(&receipt_sum(RECEIPT_VERSION, length, &payload).to_le_bytes());
    entry.extend_from_slice(&payload);
    Some(entry)
}

/// A receipt's sum covers its version and its length too.
pub(super) fn receipt_sum(version: u8, length: u16, payload: &[u8]) -> u32 {
    let [low, high] = length.to_le_bytes();
    sum_on(sum_on(0, &[version, low, high]), payload)
}
