//! The octets of one message between the 354 and the final dot.
//!
//! The header block is held back until it is whole, at most [`MAX_HEADERS`], so that it can be judged and our own lines can
//! go before it; everything after it is handed on in the pieces in which it came. Once something is wrong, the rest is
//! swallowed to the true end, and the gravest complaint is the answer there.

use memchr::memmem;

use super::{HeaderBlock, Settings};
use crate::smtp::body::BodyDecoder;
use crate::smtp::{Input, Reply, catalogue};

/// The largest header block, in octets.
pub(super) const MAX_HEADERS: usize = 256 * 1024;

/// A message that is arriving.
#[derive(Debug)]
pub(super) struct Incoming {
    decoder: BodyDecoder,
    /// Decoded and not yet handed on: while the header block is not whole, all of it.
    pending: Vec<u8>,
    headers_end: HeadersEnd,
    size: u64,
    max_size: u64,
    headers_too_large: bool,
    refusal: Option<Reply>,
    ended: bool,
}

#[derive(Debug, Clone, Copy)]
enum HeadersEnd {
    /// Not before this offset in `pending`.
    NotBefore(usize),
    /// The headers are with the policy.
    Judged,
}

/// What there is to do after some input was decoded.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// More input is needed.
    Hungry,
    /// The header block is whole: have it judged, and put it into the draft.
    Headers(HeaderBlock),
    /// Octets for the draft.
    Octets(Vec<u8>),
    /// The final dot was seen; all octets are handed on.
    Ended,
}

impl Incoming {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            decoder: BodyDecoder::new(settings.bare_newline),
            pending: Vec::new(),
            headers_end: HeadersEnd::NotBefore(0),
            size: 0,
            max_size: settings.max_size,
            headers_too_large: false,
            refusal: None,
            ended: false,
        }
    }

    /// Decodes what input there is, as far as there is something to do about it.
    pub(super) fn advance(&mut self, input: &mut Input) -> Progress {
        if !self.ended && !input.is_empty() {
            self.decode(input);
        }
        if self.complaint().is_some() {
            self.pending = Vec::new();
            return if self.ended { Progress::Ended } else { Progress::Hungry };
        }
        match self.headers_end {
            HeadersEnd::NotBefore(offset) => self.look_for_headers(offset),
            HeadersEnd::Judged if !self.pending.is_empty() => Progress::Octets(std::mem::take(&mut self.pending)),
            HeadersEnd::Judged if self.ended => Progress::Ended,
            HeadersEnd::Judged => Progress::Hungry,
        }
    }

    fn decode(&mut self, input: &mut Input) {
        let before = self.pending.len();
        self.make_room(input.rest().len());
        let decoded = self.decoder.decode(input.rest(), &mut self.pending);
        input.take(decoded.taken);
        self.ended = decoded.ended;
        self.size += (self.pending.len() - before) as u64;
    }

    /// Grows in steps rather than by doubling: what a session may hold is bounded.
    fn make_room(&mut self, octets: usize) {
        const STEP: usize = 8 * 1024;
        if self.pending.capacity() - self.pending.len() < octets + 2 {
            self.pending.reserve_exact((octets + 2).max(STEP));
        }
    }

    /// A header block ends with the first empty line, or with the message.
    fn look_for_headers(&mut self, not_before: usize) -> Progress {
        let end = if self.pending.starts_with(b"\r\n") {
            Some(0)
        } else {
            memmem::find(&self.pending[not_before..], b"\r\n\r\n").map(|at| not_before + at + 2)
        };
        let end = match end {
            None if self.ended => Some(self.pending.len()),
            end => end,
        };
        match end {
            Some(end) if end <= MAX_HEADERS => {
                self.headers_end = HeadersEnd::Judged;
                let rest = self.pending.split_off(end);
                Progress::Headers(HeaderBlock::new(std::mem::replace(&mut self.pending, rest)))
            }
            None if self.pending.len() < MAX_HEADERS + 2 => {
                self.headers_end = HeadersEnd::NotBefore(self.pending.len().saturating_sub(3));
                Progress::Hungry
            }
            _ => {
                self.headers_too_large = true;
                self.pending = Vec::new();
                if self.ended { Progress::Ended } else { Progress::Hungry }
            }
        }
    }

    /// The message will be refused with this reply, unless something worse is found.
    pub(super) fn refuse(&mut self, reply: Reply) {
        self.refusal.get_or_insert(reply);
    }

    /// What is wrong with the message so far. The order of the complaints is that of their weight, not of their finding,
    /// so that the answer does not depend on how the octets were cut.
    pub(super) fn complaint(&self) -> Option<Reply> {
        if let Some(blemish) = self.decoder.blemish() {
            Some(catalogue::blemished(blemish))
        } else if self.size > self.max_size {
            Some(catalogue::too_large(self.max_size))
        } else if self.headers_too_large {
            Some(catalogue::headers_too_large())
        } else {
            self.refusal.clone()
        }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn eight_bit(&self) -> bool {
        self.decoder.eight_bit()
    }
}
