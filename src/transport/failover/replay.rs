//! A message on its way to one of several next hops: whether it can still be offered to another.
//!
//! It can as long as it was not handed over, and its octets were not taken or can be read again from the first.

use std::io;

use crate::transport::delivery::{Body, DeliveryRequest};

/// See the module.
pub(in crate::transport) struct Replay<'a> {
    body: &'a mut dyn Body,
    taken: bool,
    handed_over: bool,
    /// Whether what follows goes elsewhere, as far as is known.
    alone: bool,
}

impl<'a> Replay<'a> {
    pub(in crate::transport) fn new(body: &'a mut dyn Body) -> Self {
        Self { body, taken: false, handed_over: false, alone: false }
    }

    /// Without a word of the message that follows.
    pub(in crate::transport) fn alone(self) -> Self {
        Self { alone: true, ..self }
    }

    /// Makes it ready for another next hop; `false` where it cannot be offered once more.
    pub(in crate::transport) fn begin_again(&mut self) -> bool {
        if self.handed_over || self.taken && !self.body.rewind() {
            return false;
        }
        self.taken = false;
        true
    }
}

impl Body for Replay<'_> {
    fn next_piece(&mut self, piece: &mut Vec<u8>) -> io::Result<bool> {
        self.taken = true;
        self.body.next_piece(piece)
    }

    fn rewind(&mut self) -> bool {
        self.begin_again()
    }

    fn may_be_repeated(&self) -> bool {
        self.body.may_be_repeated()
    }

    fn hand_over(&mut self) {
        self.handed_over = true;
        self.body.hand_over();
    }

    fn release_next(&mut self) {
        self.body.release_next();
    }

    fn next(&self) -> Option<DeliveryRequest<'_>> {
        self.body.next().filter(|_| !self.alone)
    }
}
