//! AUTH= of MAIL (RFC 4954 5): the original submitter, as a relay names it. An xtext of a mailbox, or `<>`.
//!
//! A value that is neither says nothing, as `<>` does, and is no reason to refuse the mail.

use super::xtext;
use crate::address::{Mailbox, Syntax};

/// What says nothing of the submitter.
const NOBODY: &str = "<>";

/// The submitter that a value names, without its encoding, or `<>`.
pub(super) fn parse_submitter(value: &str, syntax: Syntax) -> Option<String> {
    let named = || {
        let is_in_form = syntax == Syntax::Lenient || xtext::capitalised(value) == value;
        let text = String::from_utf8(xtext::decode(value).filter(|_| is_in_form)?).ok()?;
        (text == NOBODY || Mailbox::parse_as(&text, None, syntax).is_ok()).then_some(text)
    };
    named().or_else(|| (syntax == Syntax::Lenient).then(|| NOBODY.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_submitter_is_a_mailbox_in_xtext() {
        for syntax in [Syntax::Lenient, Syntax::Strict] {
            assert_eq!(parse_submitter("<>", syntax).as_deref(), Some("<>"));
            // The example of RFC 4954 5.1.
            assert_eq!(parse_submitter("e+3Dmc2@example.com", syntax).as_deref(), Some("e=mc2@example.com"));
        }
        assert_eq!(parse_submitter("e+3dmc2@example.com", Syntax::Lenient).as_deref(), Some("e=mc2@example.com"));
    }

    #[test]
    fn what_is_none_counts_as_nobody() {
        for bad in ["", "a", "a=b@c", "a+3", "a+0D+0A@b", "a b@c", "a+FF@b", "<joe@example.com>", "joe+tag@example.com"]
        {
            let lenient = parse_submitter(bad, Syntax::Lenient);
            assert_eq!(lenient.as_deref(), Some("<>"), "{bad}");
            assert_eq!(parse_submitter(bad, Syntax::Strict), None, "{bad}");
        }
    }
}
