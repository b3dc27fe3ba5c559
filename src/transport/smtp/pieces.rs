//! The message as lettre wants it: pieces without the final CRLF, and the moment of handing over.
//!
//! lettre ends a message by CR LF . CR LF whatever came before, so exactly one final CRLF is held back; a message without
//! any octet gets `.` CR LF alone. Where the spool cannot be read, the connection is broken off and no end is ever sent.

use std::cell::RefCell;

use super::wire::{Control, Phase};
use crate::transport::delivery::Body;

/// See the module. Ends with [`Body::hand_over`], unless reading failed.
pub(in crate::transport) struct Pieces<'a, 'b> {
    body: &'a RefCell<&'b mut dyn Body>,
    control: Control,
    /// A final CR or CRLF of the piece before, in case that it is the message's last.
    held: Vec<u8>,
    empty: bool,
    ended: bool,
}

impl<'a, 'b> Pieces<'a, 'b> {
    /// Of a body that nobody else borrows while the message is sent.
    pub(in crate::transport) fn new(body: &'a RefCell<&'b mut dyn Body>, control: Control) -> Self {
        Self { body, control, held: Vec::new(), empty: true, ended: false }
    }

    /// The held octets and `piece`, less what must be held now.
    fn joined(&mut self, piece: Vec<u8>) -> Vec<u8> {
        let mut octets = std::mem::take(&mut self.held);
        if octets.is_empty() {
            octets = piece;
        } else {
            octets.extend_from_slice(&piece);
        }
        let held = if octets.ends_with(b"\r\n") { 2 } else { usize::from(octets.ends_with(b"\r")) };
        self.held = octets.split_off(octets.len() - held);
        octets
    }

    fn end(&mut self) -> Option<Vec<u8>> {
        if self.held == b"\r" {
            // Not a line end, so not lettre's to replace.
            return Some(std::mem::take(&mut self.held));
        }
        self.ended = true;
        if self.empty {
            self.control.skip_line_end();
        }
        self.body.borrow_mut().hand_over();
        self.control.end_message();
        None
    }
}

impl Iterator for Pieces<'_, '_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        while !self.ended {
            let mut piece = Vec::new();
            let read = self.body.borrow_mut().next_piece(&mut piece);
            match read {
                Ok(true) => {
                    self.empty &= piece.is_empty();
                    let octets = self.joined(piece);
                    if !octets.is_empty() {
                        // A slow disk must not count as a slow smarthost: the block's time begins now.
                        self.control.expect(Phase::Message);
                        return Some(octets);
                    }
                }
                Ok(false) => return self.end(),
                Err(error) => {
                    self.ended = true;
                    self.control.break_off(format!("reading the message failed: {error}"));
                }
            }
        }
        None
    }
}
