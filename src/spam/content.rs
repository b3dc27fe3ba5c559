//! What a filter is shown of a message, and what it is known again by.
//!
//! Verdicts of filters are not shown, neither our own nor those of others: a filter that learns from them would learn its own
//! opinion, and a sender could write one. Nor is the `Received:` of this relay, which says the same in spam and ham: a
//! filter would learn that what came here is one of them.

use memchr::memmem;
use sha2::{Digest, Sha256};

use crate::smtp::header::{Beginning, end_of_field, end_of_header, split_field};

/// The fields that leafmail adds. Those that a message came with are removed.
pub const OWN_FIELDS: [&str; 2] = ["X-Spam-Flag", "X-Spam-Status"];

/// How the names of fields with verdicts begin.
const VERDICTS: [&str; 3] = ["X-Spam-", "X-Spamd-", "X-Bogosity"];
/// What is in the `Received:` of this relay.
const OF_OURS: &[u8] = b" (leafmail) with ";
/// The most octets of a body, without white space, that a message is known again by.
const OF_BODY: usize = 64 * 1024;

/// The octets without verdicts and our own `Received:`.
pub(super) fn without_verdicts(message: &Beginning) -> Vec<u8> {
    let (header, body) = message.parts();
    let mut octets = Vec::with_capacity(header.len() + body.len());
    for_each_field(header, |name, field| {
        let is_verdict = |start: &str| {
            let start_of_name = name.and_then(|name| name.as_bytes().get(..start.len()));
            start_of_name.is_some_and(|name| name.eq_ignore_ascii_case(start.as_bytes()))
        };
        let is_ours =
            name.is_some_and(|name| name.eq_ignore_ascii_case("Received")) && memmem::find(field, OF_OURS).is_some();
        if !is_ours && !VERDICTS.iter().any(|start| is_verdict(start)) {
            octets.extend_from_slice(field);
        }
    });
    octets.extend_from_slice(body);
    octets
}

/// What a message is known again by: the filter that learnt it, its Message-ID and its body without white space, which mail programs and servers
/// change. The rest of its header is not looked at, as it grows on the way.
pub(super) fn key(message: &Beginning, filter: &str) -> [u8; 16] {
    let (header, body) = message.parts();
    let mut hash = Sha256::new();
    hash.update(filter);
    hash.update(b"\n");
    for_each_field(header, |name, field| {
        if name.is_some_and(|name| name.eq_ignore_ascii_case("Message-ID"))
            && let Some((_, value)) = split_field(field)
        {
            hash.update(value.trim_ascii());
        }
    });
    hash.update(b"\n");
    let text: Vec<u8> = body.iter().copied().filter(|octet| !octet.is_ascii_whitespace()).take(OF_BODY).collect();
    hash.update(&text);
    let mut key = [0; 16];
    key.copy_from_slice(&hash.finalize()[..16]);
    key
}

pub(super) fn for_each_field<'m>(header: &'m [u8], mut each: impl FnMut(Option<&'m str>, &'m [u8])) {
    let mut rest = header;
    while !rest.is_empty() {
        let (field, tail) = rest.split_at(end_of_field(rest));
        each(split_field(field).map(|(name, _)| name), field);
        rest = tail;
    }
}

/// The value of the first field of this name, unfolded.
pub(super) fn field_value(header: &[u8], name: &str) -> Option<String> {
    let mut found = None;
    for_each_field(header, |is, field| {
        if found.is_none() && is.is_some_and(|is| is.eq_ignore_ascii_case(name)) {
            found = split_field(field).map(|(_, value)| String::from_utf8_lossy(value).replace("\r\n", ""));
        }
    });
    found.map(|value| value.trim().to_owned())
}

/// The header with its empty line, and the body.
pub(super) fn split(message: &[u8]) -> (&[u8], &[u8]) {
    message.split_at(end_of_header(message, 0).map_or(message.len(), |end| end + 2))
}

/// A message from a file or a pipe: each line ends in CR LF, and the `From ` line of a mailbox is left out.
pub fn with_crlf(octets: &[u8]) -> Vec<u8> {
    let start = if octets.starts_with(b"From ") {
        octets.iter().position(|octet| *octet == b'\n').map_or(0, |at| at + 1)
    } else {
        0
    };
    let mut lines = Vec::with_capacity(octets.len() + octets.len() / 16);
    let mut before = 0;
    for octet in &octets[start..] {
        if *octet == b'\n' && before != b'\r' {
            lines.push(b'\r');
        }
        lines.push(*octet);
        before = *octet;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(octets: &[u8]) -> Beginning {
        let mut kept = Beginning::new(1000);
        kept.add(octets);
        kept
    }

    #[test]
    fn verdicts_and_our_own_received_are_not_shown() {
        let message = b"Received: from x\r\n\tby y (leafmail) with ESMTP id 1\r\nReceived: by z with ESMTP\r\nSubject: x\r\nX-Spam-Flag: NO\r\nx-bogosity: Ham\r\n\tfolded\r\nX-Spammer: me\r\n\r\nX-Spam-Flag: body\r\n";
        let shown = without_verdicts(&kept(message));
        assert_eq!(shown, b"Received: by z with ESMTP\r\nSubject: x\r\nX-Spammer: me\r\n\r\nX-Spam-Flag: body\r\n");
    }

    #[test]
    fn a_message_is_known_again_after_its_way() {
        let sent = b"Message-ID: <1@x>\r\nSubject: x\r\n\r\nHello  world\r\n";
        let there = b"Return-Path: <a@b>\r\nReceived: us\r\nX-Spam-Status: No\r\nmessage-id:  <1@x>\r\n\r\nHello world \r\n\r\n";
        assert_eq!(key(&kept(sent), "bogofilter"), key(&kept(there), "bogofilter"));
        assert_ne!(key(&kept(sent), "bogofilter"), key(&kept(sent), "rspamd"));
        for other in [&b"Message-ID: <2@x>\r\n\r\nHello world\r\n"[..], b"Message-ID: <1@x>\r\n\r\nHullo world\r\n"] {
            assert_ne!(key(&kept(sent), "bogofilter"), key(&kept(other), "bogofilter"));
        }
    }

    #[test]
    fn what_comes_from_a_mailbox_gets_the_ends_of_lines_of_mail() {
        assert_eq!(with_crlf(b"From joe Mon\nA: b\n\nx\r\ny"), b"A: b\r\n\r\nx\r\ny");
        assert_eq!(with_crlf(b"From joe"), b"From joe");
        assert_eq!(with_crlf(b""), b"");
    }
}
