//! The header of a message in the spool, split into its fields and joined again; and the writing of fields.
//!
//! A field that is not replaced is written octet for octet. A new field has lines of at most 998 octets (RFC 5322
//! 2.1.1), none of them blank, without bare CR, LF or NUL: whatever goes in, it is one field.

use std::borrow::Cow;

use memchr::memchr;

use crate::smtp::header::{end_of_field, split_field};

/// A field with its line ends, or lines that are none.
#[derive(Debug)]
pub(super) struct Field<'a> {
    pub(super) kind: Kind,
    pub(super) octets: Cow<'a, [u8]>,
}

/// The kinds of fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    From,
    Sender,
    ReplyTo,
    Other,
    /// Neither a field nor the continuation of one.
    Junk,
}

/// A whole header.
#[derive(Debug)]
pub(super) struct Header<'a> {
    pub(super) fields: Vec<Field<'a>>,
    /// From the empty line on.
    rest: &'a [u8],
}

impl<'a> Header<'a> {
    /// Reads up to the empty line, or to the end where there is none.
    pub(super) fn parse(octets: &'a [u8]) -> Self {
        let (mut fields, mut rest) = (Vec::new(), octets);
        while !rest.is_empty() && !rest.starts_with(b"\r\n") {
            let (field, tail) = rest.split_at(end_of_field(rest));
            fields.push(Field { kind: Kind::of(field), octets: Cow::Borrowed(field) });
            rest = tail;
        }
        Self { fields, rest }
    }

    /// Where the first field of a kind is.
    pub(super) fn position(&self, kind: Kind) -> Option<usize> {
        self.fields.iter().position(|field| field.kind == kind)
    }

    /// Where a field can be added so that every reader finds it: before what some take for the end of the header.
    pub(super) fn end(&self) -> usize {
        // Lines that begin with white space would become a part of what is put before them.
        let ends = |field: &Field<'_>| field.kind == Kind::Junk && !matches!(field.octets.first(), Some(b' ' | b'\t'));
        self.fields.iter().position(ends).unwrap_or(self.fields.len())
    }

    /// The octets of all.
    pub(super) fn into_octets(self) -> Vec<u8> {
        let mut out = Vec::new();
        for field in &self.fields {
            // Only what ends the message may lack its line end.
            if !out.is_empty() && !out.ends_with(b"\r\n") {
                out.extend_from_slice(b"\r\n");
            }
            out.extend_from_slice(&field.octets);
        }
        out.extend_from_slice(self.rest);
        out
    }
}

impl Kind {
    fn of(field: &[u8]) -> Self {
        let Some((name, _)) = split_field(field) else { return Self::Junk };
        let known = [("from", Self::From), ("sender", Self::Sender), ("reply-to", Self::ReplyTo)];
        known.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map_or(Self::Other, |(_, kind)| *kind)
    }
}

impl Field<'_> {
    /// Where its body is: after the colon, without the last line end.
    pub(super) fn body_start(&self) -> usize {
        memchr(b':', &self.octets).map_or(0, |colon| colon + 1)
    }

    /// The body, still folded.
    pub(super) fn body(&self) -> &[u8] {
        let body = &self.octets[self.body_start()..];
        body.strip_suffix(b"\r\n").unwrap_or(body)
    }

    /// Whether nothing is in it.
    pub(super) fn is_blank(&self) -> bool {
        self.body().trim_ascii().is_empty()
    }
}

/// Lines are folded here, if there is white space (RFC 5322 2.1.1).
const FOLD: usize = 78;
/// Words are cut here where there is none; with a name before them they stay within 998 octets (RFC 5322 2.1.1).
const CUT: usize = 900;
/// Longer runs of white space become one space, or a line could consist of them.
const MAX_BLANK: usize = 40;

/// A field that is written.
pub(super) struct FieldWriter {
    kind: Kind,
    out: Vec<u8>,
    column: usize,
}

impl FieldWriter {
    /// Begins a field of this name.
    pub(super) fn new(kind: Kind, name: &str) -> Self {
        let out = format!("{name}:").into_bytes();
        Self { kind, column: out.len(), out }
    }

    /// Appends text of a message, after a space, with new folds in place of the old ones.
    pub(super) fn text(&mut self, octets: &[u8]) {
        let clean = unfold(octets);
        let mut rest = clean.trim_ascii();
        let mut blank = &b" "[..];
        while !rest.is_empty() {
            let is_blank = |octet: &u8| matches!(octet, b' ' | b'\t');
            let (word, tail) = rest.split_at(rest.iter().position(is_blank).unwrap_or(rest.len()));
            self.word(blank, word);
            let (between, tail) = tail.split_at(tail.iter().position(|octet| !is_blank(octet)).unwrap_or(tail.len()));
            blank = if between.len() > MAX_BLANK { b" " } else { between };
            rest = tail;
        }
    }

    /// Appends one word of less than 900 octets after a space; it is not cut.
    pub(super) fn whole(&mut self, word: &str) {
        self.word(b" ", word.as_bytes());
    }

    fn word(&mut self, blank: &[u8], mut word: &[u8]) {
        let is_first = self.out.ends_with(b":") && !self.out.contains(&b' ');
        if !is_first && self.column + blank.len() + word.len() > FOLD {
            self.break_line();
        }
        self.out.extend_from_slice(blank);
        self.column += blank.len();
        while word.len() > CUT {
            let (piece, tail) = word.split_at(cut(word));
            self.out.extend_from_slice(piece);
            self.break_line();
            self.out.push(b' ');
            self.column += 1;
            word = tail;
        }
        self.out.extend_from_slice(word);
        self.column += word.len();
    }

    fn break_line(&mut self) {
        self.out.extend_from_slice(b"\r\n");
        self.column = 0;
    }

    /// The field.
    pub(super) fn end<'a>(mut self) -> Field<'a> {
        self.break_line();
        Field { kind: self.kind, octets: Cow::Owned(self.out) }
    }
}

/// Without line ends, and with a space for what must not be in a line.
pub(super) fn unfold(octets: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(octets.len());
    for (at, octet) in octets.iter().enumerate() {
        match octet {
            b'\r' if matches!(octets.get(at + 1..at + 3), Some(b"\n " | b"\n\t")) => {}
            b'\n' if at > 0 && octets[at - 1] == b'\r' && matches!(octets.get(at + 1), Some(b' ' | b'\t')) => {}
            b'\r' | b'\n' | 0 => out.push(b' '),
            octet => out.push(*octet),
        }
    }
    out
}

/// Where a long word is cut: neither within a character of UTF-8 nor between a backslash and what it quotes.
fn cut(word: &[u8]) -> usize {
    let is_continuation = |at: &usize| word[*at] & 0xC0 == 0x80;
    let end = (CUT - 3..=CUT).rev().find(|at| !is_continuation(at)).unwrap_or(CUT);
    let backslashes = word[..end].iter().rev().take_while(|octet| **octet == b'\\').count();
    end - backslashes % 2
}

#[cfg(test)]
mod tests {
    use memchr::memmem;

    use super::*;

    fn written(text: &[u8]) -> Vec<u8> {
        let mut writer = FieldWriter::new(Kind::From, "From");
        writer.text(text);
        writer.end().octets.into_owned()
    }

    #[test]
    fn a_header_comes_out_as_it_went_in() {
        for octets in [
            &b"From: a\r\n b\r\nX:y\r\n\r\nFrom: body\r\n"[..],
            b" junk\r\nfRoM : a\r\n \r\n\r\n",
            b"From: a",
            b"junk\r\n\r\n",
            b"\r\nFrom: body",
            b"",
        ] {
            assert_eq!(Header::parse(octets).into_octets(), octets);
        }
        let kinds = |octets: &[u8]| Header::parse(octets).fields.iter().map(|field| field.kind).collect::<Vec<_>>();
        let junk = b" From: x\r\nfRoM : a\r\nFro m: b\r\nResent-From: c\r\nSENDER:d\r\nreply-to:\r\n\r\nFrom: e\r\n";
        assert_eq!(kinds(junk), [Kind::Junk, Kind::From, Kind::Junk, Kind::Other, Kind::Sender, Kind::ReplyTo]);
    }

    #[test]
    fn text_is_folded_anew_and_stays_one_field() {
        assert_eq!(written(b" a\r\n\tb "), b"From: a\tb\r\n");
        assert_eq!(written(b"a\r\nBcc: b\rc\nd\0e"), b"From: a  Bcc: b c d e\r\n");
        for long in
            ["word ".repeat(900), "x".repeat(5_000), "\\\\\\".repeat(2_000), "ü".repeat(2_000), " ".repeat(3_000)]
        {
            let out = String::from_utf8(written(format!("a{long}b").as_bytes())).unwrap();
            let lines: Vec<&str> = out.strip_suffix("\r\n").unwrap().split("\r\n").collect();
            assert!(lines.iter().all(|line| line.len() <= 998 && !line.trim().is_empty()), "{long}");
            assert!(lines[1..].iter().all(|line| line.starts_with(' ')), "{long}");
        }
        let backslashes = written("\\".repeat(1_801).as_bytes());
        assert_eq!(memmem::find(&backslashes, b"\r\n").map(|at| (at - 6) % 2), Some(0), "a pair was cut in two");
    }
}
