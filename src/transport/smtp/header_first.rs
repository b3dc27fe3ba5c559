//! A message whose header is looked at before it is sent: where it came with SMTPUTF8, is the header in UTF-8?
//!
//! Some clients say SMTPUTF8 with every message, so the word alone must not keep one from a next hop without it. Only such
//! messages, and only those with octets above 127, are read ahead; all others pass through untouched.

use std::collections::VecDeque;
use std::io;

use crate::smtp::header::end_of_header;
use crate::transport::delivery::{Body, DeliveryRequest};

/// A header that is longer counts by its beginning.
const MAX_HEADER: usize = 256 * 1024;

/// See the module.
pub(in crate::transport) struct HeaderFirst<'a> {
    body: &'a mut dyn Body,
    /// What was read ahead; an error is returned when its turn comes.
    ahead: VecDeque<io::Result<Vec<u8>>>,
    header_is_utf8: bool,
}

impl<'a> HeaderFirst<'a> {
    /// The body of this request.
    pub(in crate::transport) fn of(body: &'a mut dyn Body, request: &DeliveryRequest<'_>) -> Self {
        let mut this = Self { body, ahead: VecDeque::new(), header_is_utf8: false };
        if request.envelope.smtputf8 && request.eight_bit {
            this.look();
        }
        this
    }

    /// Whether an octet above 127 is in the header (RFC 6532 3), as far as anybody looked.
    pub(in crate::transport) fn header_is_utf8(&self) -> bool {
        self.header_is_utf8
    }

    /// Puts octets back that were taken, to be the next that are.
    pub(in crate::transport) fn put_back(&mut self, octets: Vec<u8>) {
        if !octets.is_empty() {
            self.ahead.push_front(Ok(octets));
        }
    }

    fn look(&mut self) {
        let mut header = Vec::new();
        while header.len() < MAX_HEADER && end_of_header(&header, 0).is_none() {
            let mut piece = Vec::new();
            match self.body.next_piece(&mut piece) {
                Ok(true) => {
                    header.extend_from_slice(&piece);
                    self.ahead.push_back(Ok(piece));
                }
                Ok(false) => break,
                Err(error) => {
                    self.ahead.push_back(Err(error));
                    break;
                }
            }
        }
        header.truncate(end_of_header(&header, 0).unwrap_or(header.len()));
        self.header_is_utf8 = !header.is_ascii();
    }
}

impl Body for HeaderFirst<'_> {
    fn next_piece(&mut self, piece: &mut Vec<u8>) -> io::Result<bool> {
        match self.ahead.pop_front() {
            None => self.body.next_piece(piece),
            Some(read) => read.map(|octets| {
                *piece = octets;
                true
            }),
        }
    }

    fn hand_over(&mut self) {
        self.body.hand_over();
    }

    fn release_next(&mut self) {
        self.body.release_next();
    }

    fn next(&self) -> Option<DeliveryRequest<'_>> {
        self.body.next()
    }
}
