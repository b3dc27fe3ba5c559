//! What a client claims in an exchange whose result nobody checks (`auth.any_password_from`).
//!
//! Any octets are a response: other than base64, without a user, without a password. No claim gives a right.

use base64::alphabet;
use base64::engine::{DecodePaddingMode, Engine, GeneralPurpose, GeneralPurposeConfig};

use crate::smtp::Mechanism;

/// The base64 of devices: the padding may be missing, and the bits that it fills may be set.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// The name of a user who gave none.
const NOBODY: &str = "anonymous";
/// Characters of a name that are kept.
const MAX_NAME: usize = 64;

/// A response as it was meant: decoded, or as it came where it is no base64.
pub fn decode(line: &[u8]) -> Vec<u8> {
    let line = line.trim_ascii();
    LENIENT.decode(line).unwrap_or_else(|_| line.to_vec())
}

/// Whom the first response claims to be. What is not of the mechanism's form names nobody: it may be a password.
pub(super) fn claimed(mechanism: Mechanism, response: &[u8]) -> String {
    let name = match mechanism {
        // `[authzid] NUL authcid NUL passwd`; whom it wants to act for means nothing here.
        Mechanism::Plain => response.split(|octet| *octet == 0).nth(1).unwrap_or_default(),
        Mechanism::CramMd5 => response.rsplitn(2, |octet| *octet == b' ').nth(1).unwrap_or_default(),
        Mechanism::Login | Mechanism::ScramSha256 => response,
    };
    readable(name)
}

/// A name for the log and the envelope: of letters, digits and the signs of ASCII only.
fn readable(name: &[u8]) -> String {
    let text = match str::from_utf8(name) {
        Ok(text) => text.to_owned(),
        // Latin-1, which has each octet as the character of that number.
        Err(_) => name.iter().map(|octet| char::from(*octet)).collect(),
    };
    let shown = |c: char| if c.is_alphanumeric() || c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    let text: String = text.trim().chars().take(MAX_NAME).map(shown).collect();
    if text.is_empty() { NOBODY.to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_octets_are_a_response_and_name_a_user() {
        for (line, mechanism, user) in [
            (&b"AGJvYgB4"[..], Mechanism::Plain, "bob"),
            (b"AAA=", Mechanism::Plain, "anonymous"),
            (b"AAA", Mechanism::Plain, "anonymous"),
            (b"", Mechanism::Plain, "anonymous"),
            (b"AGJvYgA=", Mechanism::Plain, "bob"),
            (b"AGJvYgA", Mechanism::Plain, "bob"),
            (b"c2Nhbm5lcgBib2IAeA==", Mechanism::Plain, "bob"),
            (b" AGJvYgB4 ", Mechanism::Plain, "bob"),
            (b"AGJvYgBw5HNz", Mechanism::Plain, "bob"),
            (b"AGLkcgB4", Mechanism::Plain, "b\u{e4}r"),
            (b"not base64!", Mechanism::Plain, "anonymous"),
            (b"\0bob\0not base64!", Mechanism::Plain, "bob"),
            (b"\xff\xfe", Mechanism::Login, "\u{ff}\u{fe}"),
            (b"Ym9i", Mechanism::Login, "bob"),
            (b"Ym9", Mechanism::Login, "bo"),
            (b"YQpiG1tt4oCu", Mechanism::Login, "a?b?[m?"),
            (b"Ym9iIDAxMjM=", Mechanism::CramMd5, "bob"),
            (b"Ym9i", Mechanism::CramMd5, "anonymous"),
        ] {
            assert_eq!(claimed(mechanism, &decode(line)), user, "{}", line.escape_ascii());
        }
        assert_eq!(claimed(Mechanism::Login, &[b'x'; 10_000]).len(), MAX_NAME);
    }
}
