//! Writes header fields and MIME parts that may contain text from a peer. Pure.
//!
//! Whatever goes in, the result is CRLF lines of at most 998 octets without control octets. No line begins a field that was not
//! asked for, and except for an address in a field, everything is ASCII.

use std::fmt::Write;

use crate::address::{Mailbox, printable};
use crate::smtp::header::end_of_header;
use crate::smtp::xtext;

/// Header lines are folded here, if there is a space (RFC 5322 2.1.1).
const FOLD: usize = 76;
/// Header lines are cut here where there is none; RFC 5322 2.1.1 allows 998 octets.
const CUT: usize = 900;

/// Appends a header field. Control characters become `?`; a long value is folded.
pub(super) fn field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.push(b':');
    let mut column = name.len() + 1;
    for word in value.split_ascii_whitespace() {
        if column + 1 + word.len() > FOLD && column > name.len() + 1 {
            out.extend_from_slice(b"\r\n");
            column = 0;
        }
        let mut rest = word;
        loop {
            let (piece, after) = rest.split_at(rest.floor_char_boundary(CUT));
            let clean = printable(piece);
            out.push(b' ');
            out.extend_from_slice(clean.as_bytes());
            column += 1 + clean.len();
            if after.is_empty() {
                break;
            }
            out.extend_from_slice(b"\r\n");
            (rest, column) = (after, 0);
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// A part with its own header: as it is where that is safe, else quoted-printable in UTF-8 (RFC 2045 6.7).
pub(in crate::queue) fn text(kind: &str, octets: &[u8]) -> Vec<u8> {
    let plain = (octets.is_empty() || octets.ends_with(b"\r\n")) && lines(octets).all(is_plain);
    if plain {
        let mut out = format!("Content-Type: {kind}; charset=us-ascii\r\n\r\n").into_bytes();
        out.extend_from_slice(octets);
        return out;
    }
    encoded(&format!("{kind}; charset=utf-8"), octets)
}

/// A part with its own header, quoted-printable (RFC 2045 6.7).
pub(super) fn encoded(kind: &str, octets: &[u8]) -> Vec<u8> {
    let mut out = format!("Content-Type: {kind}\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n").into_bytes();
    for line in lines(octets) {
        // Line by line, so that a bare CR or LF is encoded, and a break is never put between the two of a CRLF.
        out.extend_from_slice(quoted_printable::encode_binary_to_str(line).as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// The lines without their CRLF; what comes after the last one is a line if it is not empty.
pub(in crate::queue) fn lines(octets: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = octets;
    std::iter::from_fn(move || {
        let end = memchr::memmem::find(rest, b"\r\n");
        let line = (!rest.is_empty()).then(|| &rest[..end.unwrap_or(rest.len())])?;
        rest = end.map_or(&[], |end| &rest[end + 2..]);
        Some(line)
    })
}

/// Whether a line can stay as it is: printable ASCII, short enough, and not to be taken for a boundary.
fn is_plain(line: &[u8]) -> bool {
    let printable = |octet: &u8| matches!(octet, b'\t' | b' '..=b'~');
    line.len() <= 998 && line.iter().all(printable) && !line.starts_with(b"--=_")
}

/// The header block at the beginning of a message, whole lines only; where it was cut off, without the last one.
pub(super) fn header_block(beginning: &[u8]) -> &[u8] {
    let cut_off = || memchr::memmem::rfind(beginning, b"\r\n").map(|at| at + 2);
    let end = end_of_header(beginning, 0).or_else(cut_off);
    &beginning[..end.unwrap_or(beginning.len())]
}

/// `text` with everything outside printable ASCII as `?`.
pub(super) fn ascii(text: &str) -> String {
    text.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' }).collect()
}

/// Whether this is `<...>` of printable ASCII without spaces, and can be repeated in a header.
pub(super) fn is_message_id(text: &str) -> bool {
    text.len() <= 500
        && text.starts_with('<')
        && text.ends_with('>')
        && text.bytes().all(|octet| octet.is_ascii_graphic())
}

/// What xtext (RFC 3461 4) stands for. What is malformed stays as it is.
pub(super) fn from_xtext(text: &str) -> String {
    xtext::decode(text).map_or_else(|| text.to_owned(), |octets| String::from_utf8_lossy(&octets).into_owned())
}

/// `rfc822; joe@x`, or `utf-8; jos\x{E9}@x` in the 7-bit form of RFC 6533 3 (utf-8-addr-xtext).
pub(super) fn typed_address(mailbox: &Mailbox) -> String {
    let address = mailbox.to_string();
    if address.is_ascii() {
        return format!("rfc822; {address}");
    }
    let mut out = String::from("utf-8; ");
    for c in address.chars() {
        if matches!(c, '!'..='~') && !matches!(c, '\\' | '+' | '=') {
            out.push(c);
        } else {
            let _infallible = write!(out, "\\x{{{:02X}}}", u32::from(c));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(value: &str) -> String {
        let mut out = Vec::new();
        field(&mut out, "X", value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn fields_are_folded_and_cannot_be_broken_out_of() {
        assert_eq!(folded("a b"), "X: a b\r\n");
        assert_eq!(folded("a\r\nBcc: b"), "X: a Bcc: b\r\n");
        assert_eq!(folded("a\u{0}\u{1b}\u{85}b"), "X: a??b\r\n".replace("??", "???"));
        let long = folded(&"word ".repeat(50));
        assert!(
            long.split("\r\n").all(|line| line.len() <= FOLD)
                && long.split("\r\n").skip(1).all(|l| l.is_empty() || l.starts_with(' '))
        );
        assert!(folded(&"x".repeat(5_000)).split("\r\n").all(|line| line.len() <= 998));
    }

    #[test]
    fn only_what_is_plain_goes_unencoded() {
        assert!(text("text/plain", b"a\r\n\r\nb\r\n").ends_with(b"us-ascii\r\n\r\na\r\n\r\nb\r\n"));
        let long = [b'x'; 1_200];
        for octets in [
            &b"caf\xc3\xa9\r\n"[..],
            b"a\nb\r\n",
            b"\n\r\n",
            b"a\rb\r\r\n\r\n\n\r\n",
            b"a\0 \r\n\t\r\nb \xff \r\n",
            b"a",
            &long,
            b"--=_\r\n",
        ] {
            let part = text("text/plain", octets);
            let (_, encoded) = str::from_utf8(&part).unwrap().split_once("\r\n\r\n").unwrap();
            assert!(encoded.split("\r\n").all(|line| line.len() <= 76 && line.is_ascii() && !line.contains("=_")));
            let decoded = quoted_printable::decode(encoded, quoted_printable::ParseMode::Strict).unwrap();
            assert_eq!(decoded.strip_suffix(b"\r\n"), Some(octets.strip_suffix(b"\r\n").unwrap_or(octets)));
        }
    }

    #[test]
    fn the_header_block_ends_at_the_empty_line_or_the_last_whole_line() {
        assert_eq!(header_block(b"A: b\r\n\r\nbody\r\n"), b"A: b\r\n");
        assert_eq!(header_block(b"A: b\r\nC: d\r\nE: cut o"), b"A: b\r\nC: d\r\n");
        assert_eq!(header_block(b"\r\nbody\r\n"), b"");
        assert_eq!(header_block(b""), b"");
    }

    #[test]
    fn xtext_is_decoded() {
        assert_eq!(from_xtext("a+2Bb+3Dc+C3+A9"), "a+b=c\u{e9}");
        assert_eq!(from_xtext("a+2Bb+"), "a+2Bb+");
    }
}
