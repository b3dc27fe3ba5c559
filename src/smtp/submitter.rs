//! AUTH= of MAIL (RFC 4954 5): who submitted a message first, as a relay tells it. An xtext of a mailbox, or `<>`.

use crate::address::Mailbox;

/// RFC 3461 4: `+` and two upper case hexadecimal digits stand for an octet; what is printable stands for itself.
fn from_xtext(value: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'+' => 16 * hex(rest.next()?)? + hex(rest.next()?)?,
            b'!'..=b'~' if octet != b'=' => octet,
            _ => return None,
        });
    }
    String::from_utf8(octets).ok()
}

fn hex(octet: u8) -> Option<u8> {
    match octet {
        b'0'..=b'9' => Some(octet - b'0'),
        b'A'..=b'F' => Some(octet - b'A' + 10),
        _ => None,
    }
}

/// The submitter that a value names, without its encoding, or `<>`.
pub(super) fn parse_submitter(value: &str) -> Option<String> {
    let text = from_xtext(value)?;
    let mailbox = |text: &str| text.parse::<Mailbox>().is_ok();
    (text == "<>" || mailbox(&text)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_submitter_is_a_mailbox_in_xtext() {
        assert_eq!(parse_submitter("<>").as_deref(), Some("<>"));
        // The example of RFC 4954 5.1.
        assert_eq!(parse_submitter("e+3Dmc2@example.com").as_deref(), Some("e=mc2@example.com"));
        for bad in ["", "a", "a=b@c", "a+3", "a+3d@b", "a+0D+0A@b", "a b@c", "a+FF@b"] {
            assert_eq!(parse_submitter(bad), None, "{bad}");
        }
    }
}
