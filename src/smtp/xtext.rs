//! xtext (RFC 3461 4): how a parameter carries octets that its grammar does not allow. Pure.
//!
//! Some gateways write hexadecimal digits in small letters. Both are decoded; what is repeated on the wire goes through
//! [`capitalised`] before, so that it is of the grammar of RFC 3461.

use std::borrow::Cow;

/// Decodes xtext; `None` where it is malformed: a character outside `!` to `~`, a `=`, or a `+` that two
/// hexadecimal digits do not follow.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        match *first {
            b'+' => {
                let (high, low) = (hex_digit(*after.first()?)?, hex_digit(*after.get(1)?)?);
                octets.push(high << 4 | low);
                rest = &after[2..];
            }
            octet @ b'!'..=b'~' if octet != b'=' => {
                octets.push(octet);
                rest = after;
            }
            _ => return None,
        }
    }
    Some(octets)
}

/// Decodes xtext that must stand for printable ASCII: graphic characters and spaces (RFC 3461 4.2, 4.4).
pub fn decode_printable(text: &str) -> Option<String> {
    let octets = decode(text)?;
    let printable = octets.iter().all(|octet| matches!(octet, b' '..=b'~'));
    if printable { String::from_utf8(octets).ok() } else { None }
}

/// The same xtext with the capital letters that RFC 3461 4 demands in hexadecimal digits.
pub fn capitalised(text: &str) -> Cow<'_, str> {
    let octets = text.as_bytes();
    let is_small = |at: usize| {
        let digit = |next: usize| octets.get(at + next).copied().filter(u8::is_ascii_hexdigit);
        matches!((octets[at], digit(1), digit(2)), (b'+', Some(high), Some(low))
            if high.is_ascii_lowercase() || low.is_ascii_lowercase())
    };
    let small: Vec<usize> = (0..octets.len()).filter(|at| is_small(*at)).collect();
    if small.is_empty() {
        return text.into();
    }
    let mut capital = text.to_owned();
    for at in small {
        capital[at + 1..at + 3].make_ascii_uppercase();
    }
    capital.into()
}

/// Encodes any octets: printable ASCII except `+` and `=` is unchanged.
pub fn encode(text: &str) -> String {
    let encoded = |octet: u8| match octet {
        b'!'..=b'~' if !matches!(octet, b'+' | b'=') => char::from(octet).to_string(),
        _ => format!("+{octet:02X}"),
    };
    text.bytes().map(encoded).collect()
}

fn hex_digit(octet: u8) -> Option<u8> {
    match octet {
        b'0'..=b'9' => Some(octet - b'0'),
        b'A'..=b'F' => Some(octet - b'A' + 10),
        b'a'..=b'f' => Some(octet - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_the_grammar_allows_is_decoded() {
        assert_eq!(decode_printable("Bob+3Dx+2B+20y@example.org").as_deref(), Some("Bob=x+ y@example.org"));
        assert_eq!(decode("+00+FF"), Some(vec![0, 255]));
        assert_eq!(decode(""), Some(vec![]));
    }

    #[test]
    fn small_digits_are_read_and_never_written() {
        for (small, capital) in [
            ("a+3db", "a+3Db"),
            ("+2b+2B+2f", "+2B+2B+2F"),
            ("X400-MTS-Identifier:+20[/PRMD+3dx/;1]", "X400-MTS-Identifier:+20[/PRMD+3Dx/;1]"),
            ("abc+2Bdef", "abc+2Bdef"),
            ("+20a", "+20a"),
            ("\u{e9}+c3", "\u{e9}+C3"),
            ("+a", "+a"),
        ] {
            assert_eq!(capitalised(small), capital);
            assert_eq!(decode(small), decode(capital));
        }
    }

    #[test]
    fn what_is_encoded_is_what_rfc_3461_says() {
        assert_eq!(encode("a+b=c d\u{e9}~!@x"), "a+2Bb+3Dc+20d+C3+A9~!@x");
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in ".{0,40}") {
            prop_assert_eq!(decode(&encode(&text)), Some(text.into_bytes()));
        }
    }

    #[test]
    fn what_it_does_not_is_refused() {
        for bad in ["+", "+3", "+3g", "+G0", "+x3", "+3 ", "a=b", "a b", "ü", "\u{7f}", "a+"] {
            assert_eq!(decode(bad), None, "{bad:?}");
        }
        for bad in ["+00", "+0D+0A", "+7F", "+C3+BC"] {
            assert_eq!(decode_printable(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_encoded_comes_back(octets in proptest::collection::vec(any::<u8>(), 0..40)) {
            let encoded: String = octets.iter().map(|octet| format!("+{octet:02X}")).collect();
            prop_assert_eq!(decode(&encoded), Some(octets));
        }
    }
}
