//! Where a message came from: the other end of the connection, and what is known of it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::address::{Zoned, has_zone, with_zone};
use crate::id::SpoolId;

/// Where a message came from and how it was handed over.
///
/// ```
/// use leafmail::envelope::{Origin, Peer, Protocol};
///
/// let peer = Peer::tcp("192.0.2.7:4711".parse().unwrap());
/// let forwarded = vec![("ADDR".to_owned(), "203.0.113.9".to_owned())];
/// let origin = Origin { peer, forwarded, ..Origin::local(Protocol::SMTP) };
/// assert_eq!(origin.forwarded_client().as_deref(), Some("orig_client=unknown[203.0.113.9]"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The other end of the connection.
    pub peer: Peer,
    /// The peer's name, where its address and the name lead to each other.
    pub reverse_name: Option<String>,
    /// What the client called itself in HELO or EHLO; hostile text, printable only.
    pub helo: Option<String>,
    /// With which protocol, for `Received:`.
    pub protocol: Protocol,
    /// Who was authenticated.
    pub login: Option<String>,
    /// What protected the connection.
    pub tls: Option<Tls>,
    /// The original client, as a trusted relay named it (XFORWARD), by attribute.
    pub forwarded: Vec<(String, String)>,
    /// For a notification written by leafmail: about what.
    pub notice_of: Option<NoticeOf>,
}

impl Origin {
    /// The origin of what comes from this host itself.
    pub fn local(protocol: Protocol) -> Self {
        Self {
            peer: Peer::Local,
            reverse_name: None,
            helo: None,
            protocol,
            login: None,
            tls: None,
            forwarded: Vec::new(),
            notice_of: None,
        }
    }
}

impl Origin {
    /// One attribute that XFORWARD told, such as `ADDR`.
    pub fn forwarded(&self, attribute: &str) -> Option<&str> {
        let told = self.forwarded.iter().find(|(name, _)| name == attribute);
        told.map(|(_, value)| value.as_str())
    }

    /// The client of an earlier hop, as named by XFORWARD, in Postfix's words.
    pub fn forwarded_client(&self) -> Option<String> {
        let ident = self.forwarded("IDENT").map(|ident| format!("orig_queue_id={ident}"));
        let name = self.forwarded("NAME").unwrap_or("unknown");
        let client = self.forwarded("ADDR").map(|address| format!("orig_client={name}[{address}]"));
        let told: Vec<String> = ident.into_iter().chain(client).collect();
        (!told.is_empty()).then(|| told.join(", "))
    }
}

/// The other end of a connection.
///
/// ```
/// use leafmail::envelope::Peer;
///
/// let peer = Peer::tcp("[::ffff:192.0.2.7]:4711".parse().unwrap());
/// assert_eq!((peer.to_string().as_str(), peer.port()), ("192.0.2.7", 4711));
/// assert!(peer.is_in(&["192.0.2.0/24".parse().unwrap()]) && Peer::Local.ip().is_none());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Peer {
    /// A pipe, a Unix socket, or this program itself.
    Local,
    /// A TCP connection. An IPv4 address is never in its IPv6-mapped form.
    Tcp(SocketAddr),
}

impl Peer {
    /// A TCP peer; an IPv4-mapped IPv6 address becomes the IPv4 address that it means.
    pub fn tcp(address: SocketAddr) -> Self {
        match address.ip().to_canonical() {
            ip @ IpAddr::V4(_) => Self::Tcp(SocketAddr::new(ip, address.port())),
            // With its zone.
            IpAddr::V6(_) => Self::Tcp(address),
        }
    }

    /// Whether one of these networks has it: one with a zone, only where it came by that interface.
    pub fn is_in(self, networks: &[IpNet]) -> bool {
        let Self::Tcp(address) = self else { return false };
        let zoned = || match address {
            SocketAddr::V6(address) => with_zone(*address.ip(), address.scope_id()),
            SocketAddr::V4(_) => None,
        };
        let ip = address.ip().to_canonical();
        networks.iter().any(|network| match network {
            IpNet::V6(network) if has_zone(network.addr()) => zoned().is_some_and(|zoned| network.contains(&zoned)),
            _ => network.contains(&ip),
        })
    }

    /// The port, for a TCP peer; 0 for another.
    pub fn port(self) -> u16 {
        match self {
            Self::Local => 0,
            Self::Tcp(address) => address.port(),
        }
    }

    /// The address, for a TCP peer.
    pub fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Local => None,
            Self::Tcp(address) => Some(address.ip()),
        }
    }
}

impl fmt::Display for Peer {
    /// As logs show it between brackets: the address with its zone, or `local`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("local"),
            Self::Tcp(address) => write!(f, "{}{}", address.ip(), Zoned(*address).suffix()),
        }
    }
}

/// The value of `with` in `Received:` (RFC 5321 4.4, RFC 3848, RFC 6531 4.3).
///
/// ```
/// use leafmail::envelope::Protocol;
///
/// assert_eq!(Protocol { extended: true, tls: true, authenticated: true, utf8: false }.keyword(), "ESMTPSA");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocol {
    /// EHLO rather than HELO was used.
    pub extended: bool,
    /// STARTTLS or implicit TLS.
    pub tls: bool,
    /// AUTH succeeded.
    pub authenticated: bool,
    /// SMTPUTF8 was given.
    pub utf8: bool,
}

impl Protocol {
    /// Plain SMTP.
    pub const SMTP: Self = Self { extended: false, tls: false, authenticated: false, utf8: false };

    /// The registered keyword.
    pub fn keyword(self) -> &'static str {
        match (self.utf8, self.extended, self.tls, self.authenticated) {
            (true, _, false, false) => "UTF8SMTP",
            (true, _, false, true) => "UTF8SMTPA",
            (true, _, true, false) => "UTF8SMTPS",
            (true, _, true, true) => "UTF8SMTPSA",
            (false, false, _, _) => "SMTP",
            (false, true, false, false) => "ESMTP",
            (false, true, false, true) => "ESMTPA",
            (false, true, true, false) => "ESMTPS",
            (false, true, true, true) => "ESMTPSA",
        }
    }
}

/// What protected a connection.
///
/// ```
/// use leafmail::envelope::Tls;
///
/// let tls = Tls { version: "TLSv1.3".to_owned(), cipher: "TLS_AES_256_GCM_SHA384".to_owned(), client: None };
/// assert!(tls.client.is_none()); // the client showed no certificate
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Such as `TLSv1.3`.
    pub version: String,
    /// Such as `TLS_AES_256_GCM_SHA384`.
    pub cipher: String,
    /// The subject of a verified client certificate.
    pub client: Option<String>,
}

/// A notification's tie to its original: it must not leave before the original knows of it (`docs/spool-format.md`).
///
/// ```
/// use leafmail::clock::Timestamp;
/// use leafmail::envelope::NoticeOf;
/// use leafmail::id::SpoolId;
///
/// let original = SpoolId::new(Timestamp::from_millis(1_795_000_000_000), 0, 7);
/// let notice = NoticeOf { original, recipients: vec![0, 2] }; // about the first and the third recipient
/// assert_eq!(notice.recipients.len(), 2);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeOf {
    /// The message that it is about.
    pub original: SpoolId,
    /// Which of the original's recipients it reports, by index.
    pub recipients: Vec<u16>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_with_a_zone_has_those_who_come_by_that_interface_alone() {
        let peer = |address: &str, scope| {
            Peer::tcp(SocketAddr::V6(std::net::SocketAddrV6::new(address.parse().unwrap(), 1, 0, scope)))
        };
        let networks = |text: &str| vec![text.parse::<IpNet>().unwrap()];
        for (client, network, expected) in [
            (peer("fe80::5", 2), "fe80:2::/64", true),
            (peer("fe80::5", 2), "fe80:2::5/128", true),
            (peer("fe80::5", 3), "fe80:2::/64", false),
            (peer("fe80::5", 0), "fe80:2::/64", false),
            // Whoever sends from such an address on another link does not come by that interface.
            (peer("fe80:2::5", 3), "fe80:2::/64", false),
            (peer("fe80:2::5", 0), "fe80:2::/64", false),
            (peer("fe80::5", 0x1_0002), "fe80:2::/64", false),
            (peer("fe80::5", 2), "fe80::/10", true),
            (peer("fe80::5", 2), "10.0.0.0/8", false),
            (peer("::ffff:10.0.0.1", 0), "10.0.0.0/8", true),
            (Peer::Local, "fe80::/10", false),
        ] {
            assert_eq!(client.is_in(&networks(network)), expected, "{client} {network}");
        }
        assert_eq!(peer("fe80::5", 0).to_string(), "fe80::5");
        assert!(peer("fe80::5", 4_000_000_000).to_string().starts_with("fe80::5%"));
    }
}
