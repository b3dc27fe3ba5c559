//! The header lines that we put before a message: `Received:` (RFC 5321 4.4), and `Date:` and `Message-ID:` if they
//! are missing.
//!
//! Text from the peer enters only through a strict set of characters, so it cannot end a line, a comment or a quoted
//! string.

use std::fmt::Write;

use super::{HeaderBlock, Settings};
use crate::address::{Domain, is_unprintable};
use crate::clock::Timestamp;
use crate::envelope::{Envelope, LocalUser, Peer};
use crate::id::SpoolId;

/// The lines for one message, with CRLF line ends, and its Message-ID.
pub(super) struct Trace {
    pub(super) lines: String,
    pub(super) message_id: Option<String>,
}

impl Trace {
    pub(super) fn new(settings: &Settings, envelope: &Envelope, id: SpoolId, headers: &HeaderBlock) -> Self {
        let now = envelope.received_at;
        let mut lines = received(settings, envelope, id, now);
        if settings.add_missing_headers && !headers.has("Date") {
            let _ = write!(lines, "Date: {}\r\n", now.rfc5322());
        }
        let mut message_id = headers.field("Message-ID").map(printable).filter(|id| !id.is_empty());
        if settings.add_missing_headers && message_id.is_none() {
            let ours = format!("<{id}@{}>", settings.hostname);
            let _ = write!(lines, "Message-ID: {ours}\r\n");
            message_id = Some(ours);
        }
        Self { lines, message_id }
    }
}

/// Octets that our lines usually fit into.
const USUAL: usize = 512;

/// RFC 5321 4.4 Time-stamp-line; `for` only with a single recipient, as it would tell one of the others (7.2).
fn received(settings: &Settings, envelope: &Envelope, id: SpoolId, now: Timestamp) -> String {
    let origin = &envelope.origin;
    let mut line = String::with_capacity(USUAL);
    line.push_str("Received: from ");
    let helo = origin.helo.as_deref().unwrap_or("");
    if settings.hide_client {
        line.push_str("localhost (client hidden)");
    } else {
        let info = match (origin.peer, &origin.reverse_name) {
            (Peer::Local, _) => envelope.local_user().map_or("local".to_owned(), |user| local(&user)),
            (Peer::Tcp(address), Some(name)) => format!("{} {}", comment(name), literal(address.ip())),
            (Peer::Tcp(address), None) => literal(address.ip()),
        };
        // Some clients write the dot of the root.
        match helo.strip_suffix('.').unwrap_or(helo).parse::<Domain>() {
            Ok(domain) if domain.is_ascii() => line.push_str(domain.as_str()),
            _ => {
                line.push_str(if origin.peer.ip().is_some() { "unknown" } else { "localhost" });
                if !helo.is_empty() {
                    let _ = write!(line, " (helo={})", comment(helo));
                }
            }
        }
        let _ = write!(line, " ({info})");
        // What XFORWARD told is kept apart from what this connection showed.
        if let Some(address) = origin.forwarded("ADDR") {
            let name = origin.forwarded("NAME").unwrap_or("unknown");
            let _ = write!(line, "\r\n\t(forwarded for {} [{}])", comment(name), comment(address));
        }
    }
    if let Some(tls) = &origin.tls {
        let _ = write!(line, "\r\n\t(using {} with cipher {})", comment(&tls.version), comment(&tls.cipher));
    }
    let _ = write!(line, "\r\n\tby {} (leafmail) with {} id {id}", settings.hostname, origin.protocol.keyword());
    if let [recipient] = &envelope.recipients[..] {
        let _ = write!(line, "\r\n\tfor <{}>", recipient.mailbox);
    }
    let _ = write!(line, "; {}\r\n", now.rfc5322());
    line
}

/// The kernel's word for who it is, not the client's.
fn local(user: &LocalUser) -> String {
    let name = user.name.as_deref().map_or(String::new(), |name| format!(" {}", comment(name)));
    format!("local user{name}, uid {}", user.uid)
}

fn literal(ip: std::net::IpAddr) -> String {
    match ip {
        std::net::IpAddr::V4(ip) => format!("[{ip}]"),
        std::net::IpAddr::V6(ip) => format!("[IPv6:{ip}]"),
    }
}

/// Hostile text as it may stand within a comment: letters, digits and a few signs, at most 255 of them.
fn comment(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "-._:[]/@+ ".contains(c);
    text.chars().take(255).map(|c| if safe(c) { c } else { '?' }).collect()
}

/// The body of a field on one line, printable, for logs.
fn printable(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body.trim_ascii());
    text.chars().take(500).map(|c| if is_unprintable(c) { '?' } else { c }).collect()
}
