//! The octets of a claimed message on their way to a transport.
//!
//! Read in pieces, so that memory does not grow with the message. A message that ends early is an error, never a short
//! message. Between the last octet and the end mark an *in doubt* receipt is appended, so that a crash in the window between
//! the end mark and the record of its answer is visible afterwards.

use std::io;

use super::ledger::MARK;
use crate::clock::Clock;
use crate::event::{Event, Observer};
use crate::receipt::{Happening, Reason, Receipt};
use crate::smtp::EnhancedCode;
use crate::spool::{Claim, Durability};
use crate::transport::Body;

/// Octets read at a time.
const PIECE: usize = 64 * 1024;

pub(super) struct Octets<'a, C> {
    pub(super) claim: &'a mut C,
    pub(super) clock: &'a dyn Clock,
    pub(super) observer: &'a dyn Observer,
    /// For whom the message is handed over.
    pub(super) recipients: &'a [u16],
    /// Over which route.
    pub(super) route: &'a str,
    /// How much was read.
    pub(super) offset: u64,
    /// Whether the in-doubt receipt was appended.
    pub(super) marked: bool,
}

impl<C: Claim> Body for Octets<'_, C> {
    fn next_piece(&mut self, piece: &mut Vec<u8>) -> io::Result<bool> {
        let left = self.claim.size().saturating_sub(self.offset);
        piece.resize(usize::try_from(left).unwrap_or(PIECE).min(PIECE), 0);
        if piece.is_empty() {
            return Ok(false);
        }
        let count = self.claim.read_at(self.offset, piece)?;
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the spool file has become shorter"));
        }
        piece.truncate(count);
        self.offset += count as u64;
        Ok(true)
    }

    fn rewind(&mut self) -> bool {
        self.offset = 0;
        true
    }

    /// The receipt need not survive a power cut, and where it cannot be written the delivery goes on: it is a witness, not a
    /// safeguard.
    fn hand_over(&mut self) {
        if self.marked {
            return;
        }
        let reason = Reason::new(EnhancedCode(4, 4, 0), "handed over, but the answer is not recorded");
        let mut mark = Receipt::new(self.clock.now(), Happening::InDoubt, self.recipients.to_vec(), reason);
        mark.route = self.route.to_owned();
        mark.annotations.push((MARK.to_owned(), String::new()));
        match self.claim.record(mark, Durability::Buffered) {
            Ok(()) => self.marked = true,
            Err(error) => self.observer.observe(&Event::Trouble { text: error.to_string() }),
        }
    }
}
