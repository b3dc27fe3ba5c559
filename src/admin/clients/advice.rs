//! Which setting to change, or what to correct at the client, for each kind of refusal. Pure.
//!
//! A reply repeats text of the client, but only before the words in which the relay names its setting. So only these
//! words, the last of their kind, are read; of replies that name no setting, only the codes are.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;

use crate::history::{Fate, Visit};

/// Before the settings, in replies that name some.
const OPENERS: [&str; 5] =
    ["setting ", "settings ", "the relay accepts any with ", "the relay allows it with ", "or set "];
/// The sections of the configuration that replies name.
const SECTIONS: [&str; 11] =
    ["clients", "senders", "recipients", "message", "limits", "rate_limit", "tls", "auth", "protocol", "listen", "log"];

/// Addresses behind a carrier's NAT (RFC 6598), which `clients.networks` takes too.
const SHARED: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(100, 64, 0, 0), 10);

/// What to do about it; `None` where nothing is wrong, or the text says it.
pub(super) fn remedy(visit: &Visit) -> Option<String> {
    match visit.what {
        Fate::Refused => Some(of_refusal(visit)),
        Fate::BrokenOff => of_end(&visit.text).map(str::to_owned),
        Fate::Accepted | Fate::Other => None,
    }
}

fn of_end(text: &str) -> Option<&'static str> {
    if text.starts_with("lost connection after CONNECT") {
        return Some("Nothing, if this is a health check or a port scan: the client left without a command.");
    }
    if text.starts_with("lost connection after") {
        return Some(
            "The client closed the connection. Look at its log, and at the reply before; log.trace_clients shows the dialogue.",
        );
    }
    if text.starts_with("TLS handshake failed") || text.starts_with("no TLS handshake") {
        return Some(
            "Compare the encryption set in the client with the port: STARTTLS, SSL/TLS (prefix tls:) or none.",
        );
    }
    None
}

fn of_refusal(visit: &Visit) -> String {
    let code = (visit.code.unwrap_or(0), visit.status.as_deref().unwrap_or(""));
    if let Some(advice) = by_code(&visit.stage, code) {
        return advice.to_owned();
    }
    let keys = settings(&visit.text);
    if keys.contains(&"clients.networks") {
        return for_network(visit.address());
    }
    if let [only] = keys[..]
        && let Some(advice) = by_setting(only)
    {
        return format!("{advice} (setting {only}).");
    }
    match &keys[..] {
        [] if code.1 == "5.3.4" => {
            "The next hop takes no larger messages: send smaller ones, or use another [[route]].".to_owned()
        }
        [] if visit.code.is_some_and(|code| code < 500) => {
            "The relay had trouble of its own: see its log, and run spoolrun doctor.".to_owned()
        }
        [] => "See the reply; log.trace_clients shows the dialogue with this client.".to_owned(),
        [only] => format!("Change the setting {only}, or the client."),
        several => format!("Change one of the settings {}, or the client.", several.join(", ")),
    }
}

/// Where the code says it; these replies name no setting, or repeat text of the client after none.
fn by_code(stage: &str, code: (u16, &str)) -> Option<&'static str> {
    Some(match (stage, code) {
        ("STARTTLS", (502, _)) => {
            "The relay has no certificate: set tls.certificate and tls.key, or switch encryption off in the client."
        }
        ("AUTH", (502, _)) => {
            "The relay knows no users: set auth.users, or switch the login off in the client; auth.any_password_from is for \
             devices that cannot."
        }
        ("AUTH", (535, _)) => {
            "Correct the user name or the password in the client, or store another by smtpd passwd; auth.any_password_from \
             is for devices on a trusted network that cannot be set."
        }
        ("AUTH", (504, _)) => {
            "Choose PLAIN or LOGIN in the client, or store the password in another form (smtpd passwd)."
        }
        ("AUTH", (501, _)) => "The client does not hold to the login's form: switch the login off in it.",
        ("RCPT" | "MAIL", (501, "5.1.3")) => {
            "Correct the address in the client: sender, recipient, or name of the device."
        }
        (_, (501, "5.1.3")) => "Correct the address in the client.",
        (_, (501, _)) => "The client does not hold to the form of this command: correct the address or the name in it.",
        (_, (555, _)) => "Switch this option off in the client: the relay does not offer it in EHLO.",
        (_, (503, _)) => "The client sends commands in the wrong order: look for an update of it.",
        (_, (550 | 553, "5.6.7")) => "Use an address of ASCII characters only, or a client that knows SMTPUTF8.",
        (_, (554, "5.5.1")) if stage == "DATA" => "No recipient was accepted: see the refusals of RCPT.",
        (_, (500 | 502, _)) => "The client sent a line that is no command of SMTP here: is it a client of mail?",
        _ => return None,
    })
}

fn for_network(address: Option<IpAddr>) -> String {
    let Some(address) = address else { return "Add the client's network to clients.networks.".to_owned() };
    let is_local = match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_private() || v4.is_loopback() || v4.is_link_local() || SHARED.contains(&v4),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    };
    if is_local {
        format!("If you know this device, add \"{address}\" to clients.networks.")
    } else {
        format!(
            "{address} is a public address. Nothing, if you do not know it. Let clients from elsewhere log in \
             (clients.auth_networks); a public network of your own goes to clients.own_public_networks."
        )
    }
}

fn by_setting(key: &str) -> Option<&'static str> {
    Some(match key {
        "message.max_size" => "Allow larger messages, or send smaller ones, such as scans of a lower resolution",
        "message.required_headers" => "Require fewer header fields, or let the client send them",
        "message.rfc5322" => "Set it to \"repair\" or \"note\", or let the client write a valid header",
        "message.bare_newline" => "Set it to \"normalize\", or let the client end lines by CR LF",
        "clients.helo" => "Add the name that the client gives, or \"*\"",
        "clients.verify" => "Set it to \"none\", or give the client its name in the name server",
        "senders.allow" => "Add the sender, or set the client to one that is allowed",
        "senders.deny" => "Remove the sender from the list, or set the client to another",
        "recipients.allow" => "Add the recipient, or set the client to one that is allowed",
        "recipients.deny" => "Remove the recipient from the list, or set the client to another",
        "recipients.source" => "Correct the address in the client, or make the mailbox known to the source",
        "recipients.max" => "Allow more recipients, if the client does not send the rest by itself",
        "tls.require" => "Set the client to STARTTLS, or do not require TLS",
        "auth.clear_networks" => "Set the client to STARTTLS, or add its network",
        "limits.idle" | "limits.overload_idle" => "Let the client send faster, or allow it more time",
        "limits.session" => "Let the client end its session after a message, or allow longer ones",
        "limits.slowest_body" => "Look at the network; or lower the limit",
        "limits.close_after_errors" => "See the other refusals of this client: they are its errors",
        "limits.refusals" => "Correct the addresses that the client names: see their refusals; and wait",
        "limits.refused_messages" => "See why its messages were refused, and wait",
        "rate_limit.connections" => {
            "Wait, let the client send several messages in one session, or allow more connections"
        }
        "rate_limit.messages" => {
            "Wait: the client sends the rest later. Allow more messages if it is meant to send so many"
        }
        "rate_limit.recipients" => {
            "Wait: the client sends the rest later. Allow more recipients if it is meant to have them"
        }
        "limits.lockout" => "Correct the password in the client, and wait",
        _ => return None,
    })
}

/// The settings that the relay names at the end of a reply.
fn settings(text: &str) -> Vec<&str> {
    let from = OPENERS.iter().filter_map(|opener| text.rfind(opener).map(|at| at + opener.len())).max();
    let Some(own) = from.and_then(|from| text.get(from..)) else { return Vec::new() };
    let words = own.split(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_')));
    let mut keys: Vec<&str> = Vec::new();
    for word in words.map(|word| word.trim_end_matches('.')) {
        let is_key = word
            .split_once('.')
            .is_some_and(|(section, key)| SECTIONS.contains(&section) && !key.is_empty() && !key.contains('.'));
        if is_key && !keys.contains(&word) {
            keys.push(word);
        }
    }
    keys
}
