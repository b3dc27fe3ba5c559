//! The PROXY protocol, versions 1 and 2, as haproxy's specification has it: who the client behind a proxy is.
//!
//! Pure, strict and bounded: what is not exactly a header is an error, and the connection is closed. [`Start`] tells from
//! the first octets how much more to read; not one octet beyond the header is taken.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Octets that any header is longer than, and that tell the versions apart.
pub(super) const START: usize = 12;
/// The longest header of version 1, with CRLF.
pub(super) const MAX_V1: usize = 107;
/// What version 2 may carry behind its 16 octets: addresses, and attributes that are passed over.
const MAX_V2_REST: usize = 520;
const SIGNATURE: &[u8; START] = b"\r\n\r\n\0\r\nQUIT\n";

/// Which version begins so.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// A line; read on to its LF.
    V1,
    /// Four octets more, then as many as they say.
    V2,
}

/// Octets that are no header.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotProxy;

/// Looks at the first [`START`] octets.
pub(super) fn start(octets: &[u8]) -> Result<Start, NotProxy> {
    match octets {
        octets if octets == SIGNATURE => Ok(Start::V2),
        octets if octets.starts_with(b"PROXY ") => Ok(Start::V1),
        _ => Err(NotProxy),
    }
}

/// Reads a header of version 1, with its CRLF. `None`: the proxy does not say (UNKNOWN).
pub(super) fn parse_v1(line: &[u8]) -> Result<Option<SocketAddr>, NotProxy> {
    let line = line.strip_suffix(b"\r\n").filter(|line| line.len() <= MAX_V1 - 2).ok_or(NotProxy)?;
    let text = str::from_utf8(line).map_err(|_| NotProxy)?;
    let rest = text.strip_prefix("PROXY ").ok_or(NotProxy)?;
    if rest == "UNKNOWN" || rest.starts_with("UNKNOWN ") {
        return Ok(None);
    }
    let words: Vec<&str> = rest.split(' ').collect();
    let [family, source, destination, source_port, destination_port] = words[..] else { return Err(NotProxy) };
    let address = |text: &str| match family {
        "TCP4" => text.parse::<Ipv4Addr>().map(IpAddr::V4).map_err(|_| NotProxy),
        "TCP6" => text.parse::<Ipv6Addr>().map(IpAddr::V6).map_err(|_| NotProxy),
        _ => Err(NotProxy),
    };
    address(destination)?;
    port(destination_port)?;
    Ok(Some(SocketAddr::new(address(source)?, port(source_port)?)))
}

/// Decimal, without sign and leading zeros.
fn port(text: &str) -> Result<u16, NotProxy> {
    let plain = text == "0" || text.starts_with(|first: char| ('1'..='9').contains(&first));
    text.parse().ok().filter(|_| plain).ok_or(NotProxy)
}

/// How many octets follow the first 16 of version 2, by the last four of these.
pub(super) fn v2_rest(head: [u8; 4]) -> Result<usize, NotProxy> {
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    if head[0] >> 4 == 2 && length <= MAX_V2_REST { Ok(length) } else { Err(NotProxy) }
}

/// Reads a header of version 2. `None`: the proxy speaks for itself (LOCAL), or of a family that is not TCP over IP.
pub(super) fn parse_v2(head: [u8; 4], rest: &[u8]) -> Result<Option<SocketAddr>, NotProxy> {
    let port = |at: usize| Some(u16::from_be_bytes(rest.get(at..at + 2)?.try_into().ok()?));
    match (head[0], head[1]) {
        (0x20, _) => Ok(None),
        (0x21, 0x11) => {
            let source: Option<[u8; 4]> = rest.get(..4).and_then(|octets| octets.try_into().ok());
            let found = rest.get(..12).and(source).zip(port(8));
            found.map(|(source, port)| Some(SocketAddr::new(source.into(), port))).ok_or(NotProxy)
        }
        (0x21, 0x21) => {
            let source: Option<[u8; 16]> = rest.get(..16).and_then(|octets| octets.try_into().ok());
            let found = rest.get(..36).and(source).zip(port(32));
            found.map(|(source, port)| Some(SocketAddr::new(source.into(), port))).ok_or(NotProxy)
        }
        // Unspecified, UDP and Unix sockets: the receiver should use the real addresses.
        (0x21, 0x00 | 0x12 | 0x22 | 0x31 | 0x32) => Ok(None),
        _ => Err(NotProxy),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn version_1_is_read_strictly() {
        let parse = |text: &str| parse_v1(text.as_bytes()).map(|found| found.map(|address| address.to_string()));
        assert_eq!(parse("PROXY TCP4 192.0.2.7 192.0.2.1 56324 25\r\n"), Ok(Some("192.0.2.7:56324".to_owned())));
        assert_eq!(parse("PROXY TCP6 2001:db8::7 2001:db8::1 1 25\r\n"), Ok(Some("[2001:db8::7]:1".to_owned())));
        assert_eq!(parse("PROXY UNKNOWN\r\n"), Ok(None));
        assert_eq!(parse("PROXY UNKNOWN ffff::1 whatever 1 2\r\n"), Ok(None));
        for bad in [
            "",
            "PROXY TCP4 192.0.2.7 192.0.2.1 56324 25\n",
            "PROXY TCP4 192.0.2.7 192.0.2.1 56324\r\n",
            "PROXY TCP4 192.0.2.7 192.0.2.1 56324 25 \r\n",
            "PROXY TCP4 2001:db8::7 192.0.2.1 56324 25\r\n",
            "PROXY TCP4 192.0.2.7 192.0.2.1 065 25\r\n",
            "PROXY TCP4 192.0.2.7 192.0.2.1 +65 25\r\n",
            "PROXY TCP4 192.0.2.7 192.0.2.1 65536 25\r\n",
            "PROXY TCP4  192.0.2.7 192.0.2.1 1 25\r\n",
            "PROXY UDP4 192.0.2.7 192.0.2.1 1 25\r\n",
            "PROXY UNKNOWNS\r\n",
            "proxy UNKNOWN\r\n",
        ] {
            assert_eq!(parse(bad), Err(NotProxy), "{bad:?}");
        }
        assert_eq!(parse(&format!("PROXY UNKNOWN {}\r\n", "x".repeat(100))), Err(NotProxy));
    }

    #[test]
    fn version_2_is_read_strictly() {
        let v4 = [192, 0, 2, 7, 192, 0, 2, 1, 0xdc, 4, 0, 25];
        let address = |head, rest: &[u8]| parse_v2(head, rest).map(|found| found.map(|address| address.to_string()));
        assert_eq!(address([0x21, 0x11, 0, 12], &v4), Ok(Some("192.0.2.7:56324".to_owned())));
        assert_eq!(
            address([0x21, 0x11, 0, 15], &[&v4[..], b"\x04\0\0"].concat()),
            Ok(Some("192.0.2.7:56324".to_owned()))
        );
        let mut v6 = [0; 36];
        v6[15] = 1;
        v6[33] = 9;
        assert_eq!(address([0x21, 0x21, 0, 36], &v6), Ok(Some("[::1]:9".to_owned())));
        assert_eq!(address([0x20, 0x11, 0, 12], &v4), Ok(None), "LOCAL");
        assert_eq!(address([0x21, 0, 0, 0], &[]), Ok(None));
        assert_eq!(address([0x21, 0x11, 0, 11], &v4[..11]), Err(NotProxy));
        assert_eq!(address([0x21, 0x21, 0, 35], &v6[..35]), Err(NotProxy));
        assert_eq!(address([0x22, 0x11, 0, 12], &v4), Err(NotProxy));
        assert_eq!(address([0x21, 0x44, 0, 12], &v4), Err(NotProxy));
        assert_eq!(v2_rest([0x21, 0x11, 2, 8]), Ok(520));
        assert_eq!(v2_rest([0x21, 0x11, 2, 9]), Err(NotProxy));
        assert_eq!(v2_rest([0x11, 0x11, 0, 12]), Err(NotProxy));
    }

    #[test]
    fn the_first_octets_tell_the_version() {
        assert_eq!(start(SIGNATURE), Ok(Start::V2));
        assert_eq!(start(b"PROXY UNKNOW"), Ok(Start::V1));
        assert_eq!(start(b"EHLO there\r\n"), Err(NotProxy));
    }

    proptest! {
        #[test]
        fn no_octets_make_it_panic(octets in proptest::collection::vec(any::<u8>(), 0..120), head: [u8; 4]) {
            let _ = (parse_v1(&[b"PROXY ", &octets[..]].concat()), parse_v2(head, &octets), start(&octets), v2_rest(head));
        }
    }
}
