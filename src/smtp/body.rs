//! The framing of message octets after DATA (RFC 5321 4.5.2): the end is CR LF . CR LF and nothing else.
//!
//! The decoder removes dot-stuffing and copies everything else unchanged. A bare CR, a bare LF and NUL are not
//! allowed in a message (RFC 5321 2.3.8, 4.1.1.4): they are recorded as a [`Blemish`], and the decoder continues to
//! the true end, so no peer can make the rest look like commands.

use memchr::memchr3;

use crate::mutant::{Mutant, planted};

/// What to do with an LF that no CR precedes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BareNewline {
    /// It is a blemish.
    #[default]
    Refuse,
    /// It becomes CR LF; but a dot after it is text, not an end and not stuffed.
    Normalize,
}

/// The first thing found that must not be in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blemish {
    /// CR without LF.
    BareCr,
    /// LF without CR.
    BareLf,
    /// The octet 0.
    Nul,
}

/// What [`BodyDecoder::decode`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoded {
    /// How many octets of the input it took; all of them unless the end was found.
    pub taken: usize,
    /// Whether the end of the message was found.
    pub ended: bool,
}

/// Decodes one message, in pieces of any size.
#[derive(Debug)]
pub struct BodyDecoder {
    bare_newline: BareNewline,
    state: State,
    blemish: Option<Blemish>,
    eight_bit: bool,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// After CR LF, or before the first octet.
    LineStart,
    /// Within a line.
    Text,
    /// After a CR that was not written yet.
    Cr,
    /// After a dot at the start of a line.
    Dot,
    /// After dot and CR at the start of a line, neither of them written.
    DotCr,
}

impl BodyDecoder {
    /// A decoder at the first octet after the 354.
    pub fn new(bare_newline: BareNewline) -> Self {
        Self { bare_newline, state: State::LineStart, blemish: None, eight_bit: false }
    }

    /// Decodes up to the end of the message or of the input; appends to `out` what belongs to the message.
    pub fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Decoded {
        let mut at = 0;
        while at < input.len() {
            if let State::Text = self.state {
                at += self.copy_text(&input[at..], out);
            } else {
                at += 1;
                if self.step(input[at - 1], out) {
                    return Decoded { taken: at, ended: true };
                }
            }
        }
        Decoded { taken: at, ended: false }
    }

    /// The first blemish so far.
    pub fn blemish(&self) -> Option<Blemish> {
        self.blemish
    }

    /// Whether an octet above 127 was in the message so far.
    pub fn eight_bit(&self) -> bool {
        self.eight_bit
    }

    /// Copies up to the next octet that means something, and takes that one too. A line end before a line without a dot
    /// means nothing: whole lines are copied at once.
    fn copy_text(&mut self, input: &[u8], out: &mut Vec<u8>) -> usize {
        let mut end = 0;
        while let Some(found) = memchr3(b'\r', b'\n', 0, &input[end..]) {
            end += found;
            match input[end..] {
                // After CR LF, all octets but the dot are as within a line.
                [b'\r', b'\n', next, ..] if next != b'.' => end += 2,
                _ => break,
            }
        }
        if !matches!(input.get(end), Some(b'\r' | b'\n' | 0)) {
            end = input.len();
        }
        let text = &input[..end];
        self.eight_bit |= !text.is_ascii();
        out.extend_from_slice(text);
        match input.get(end) {
            None => end,
            Some(octet) => {
                self.step(*octet, out);
                end + 1
            }
        }
    }

    /// Takes one octet; `true` at the end of the message.
    fn step(&mut self, octet: u8, out: &mut Vec<u8>) -> bool {
        match (self.state, octet) {
            (State::DotCr, b'\n') => return true,
            (State::Dot, b'\n') if planted(Mutant::LfEndAccepted) => return true,
            (State::LineStart, b'.') => self.state = State::Dot,
            (State::Dot, b'\r') => self.state = State::DotCr,
            (State::Cr, b'\n') => {
                out.extend_from_slice(b"\r\n");
                self.state = State::LineStart;
            }
            (State::Cr | State::DotCr, _) => {
                self.note(Blemish::BareCr);
                out.push(b'\r');
                self.text(octet, out);
            }
            // Whatever follows a stuffed dot, the dot itself is dropped (RFC 5321 4.5.2).
            (State::LineStart | State::Dot | State::Text, _) => self.text(octet, out),
        }
        false
    }

    fn text(&mut self, octet: u8, out: &mut Vec<u8>) {
        self.state = State::Text;
        match octet {
            b'\r' => self.state = State::Cr,
            b'\n' if planted(Mutant::LfEndAccepted) => {
                out.extend_from_slice(b"\r\n");
                self.state = State::LineStart;
            }
            b'\n' if self.bare_newline == BareNewline::Normalize => out.extend_from_slice(b"\r\n"),
            b'\n' => {
                self.note(Blemish::BareLf);
                out.push(octet);
            }
            _ => {
                if octet == 0 {
                    self.note(Blemish::Nul);
                }
                self.eight_bit |= !octet.is_ascii();
                out.push(octet);
            }
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

    /// What was decoded, what of the input was left (or `None` without an end), and the blemish.
    type Result = (Vec<u8>, Option<Vec<u8>>, Option<Blemish>);

    fn decode(pieces: &[&[u8]], bare_newline: BareNewline) -> Result {
        let mut decoder = BodyDecoder::new(bare_newline);
        let mut out = Vec::new();
        for (index, piece) in pieces.iter().enumerate() {
            let decoded = decoder.decode(piece, &mut out);
            if decoded.ended {
                let mut rest = piece[decoded.taken..].to_vec();
                rest.extend(pieces[index + 1..].concat());
                return (out, Some(rest), decoder.blemish());
            }
        }
        (out, None, decoder.blemish())
    }

    fn refuse(text: &[u8]) -> Result {
        decode(&[text], BareNewline::Refuse)
    }

    #[test]
    fn dots_are_unstuffed_at_line_starts_only() {
        let (text, rest, blemish) = refuse(b"..a\r\n.b\r\nc.\r\n...\r\n.\r\nQUIT\r\n");
        assert_eq!(text, b".a\r\nb\r\nc.\r\n..\r\n");
        assert_eq!(rest.as_deref(), Some(&b"QUIT\r\n"[..]));
        assert_eq!(blemish, None);
    }

    #[test]
    fn a_dot_at_once_is_an_empty_message() {
        assert_eq!(refuse(b".\r\n"), (vec![], Some(vec![]), None));
    }

    #[test]
    fn every_false_end_is_text_and_a_blemish() {
        for (end, blemish) in [
            (&b"\n.\n"[..], Blemish::BareLf),
            (b"\n.\r\n", Blemish::BareLf),
            (b"\r\n.\n", Blemish::BareLf),
            (b"\r.\r", Blemish::BareCr),
            (b"\r.\r\n", Blemish::BareCr),
            (b"\r\n.\r", Blemish::BareCr),
            (b"\r\n.\r\r\n", Blemish::BareCr),
            (b"\r\r\n.\r\r\n", Blemish::BareCr),
            (b"\r\n\0.\r\n", Blemish::Nul),
            (b"\r\n.\0\r\n", Blemish::Nul),
        ] {
            let (_, rest, found) = refuse(&[b"a", end, b"MAIL FROM:<x@y>\r\n.\r\n"].concat());
            assert_eq!(rest, Some(vec![]), "{end:?}: the end is the last dot");
            assert_eq!(found, Some(blemish), "{end:?}");
        }
    }

    #[test]
    fn normalizing_mends_lf_but_ends_nowhere_else() {
        let (text, rest, blemish) = decode(&[b"a\n.\n..b\n.\r\nc\r\n.\r\n"], BareNewline::Normalize);
        assert_eq!(text, b"a\r\n.\r\n..b\r\n.\r\nc\r\n");
        assert_eq!((rest, blemish), (Some(vec![]), None));
        assert_eq!(decode(&[b"a\rb\r\n.\r\n"], BareNewline::Normalize).2, Some(Blemish::BareCr));
    }

    #[test]
    fn eight_bit_is_noticed() {
        let mut decoder = BodyDecoder::new(BareNewline::Refuse);
        decoder.decode(b"abc\r\n", &mut Vec::new());
        assert!(!decoder.eight_bit());
        decoder.decode(b"\xfcber", &mut Vec::new());
        assert!(decoder.eight_bit());
    }

    /// The definition, without regard for speed: split at CR LF, stop at a line of one dot, drop one leading dot.
    fn reference(text: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
        let mut out = Vec::new();
        let mut rest = text;
        while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
            let line = &rest[..end];
            rest = &rest[end + 2..];
            if line == b"." {
                return (out, Some(rest.to_vec()));
            }
            out.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
            out.extend_from_slice(b"\r\n");
        }
        (out, None)
    }

    proptest! {
        #[test]
        fn any_octets_in_any_pieces_decode_as_the_reference(
            text in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'.'), Just(b'a'), Just(0), any::<u8>()], 0..60),
            cut in 1_usize..9,
        ) {
            let whole = decode(&[&text], BareNewline::Refuse);
            let pieces: Vec<&[u8]> = text.chunks(cut).collect();
            prop_assert_eq!(&decode(&pieces, BareNewline::Refuse), &whole);
            let (expected, rest) = reference(&text);
            prop_assert_eq!(&whole.1, &rest);
            if rest.is_some() {
                prop_assert_eq!(&whole.0, &expected);
            }
        }
    }
}
