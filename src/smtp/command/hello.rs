//! What clients call themselves in HELO and EHLO: a name, or whatever a device sends in its place.

use std::fmt::Write;

use super::error::CommandError;
use crate::address::is_unprintable;

/// Octets of a name: room for a domain, and for the sentences that devices send instead.
const MAX: usize = 255;

/// Whether a line is EHLO and not HELO, and what follows the verb; `None` where it is neither.
pub(super) fn split(line: &[u8]) -> Option<(bool, &[u8])> {
    let (verb, rest) = line.split_at_checked(4)?;
    let extended = verb.eq_ignore_ascii_case(b"EHLO");
    let is_hello = extended || verb.eq_ignore_ascii_case(b"HELO");
    (is_hello && matches!(rest.first(), None | Some(b' ' | b'\t'))).then_some((extended, rest))
}

/// Any name, also none, as text: octets that are not UTF-8, and characters that nobody sees, become `\xHH`. A control
/// character other than TAB is an error, as in every command.
pub(super) fn name_as_text(octets: &[u8]) -> Result<String, CommandError> {
    let octets = octets.trim_ascii();
    if octets.iter().any(|octet| octet.is_ascii_control() && *octet != b'\t') {
        return Err(CommandError::Octets);
    }
    if octets.len() > MAX {
        return Err(FORM);
    }
    let mut name = String::with_capacity(octets.len());
    let escape = |name: &mut String, octets: &[u8]| {
        for octet in octets {
            // Writing to memory does not fail.
            let _ = write!(name, "\\x{octet:02X}");
        }
    };
    for chunk in octets.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                c if is_unprintable(c) => escape(&mut name, c.encode_utf8(&mut [0; 4]).as_bytes()),
                c => name.push(c),
            }
        }
        escape(&mut name, chunk.invalid());
    }
    Ok(name)
}

/// The name of a client that keeps to the letter.
pub(super) fn name(argument: &str) -> Result<String, CommandError> {
    if argument.is_empty() || argument.len() > MAX || argument.contains('\t') {
        return Err(FORM);
    }
    Ok(argument.to_owned())
}

const FORM: CommandError = CommandError::Syntax("HELO or EHLO and the name of the client");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_is_text_without_octets_that_could_do_harm() {
        for (octets, shown) in [
            (&b"printer.lan"[..], "printer.lan"),
            (b"", ""),
            (b"  ", ""),
            (b" M\xdcLLER-PC", "M\\xDCLLER-PC"),
            (b"\xc4\xec\xe8-\xcf\xca", "\\xC4\\xEC\\xE8-\\xCF\\xCA"),
            ("b\u{fc}ro".as_bytes(), "b\u{fc}ro"),
            (b"a\tb", "a\\x09b"),
            (b"\xc2\x85x\x9b", "\\xC2\\x85x\\x9B"),
            ("a\u{202e}b".as_bytes(), "a\\xE2\\x80\\xAEb"),
        ] {
            assert_eq!(name_as_text(octets).as_deref(), Ok(shown), "{}", octets.escape_ascii());
        }
        for bad in [&b"a\0b"[..], b"a\rb", b"a\x1b[2J", b"\x7f", &[b'x'; 256]] {
            assert!(name_as_text(bad).is_err(), "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn a_verb_is_told_from_a_longer_word() {
        assert_eq!(split(b"ehlo"), Some((true, &b""[..])));
        assert_eq!(split(b"HELO\tx"), Some((false, &b"\tx"[..])));
        for other in [&b"HELOx"[..], b"EHL", b"", b"NOOP x", b" HELO x", b"HELO\xff"] {
            assert_eq!(split(other), None, "{}", other.escape_ascii());
        }
    }
}
