//! What proxies and filters tell of another client: the PROXY protocol, XCLIENT and XFORWARD.

use std::net::SocketAddr;

use leafmail::smtp::xclient::{Attribute, Xclient, Xforward};

use super::proxy::{MAX_V1, NotProxy, START, Start, parse_v1, parse_v2, start, v2_rest};

/// The first octet says how the rest comes.
pub(super) fn relayed(octets: &[u8]) {
    let Some((kind, rest)) = octets.split_first() else { return };
    match kind % 4 {
        0 => {
            let line = [b"PROXY ", rest].concat();
            if let Ok(Some(client)) = parse_v1(&line) {
                let family = if client.is_ipv4() { "TCP4" } else { "TCP6" };
                let again = format!("PROXY {family} {0} {0} {1} {1}\r\n", client.ip(), client.port());
                assert_eq!(parse_v1(again.as_bytes()), Ok(Some(client)));
            }
        }
        1 => header(rest),
        2 => {
            let text = String::from_utf8_lossy(rest);
            if let Ok(client) = Xclient::parse(&text) {
                let texts = [client.helo, client.login];
                assert!(
                    !texts.iter().any(|told| matches!(told, Attribute::Is(text) if text.contains(char::is_control)))
                );
            }
        }
        _ => {
            let text = String::from_utf8_lossy(rest);
            if let Ok(Xforward(told)) = Xforward::parse(&text) {
                let mut names: Vec<&str> = told.iter().map(|(name, _)| *name).collect();
                names.dedup();
                assert_eq!(names.len(), told.len(), "an attribute was taken twice");
                assert!(!told.iter().any(|(_, value)| value.as_ref().is_some_and(|it| it.contains(char::is_control))));
            }
        }
    }
}

/// Reads a header as the driver reads it off a connection.
fn header(octets: &[u8]) {
    let client = (|| -> Result<Option<SocketAddr>, NotProxy> {
        let (first, rest) = octets.split_at_checked(START).ok_or(NotProxy)?;
        match start(first)? {
            Start::V2 => {
                let head: [u8; 4] = rest.get(..4).and_then(|head| head.try_into().ok()).ok_or(NotProxy)?;
                let length = v2_rest(head)?;
                assert!(length <= 520, "{length}");
                parse_v2(head, rest[4..].get(..length).ok_or(NotProxy)?)
            }
            Start::V1 => {
                let end = octets.iter().take(MAX_V1).position(|octet| *octet == b'\n').ok_or(NotProxy)?;
                parse_v1(&octets[..=end])
            }
        }
    })();
    if let Ok(Some(client)) = client {
        assert!(!client.to_string().is_empty());
    }
}
