//! What of the original is returned with a notice: its header, or all of it if the sender asked for that. Pure.
//!
//! The whole message is returned only if it cannot break the notice: its lines are short enough, and none is our boundary.

use super::mime;
use super::original::OriginalMessage;

/// RFC 5321 4.5.3.1.6, without the line end.
const MAX_LINE: usize = 998;

/// The third part of a notice (RFC 6522 3), with its own header.
pub(in crate::queue) fn part(original: &OriginalMessage<'_>, boundary: &str) -> Vec<u8> {
    let octets = original.beginning;
    if original.whole && original.envelope.smtputf8 {
        // RFC 6532 3.7: unlike message/rfc822 it may be encoded, and then passes where SMTPUTF8 is not known.
        return mime::encoded("message/global", octets);
    }
    if original.whole && fits(octets, boundary) {
        let encoding = if octets.is_ascii() { "" } else { "Content-Transfer-Encoding: 8bit\r\n" };
        let mut out = format!("Content-Type: message/rfc822\r\n{encoding}\r\n").into_bytes();
        out.extend_from_slice(octets);
        return out;
    }
    mime::text("text/rfc822-headers", mime::header_block(octets))
}

fn fits(octets: &[u8], boundary: &str) -> bool {
    let delimiter = format!("--{boundary}");
    let harmless = |line: &[u8]| line.len() <= MAX_LINE && !line.starts_with(delimiter.as_bytes());
    mime::lines(octets).all(harmless)
}
