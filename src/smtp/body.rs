//! The framing of message octets after DATA (RFC 5321 4.5.2): the end is CR LF . CR LF and nothing else.
//!
//! The decoder removes dot-stuffing and copies everything else unchanged. A bare CR, a bare LF and NUL are not
//! allowed in a message (RFC 5321 2.3.8, 4.1.1.4): they are recorded as a [`Blemish`], or repaired, and the decoder
//! continues to the true end, so no peer can make the rest look like commands. The one exception is for clients that
//! are listed one by one ([`LineEnds::LfAllowed`]): a message of theirs in which every line ends in LF ends at LF . LF.

use memchr::memchr3;

use crate::mutant::{Mutant, planted};

/// What to do with an LF that no CR precedes, a CR that no LF follows, and a CR before CR LF.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BareNewline {
    /// It is a blemish.
    #[default]
    Refuse,
    /// Each becomes CR LF, and CR CR LF becomes one CR LF; but a dot after a bare CR or LF is text, not an end and not
    /// stuffed.
    Normalize,
}

impl BareNewline {
    /// Writes CRs that no LF follows; whether they are a blemish.
    pub(super) fn put_bare_crs(self, count: usize, out: &mut Vec<u8>) -> bool {
        let written: &[u8] = if self == Self::Normalize { b"\r\n" } else { b"\r" };
        (0..count).for_each(|_| out.extend_from_slice(written));
        self == Self::Refuse && count > 0
    }
}

/// Whether the client may end the lines of a message with LF alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LineEnds {
    /// No: lines end in CR LF.
    #[default]
    CrLf,
    /// In a message in which every line ends in LF; the first CR LF ends the exception.
    LfAllowed,
}

/// A line of one dot that is not the end of the message, though the client seems to mean it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FalseEnd {
    /// LF . LF, or LF . CR LF.
    Lf,
    /// The same by a client that may do so, but a line of this message ended in CR LF.
    Mixed,
    /// CR . CR, or CR . CR LF.
    Cr,
    /// CR LF . CR CR LF.
    CrCrLf,
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

/// CRs before an LF that count as one line end; of a longer run the first ones are line ends of their own.
pub(super) const MAX_RUN: usize = 8;

/// Decodes one message, in pieces of any size.
#[derive(Debug)]
pub struct BodyDecoder {
    bare_newline: BareNewline,
    line_ends: LineEnds,
    state: State,
    /// Whether a line ended in LF alone, and whether one ended in CR LF.
    lf: bool,
    cr_lf: bool,
    /// The false end that the last octets are, and whether LF . LF was one at any time.
    false_end: Option<FalseEnd>,
    false_lf: bool,
    blemish: Option<Blemish>,
    eight_bit: bool,
}

/// What a line end was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LineEnd {
    /// CR LF, or the beginning of the message.
    CrLf,
    Lf,
    Cr,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// After a line end.
    Start(LineEnd),
    /// Within a line.
    Text,
    /// After these CRs, which were not written yet.
    Cr(usize),
    /// After a dot at the start of a line, which was not written.
    Dot(LineEnd),
    /// After a dot at the start of a line and these CRs, none of them written.
    DotCr(LineEnd, usize),
}

impl BodyDecoder {
    /// A decoder at the first octet after the 354.
    pub fn new(bare_newline: BareNewline, line_ends: LineEnds) -> Self {
        Self {
            bare_newline,
            line_ends,
            state: State::Start(LineEnd::CrLf),
            lf: false,
            cr_lf: false,
            false_end: None,
            false_lf: false,
            blemish: None,
            eight_bit: false,
        }
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

    /// The end that the client seems to mean, if nothing more comes.
    pub fn false_end(&self) -> Option<FalseEnd> {
        match self.state {
            State::DotCr(LineEnd::Cr, _) => Some(FalseEnd::Cr),
            // Commands may have followed.
            _ if self.false_lf && !self.cr_lf => Some(FalseEnd::Lf),
            _ => self.false_end,
        }
    }

    /// Copies up to the next octet that means something, and takes that one too. A line end before a line without a dot
    /// means nothing: whole lines are copied at once.
    fn copy_text(&mut self, input: &[u8], out: &mut Vec<u8>) -> usize {
        let mut end = 0;
        while let Some(found) = memchr3(b'\r', b'\n', 0, &input[end..]) {
            end += found;
            match input[end..] {
                // After CR LF, all octets but the dot are as within a line.
                [b'\r', b'\n', next, ..] if next != b'.' => {
                    self.note_cr_lf();
                    end += 2;
                }
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
        self.false_end = None;
        match (self.state, octet) {
            (State::DotCr(LineEnd::CrLf, 1), b'\n') => return true,
            (State::Dot(LineEnd::CrLf | LineEnd::Lf), b'\n') if self.may_end_in_lf() => return true,
            (State::Start(line_end), b'.') => self.state = State::Dot(line_end),
            (State::Dot(line_end), b'\r') => self.state = State::DotCr(line_end, 1),
            (State::DotCr(line_end, count), b'\r') if count < MAX_RUN => {
                self.state = State::DotCr(line_end, count + 1);
            }
            (State::Cr(count), b'\r') if count < MAX_RUN => self.state = State::Cr(count + 1),
            (State::Cr(count), b'\n') => self.end_line(count, out),
            (State::DotCr(line_end, count), b'\n') => {
                // After LF it is no stuffed dot: the exception ends with this line.
                if line_end != LineEnd::CrLf {
                    out.push(b'.');
                }
                self.end_line(count, out);
                self.false_end = Some(match line_end {
                    LineEnd::CrLf => FalseEnd::CrCrLf,
                    LineEnd::Lf => self.false_lf(),
                    LineEnd::Cr => FalseEnd::Cr,
                });
            }
            (State::Cr(count), _) => {
                self.bare_crs(count, out);
                return self.step(octet, out);
            }
            (State::DotCr(line_end, count), _) => {
                self.keep_dot(line_end, out);
                self.bare_crs(count, out);
                return self.step(octet, out);
            }
            (State::Dot(line_end), _) => {
                self.keep_dot(line_end, out);
                self.text(octet, out);
                if octet == b'\n' {
                    self.false_end = Some(self.false_lf());
                    self.false_lf = true;
                }
            }
            (State::Start(_) | State::Text, _) => self.text(octet, out),
        }
        false
    }

    /// Takes an octet that is neither a dot at the start of a line nor after a CR.
    fn text(&mut self, octet: u8, out: &mut Vec<u8>) {
        self.state = State::Text;
        match octet {
            b'\r' => self.state = State::Cr(1),
            b'\n' => {
                self.lf = true;
                if self.may_end_in_lf() || self.bare_newline == BareNewline::Normalize {
                    out.extend_from_slice(b"\r\n");
                } else {
                    self.note(Blemish::BareLf);
                    out.push(octet);
                }
                self.state = State::Start(LineEnd::Lf);
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

    /// LF after these CRs.
    fn end_line(&mut self, crs: usize, out: &mut Vec<u8>) {
        if crs > 1 && self.bare_newline == BareNewline::Refuse {
            self.bare_crs(crs - 1, out);
        }
        self.note_cr_lf();
        out.extend_from_slice(b"\r\n");
        self.state = State::Start(LineEnd::CrLf);
    }

    /// These CRs, which no LF follows.
    fn bare_crs(&mut self, count: usize, out: &mut Vec<u8>) {
        if self.bare_newline.put_bare_crs(count, out) {
            self.note(Blemish::BareCr);
        }
        self.state = State::Start(LineEnd::Cr);
    }

    /// A dot after CR LF was stuffed, whatever follows it (RFC 5321 4.5.2); after another line end it is text.
    fn keep_dot(&self, line_end: LineEnd, out: &mut Vec<u8>) {
        let stuffed = match line_end {
            LineEnd::CrLf => true,
            LineEnd::Lf => self.may_end_in_lf(),
            LineEnd::Cr => false,
        };
        if !stuffed {
            out.push(b'.');
        }
    }

    fn may_end_in_lf(&self) -> bool {
        (self.line_ends == LineEnds::LfAllowed && !self.cr_lf) || planted(Mutant::LfEndAccepted)
    }

    fn false_lf(&self) -> FalseEnd {
        if self.line_ends == LineEnds::LfAllowed { FalseEnd::Mixed } else { FalseEnd::Lf }
    }

    /// A line ended in CR LF: lines that were allowed to end in LF are not any more.
    fn note_cr_lf(&mut self) {
        if self.lf && !self.cr_lf && self.bare_newline == BareNewline::Refuse {
            self.note(Blemish::BareLf);
        }
        self.cr_lf = true;
    }

    fn note(&mut self, blemish: Blemish) {
        self.blemish.get_or_insert(blemish);
    }
}

#[cfg(test)]
mod tests;
