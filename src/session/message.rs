//! The octets of one message: between the 354 and the final dot, or in the chunks of BDAT.
//!
//! The header block is held back until it is complete, at most [`MAX_HEADERS`], so that the policy can judge it and
//! our own lines can go before it. Everything after it is passed on in the pieces in which it came. After an error,
//! the rest is dropped up to the true end, and the reply there reports the most serious error.

use std::sync::Arc;

use super::headers::Flaw;
use super::{FormatCheck, HeaderBlock, Settings};
use crate::smtp::body::{Blemish, BodyDecoder, FalseEnd, LineEnds};
use crate::smtp::chunk::ChunkDecoder;
use crate::smtp::header::end_of_header;
use crate::smtp::long_lines::LineMeter;
use crate::smtp::{Chunk, Input, Reply, catalogue};

/// The largest header block, in octets.
pub(super) const MAX_HEADERS: usize = 256 * 1024;

/// A message that is arriving.
#[derive(Debug)]
pub(super) struct Incoming {
    framing: Framing,
    /// Decoded and not yet handed on: while the header block is not whole, all of it.
    pending: Vec<u8>,
    headers_end: HeadersEnd,
    size: u64,
    max_size: u64,
    /// The names of fields that the header must have.
    required: Arc<[String]>,
    headers_too_large: bool,
    /// Looks for long lines in the body, where that is wanted.
    lines: Option<LineMeter>,
    refuses_long_lines: bool,
    refusal: Option<Reply>,
    ended: bool,
}

#[derive(Debug)]
enum Framing {
    /// DATA.
    Dots(BodyDecoder),
    /// BDAT, and what of the present chunk has not come yet.
    Chunks { decoder: ChunkDecoder, left: u64, last: bool },
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
    /// A chunk that is not the last was taken; of its octets only an unfinished header block is not handed on.
    ChunkEnded,
    /// The final dot or the end of the last chunk was seen; all octets are handed on.
    Ended,
}

impl Incoming {
    /// A message that comes by DATA.
    pub(super) fn by_data(settings: &Settings, line_ends: LineEnds) -> Self {
        Self::new(settings, Framing::Dots(BodyDecoder::new(settings.bare_newline, line_ends)))
    }

    /// A message that comes by BDAT.
    pub(super) fn by_chunks(settings: &Settings) -> Self {
        let decoder = ChunkDecoder::new(settings.bare_newline);
        Self::new(settings, Framing::Chunks { decoder, left: 0, last: false })
    }

    fn new(settings: &Settings, framing: Framing) -> Self {
        Self {
            framing,
            pending: Vec::new(),
            headers_end: HeadersEnd::NotBefore(0),
            size: 0,
            max_size: settings.max_size,
            required: Arc::clone(&settings.required_fields),
            headers_too_large: false,
            lines: (settings.format_check != FormatCheck::Off).then(LineMeter::default),
            refuses_long_lines: settings.format_check == FormatCheck::Refuse,
            refusal: None,
            ended: false,
        }
    }

    /// The next chunk begins. What it declares is not believed, but what is declared too large is refused at once.
    pub(super) fn begin_chunk(&mut self, chunk: Chunk) {
        if self.size.saturating_add(chunk.size) > self.max_size {
            self.refuse(catalogue::too_large(self.max_size));
        }
        if let Framing::Chunks { left, last, .. } = &mut self.framing {
            (*left, *last) = (chunk.size, chunk.last);
        }
    }

    /// Decodes what input there is, as far as there is something to do about it.
    pub(super) fn advance(&mut self, input: &mut Input) -> Progress {
        if !self.ended {
            self.decode(input);
        }
        let at_rest = self.at_rest();
        if self.complaint().is_some() {
            self.pending = Vec::new();
            return at_rest;
        }
        match self.headers_end {
            HeadersEnd::NotBefore(offset) => self.look_for_headers(offset, at_rest),
            HeadersEnd::Judged if !self.pending.is_empty() => {
                self.look_for_long_lines();
                Progress::Octets(std::mem::take(&mut self.pending))
            }
            HeadersEnd::Judged => at_rest,
        }
    }

    /// What there is to say when nothing is left to hand on.
    fn at_rest(&self) -> Progress {
        match self.framing {
            _ if self.ended => Progress::Ended,
            Framing::Chunks { left: 0, .. } => Progress::ChunkEnded,
            _ => Progress::Hungry,
        }
    }

    fn decode(&mut self, input: &mut Input) {
        let before = self.pending.len();
        let count = match self.framing {
            Framing::Dots(_) => input.rest().len(),
            Framing::Chunks { left, .. } => usize::try_from(left).unwrap_or(usize::MAX).min(input.rest().len()),
        };
        self.make_room(count);
        let octets = &input.rest()[..count];
        let (taken, at_end) = match &mut self.framing {
            Framing::Dots(decoder) => {
                let decoded = decoder.decode(octets, &mut self.pending);
                (decoded.taken, decoded.ended)
            }
            Framing::Chunks { decoder, left, last } => {
                decoder.decode(octets, &mut self.pending);
                *left -= count as u64;
                (count, *left == 0 && *last)
            }
        };
        input.take(taken);
        self.size += (self.pending.len() - before) as u64;
        self.ended = at_end;
        // The line end that is put to an unfinished line is not the client's, so it does not count.
        if let (Framing::Chunks { decoder, .. }, true) = (&mut self.framing, at_end) {
            decoder.finish(&mut self.pending);
        }
    }

    /// Grows in steps rather than by doubling: what a session may hold is bounded.
    fn make_room(&mut self, octets: usize) {
        const STEP: usize = 8 * 1024;
        if self.pending.capacity() - self.pending.len() < octets + 2 {
            self.pending.reserve_exact((octets + 2).max(STEP));
        }
    }

    /// A header block ends with the first empty line, or with the message.
    fn look_for_headers(&mut self, not_before: usize, at_rest: Progress) -> Progress {
        let end = match end_of_header(&self.pending, not_before) {
            None if self.ended => Some(self.pending.len()),
            end => end,
        };
        match end {
            Some(end) if end <= MAX_HEADERS => {
                self.headers_end = HeadersEnd::Judged;
                Progress::Headers(HeaderBlock::take_from(&mut self.pending, end, &self.required))
            }
            None if self.pending.len() < MAX_HEADERS + 2 => {
                self.headers_end = HeadersEnd::NotBefore(self.pending.len().saturating_sub(3));
                at_rest
            }
            _ => {
                self.headers_too_large = true;
                self.pending = Vec::new();
                at_rest
            }
        }
    }

    fn look_for_long_lines(&mut self) {
        let Some(lines) = &mut self.lines else { return };
        lines.feed(&self.pending);
        if lines.found && self.refuses_long_lines {
            self.refuse(catalogue::irregular(&Flaw::LongBodyLine.to_string()));
        }
    }

    /// Whether the body has a line of more than 998 octets, where somebody looked.
    pub(super) fn has_long_lines(&self) -> bool {
        self.lines.is_some_and(|lines| lines.found)
    }

    /// The message will be refused with this reply, unless something worse is found.
    pub(super) fn refuse(&mut self, reply: Reply) {
        self.refusal.get_or_insert(reply);
    }

    /// What is wrong with the message so far. The order of the complaints is that of their weight, not of their finding,
    /// so that the answer does not depend on how the octets were cut.
    pub(super) fn complaint(&self) -> Option<Reply> {
        if let Some(blemish) = self.blemish() {
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
        match &self.framing {
            Framing::Dots(decoder) => decoder.eight_bit(),
            Framing::Chunks { decoder, .. } => decoder.eight_bit(),
        }
    }

    /// The end that the client seems to mean, if nothing more comes.
    pub(super) fn false_end(&self) -> Option<FalseEnd> {
        match &self.framing {
            Framing::Dots(decoder) => decoder.false_end(),
            Framing::Chunks { .. } => None,
        }
    }

    fn blemish(&self) -> Option<Blemish> {
        match &self.framing {
            Framing::Dots(decoder) => decoder.blemish(),
            Framing::Chunks { decoder, .. } => decoder.blemish(),
        }
    }
}
