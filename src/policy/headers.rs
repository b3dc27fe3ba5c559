//! The header fields that a message must have.

use std::fmt;
use std::str::FromStr;

use super::refusals;
use crate::address::PatternError;
use crate::session::{HeaderBlock, Verdict};

/// The name of a header field, such as `Subject`: printable ASCII without a colon (RFC 5322 2.2), 76 octets at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldName(String);

/// A name with its colon must leave room on a line of 78 (RFC 5322 2.1.1).
const MAX_NAME: usize = 76;

impl FieldName {
    /// What a name looks like.
    pub const EXPECTED: &'static str = "the name of a header field such as Subject";

    /// The name as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FieldName {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let valid = text.bytes().all(|octet| octet.is_ascii_graphic() && octet != b':');
        if valid && (1..=MAX_NAME).contains(&text.len()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(PatternError::new(Self::EXPECTED, text))
        }
    }
}

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A field that is there but empty counts as missing: nobody can answer an empty `From:`.
pub(super) fn judge(required: &[FieldName], block: &HeaderBlock) -> Verdict {
    let missing: Vec<&str> = required.iter().map(FieldName::as_str).filter(|name| !block.has(name)).collect();
    if missing.is_empty() { Verdict::Accept } else { Verdict::Refuse(refusals::headers_missing(&missing)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(required: &[&str], block: &str) -> Option<String> {
        let required: Vec<FieldName> = required.iter().map(|name| name.parse().unwrap()).collect();
        match judge(&required, &HeaderBlock::new(block.as_bytes().to_vec())) {
            Verdict::Accept => None,
            Verdict::Refuse(reply) => Some(reply.to_string()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn all_missing_fields_are_named_at_once() {
        let reply = judged(&["From", "To", "Subject", "Date"], "to: a@b\r\nSubject: \r\n\t\r\nX: y\r\n").unwrap();
        assert!(reply.starts_with("554 5.6.0 ") && reply.contains("From, Subject, Date"), "{reply}");
    }

    #[test]
    fn fields_are_found_in_any_case_and_folded() {
        assert_eq!(judged(&["From", "Subject"], "FROM:\r\n a@b\r\nsubject : x\r\n"), None);
        assert_eq!(judged(&[], ""), None);
    }

    #[test]
    fn what_is_no_field_name_is_refused() {
        for bad in ["", "A:", "A B", "Ü", "a\r\n", &"a".repeat(77)] {
            assert!(bad.parse::<FieldName>().is_err(), "{bad:?} was accepted");
        }
    }
}
