//! Lines of more than 998 octets (RFC 5322 2.1.1), which many servers refuse: the body is encoded as quoted-printable (RFC 2045
//! 6.7), and the lines of the header are folded.
//!
//! Pure, and in bounded memory: octets come in pieces. Whoever decodes the body has it octet for octet. What is signed, and what
//! has parts or another encoding, stays as it is.

use std::fmt;

use super::header::{end_of_field, split_field};

/// What becomes of long lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LongLines {
    /// They stay.
    #[default]
    Keep,
    /// They are wrapped, where that is possible.
    Wrap,
}

/// The longest line, without its end.
pub const LONGEST: usize = 998;

/// Looks for long lines, in pieces.
#[derive(Debug, Clone, Copy, Default)]
pub struct LineMeter {
    length: usize,
    /// Whether one was found.
    pub found: bool,
}

impl LineMeter {
    /// Looks at the next octets.
    pub fn feed(&mut self, octets: &[u8]) {
        for octet in octets {
            match octet {
                b'\n' => self.length = 0,
                // It may be the first half of a line end, which is not counted.
                b'\r' => {}
                _ => self.length += 1,
            }
            self.found |= self.length > LONGEST;
        }
    }

    /// Whether there is a long line in all of these.
    pub fn finds(octets: &[u8]) -> bool {
        let mut meter = Self::default();
        meter.feed(octets);
        meter.found
    }
}

/// Why a message stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unchangeable {
    /// A DKIM signature would no longer hold.
    Signed,
    /// It has parts.
    HasParts,
    /// It is encoded already.
    Encoded,
}

impl fmt::Display for Unchangeable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Signed => "it is signed",
            Self::HasParts => "it has several parts",
            Self::Encoded => "it is encoded already",
        })
    }
}

/// The header of a message whose long lines are wrapped: folded, and with what an encoded body needs. `header` goes up to and
/// with the empty line, or to the end of a message without a body. `charset` is for a text that names none.
///
/// # Errors
/// Why the message stays as it is.
pub fn wrapped_header(header: &[u8], encodes_body: bool, charset: &str) -> Result<Vec<u8>, Unchangeable> {
    let (mut out, mut rest) = (Vec::with_capacity(header.len() + 200), header);
    let (mut has_version, mut has_type) = (false, false);
    while !rest.is_empty() && !rest.starts_with(b"\r\n") {
        let (field, tail) = rest.split_at(end_of_field(rest));
        rest = tail;
        let (name, body) = split_field(field).unwrap_or(("", b""));
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("DKIM-Signature") || is("ARC-Message-Signature") {
            return Err(Unchangeable::Signed);
        }
        let value = String::from_utf8_lossy(body.trim_ascii()).to_ascii_lowercase();
        if encodes_body && is("Content-Type") {
            if ["multipart", "message"].iter().any(|kind| value.starts_with(kind)) {
                return Err(Unchangeable::HasParts);
            }
            has_type = true;
        }
        if encodes_body && is("Content-Transfer-Encoding") {
            if !["", "7bit", "8bit", "binary"].contains(&value.as_str()) {
                return Err(Unchangeable::Encoded);
            }
            continue;
        }
        has_version |= is("MIME-Version");
        fold(&mut out, field);
    }
    if encodes_body {
        if !out.is_empty() && !out.ends_with(b"\r\n") {
            out.extend_from_slice(b"\r\n");
        }
        if !has_version {
            out.extend_from_slice(b"MIME-Version: 1.0\r\n");
        }
        if !has_type {
            out.extend_from_slice(format!("Content-Type: text/plain; charset={charset}\r\n").as_bytes());
        }
        out.extend_from_slice(b"Content-Transfer-Encoding: quoted-printable\r\n");
    }
    out.extend_from_slice(rest);
    Ok(out)
}

/// Appends a field, its long lines folded before white space; where there is none, a line stays.
fn fold(out: &mut Vec<u8>, field: &[u8]) {
    for line in field.split_inclusive(|octet| *octet == b'\n') {
        let mut rest = line;
        while rest.trim_ascii_end().len() > LONGEST {
            let is_blank = |at: &usize| matches!(rest[*at], b' ' | b'\t');
            // A line of blanks alone would end the field for some readers.
            let fits = |at: &usize| is_blank(at) && !rest[..*at].trim_ascii().is_empty();
            let Some(at) = (1..=LONGEST).rev().find(fits) else { break };
            out.extend_from_slice(&rest[..at]);
            out.extend_from_slice(b"\r\n");
            rest = &rest[at..];
        }
        out.extend_from_slice(rest);
    }
}

/// Encodes a body as quoted-printable, in pieces.
#[derive(Debug, Clone, Copy, Default)]
pub struct QuotedPrintable {
    column: usize,
    /// A blank of which it is not known whether it ends its line.
    blank: Option<u8>,
    /// A CR of which it is not known whether an LF follows.
    cr: bool,
}

/// No line is longer, with the mark of a soft line break.
const WIDTH: usize = 76;

impl QuotedPrintable {
    /// Appends the next octets of the body, encoded.
    pub fn feed(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        for octet in octets.iter().copied() {
            if std::mem::take(&mut self.cr) {
                if octet == b'\n' {
                    self.end_line(out);
                    continue;
                }
                self.flush_blank(out);
                self.escaped(b'\r', out);
            }
            match octet {
                b'\r' => self.cr = true,
                b' ' | b'\t' => {
                    self.flush_blank(out);
                    self.blank = Some(octet);
                }
                b'!'..=b'~' if octet != b'=' => {
                    self.flush_blank(out);
                    self.put(&[octet], out);
                }
                _ => {
                    self.flush_blank(out);
                    self.escaped(octet, out);
                }
            }
        }
    }

    /// Appends what was held back at the end.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.cr) {
            self.flush_blank(out);
            self.escaped(b'\r', out);
        } else if let Some(blank) = self.blank.take() {
            self.escaped(blank, out);
        }
    }

    fn end_line(&mut self, out: &mut Vec<u8>) {
        // RFC 2045 6.7 (3): a blank at the end of a line may be lost on the way.
        if let Some(blank) = self.blank.take() {
            self.escaped(blank, out);
        }
        out.extend_from_slice(b"\r\n");
        self.column = 0;
    }

    fn flush_blank(&mut self, out: &mut Vec<u8>) {
        if let Some(blank) = self.blank.take() {
            self.put(&[blank], out);
        }
    }

    fn escaped(&mut self, octet: u8, out: &mut Vec<u8>) {
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        self.put(&[b'=', DIGITS[usize::from(octet >> 4)], DIGITS[usize::from(octet & 15)]], out);
    }

    fn put(&mut self, token: &[u8], out: &mut Vec<u8>) {
        if self.column + token.len() > WIDTH - 1 {
            out.extend_from_slice(b"=\r\n");
            self.column = 0;
        }
        out.extend_from_slice(token);
        self.column += token.len();
    }
}

/// A whole message with its long lines wrapped; `None` where it has none.
///
/// # Errors
/// Why it stays as it is.
pub fn wrapped(message: &[u8]) -> Option<Result<Vec<u8>, Unchangeable>> {
    let end = super::header::end_of_header(message, 0).map_or(message.len(), |end| (end + 2).min(message.len()));
    let (header, body) = message.split_at(end);
    let encodes_body = LineMeter::finds(body);
    if !encodes_body && !LineMeter::finds(header) {
        return None;
    }
    let charset = match str::from_utf8(body) {
        Ok(text) if text.is_ascii() => "us-ascii",
        Ok(_) => "utf-8",
        // RFC 1428 3: what nobody knows.
        Err(_) => "unknown-8bit",
    };
    Some(wrapped_header(header, encodes_body, charset).map(|mut out| {
        if encodes_body {
            let mut encoder = QuotedPrintable::default();
            encoder.feed(body, &mut out);
            encoder.finish(&mut out);
        } else {
            out.extend_from_slice(body);
        }
        out
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(body: &[u8], piece: usize) -> String {
        let (mut encoder, mut out) = (QuotedPrintable::default(), Vec::new());
        body.chunks(piece).for_each(|piece| encoder.feed(piece, &mut out));
        encoder.finish(&mut out);
        String::from_utf8(out).unwrap()
    }

    /// As RFC 2045 6.7 has it, and nothing else.
    fn decoded(text: &str) -> Vec<u8> {
        let (mut out, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once('=') {
            out.extend_from_slice(before.as_bytes());
            rest = match after.strip_prefix("\r\n") {
                Some(after) => after,
                None => {
                    out.push(u8::from_str_radix(&after[..2], 16).unwrap());
                    &after[2..]
                }
            };
        }
        out.extend_from_slice(rest.as_bytes());
        out
    }

    #[test]
    fn a_line_is_long_from_999_octets_on_wherever_the_pieces_end() {
        let line = |octets: usize| [vec![b'a'; octets], b"\r\n".to_vec()].concat();
        assert!(!LineMeter::finds(&[line(998), line(998)].concat()) && LineMeter::finds(&line(999)));
        let mut meter = LineMeter::default();
        line(999).chunks(7).for_each(|piece| meter.feed(piece));
        assert!(meter.found);
    }

    #[test]
    fn blanks_at_line_ends_and_bare_line_ends_are_encoded() {
        assert_eq!(encoded(b"a \r\nb\t\r\n=\r\n.\r\n", 1), "a=20\r\nb=09\r\n=3D\r\n.\r\n");
        assert_eq!(encoded(b"a\rb\nc \r d \r", 2), "a=0Db=0Ac =0D d =0D");
        assert_eq!(encoded(b" ", 1), "=20");
    }

    #[test]
    fn what_has_parts_or_is_signed_or_encoded_stays() {
        let long = "y".repeat(2_000);
        let result = |header: &str| wrapped(format!("{header}\r\n{long}\r\n").as_bytes()).unwrap();
        assert_eq!(result("Content-Type: Multipart/mixed; boundary=x\r\n"), Err(Unchangeable::HasParts));
        assert_eq!(result("content-type:\r\n message/rfc822\r\n"), Err(Unchangeable::HasParts));
        assert_eq!(result("DKIM-Signature: v=1\r\n"), Err(Unchangeable::Signed));
        assert_eq!(result("Content-Transfer-Encoding: Base64\r\n"), Err(Unchangeable::Encoded));
        assert_eq!(wrapped(b"Subject: x\r\n\r\nshort\r\n"), None);
        let plain = String::from_utf8(result("Subject: x\r\nContent-Transfer-Encoding: 8bit\r\n").unwrap()).unwrap();
        let (header, body) = plain.split_once("\r\n\r\n").unwrap();
        assert_eq!(
            header,
            "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\
             Content-Transfer-Encoding: quoted-printable"
        );
        assert!(body.split("\r\n").all(|line| line.len() <= 76));
        let html = result("MIME-Version: 1.0\r\nContent-Type: text/html; charset=latin1\r\n").unwrap();
        assert!(String::from_utf8(html).unwrap().starts_with(
            "MIME-Version: 1.0\r\nContent-Type: text/html; charset=latin1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        ));
    }

    #[test]
    fn long_lines_of_the_header_are_folded_at_blanks_and_nowhere_else() {
        let list = "someone@example.com, ".repeat(200);
        let message = format!("To: {list}x@y\r\nX:{}\r\n\r\nb\r\n", "z".repeat(1_200));
        let out = String::from_utf8(wrapped(message.as_bytes()).unwrap().unwrap()).unwrap();
        assert_eq!(out.replace("\r\n ", " "), message);
        let lines: Vec<_> = out.split("\r\n").collect();
        assert!(lines.iter().filter(|line| !line.starts_with("X:")).all(|line| line.len() <= 998));
        assert!(!out.contains("quoted-printable"));
    }

    proptest! {
        #[test]
        fn whatever_was_encoded_reads_back_the_same(
            body in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'\r'), Just(b'\n'), Just(b' '), Just(b'=')], 0..3_000),
            piece in 1_usize..80,
        ) {
            let text = encoded(&body, piece);
            prop_assert!(text.split("\r\n").all(|line| line.len() <= 76 && line.is_ascii()));
            prop_assert!(text.split("\r\n").all(|line| !line.ends_with([' ', '\t'])));
            prop_assert_eq!(decoded(&text), body);
        }
    }
}
