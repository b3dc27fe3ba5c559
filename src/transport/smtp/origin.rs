//! Where a message came from, as told to a next hop that trusts us: XFORWARD for its log, XCLIENT for its rules.
//!
//! Pure. The commands and attributes are Postfix's (XFORWARD_README, XCLIENT_README). Only attributes that the next hop names
//! are sent; each value is xtext, so that hostile text of a client cannot end a line.

use crate::envelope::{Origin, Peer};
use crate::id::SpoolId;
use crate::smtp::xtext;

/// RFC 5321 4.5.3.1.4, with the CRLF.
const MAX_LINE: usize = 512;
/// Longer values are cut: Postfix takes this many octets.
const MAX_VALUE: usize = 255;
const UNKNOWN: &str = "[UNAVAILABLE]";

/// The XFORWARD commands, each with its CRLF; none where no attribute is taken.
pub(in crate::transport) fn xforward(origin: &Origin, id: SpoolId, offered: &[String]) -> Vec<String> {
    let source = if origin.peer == Peer::Local { "LOCAL" } else { "REMOTE" };
    let more = [("IDENT", Some(id.to_string())), ("SOURCE", Some(source.to_owned()))];
    commands("XFORWARD", facts(origin).into_iter().chain(more), origin, offered)
}

/// The XCLIENT commands, likewise.
pub(in crate::transport) fn xclient(origin: &Origin, offered: &[String]) -> Vec<String> {
    let more = [("LOGIN", origin.login.clone())];
    commands("XCLIENT", facts(origin).into_iter().chain(more), origin, offered)
}

fn facts(origin: &Origin) -> [(&'static str, Option<String>); 5] {
    let socket = if let Peer::Tcp(socket) = origin.peer { Some(socket) } else { None };
    let address = socket.map(|socket| match socket.ip().to_canonical() {
        ip if ip.is_ipv6() => format!("IPV6:{ip}"),
        ip => ip.to_string(),
    });
    let protocol = if origin.protocol.extended { "ESMTP" } else { "SMTP" };
    [
        ("NAME", origin.reverse_name.clone()),
        ("ADDR", address),
        ("PORT", socket.map(|socket| socket.port().to_string())),
        ("PROTO", Some(protocol.to_owned())),
        ("HELO", origin.helo.clone()),
    ]
}

/// What a relay before us told of the original client goes before what we saw ourselves.
fn commands(
    verb: &str,
    facts: impl Iterator<Item = (&'static str, Option<String>)>,
    origin: &Origin,
    offered: &[String],
) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for (name, seen) in facts.filter(|(name, _)| offered.iter().any(|offered| offered == name)) {
        let told = origin.forwarded.iter().find(|(told, _)| told.eq_ignore_ascii_case(name));
        let value = told.map(|(_, value)| value.clone()).or(seen);
        let attribute =
            format!(" {name}={}", value.as_deref().map_or(UNKNOWN.to_owned(), |value| cut(&xtext::encode(value))));
        match lines.last_mut().filter(|line| line.len() + attribute.len() + 2 <= MAX_LINE) {
            Some(line) => line.push_str(&attribute),
            None => lines.push(format!("{verb}{attribute}")),
        }
    }
    lines.into_iter().map(|line| line + "\r\n").collect()
}

/// Not within a `+XX`.
fn cut(value: &str) -> String {
    let mut end = value.len().min(MAX_VALUE);
    if let Some(plus) = value[..end].rfind('+').filter(|plus| value.len() > end && plus + 3 > end) {
        end = plus;
    }
    value[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::envelope::Protocol;

    fn offered(names: &str) -> Vec<String> {
        names.split(' ').map(str::to_owned).collect()
    }

    fn id() -> SpoolId {
        SpoolId::new(Timestamp::from_millis(1), 2, 3)
    }

    #[test]
    fn only_what_is_offered_is_told_and_no_text_ends_the_line() {
        let mut origin = Origin::local(Protocol::SMTP);
        origin.peer = Peer::tcp("[2001:db8::7]:40000".parse().unwrap());
        origin.helo = Some("evil\r\nRSET =+".to_owned());
        let line = "XFORWARD NAME=[UNAVAILABLE] ADDR=IPV6:2001:db8::7 PROTO=SMTP HELO=evil+0D+0ARSET+20+3D+2B SOURCE=REMOTE\r\n";
        assert_eq!(xforward(&origin, id(), &offered("NAME ADDR PROTO HELO SOURCE")), [line]);
        assert_eq!(xforward(&origin, id(), &[]), [""; 0]);
        origin.login = Some("me".to_owned());
        origin.forwarded = vec![("addr".to_owned(), "192.0.2.1".to_owned())];
        assert_eq!(xclient(&origin, &offered("ADDR PORT LOGIN X")), ["XCLIENT ADDR=192.0.2.1 PORT=40000 LOGIN=me\r\n"]);
        let here = Origin::local(Protocol::SMTP);
        let line = format!("XFORWARD ADDR=[UNAVAILABLE] IDENT={} SOURCE=LOCAL\r\n", id());
        assert_eq!(xforward(&here, id(), &offered("ADDR IDENT SOURCE")), [line]);
    }

    #[test]
    fn long_values_are_cut_and_long_lines_split() {
        let mut origin = Origin::local(Protocol::SMTP);
        origin.helo = Some("\u{e9}".repeat(300));
        origin.reverse_name = Some("n".repeat(300));
        let lines = xforward(&origin, id(), &offered("NAME HELO ADDR PORT PROTO"));
        assert!(lines.len() == 2 && lines.iter().all(|line| line.len() <= MAX_LINE), "{lines:?}");
        assert!(lines.iter().all(|line| line.starts_with("XFORWARD ") && line.ends_with("\r\n")));
        assert!(lines[1].contains("HELO=+C3") && lines[1].trim_end().ends_with(['9', '3']), "{lines:?}");
    }
}
