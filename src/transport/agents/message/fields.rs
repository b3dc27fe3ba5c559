//! Header fields as a person reads them: unfolded, with encoded words (RFC 2047) decoded, in UTF-8.

use super::charset::{canonical, cleaned, decoded, guessed};
use super::transfer::{base64, q_word};
use crate::smtp::header::{end_of_field, end_of_header, split_field};

/// The text of the first field with this name; `None` where there is none.
pub(super) fn text_of(message: &[u8], name: &str) -> Option<String> {
    raw(message, name).map(|value| readable(&value))
}

/// The first field with this name, unfolded.
pub(super) fn raw(message: &[u8], name: &str) -> Option<Vec<u8>> {
    let end = end_of_header(message, 0).unwrap_or(message.len());
    let mut rest = &message[..end];
    while !rest.is_empty() {
        let (field, others) = rest.split_at(end_of_field(rest));
        rest = others;
        if let Some((_, value)) = split_field(field).filter(|(found, _)| found.eq_ignore_ascii_case(name)) {
            return Some(value.iter().copied().filter(|octet| !matches!(octet, b'\r' | b'\n')).collect());
        }
    }
    None
}

/// An encoded word, or what is between two.
enum Piece<'a> {
    Plain(&'a [u8]),
    Word { charset: String, octets: Vec<u8> },
}

/// The text of a field.
pub(super) fn readable(value: &[u8]) -> String {
    let mut pieces: Vec<Piece<'_>> = Vec::new();
    // Behind the last end no word is looked for: each beginning there would be a search to the end of the field.
    let (value, behind) = value.split_at(memchr::memmem::rfind(value, b"?=").map_or(0, |at| at + 2));
    let (mut rest, mut from) = (value, 0);
    while let Some(at) = memchr::memmem::find(&rest[from..], b"=?").map(|at| from + at) {
        let Some((word, length)) = encoded_word(&rest[at..]) else {
            from = at + 2;
            continue;
        };
        add_plain(&mut pieces, &rest[..at]);
        add_word(&mut pieces, word);
        (rest, from) = (&rest[at + length..], 0);
    }
    add_plain(&mut pieces, rest);
    add_plain(&mut pieces, behind);
    let text: String = pieces
        .iter()
        .map(|piece| match piece {
            Piece::Plain(octets) => guessed(octets),
            Piece::Word { charset, octets } => decoded(octets, charset),
        })
        .collect();
    // What is not encoded may have it, too, and a line end may be in a word.
    cleaned(text.trim().replace(['\r', '\n'], " "))
}

fn add_plain<'a>(pieces: &mut Vec<Piece<'a>>, octets: &'a [u8]) {
    if !octets.is_empty() {
        pieces.push(Piece::Plain(octets));
    }
}

/// Blanks between two words are no text (RFC 2047 6.2), and a letter may be spread over both.
fn add_word(pieces: &mut Vec<Piece<'_>>, (charset, octets): (String, Vec<u8>)) {
    let is_blank = |octets: &[u8]| octets.iter().all(|octet| matches!(octet, b' ' | b'\t'));
    if let [.., Piece::Word { .. }, Piece::Plain(between)] = pieces.as_slice()
        && is_blank(between)
    {
        pieces.pop();
    }
    match pieces.last_mut() {
        Some(Piece::Word { charset: before, octets: begun }) if *before == charset => begun.extend(octets),
        _ => pieces.push(Piece::Word { charset, octets }),
    }
}

/// The charset and octets of `=?charset?encoding?text?=` at the beginning of a text, and its length.
fn encoded_word(text: &[u8]) -> Option<((String, Vec<u8>), usize)> {
    let inner = text.strip_prefix(b"=?")?;
    let first = memchr::memchr(b'?', inner)?;
    let label = str::from_utf8(&inner[..first]).ok().filter(|label| label.is_ascii() && !label.contains(' '))?;
    let encoding = *inner.get(first + 1)?;
    let content = inner.get(first + 3..).filter(|_| inner[first + 2] == b'?')?;
    let decode = match encoding {
        b'b' | b'B' => base64,
        b'q' | b'Q' => q_word,
        _ => return None,
    };
    let end = memchr::memmem::find(content, b"?=")?;
    let octets = decode(&content[..end]);
    Some(((canonical(label), octets), 2 + first + 3 + end + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_words_are_read_where_they_are() {
        for (value, text) in [
            (&b" =?utf-8?q?Gr=C3=BC=C3=9Fe?="[..], "Grüße"),
            (b"=?iso-8859-1?Q?a?= \t=?iso-8859-1?Q?b_?= c", "ab  c"),
            // A letter that is spread over two words.
            (b"=?utf-8?b?R3LD?= =?UTF-8?b?vMOfZQ==?=", "Grüße"),
            (b"=?us-ascii*en?Q?hi?= <a@b>", "hi <a@b>"),
            (b"\"=?utf-8?q?x=2C_y?=\" <a@b>", "\"x, y\" <a@b>"),
            (b"=?utf-8?x?a?= =?", "=?utf-8?x?a?= =?"),
            (b"a =?utf-8?q?", "a =?utf-8?q?"),
            (b"=?utf-8?Q?a=00b=0D=0AX: y?=", "a\u{fffd}b  X: y"),
            ("Grüße".as_bytes(), "Grüße"),
            (b"Gr\xfc\xdfe", "Grüße"),
            (b"=?utf-8?Q??=", ""),
            (b"=??q?a?=", "a"),
        ] {
            assert_eq!(readable(value), text);
        }
    }

    #[test]
    fn the_first_field_of_the_header_is_read_unfolded() {
        let message = b"From: a\r\nSubject: one\r\n two\r\nsubject: other\r\n\r\nTo: body\r\n";
        assert_eq!(text_of(message, "SUBJECT").as_deref(), Some("one two"));
        assert_eq!(text_of(message, "to"), None);
        assert_eq!(text_of(b"", "to"), None);
        assert_eq!(text_of(b"To: x", "to").as_deref(), Some("x"));
    }
}
