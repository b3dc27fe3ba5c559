//! Where the header of a message ends, where each of its fields ends, and what a field's name is (RFC 5322 2.2). In the files
//! below: the tokens of a structured field, lists of addresses, changes to a header, and the beginning of a message. Pure.

mod address_list;
mod beginning;
mod edit;
mod tokens;

pub(crate) use address_list::{AddressTokens, Member, is_comments, is_phrase};
pub use beginning::Beginning;
pub use edit::{FoldedField, HeaderEdit, RemovedName, edited};
pub(crate) use tokens::{Token, TokenKind, tokens};

use memchr::{memchr, memmem};

/// How many octets the header has, without the empty line behind it; `None` where its end is not in these octets.
///
/// `not_before` says where the search may begin, as no end was found before that.
pub fn end_of_header(octets: &[u8], not_before: usize) -> Option<usize> {
    if octets.starts_with(b"\r\n") {
        return Some(0);
    }
    memmem::find(octets.get(not_before..)?, b"\r\n\r\n").map(|at| not_before + at + 2)
}

/// How many octets the first field has: it ends at the first CRLF that is not followed by white space (RFC 5322 2.2.3).
pub fn end_of_field(octets: &[u8]) -> usize {
    memmem::find_iter(octets, b"\r\n")
        .map(|at| at + 2)
        .find(|end| !matches!(octets.get(*end), Some(b' ' | b'\t')))
        .unwrap_or(octets.len())
}

/// The name of a field, and what is behind its colon; `None` for what is no field.
pub fn split_field(field: &[u8]) -> Option<(&str, &[u8])> {
    let colon = memchr(b':', field)?;
    // RFC 5322 4.5.8: blanks before the colon are obsolete, but read; a fold is not.
    let is_blank = |octet: &u8| matches!(octet, b' ' | b'\t');
    let length = field[..colon].iter().rposition(|octet| !is_blank(octet)).map_or(0, |last| last + 1);
    let name = &field[..length];
    let valid = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    if valid { Some((str::from_utf8(name).ok()?, &field[colon + 1..])) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_ends_with_the_first_empty_line() {
        assert_eq!(end_of_header(b"a: b\r\n\r\nbody\r\n\r\n", 0), Some(6));
        assert_eq!(end_of_header(b"\r\nbody\r\n\r\n", 0), Some(0));
        assert_eq!(end_of_header(b"a: b\r\n", 0), None);
        assert_eq!(end_of_header(b"a: b\r\n\r\n", 3), Some(6));
        assert_eq!(end_of_header(b"a", 3), None);
        assert_eq!(end_of_header(b"", 0), None);
    }

    #[test]
    fn a_folded_field_goes_on() {
        assert_eq!(end_of_field(b"a: b\r\n c\r\n\td\r\ne: f\r\n"), 14);
        assert_eq!(end_of_field(b"a: b"), 4);
        assert_eq!(end_of_field(b"a: b\r\n "), 7);
    }

    #[test]
    fn a_name_has_no_blank_and_no_control_character() {
        assert_eq!(split_field(b"Subject : x\r\n"), Some(("Subject", &b" x\r\n"[..])));
        for none in [&b"no colon"[..], b": x", b"two words: x", b"n\xc3\xa4me: x", b" a: x", b"a\r\n : x", b"a\x0c: x"]
        {
            assert_eq!(split_field(none), None);
        }
    }
}
