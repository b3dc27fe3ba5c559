//! The message text from a program of this host: lines end as on Unix, with or without a header.
//!
//! No content is refused: what a message may not contain is converted. The output has CRLF line ends, no bare CR or
//! LF, and no NUL.

use memchr::memchr;

use crate::smtp::header::split_field;

/// Whether a line with a single dot ends the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoneDot {
    /// As a person at a terminal ends it; what follows is dropped.
    Ends,
    /// It is a line as any other (`-i`).
    IsText,
}

/// One field of the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    /// As it was written.
    pub(super) name: String,
    /// The text after the colon, including folds and the last CRLF.
    pub(super) body: Vec<u8>,
}

impl Field {
    pub(super) fn new(name: &str, text: &str) -> Self {
        Self { name: name.to_owned(), body: format!(" {text}\r\n").into_bytes() }
    }

    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.body.trim_ascii().is_empty()
    }
}

/// A message, split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) fields: Vec<Field>,
    /// What follows the blank line.
    pub(super) body: Vec<u8>,
}

impl Text {
    /// Reads what a program wrote.
    pub(super) fn read(input: &[u8], dot: LoneDot) -> Self {
        let octets = with_line_ends(input, dot);
        let mut rest = octets.as_slice();
        // The line that begins a message in an mbox file.
        if rest.starts_with(b"From ") || rest.starts_with(b">From ") {
            rest = &rest[end_of_line(rest)..];
        }
        let mut fields: Vec<Field> = Vec::new();
        while !rest.is_empty() {
            let (line, after) = rest.split_at(end_of_line(rest));
            if line == b"\r\n" {
                return Self { fields, body: after.to_vec() };
            }
            match (line[0], fields.last_mut(), split_field(line)) {
                (b' ' | b'\t', Some(field), _) => field.body.extend_from_slice(line),
                (_, _, Some((name, body))) => fields.push(Field { name: name.to_owned(), body: body.to_vec() }),
                // No blank line before the body; or no header at all.
                _ => break,
            }
            rest = after;
        }
        Self { fields, body: rest.to_vec() }
    }

    pub(super) fn octets(&self) -> Vec<u8> {
        let header: usize = self.fields.iter().map(|field| field.name.len() + 1 + field.body.len()).sum();
        let mut octets = Vec::with_capacity(header + 2 + self.body.len());
        for field in &self.fields {
            octets.extend_from_slice(field.name.as_bytes());
            octets.push(b':');
            octets.extend_from_slice(&field.body);
        }
        octets.extend_from_slice(b"\r\n");
        octets.extend_from_slice(&self.body);
        octets
    }
}

fn end_of_line(octets: &[u8]) -> usize {
    memchr(b'\n', octets).map_or(octets.len(), |at| at + 1)
}

/// Lines that end in CRLF. A CR within a line is a line end too, as what draws progress with it means one; a NUL becomes a
/// space.
fn with_line_ends(input: &[u8], dot: LoneDot) -> Vec<u8> {
    let mut octets = Vec::with_capacity(input.len() + input.len() / 32 + 2);
    for line in input.split_inclusive(|octet| *octet == b'\n') {
        let mut line = line.strip_suffix(b"\n").unwrap_or(line);
        while let Some(shorter) = line.strip_suffix(b"\r") {
            line = shorter;
        }
        if line == b"." && dot == LoneDot::Ends {
            break;
        }
        if memchr::memchr2(b'\r', 0, line).is_none() {
            octets.extend_from_slice(line);
        } else {
            for octet in line {
                match octet {
                    b'\r' => octets.extend_from_slice(b"\r\n"),
                    0 => octets.push(b' '),
                    octet => octets.push(*octet),
                }
            }
        }
        octets.extend_from_slice(b"\r\n");
    }
    octets
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(input: &[u8], dot: LoneDot) -> String {
        String::from_utf8(with_line_ends(input, dot)).unwrap()
    }

    #[test]
    fn every_line_ends_in_crlf_whatever_it_ended_in() {
        let all = lines(b"a\nb\r\nc\r\r\n10%\r20%\nd\0e\n\nend", LoneDot::Ends);
        assert_eq!(all, "a\r\nb\r\nc\r\n10%\r\n20%\r\nd e\r\n\r\nend\r\n");
        assert_eq!(lines(b"", LoneDot::Ends), "");
    }

    #[test]
    fn a_lone_dot_ends_the_text_only_where_it_is_to() {
        assert_eq!(lines(b"a\n..\n.\nb\n", LoneDot::Ends), "a\r\n..\r\n");
        assert_eq!(lines(b"a\n.\nb\n.", LoneDot::IsText), "a\r\n.\r\nb\r\n.\r\n");
        assert_eq!(lines(b"a\r\n.\r\nb", LoneDot::Ends), "a\r\n");
    }

    #[test]
    fn a_header_ends_where_no_field_follows() {
        let read = |input: &[u8]| Text::read(input, LoneDot::Ends);
        let text = read(b"From root Mon Jan  1\nTo: joe\n\tamy\nSubject : x\n\nTo: body\n");
        assert_eq!(text.fields.len(), 2);
        assert!(text.fields[1].is("subject") && text.fields[0].body == b" joe\r\n\tamy\r\n");
        assert_eq!(text.body, b"To: body\r\n");
        assert_eq!(text.octets(), b"To: joe\r\n\tamy\r\nSubject: x\r\n\r\nTo: body\r\n");
        assert_eq!(read(b"Subject: x\nno field here\n").octets(), b"Subject: x\r\n\r\nno field here\r\n");
        assert_eq!(read(b"hello\n").octets(), b"\r\nhello\r\n");
        assert_eq!(read(b" indented: x\n").octets(), b"\r\n indented: x\r\n");
        assert_eq!(read(b"").octets(), b"\r\n");
    }

    proptest! {
        #[test]
        fn the_result_is_always_fit_to_be_sent(input: Vec<u8>) {
            let octets = Text::read(&input, LoneDot::IsText).octets();
            prop_assert!(octets.ends_with(b"\r\n") && !octets.contains(&0));
            for (at, octet) in octets.iter().enumerate() {
                match octet {
                    b'\r' => prop_assert_eq!(octets.get(at + 1), Some(&b'\n')),
                    b'\n' => prop_assert_eq!(octets[at - 1], b'\r'),
                    _ => {}
                }
            }
        }
    }
}
