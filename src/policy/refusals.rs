//! Every sentence that a built-in rule sends to a client, with its codes.
//!
//! Each says in plain words what is wrong and which setting of the relay is responsible, because the reader often
//! is at the display of a printer. The client's own text is repeated in printable ASCII and shortened, so it
//! cannot break or inflate a reply. No sentence reveals the inside of the network: no other names, no lists.

use std::fmt::Display;
use std::net::IpAddr;

use crate::address::{Domain, Mailbox};
use crate::smtp::{EnhancedCode, Reply};

/// X.7.1: delivery not authorized (RFC 3463 3.8).
pub(super) const NOT_AUTHORIZED: EnhancedCode = EnhancedCode(5, 7, 1);
/// X.7.25: reverse DNS validation failed (RFC 7372 3.3).
pub(super) const REVERSE_DNS_FAILED: EnhancedCode = EnhancedCode(5, 7, 25);
/// X.4.3: directory server failure (RFC 3463 3.5), which is what a name server is.
const RESOLVER_FAILED: EnhancedCode = EnhancedCode(4, 4, 3);
/// X.6.0: other or undefined media error (RFC 3463 3.7).
const CONTENT: EnhancedCode = EnhancedCode(5, 6, 0);

/// Connect: the client's network is not served.
pub fn client_network(address: IpAddr) -> Reply {
    let text = format!(
        "{address} is not in a network that may use this relay; the relay's setting clients.networks allows it"
    );
    Reply::new(554, NOT_AUTHORIZED, text)
}

/// MAIL or the end of the message: it would come back from the next hop (RFC 1870 6.1).
pub fn larger_than_next_hop_takes(limit: u64) -> Reply {
    let text = format!("the message is too large: where this relay sends its mail, {limit} octets are taken at most");
    Reply::new(552, EnhancedCode(5, 3, 4), text)
}

/// HELO: no pattern matches.
pub fn helo_not_allowed(name: &str) -> Reply {
    let text = format!(
        "the name \"{}\" in HELO is not allowed here; the relay's setting clients.helo allows it",
        shown(&name)
    );
    Reply::new(550, NOT_AUTHORIZED, text)
}

/// HELO: an address literal that is not the client's address.
pub fn helo_literal_is_not_the_peer(literal: &str, address: IpAddr) -> Reply {
    let text = format!(
        "HELO gave the address {}, but the connection is from {address}; the relay accepts any with clients.helo = [\"*\"] \
         and clients.verify = \"none\"",
        shown(&literal)
    );
    Reply::new(550, NOT_AUTHORIZED, text)
}

/// HELO: the client's address has no name.
pub fn no_reverse_name(address: IpAddr) -> Reply {
    let text = format!(
        "{address} has no reverse name to check HELO against; give it one in the name server or in the relay's hosts file, \
         or set clients.verify = \"none\" in the relay"
    );
    Reply::new(550, REVERSE_DNS_FAILED, text)
}

/// HELO: the client's address has a name, but not this one.
pub fn helo_is_not_the_reverse_name(name: &Domain, address: IpAddr) -> Reply {
    let text = format!(
        "the name {} in HELO is not the reverse name of {address}; the relay accepts any with clients.verify = \"none\"",
        shown(name)
    );
    Reply::new(550, REVERSE_DNS_FAILED, text)
}

/// HELO: the client's address claims this name, but the name does not lead to the address.
pub fn helo_does_not_lead_back(name: &Domain, address: IpAddr) -> Reply {
    let text = format!(
        "the name {} in HELO does not lead to {address}; the relay accepts any with clients.verify = \"none\"",
        shown(name)
    );
    Reply::new(550, REVERSE_DNS_FAILED, text)
}

/// HELO: the relay cannot look the name up now.
pub fn resolver_trouble(address: IpAddr) -> Reply {
    let text = format!(
        "the relay cannot look up the name of {address} now, try again later; it looks because of its setting clients.verify"
    );
    Reply::new(450, RESOLVER_FAILED, text)
}

/// MAIL: the sender is on the list of denied ones.
pub fn sender_denied(sender: &Mailbox) -> Reply {
    Reply::new(
        553,
        NOT_AUTHORIZED,
        format!("the sender {} is denied by the relay's setting senders.deny", shown(sender)),
    )
}

/// MAIL: the sender is not on the list of allowed ones.
pub fn sender_not_allowed(sender: &Mailbox) -> Reply {
    let text = format!("the sender {} is not among those in the relay's setting senders.allow", shown(sender));
    Reply::new(553, NOT_AUTHORIZED, text)
}

/// RCPT: the recipient is on the list of denied ones.
pub fn recipient_denied(recipient: &Mailbox) -> Reply {
    let text = format!("the recipient {} is denied by the relay's setting recipients.deny", shown(recipient));
    Reply::new(550, NOT_AUTHORIZED, text)
}

/// RCPT: the recipient is not on the list of allowed ones.
pub fn recipient_not_allowed(recipient: &Mailbox) -> Reply {
    let text = format!("the recipient {} is not among those in the relay's setting recipients.allow", shown(recipient));
    Reply::new(550, NOT_AUTHORIZED, text)
}

/// RCPT: the domain is on the list of allowed ones, but the local part asks to send the mail on.
pub fn recipient_routed(recipient: &Mailbox) -> Reply {
    let text = format!(
        "the recipient {} has %, ! or @ before its domain, and the relay's setting recipients.allow does not name it itself",
        shown(recipient)
    );
    Reply::new(550, NOT_AUTHORIZED, text)
}

/// It cannot be known now what a check needs of the DNS.
pub(super) fn dns_trouble(setting: &str) -> Reply {
    let text = format!("the relay cannot ask the DNS now, try again later; it asks because of its setting {setting}");
    Reply::new(451, RESOLVER_FAILED, text)
}

/// End of data: header fields that are wanted are missing or empty. Names all of them, so that one try tells everything.
pub fn headers_missing(names: &[&str]) -> Reply {
    let mut text = "the message has no header field, or an empty one, named:\n".to_owned();
    let mut width = 0;
    for (index, name) in names.iter().enumerate() {
        if index > 0 {
            text.push(',');
            // RFC 5321 4.5.3.1.5: a reply line is at most 512 octets.
            text.push(if width + name.len() > MAX_LINE { '\n' } else { ' ' });
        }
        width = if text.ends_with('\n') { name.len() } else { width + name.len() + 2 };
        text.push_str(name);
    }
    text.push_str("\nthe relay's setting message.required_headers says which it wants");
    Reply::new(554, CONTENT, text)
}

const MAX_LINE: usize = 400;
const MAX_SHOWN: usize = 100;

/// What a client sent, fit for a reply line.
pub(super) fn shown(text: &dyn Display) -> String {
    let text = text.to_string();
    let printable = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    let mut short: String = text.chars().take(MAX_SHOWN).map(printable).collect();
    if text.chars().nth(MAX_SHOWN).is_some() {
        short.push_str("...");
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::Enhanced;

    fn all() -> Vec<(Reply, &'static str, &'static str)> {
        let address: IpAddr = "203.0.113.9".parse().unwrap();
        let name: Domain = "printer.lan".parse().unwrap();
        let mailbox: Mailbox = "eve@example.com".parse().unwrap();
        vec![
            (client_network(address), "554 5.7.1 203.0.113.9 ", "clients.networks"),
            (helo_not_allowed("x.y"), "550 5.7.1 the name \"x.y\" ", "clients.helo"),
            (
                helo_literal_is_not_the_peer("[10.0.0.1]", address),
                "550 5.7.1 HELO gave the address [10.0.0.1]",
                "clients.helo",
            ),
            (no_reverse_name(address), "550 5.7.25 203.0.113.9 ", "clients.verify"),
            (helo_is_not_the_reverse_name(&name, address), "550 5.7.25 the name printer.lan ", "clients.verify"),
            (helo_does_not_lead_back(&name, address), "550 5.7.25 the name printer.lan ", "clients.verify"),
            (resolver_trouble(address), "450 4.4.3 the relay ", "clients.verify"),
            (sender_denied(&mailbox), "553 5.7.1 the sender eve@example.com ", "senders.deny"),
            (sender_not_allowed(&mailbox), "553 5.7.1 the sender eve@example.com ", "senders.allow"),
            (recipient_denied(&mailbox), "550 5.7.1 the recipient eve@example.com ", "recipients.deny"),
            (recipient_not_allowed(&mailbox), "550 5.7.1 the recipient eve@example.com ", "recipients.allow"),
            (recipient_routed(&mailbox), "550 5.7.1 the recipient eve@example.com ", "recipients.allow"),
            (dns_trouble("authentication.spf"), "451 4.4.3 the relay ", "authentication.spf"),
            (headers_missing(&["From", "To"]), "554 5.6.0 the message ", "message.required_headers"),
        ]
    }

    #[test]
    fn every_refusal_has_its_codes_says_what_is_wrong_and_names_the_setting() {
        for (reply, start, setting) in all() {
            let text = reply.to_string();
            assert!(text.starts_with(start) && text.contains(setting), "{text}");
            assert!(reply.enhanced().is_some_and(|enhanced| enhanced.0 == reply.code() / 100), "{text}");
        }
    }

    #[test]
    fn nothing_is_cut_off_and_every_line_fits() {
        let many: Vec<String> = (0..60).map(|n| format!("X-{n}-{}", "a".repeat(70))).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let long = "x".repeat(10_000);
        let replies = [headers_missing(&many), headers_missing(&["From", "To"]), helo_not_allowed(&long)];
        for reply in all().into_iter().map(|(reply, ..)| reply).chain(replies) {
            let mut wire = Vec::new();
            reply.write(&mut wire, Enhanced::Shown);
            let wire = String::from_utf8(wire).unwrap();
            assert!(wire.lines().all(|line| line.len() <= 510), "{wire}");
            assert!(reply.text().split('\n').all(|line| wire.contains(line)), "{wire}");
        }
        let text = headers_missing(&many).text().to_owned();
        assert!(many.iter().all(|name| text.contains(name)));
    }

    #[test]
    fn text_of_the_client_cannot_break_a_reply() {
        let reply = helo_not_allowed("a\r\n250 ok\n\u{1b}[31mü");
        assert!(!reply.text().contains(['\r', '\n', '\u{1b}']) && reply.text().is_ascii());
    }
}
