//! What of the original is returned with a notice: its header, or all of it if the sender asked for that. Pure.
//!
//! The whole message is returned only if it cannot break the notice: its lines are short enough, and none is our boundary. This is the
//! only place that decides it, for the text of the notice too.

use super::mime;
use super::original::OriginalMessage;

/// RFC 5321 4.5.3.1.6, without the line end.
const MAX_LINE: usize = 998;

/// How much of the original follows with a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::queue) enum Returned {
    /// All of it, octet for octet.
    Whole,
    /// All of it, encoded.
    WholeEncoded,
    /// The header, and whether the whole was asked for.
    Header { whole_wanted: bool },
}

/// What follows of this message.
pub(in crate::queue) fn returned(original: &OriginalMessage<'_>, boundary: &str) -> Returned {
    match original.whole {
        // RFC 6532 3.7: unlike message/rfc822 it may be encoded, and then passes where SMTPUTF8 is not known.
        true if original.envelope.smtputf8 => Returned::WholeEncoded,
        true if fits(original.beginning, boundary) => Returned::Whole,
        whole => Returned::Header { whole_wanted: whole },
    }
}

/// The third part of a notice (RFC 6522 3), with its own header.
pub(in crate::queue) fn part(original: &OriginalMessage<'_>, returned: Returned) -> Vec<u8> {
    let octets = original.beginning;
    match returned {
        Returned::WholeEncoded => mime::encoded("message/global", octets),
        Returned::Whole => {
            let encoding = if octets.is_ascii() { "" } else { "Content-Transfer-Encoding: 8bit\r\n" };
            let mut out = format!("Content-Type: message/rfc822\r\n{encoding}\r\n").into_bytes();
            out.extend_from_slice(octets);
            out
        }
        Returned::Header { .. } => mime::text("text/rfc822-headers", mime::header_block(octets)),
    }
}

fn fits(octets: &[u8], boundary: &str) -> bool {
    let delimiter = format!("--{boundary}");
    let harmless = |line: &[u8]| line.len() <= MAX_LINE && !line.starts_with(delimiter.as_bytes());
    mime::lines(octets).all(harmless)
}
