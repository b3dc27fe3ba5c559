//! The framing of message octets after BDAT (RFC 3030 2): they are counted, so nothing in them is an end and no dot
//! is stuffed.
//!
//! The same octets are allowed as after DATA: a bare CR, a bare LF and NUL are a [`Blemish`] here too, or are repaired, as
//! BINARYMIME is not offered. A CR at the end of one chunk and the LF at the beginning of the next are one line end.

use memchr::memchr3;

use super::body::{BareNewline, Blemish, MAX_RUN};

/// Decodes one message, in chunks that come in pieces of any size.
#[derive(Debug)]
pub struct ChunkDecoder {
    bare_newline: BareNewline,
    line: Line,
    blemish: Option<Blemish>,
    eight_bit: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// After CR LF, or before the first octet.
    Start,
    /// Within a line.
    Text,
    /// After these CRs, which were not written yet.
    Cr(usize),
}

impl ChunkDecoder {
    /// A decoder before the first chunk.
    pub fn new(bare_newline: BareNewline) -> Self {
        Self { bare_newline, line: Line::Start, blemish: None, eight_bit: false }
    }

    /// Appends to `out` what of the message is in `input`; a CR at its end is held back until it is known what follows.
    pub fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) {
        let mut rest = input;
        while let Some((first, after)) = rest.split_first() {
            if matches!(self.line, Line::Cr(_)) || matches!(first, b'\r' | b'\n' | 0) {
                self.step(*first, out);
                rest = after;
            } else {
                let (text, tail) = rest.split_at(memchr3(b'\r', b'\n', 0, rest).unwrap_or(rest.len()));
                self.eight_bit |= !text.is_ascii();
                out.extend_from_slice(text);
                self.line = Line::Text;
                rest = tail;
            }
        }
    }

    /// The last chunk has ended: a last line without CR LF gets one, as the spool holds whole lines.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if let Line::Cr(count) = self.line {
            match self.bare_newline {
                BareNewline::Refuse => self.note(Blemish::BareCr),
                // The last of them is the end of the last line.
                BareNewline::Normalize => self.bare_crs(count - 1, out),
            }
            self.line = Line::Text;
        }
        if self.line != Line::Start {
            out.extend_from_slice(b"\r\n");
            self.line = Line::Start;
        }
    }

    /// The first blemish so far.
    pub fn blemish(&self) -> Option<Blemish> {
        self.blemish
    }

    /// Whether an octet above 127 was in the message so far.
    pub fn eight_bit(&self) -> bool {
        self.eight_bit
    }

    fn step(&mut self, octet: u8, out: &mut Vec<u8>) {
        match (self.line, octet) {
            (Line::Cr(count), b'\n') => {
                if count > 1 && self.bare_newline == BareNewline::Refuse {
                    self.bare_crs(count - 1, out);
                }
                out.extend_from_slice(b"\r\n");
                self.line = Line::Start;
                return;
            }
            (Line::Cr(count), b'\r') if count < MAX_RUN => {
                self.line = Line::Cr(count + 1);
                return;
            }
            (Line::Cr(count), _) => self.bare_crs(count, out),
            _ => {}
        }
        self.line = Line::Text;
        match octet {
            b'\r' => self.line = Line::Cr(1),
            b'\n' if self.bare_newline == BareNewline::Normalize => {
                out.extend_from_slice(b"\r\n");
                self.line = Line::Start;
            }
            _ => {
                match octet {
                    b'\n' => self.note(Blemish::BareLf),
                    0 => self.note(Blemish::Nul),
                    _ => self.eight_bit |= !octet.is_ascii(),
                }
                out.push(octet);
            }
        }
    }

    /// These CRs, which no LF follows.
    fn bare_crs(&mut self, count: usize, out: &mut Vec<u8>) {
        if self.bare_newline.put_bare_crs(count, out) {
            self.note(Blemish::BareCr);
        }
    }

    fn note(&mut self, blemish: Blemish) {
        self.blemish.get_or_insert(blemish);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(pieces: &[&[u8]], bare_newline: BareNewline) -> (Vec<u8>, Option<Blemish>) {
        let mut decoder = ChunkDecoder::new(bare_newline);
        let mut out = Vec::new();
        for piece in pieces {
            decoder.decode(piece, &mut out);
        }
        decoder.finish(&mut out);
        (out, decoder.blemish())
    }

    #[test]
    fn dots_are_text_and_nothing_is_an_end() {
        let text = b"..a\r\n.\r\nMAIL FROM:<a@b>\r\n.\r\n";
        assert_eq!(decode(&[text], BareNewline::Refuse), (text.to_vec(), None));
    }

    #[test]
    fn a_line_end_may_lie_between_two_chunks() {
        assert_eq!(decode(&[b"a\r", b"\nb\r\n"], BareNewline::Refuse), (b"a\r\nb\r\n".to_vec(), None));
        assert_eq!(decode(&[b"a\r", b"b"], BareNewline::Refuse).1, Some(Blemish::BareCr));
        assert_eq!(decode(&[b"a\r"], BareNewline::Refuse).1, Some(Blemish::BareCr));
    }

    #[test]
    fn the_last_line_gets_its_end_and_an_empty_message_stays_empty() {
        assert_eq!(decode(&[b"a\r\nb"], BareNewline::Refuse), (b"a\r\nb\r\n".to_vec(), None));
        assert_eq!(decode(&[], BareNewline::Refuse), (Vec::new(), None));
    }

    #[test]
    fn what_may_not_be_in_a_message_may_not_come_by_chunks() {
        assert_eq!(decode(&[b"a\nb\r\n"], BareNewline::Refuse).1, Some(Blemish::BareLf));
        assert_eq!(decode(&[b"a\0b\r\n"], BareNewline::Refuse).1, Some(Blemish::Nul));
        assert_eq!(decode(&[b"a\n.\nb"], BareNewline::Normalize), (b"a\r\n.\r\nb\r\n".to_vec(), None));
        assert_eq!(decode(&[b"a\0b"], BareNewline::Normalize).1, Some(Blemish::Nul));
        for (text, stored) in [
            (&b"a\rb"[..], &b"a\r\nb\r\n"[..]),
            (b"a\r\r\n.\r\r\n\r\r\r\n", b"a\r\n.\r\n\r\n"),
            (b"a\r\rb\n\rc\r", b"a\r\n\r\nb\r\n\r\nc\r\n"),
            (b"a\r\r", b"a\r\n\r\n"),
        ] {
            let octets: Vec<&[u8]> = text.chunks(1).collect();
            assert_eq!(decode(&octets, BareNewline::Normalize), (stored.to_vec(), None));
            assert_eq!(decode(&[text], BareNewline::Normalize), (stored.to_vec(), None));
        }
    }

    proptest! {
        #[test]
        fn any_octets_in_any_pieces_decode_alike(
            text in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'.'), Just(b'a'), Just(0), any::<u8>()], 0..60),
            cut in 1_usize..9,
        ) {
            let whole = decode(&[&text], BareNewline::Refuse);
            prop_assert_eq!(&decode(&text.chunks(cut).collect::<Vec<_>>(), BareNewline::Refuse), &whole);
            if whole.1.is_none() {
                let mut expected = text.clone();
                if !text.is_empty() && !text.ends_with(b"\r\n") {
                    expected.extend_from_slice(b"\r\n");
                }
                prop_assert_eq!(whole.0, expected);
            }
        }
    }
}
