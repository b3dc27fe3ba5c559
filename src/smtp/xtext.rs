//! xtext (RFC 3461 4): how a parameter carries octets that its grammar does not allow. Pure.
//!
//! Strict: only what the grammar describes is decoded, so a value may be repeated on the wire unchanged.

/// Decodes xtext; `None` where it is malformed: a character outside `!` to `~`, a `=`, or a `+` that two capital
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

/// Encodes any octets: printable ASCII except `+` and `=` is unchanged.
pub fn encode(text: &str) -> String {
    let encoded = |octet: u8| match octet {
        b'!'..=b'~' if !matches!(octet, b'+' | b'=') => char::from(octet).to_string(),
        _ => format!("+{octet:02X}"),
    };
    text.bytes().map(encoded).collect()
}

/// Capital letters only, as the grammar has it.
fn hex_digit(octet: u8) -> Option<u8> {
    match octet {
        b'0'..=b'9' => Some(octet - b'0'),
        b'A'..=b'F' => Some(octet - b'A' + 10),
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
        for bad in ["+", "+3", "+3d", "+G0", "a=b", "a b", "ü", "\u{7f}", "a+"] {
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
