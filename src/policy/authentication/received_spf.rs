//! The field `Received-SPF:` (RFC 7208 9.1). All texts in it are in quotes, in printable ASCII, and shortened.

use std::net::IpAddr;

use super::judged::{Identity, Judged};
use crate::address::{Domain, ReversePath};
use crate::policy::refusals::shown;
use crate::session::HeaderLine;

/// The longest sender that is shown.
const LONGEST_SENDER: usize = 320;

/// The field for one result.
pub(super) fn received_spf(
    judged: &Judged,
    receiver: &Domain,
    address: IpAddr,
    sender: &ReversePath,
    helo: &str,
) -> Option<HeaderLine> {
    let receiver = shown(receiver);
    let identity = match judged.identity {
        Identity::MailFrom => "mailfrom",
        Identity::Helo => "helo",
    };
    // RFC 7208 2.4: without a sender it is postmaster.
    let from = sender.mailbox().map_or_else(|| format!("postmaster@{helo}"), ToString::to_string);
    let outcome = &judged.outcome;
    let mut line = format!(
        "Received-SPF: {} ({}: {address} is checked against {}) identity={identity}; receiver={receiver}; client-ip={}; \
         envelope-from=\"{}\"; helo=\"{}\"",
        outcome.result,
        commented(&receiver),
        commented(&quoted(&judged.domain, 100)),
        client_ip(address),
        quoted(&from, LONGEST_SENDER),
        quoted(helo, 100),
    );
    let more = [("mechanism", &outcome.mechanism), ("problem", &outcome.problem)];
    for (key, text) in more.into_iter().filter_map(|(key, text)| Some((key, text.as_ref()?))) {
        line += &format!("; {key}=\"{}\"", quoted(text, 100));
    }
    line.parse().ok()
}

/// An address of IPv6 has colons, which are in no word without quotes.
fn client_ip(address: IpAddr) -> String {
    if address.is_ipv4() { address.to_string() } else { format!("\"{address}\"") }
}

fn quoted(text: &str, longest: usize) -> String {
    let plain = |c: char| if (c.is_ascii_graphic() && !matches!(c, '"' | '\\')) || c == ' ' { c } else { '?' };
    text.chars().take(longest).map(plain).collect()
}

fn commented(text: &str) -> String {
    text.replace(['(', ')'], "?")
}
