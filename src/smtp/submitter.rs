//! AUTH= of MAIL (RFC 4954 5): the original submitter, as a relay names it. An xtext of a mailbox, or `<>`.

use super::xtext;
use crate::address::Mailbox;

/// The submitter that a value names, without its encoding, or `<>`.
pub(super) fn parse_submitter(value: &str) -> Option<String> {
    let text = String::from_utf8(xtext::decode(value)?).ok()?;
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
