//! The octets of a claimed message on their way to a transport.
//!
//! Read in pieces, so that memory does not grow with the message. A message that ends early is an error, never a short
//! message. Between the last octet and the end mark an *in doubt* receipt is appended, so that a crash in the window between
//! the end mark and the record of its answer is visible afterwards.

use std::io;

use super::follow::Follow;
use crate::annotation::HANDED_OVER;
use crate::clock::Clock;
use crate::event::{Event, Observer};
use crate::mutant::{Mutant, planted};
use crate::receipt::{Reason, Receipt, ReceiptKind};
use crate::smtp::EnhancedCode;
use crate::smtp::header::end_of_header;
use crate::smtp::long_lines::QuotedPrintable;
use crate::spool::{Claim, Durability};
use crate::transport::{Body, DeliveryRequest};

/// Octets read at a time.
const PIECE: usize = 64 * 1024;

/// The most that is read of a header: at most 256 KiB are received, and fields of ours and of policies are added.
const MAX_HEADER: usize = 512 * 1024;

/// A header that takes the place of the stored one.
#[derive(Debug)]
pub(super) struct NewHeader {
    /// Octets of the stored one.
    pub(in crate::queue) replaced: u64,
    pub(in crate::queue) octets: Vec<u8>,
}

/// The header of a message, with the empty line; empty where no end of it is found.
pub(super) fn header_of(claim: &impl Claim) -> io::Result<Vec<u8>> {
    let mut header = Vec::new();
    loop {
        let filled = header.len();
        header.resize(filled + 16 * 1024, 0);
        let count = claim.read_at(filled as u64, &mut header[filled..])?;
        header.truncate(filled + count);
        // The end may lie across two pieces.
        let from = filled.saturating_sub(3);
        if let Some(end) = end_of_header(&header, from) {
            header.truncate(end + 2);
            return Ok(header);
        }
        if count == 0 || header.len() > MAX_HEADER {
            // Without a body it is all header.
            return Ok(if count == 0 { header } else { Vec::new() });
        }
    }
}

pub(in crate::queue) struct MessageBody<'a, C> {
    claim: &'a mut C,
    clock: &'a dyn Clock,
    observer: &'a dyn Observer,
    /// The recipients for whom the message is handed over.
    recipients: &'a [u16],
    /// Over which route.
    route: &'a str,
    /// The new header, which goes out first, also after a rewind.
    header: Option<NewHeader>,
    /// What encodes the body, where it is encoded.
    encoder: Option<QuotedPrintable>,
    /// Whether all of it was handed out, but for what the encoder holds back.
    ended: bool,
    /// The message that follows over the same transport.
    next: Option<&'a mut dyn Follow>,
    /// How much was read; `None` before the first octet.
    offset: Option<u64>,
    /// Whether the in-doubt receipt was appended.
    pub(super) marked: bool,
}

impl<'a, C: Claim> MessageBody<'a, C> {
    pub(in crate::queue) fn new(
        claim: &'a mut C,
        clock: &'a dyn Clock,
        observer: &'a dyn Observer,
        recipients: &'a [u16],
        route: &'a str,
        header: Option<NewHeader>,
    ) -> Self {
        let (encoder, ended, next, offset, marked) = (None, false, None, None, false);
        Self { claim, clock, observer, recipients, route, header, encoder, ended, next, offset, marked }
    }

    /// With a body that is encoded, if `encodes` says so; there is a new header then.
    pub(super) fn encoding(self, encodes: bool) -> Self {
        Self { encoder: encodes.then(QuotedPrintable::default), ..self }
    }

    /// With the message that follows.
    pub(in crate::queue) fn before(self, next: &'a mut dyn Follow) -> Self {
        Self { next: Some(next), ..self }
    }
}

impl<C: Claim> Body for MessageBody<'_, C> {
    fn next_piece(&mut self, piece: &mut Vec<u8>) -> io::Result<bool> {
        let begun = self.offset.is_some();
        let offset = self.offset.get_or_insert(self.header.as_ref().map_or(0, |header| header.replaced));
        if let Some(header) = self.header.as_ref().filter(|header| !begun && !header.octets.is_empty()) {
            piece.clone_from(&header.octets);
            return Ok(true);
        }
        let left = self.claim.size().saturating_sub(*offset);
        piece.resize(usize::try_from(left).unwrap_or(PIECE).min(PIECE), 0);
        if piece.is_empty() {
            let Some(encoder) = self.encoder.as_mut().filter(|_| !std::mem::replace(&mut self.ended, true)) else {
                return Ok(false);
            };
            encoder.finish(piece);
            return Ok(!piece.is_empty());
        }
        let count = self.claim.read_at(*offset, piece)?;
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the spool file has become shorter"));
        }
        piece.truncate(count);
        *offset += count as u64;
        if let Some(encoder) = &mut self.encoder {
            let plain = std::mem::take(piece);
            encoder.feed(&plain, piece);
        }
        Ok(true)
    }

    fn rewind(&mut self) -> bool {
        self.offset = None;
        self.encoder = self.encoder.map(|_| QuotedPrintable::default());
        self.ended = false;
        true
    }

    fn may_be_repeated(&self) -> bool {
        self.claim.receipts().iter().any(|receipt| receipt.what == ReceiptKind::InDoubt)
    }

    /// The receipt need not survive a power cut. If it cannot be written, the delivery goes on: the receipt shows what
    /// happened, and prevents nothing.
    fn hand_over(&mut self) {
        if self.marked {
            return;
        }
        if planted(Mutant::UnlinkBeforeReply) {
            let _ = self.claim.remove();
        }
        let reason = Reason::new(EnhancedCode(4, 4, 0), "handed over, but the answer is not recorded");
        let mut mark = Receipt::new(self.clock.now(), ReceiptKind::InDoubt, self.recipients.to_vec(), reason);
        mark.route = self.route.to_owned();
        mark.annotations.push((HANDED_OVER.to_owned(), String::new()));
        match self.claim.record(mark, Durability::Buffered) {
            Ok(()) => self.marked = true,
            Err(error) => self.observer.observe(&Event::Trouble { text: error.to_string() }),
        }
    }

    fn release_next(&mut self) {
        if let Some(next) = &mut self.next {
            next.release();
        }
    }

    fn next(&self) -> Option<DeliveryRequest<'_>> {
        self.next.as_ref()?.request()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::testing::{House, id};
    use crate::spool::{Claimed, Spool};

    fn drained(body: &mut impl Body) -> Vec<u8> {
        let (mut octets, mut piece) = (Vec::new(), Vec::new());
        while body.next_piece(&mut piece).unwrap() {
            octets.append(&mut piece);
        }
        octets
    }

    #[test]
    fn another_next_hop_gets_the_new_header_too() {
        let house = House::new();
        house.put(1, "joe@x", &["amy@x"]);
        for new in [None, Some(b"Subject: new\r\n\r\n".to_vec()), Some(Vec::new())] {
            let Ok(Claimed::Ours(mut claim)) = house.spool.claim(id(1)) else { panic!("it is free") };
            let replaced = header_of(&claim).unwrap().len() as u64;
            let header = new.clone().map(|octets| NewHeader { replaced, octets });
            let mut body =
                MessageBody::new(&mut claim, house.clock.as_ref(), house.events.as_ref(), &[0], "main", header);
            let expected = [new.as_deref().unwrap_or(b"Subject: hi\r\n\r\n"), b"hello\r\n"].concat();
            for _ in 0..3 {
                assert_eq!(String::from_utf8_lossy(&drained(&mut body)), String::from_utf8_lossy(&expected));
                assert!(body.rewind());
            }
        }
    }
}
