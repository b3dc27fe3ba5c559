//! Messages with lines of more than 998 octets, on routes where these are wrapped.
//!
//! The stored octets are read once to find such lines, and a second time for the size of the encoded body, which the next hop has to
//! know before it gets the message. Both times in pieces, so that memory does not grow with the message.

use std::io;

use crate::queue::delivery::body::{NewHeader, header_of};
use crate::queue::delivery::task::DeliveryTask;
use crate::smtp::long_lines::{LineMeter, QuotedPrintable, wrapped_header};
use crate::spool::{Claim, Spool, SpoolError};

/// Octets read at a time.
const PIECE: usize = 64 * 1024;

/// How a message is wrapped.
pub(super) struct Wrapping {
    pub(super) header: NewHeader,
    /// The octets of the body, if it is encoded.
    pub(super) encoded_body: Option<u64>,
}

impl<S: Spool> DeliveryTask<'_, S> {
    /// The header as it is stored.
    pub(in crate::queue::delivery) fn stored_header(&self) -> Result<Vec<u8>, SpoolError> {
        header_of(&self.claim).map_err(|error| self.unreadable(error))
    }

    /// How the long lines of the message are wrapped, if this route asks for that and there are any; `rewritten` is its header as it
    /// would go otherwise.
    pub(super) fn wraps_long_lines(&self, rewritten: Option<&NewHeader>) -> Result<Option<Wrapping>, SpoolError> {
        if !self.runner.readdressing.wrapped_routes.contains(&self.route().name) {
            return Ok(None);
        }
        let stored = self.stored_header()?;
        let header = rewritten.map_or(stored.as_slice(), |header| header.octets.as_slice());
        let mut meter = LineMeter::default();
        self.each_piece(stored.len() as u64, |piece| meter.feed(piece))?;
        if stored.is_empty() || !meter.found && !LineMeter::finds(header) {
            return Ok(None);
        }
        // Of 8-bit text that names no charset nobody knows it (RFC 1428 3).
        let charset = if self.claim.seal().eight_bit { "unknown-8bit" } else { "us-ascii" };
        let octets = match wrapped_header(header, meter.found, charset) {
            Ok(octets) => octets,
            Err(why) => {
                log::info!("{}: lines of more than 998 octets stay as they are: {why}", self.claim.id());
                return Ok(None);
            }
        };
        let mut encoded_body = None;
        if meter.found {
            let (mut encoder, mut encoded, mut size) = (QuotedPrintable::default(), Vec::new(), 0);
            self.each_piece(stored.len() as u64, |piece| {
                encoded.clear();
                encoder.feed(piece, &mut encoded);
                size += encoded.len() as u64;
            })?;
            encoded.clear();
            encoder.finish(&mut encoded);
            encoded_body = Some(size + encoded.len() as u64);
        }
        Ok(Some(Wrapping { header: NewHeader { replaced: stored.len() as u64, octets }, encoded_body }))
    }

    /// The stored octets from there on.
    pub(super) fn each_piece(&self, from: u64, mut take: impl FnMut(&[u8])) -> Result<(), SpoolError> {
        let (mut offset, mut piece) = (from, vec![0; PIECE]);
        loop {
            match self.claim.read_at(offset, &mut piece).map_err(|error| self.unreadable(error))? {
                0 => return Ok(()),
                count => {
                    take(&piece[..count]);
                    offset += count as u64;
                }
            }
        }
    }

    fn unreadable(&self, error: io::Error) -> SpoolError {
        SpoolError::new("reading", self.claim.id().to_string(), error)
    }
}
