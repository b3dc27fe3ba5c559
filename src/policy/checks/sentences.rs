//! Every sentence that a check sends to a client, with its codes, and that a message gets as a note.
//!
//! Each names the setting that is responsible. What clients and name servers say is repeated in printable ASCII and shortened.

use std::net::IpAddr;

use crate::address::{Domain, Mailbox};
use crate::policy::refusals::{NOT_AUTHORIZED, REVERSE_DNS_FAILED, shown};
use crate::smtp::{EnhancedCode, Reply};

/// Of whom a domain or a local part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Party {
    Sender,
    Recipient,
}

impl Party {
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Sender => "sender",
            Self::Recipient => "recipient",
        }
    }
}

/// HELO: there is no name, or it is none of a host.
pub(super) fn no_host_name(text: &str, setting: &str) -> Reply {
    let what = if text.is_empty() {
        "HELO gave no name".to_owned()
    } else {
        format!("the name \"{}\" in HELO is no name of a host", shown(&text))
    };
    Reply::new(550, NOT_AUTHORIZED, format!("{what}; the relay checks it by its setting {setting}"))
}

/// HELO: an address that is not the client's.
pub(super) fn other_address(text: &str, address: IpAddr, setting: &str) -> Reply {
    let text = format!(
        "HELO gave the address {}, but the connection is from {address}; the relay checks it by its setting {setting}",
        shown(&text)
    );
    Reply::new(550, NOT_AUTHORIZED, text)
}

/// HELO: the name has neither addresses nor mail exchangers.
pub(super) fn helo_unknown(name: &Domain) -> Reply {
    let text = format!(
        "the name {} in HELO is not in the DNS; the relay checks it by its setting checks.helo_resolvable",
        shown(name)
    );
    Reply::new(550, NOT_AUTHORIZED, text)
}

/// HELO: the name does not lead to the client.
pub(super) fn helo_leads_elsewhere(name: &Domain, address: IpAddr) -> Reply {
    let text = format!(
        "the name {} in HELO does not lead to {address}; the relay checks it by its setting checks.helo_verified",
        shown(name)
    );
    Reply::new(550, REVERSE_DNS_FAILED, text)
}

/// HELO: the client's address has no name that leads back to it.
pub(super) fn no_name_leads_back(address: IpAddr) -> Reply {
    let text = format!(
        "{address} has no name in the DNS that leads back to it; the relay checks it by its setting checks.helo_verified"
    );
    Reply::new(550, REVERSE_DNS_FAILED, text)
}

/// MAIL or RCPT: the domain cannot have mail.
pub(super) fn no_such_domain(party: Party, domain: &Domain) -> Reply {
    let text = format!(
        "the domain {} of the {} has neither MX nor address records in the DNS; the relay checks it by its setting checks.{}_domain",
        shown(domain),
        party.noun(),
        party.noun()
    );
    // RFC 3463 3.2: bad sender's system address; bad destination system address.
    let status = match party {
        Party::Sender => EnhancedCode(5, 1, 8),
        Party::Recipient => EnhancedCode(5, 1, 2),
    };
    Reply::new(550, status, text)
}

/// MAIL or RCPT: the domain says that it takes no mail (RFC 7505 4).
pub(super) fn null_mx(party: Party, domain: &Domain) -> Reply {
    let (code, status) = match party {
        Party::Sender => (550, EnhancedCode(5, 7, 27)),
        Party::Recipient => (556, EnhancedCode(5, 1, 10)),
    };
    let text = format!(
        "the domain {} of the {} takes no mail, by its null MX record; the relay checks it by its setting checks.{}_domain",
        shown(domain),
        party.noun(),
        party.noun()
    );
    Reply::new(code, status, text)
}

/// MAIL or RCPT: unusual characters, or dots where RFC 5321 has none.
pub(super) fn odd_local_part(party: Party, mailbox: &Mailbox, what: &str) -> Reply {
    // RFC 3463 3.2: bad sender's mailbox address syntax; bad destination mailbox address syntax.
    let status = match party {
        Party::Sender => EnhancedCode(5, 1, 7),
        Party::Recipient => EnhancedCode(5, 1, 3),
    };
    let text = format!(
        "the {} {} has {what} before its @; the relay checks it by its setting checks.{}_characters",
        party.noun(),
        shown(mailbox),
        party.noun()
    );
    Reply::new(553, status, text)
}

/// MAIL: lists of the DNS have the client.
pub(super) fn listed(address: IpAddr, zones: &[&Domain], why: &str) -> Reply {
    let zones: Vec<String> = zones.iter().take(3).map(|zone| shown(*zone)).collect();
    let why = if why.is_empty() { String::new() } else { format!(" ({})", shown(&why)) };
    let text =
        format!("{address} is listed by {}{why}; the relay asks the lists in its settings [[dnsbl]]", zones.join(", "));
    Reply::new(550, NOT_AUTHORIZED, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::Enhanced;

    #[test]
    fn each_sentence_has_its_codes_names_the_setting_and_fits_a_line() {
        let address: IpAddr = "2001:db8:1111:2222:3333:4444:5555:6666".parse().unwrap();
        let domain: Domain = format!("{0}.{0}.{0}.example", "a".repeat(60)).parse().unwrap();
        let mailbox: Mailbox = format!("{}@{domain}", "x".repeat(200)).parse().unwrap();
        let zones = [&domain, &domain, &domain, &domain];
        let hostile = "x\r\n250 ok\u{1b}[2J".repeat(50);
        for (reply, start, setting) in [
            (no_host_name("", "checks.helo_resolvable"), "550 5.7.1 HELO gave no name", "checks.helo_resolvable"),
            (no_host_name(&hostile, "checks.helo_verified"), "550 5.7.1 the name \"x??250", "checks.helo_verified"),
            (other_address(&hostile, address, "checks.x"), "550 5.7.1 HELO gave the address", "checks.x"),
            (helo_unknown(&domain), "550 5.7.1 ", "checks.helo_resolvable"),
            (helo_leads_elsewhere(&domain, address), "550 5.7.25 ", "checks.helo_verified"),
            (no_name_leads_back(address), "550 5.7.25 ", "checks.helo_verified"),
            (no_such_domain(Party::Sender, &domain), "550 5.1.8 ", "checks.sender_domain"),
            (no_such_domain(Party::Recipient, &domain), "550 5.1.2 ", "checks.recipient_domain"),
            (null_mx(Party::Sender, &domain), "550 5.7.27 ", "checks.sender_domain"),
            (null_mx(Party::Recipient, &domain), "556 5.1.10 ", "checks.recipient_domain"),
            (odd_local_part(Party::Sender, &mailbox, "x"), "553 5.1.7 ", "checks.sender_characters"),
            (odd_local_part(Party::Recipient, &mailbox, "x"), "553 5.1.3 ", "checks.recipient_characters"),
            (listed(address, &zones, &hostile), "550 5.7.1 2001:db8", "[[dnsbl]]"),
        ] {
            let text = reply.to_string();
            assert!(text.starts_with(start) && text.contains(setting), "{text}");
            let mut wire = Vec::new();
            reply.write(&mut wire, Enhanced::Shown);
            let wire = String::from_utf8(wire).unwrap();
            assert!(wire.lines().count() >= 1 && wire.lines().all(|line| line.len() <= 510), "{wire}");
            assert!(!reply.text().contains(['\r', '\n', '\u{1b}']), "{text}");
        }
    }
}
