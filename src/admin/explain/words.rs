//! Numbers and times in words. Pure.

use std::time::Duration;

use super::story::Point;
use crate::clock::Timestamp;
use crate::envelope::{Envelope, Peer};

/// A time and what happened then.
pub(super) fn point(at: Timestamp, what: impl Into<String>) -> Point {
    Point { time: at.rfc3339(), shown: at.listing(), what: what.into() }
}

/// Such as `3 minutes`: one unit, rounded down.
pub(super) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let (number, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7_200 => (seconds / 60, "minute"),
        7_200..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

/// Such as `12 kB`.
pub(super) fn size(octets: u64) -> String {
    match octets {
        0..10_000 => format!("{octets} octets"),
        10_000..10_000_000 => format!("{} kB", octets / 1_000),
        _ => format!("{} MB", octets / 1_000_000),
    }
}

/// The client that handed a message over.
pub(super) fn client(envelope: &Envelope) -> String {
    let origin = &envelope.origin;
    let peer = match origin.peer {
        Peer::Local => "this host".to_owned(),
        Peer::Tcp(address) => match &origin.reverse_name {
            Some(name) => format!("{name} ({})", address.ip()),
            None => address.ip().to_string(),
        },
    };
    let helo = origin.helo.as_ref().map(|helo| format!(", which calls itself {helo}")).unwrap_or_default();
    let login = origin.login.as_ref().map(|login| format!(", logged in as {login}")).unwrap_or_default();
    format!("{peer}{helo}{login}")
}

/// Such as `1 recipient`.
pub(super) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// `which said: ...`, of a reply; our own words otherwise.
pub(super) fn said(relay: &str, is_reply: bool, text: &str) -> String {
    match (relay, is_reply) {
        ("" | "none", _) => text.to_owned(),
        // It is named already.
        (relay, false) if text.contains(relay) => text.to_owned(),
        (relay, true) => format!("{relay} said: {text}"),
        (relay, false) => format!("at {relay}: {text}"),
    }
}
