//! The header block of a message: enough of RFC 5322 2.2 to find fields, and no more.
//!
//! The block that the policy judges is the header of the message that is passed on: up to the last required field every
//! line belongs to a field, so that no reader ends it earlier (`docs/decisions/0006-what-is-a-header.md`).

mod check;
mod mending;

pub(super) use check::{Flaw, Repair, Repaired, listed};
use mending::Plan;

use crate::smtp::header::{end_of_field, split_field};

/// The octets of a header block, with CRLF line ends, up to but without the blank line.
///
/// ```
/// use leafmail::session::HeaderBlock;
///
/// let header = HeaderBlock::new(b"From: ann@example.org\r\nSubject: a long\r\n one\r\n".to_vec());
/// assert!(header.has("from") && header.count("Subject") == 1);
/// assert_eq!(header.field("Subject"), Some(&b" a long\r\n one"[..]));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderBlock(Vec<u8>);

impl HeaderBlock {
    /// A block from its octets.
    pub fn new(octets: Vec<u8>) -> Self {
        Self(octets)
    }

    /// Takes the header off the beginning of a message, of which the first `end` octets are the lines before the first empty
    /// line; makes it such that every reader finds the fields in it that the policy finds. What of the lines is text is
    /// left there, after an empty line.
    pub(super) fn take_from(message: &mut Vec<u8>, end: usize, required: &[String]) -> Self {
        let plan = Plan::of(&message[..end], required);
        let length = plan.length;
        // The smaller part is copied: a hostile header may be large.
        let mut header = if length > message.len() / 2 {
            let rest = message.split_off(length);
            std::mem::replace(message, rest)
        } else {
            message.drain(..length).collect()
        };
        if length < end {
            message.reserve_exact(2);
            message.splice(..0, *b"\r\n");
        }
        plan.carry_out(&mut header);
        Self(header)
    }

    /// How many octets it has.
    pub fn size(&self) -> usize {
        self.0.len()
    }

    /// The octets, taken out.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// The fields in order: name as written, and body, still folded, without the last CRLF. A line that is neither a
    /// field nor the continuation of one is passed over; the header of a message has none.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let mut rest = self.0.as_slice();
        std::iter::from_fn(move || {
            while !rest.is_empty() {
                let end = end_of_field(rest);
                let (field, tail) = rest.split_at(end);
                rest = tail;
                if let Some((name, body)) = split_field(field) {
                    return Some((name, body.strip_suffix(b"\r\n").unwrap_or(body)));
                }
            }
            None
        })
    }

    /// The body of the first field of this name, in any case.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, body)| body)
    }

    /// Whether there is a field of this name with something in it.
    pub fn has(&self, name: &str) -> bool {
        self.field(name).is_some_and(|body| !body.trim_ascii().is_empty())
    }

    /// How many fields have this name.
    pub fn count(&self, name: &str) -> usize {
        self.fields().filter(|(found, _)| found.eq_ignore_ascii_case(name)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_folded_and_in_any_case() {
        let block = HeaderBlock::new(b"From: a@b\r\nSUBJECT : one\r\n two\r\nEmpty: \r\nX:y\r\n".to_vec());
        assert_eq!(block.field("subject"), Some(&b" one\r\n two"[..]));
        assert!(block.has("from") && !block.has("empty") && !block.has("to"));
        assert_eq!(block.fields().count(), 4);
    }

    #[test]
    fn what_is_no_field_is_passed_over() {
        let block = HeaderBlock::new(b" leading\r\nnot a field\r\nReceived: x\r\nReceived: y".to_vec());
        assert_eq!(block.count("Received"), 2);
        assert_eq!(block.fields().count(), 2);
    }
}
