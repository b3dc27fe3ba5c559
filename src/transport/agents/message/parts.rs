//! The first text of a message, found in its parts (RFC 2046) by a walk that has an end.
//!
//! Invariant: a hostile message costs no more than a few passes over its octets. A parser that reads every part recurses as deeply as the
//! sender likes, and copies or scans the rest for each part.

use mail_parser::{ContentType, Message, MessageParser, MimeHeaders};
use memchr::memmem;

use super::fields::raw;
use super::{charset, transfer};
use crate::smtp::header::end_of_header;

/// How deeply parts are in parts, and how many of them are looked at.
const DEPTH: usize = 8;
const PARTS: usize = 100;
/// What is read of one field: the parser compares each attribute with all others.
const FIELD: usize = 4096;
/// The fields that are read by that parser.
const NAMES: [&str; 4] = ["Date", "Content-Type", "Content-Transfer-Encoding", "Content-Disposition"];

/// A part for a person to read.
struct Leaf<'m> {
    octets: &'m [u8],
    encoding: String,
    charset: String,
    html: bool,
}

/// The fields of a message or a part that say what it is, and nothing behind them.
pub(super) fn head(part: &[u8]) -> Option<Message<'static>> {
    let mut octets = Vec::new();
    for name in NAMES {
        if let Some(value) = raw(part, name) {
            octets.extend([name.as_bytes(), b": ", &value[..value.len().min(FIELD)], b"\r\n"].concat());
        }
    }
    octets.extend(b"\r\n");
    MessageParser::default().parse_headers(&octets).map(Message::into_owned)
}

/// The text and the charset of the first part that is text; HTML only where there is nothing else.
pub(super) fn text(mail: &[u8]) -> Option<(String, String)> {
    let leaf = first_text(mail, DEPTH, &mut { PARTS })?;
    let octets = match leaf.encoding.as_str() {
        "base64" => transfer::base64(leaf.octets),
        "quoted-printable" => transfer::quoted_printable(leaf.octets),
        _ => leaf.octets.to_vec(),
    };
    let text = charset::decoded(&octets, &leaf.charset);
    let text = if leaf.html { mail_parser::decoders::html::html_to_text(&text) } else { text };
    Some((charset::cleaned(text), leaf.charset.to_ascii_lowercase()))
}

fn first_text<'m>(part: &'m [u8], depth: usize, left: &mut usize) -> Option<Leaf<'m>> {
    *left = left.checked_sub(1)?;
    let head = head(part);
    let head = head.as_ref();
    let kind = head.and_then(|head| head.content_type());
    let attribute = |name| kind.and_then(|kind| kind.attribute(name));
    let subtype = kind.and_then(ContentType::subtype).unwrap_or_default().to_ascii_lowercase();
    let body = end_of_header(part, 0).and_then(|end| part.get(end + 2..)).unwrap_or_default();
    match (kind.map_or("text", ContentType::ctype), subtype.as_str()) {
        // The parts of a digest are messages by themselves.
        ("multipart", "digest") => None,
        ("multipart", _) => {
            let (depth, boundary) = (depth.checked_sub(1)?, attribute("boundary")?);
            let mut html = None;
            for part in Parts::of(body, boundary) {
                match first_text(part, depth, left) {
                    // Another way to say the same may be better.
                    Some(leaf) if leaf.html && subtype == "alternative" => html = html.or(Some(leaf)),
                    Some(leaf) => return Some(leaf),
                    None if *left == 0 => break,
                    None => {}
                }
            }
            html
        }
        ("text", "" | "plain" | "html")
            if !head.and_then(|head| head.content_disposition()).is_some_and(ContentType::is_attachment) =>
        {
            let encoding = head.and_then(|head| head.content_transfer_encoding()).unwrap_or_default();
            Some(Leaf {
                octets: body,
                encoding: encoding.trim().to_ascii_lowercase(),
                charset: attribute("charset").unwrap_or("us-ascii").to_owned(),
                html: subtype == "html",
            })
        }
        _ => None,
    }
}

/// The parts between the lines of a boundary (RFC 2046 5.1.1); the last one may lack the line behind it.
struct Parts<'m> {
    rest: Option<&'m [u8]>,
    line: Vec<u8>,
}

impl<'m> Parts<'m> {
    fn of(body: &'m [u8], boundary: &str) -> Self {
        let mut parts = Self { rest: Some(body), line: format!("--{boundary}").into_bytes() };
        // What is before the first line is no part; where there is no such line, there is none.
        parts.rest = parts.next_line(body).and_then(|(_, rest)| rest);
        parts
    }

    /// Where the next such line begins, with the line end before it, and what is behind it: `None` where it ends the parts.
    fn next_line(&self, octets: &'m [u8]) -> Option<(usize, Option<&'m [u8]>)> {
        for at in memmem::find_iter(octets, &self.line) {
            let before = &octets[..at];
            let behind = &octets[at + self.line.len()..];
            let last = behind.starts_with(b"--");
            let behind = if last { &behind[2..] } else { behind };
            let blanks = behind.iter().take_while(|octet| matches!(octet, b' ' | b'\t')).count();
            let behind = &behind[blanks..];
            let rest = if behind.is_empty() { Some(behind) } else { behind.strip_prefix(b"\r\n") };
            if let Some(rest) = rest.filter(|_| before.is_empty() || before.ends_with(b"\n")) {
                let start = before.strip_suffix(b"\r\n").unwrap_or(before).len();
                return Some((start, Some(rest).filter(|rest| !last && !rest.is_empty())));
            }
        }
        None
    }
}

impl<'m> Iterator for Parts<'m> {
    type Item = &'m [u8];

    fn next(&mut self) -> Option<&'m [u8]> {
        let rest = self.rest.take()?;
        let Some((end, behind)) = self.next_line(rest) else { return Some(rest) };
        self.rest = behind;
        Some(&rest[..end])
    }
}
