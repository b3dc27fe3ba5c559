//! A question, as a JSON object with the names of Stalwart's MTA hooks.
//!
//! Octets that are no UTF-8 become U+FFFD: JSON has no other way. All other octets of the peer are values of JSON, and so
//! cannot leave their place.

use serde_json::{Value, json};

use super::settings::HookStage;
use crate::address::{Mailbox, ReversePath};
use crate::envelope::{Envelope, Peer};
use crate::policy::ClientInfo;
use crate::smtp::header::{Beginning, end_of_field, split_field};

/// Who asks, and about whom.
pub(super) fn context(host: &str, client: &ClientInfo<'_>, stage: HookStage, helo: Option<&str>) -> Value {
    let (ip, port) = match client.peer {
        Peer::Tcp(address) => (address.ip().to_string(), address.port()),
        Peer::Local => ("127.0.0.1".to_owned(), 0),
    };
    let mut context = json!({
        "stage": stage.word(),
        "client": { "ip": ip, "port": port, "ptr": client.name, "helo": helo, "activeConnections": 1 },
        "server": { "name": host, "port": client.listener.map_or(0, |at| at.port()), "ip": client.listener_ip().map(|ip| ip.to_string()) },
        "protocol": { "version": 1 },
    });
    if let Some(login) = client.login {
        context["sasl"] = json!({ "login": login });
    }
    if let Some(tls) = client.tls {
        context["tls"] = json!({ "version": tls.version, "cipher": tls.cipher });
        if let Some(subject) = &tls.client {
            context["tls"]["certSubject"] = Value::from(subject.as_str());
        }
    }
    if let Some(id) = client.transaction.and_then(|transaction| transaction.spool_id) {
        context["queue"] = json!({ "id": id.to_string() });
    }
    context
}

/// Sender and recipients before there is a message.
pub(super) fn begun<'a>(
    sender: &ReversePath,
    size: Option<u64>,
    recipients: impl Iterator<Item = &'a Mailbox>,
) -> Value {
    let mut from = json!({ "address": address(sender) });
    if let Some(size) = size {
        from["parameters"] = json!({ "size": size.to_string() });
    }
    json!({ "from": from, "to": to(recipients) })
}

/// Sender and recipients of a message.
pub(super) fn envelope(envelope: &Envelope) -> Value {
    let recipients = envelope.recipients.iter().map(|recipient| &recipient.mailbox);
    json!({ "from": { "address": address(&envelope.reverse_path) }, "to": to(recipients) })
}

fn address(path: &ReversePath) -> String {
    path.mailbox().map_or(String::new(), ToString::to_string)
}

fn to<'a>(recipients: impl Iterator<Item = &'a Mailbox>) -> Value {
    recipients.map(|recipient| json!({ "address": recipient.to_string() })).collect()
}

/// The message as far as it was kept, as a question has it.
pub(super) fn message(kept: &Beginning) -> Value {
    let (mut rest, body) = kept.parts();
    let mut headers = Vec::new();
    while !rest.is_empty() {
        let (field, tail) = rest.split_at(end_of_field(rest));
        if let Some((name, value)) = split_field(field) {
            headers.push(json!([name, String::from_utf8_lossy(value.trim_ascii())]));
        }
        rest = tail;
    }
    let contents = String::from_utf8_lossy(body);
    json!({ "headers": headers, "contents": contents, "size": kept.size(), "truncated": kept.is_cut() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(pieces: &[&[u8]], most: usize) -> Value {
        let mut kept = Beginning::new(most);
        pieces.iter().for_each(|piece| kept.add(piece));
        super::message(&kept)
    }

    #[test]
    fn a_message_is_the_same_however_its_octets_were_cut() {
        let octets = b"Received: us\r\nSubject: a\r\n b\r\nno field\r\n\r\nbody \xff\r\n";
        let whole = message(&[octets], 100);
        assert_eq!(whole["headers"], json!([["Received", "us"], ["Subject", "a\r\n b"]]));
        assert_eq!((&whole["contents"], &whole["size"]), (&json!("body \u{fffd}\r\n"), &json!(octets.len())));
        for at in 0..octets.len() {
            assert_eq!(message(&[&octets[..at], &octets[at..]], 100), whole, "{at}");
        }
        let single: Vec<&[u8]> = octets.chunks(1).collect();
        assert_eq!(message(&single, 100), whole);
    }

    #[test]
    fn a_large_body_is_cut_and_the_question_says_so() {
        let pieces: [&[u8]; 3] = [b"A: b\r\n\r\n0123", b"456", b"789"];
        for (most, kept, is_cut) in [(0, "", true), (3, "012", true), (6, "012345", true), (10, "0123456789", false)] {
            let message = message(&pieces, most);
            assert_eq!((&message["contents"], &message["truncated"]), (&json!(kept), &json!(is_cut)), "{most}");
            assert_eq!(message["size"], 18);
        }
        assert_eq!(message(&[b"\r\nbody"], 9)["contents"], "body");
    }
}
