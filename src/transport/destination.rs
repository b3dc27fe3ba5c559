//! Which addresses `mx:` connects to: those of the Internet, and the networks that the route allows besides.
//!
//! Whoever runs a domain says where its mail goes, and a sender may write an address literal: an address is a peer's word, and must
//! lead neither to this host nor into the networks around it. Invariant: what is judged is the address that is connected to, so
//! that nothing is looked up between.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::receipt::{Cause, Reason};
use crate::smtp::EnhancedCode;

/// IPv4 networks with no mail exchanger of the Internet (RFC 6890 and the IANA registry of special addresses).
const IPV4: [(Ipv4Net, Kind); 16] = [
    (v4([0, 0, 0, 0], 8), Kind::Unspecified),
    (v4([10, 0, 0, 0], 8), Kind::Private),
    (v4([100, 64, 0, 0], 10), Kind::Shared),
    (v4([127, 0, 0, 0], 8), Kind::Loopback),
    (v4([169, 254, 0, 0], 16), Kind::LinkLocal),
    (v4([172, 16, 0, 0], 12), Kind::Private),
    (v4([192, 0, 0, 0], 24), Kind::Reserved),
    (v4([192, 0, 2, 0], 24), Kind::Documentation),
    (v4([192, 31, 196, 0], 24), Kind::Reserved),
    (v4([192, 88, 99, 0], 24), Kind::Reserved),
    (v4([192, 168, 0, 0], 16), Kind::Private),
    (v4([198, 18, 0, 0], 15), Kind::Reserved),
    (v4([198, 51, 100, 0], 24), Kind::Documentation),
    (v4([203, 0, 113, 0], 24), Kind::Documentation),
    (v4([224, 0, 0, 0], 4), Kind::Multicast),
    (v4([240, 0, 0, 0], 4), Kind::Reserved),
];

/// IPv6 networks likewise. What is neither here nor in [`GLOBAL`] is reserved.
const IPV6: [(Ipv6Net, Kind); 9] = [
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 128), Kind::Unspecified),
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), Kind::Loopback),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), Kind::Reserved),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), Kind::Documentation),
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), Kind::Documentation),
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), Kind::Private),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), Kind::LinkLocal),
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), Kind::Private),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), Kind::Multicast),
];

/// Global unicast (RFC 4291 2.4).
const GLOBAL: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);
/// The well-known prefix of NAT64 (RFC 6052 2.1): the IPv4 address is in the last 32 bits.
const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96);
/// 6to4 (RFC 3056 2): the IPv4 address is in the 32 bits behind the prefix.
const SIX_TO_FOUR: Ipv6Net = v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16);

const fn v4(octets: [u8; 4], length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::from_octets(octets), length)
}

const fn v6(groups: [u16; 8], length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::from_segments(groups), length)
}

/// What kind of address it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Unspecified,
    Loopback,
    Private,
    Shared,
    LinkLocal,
    Documentation,
    Multicast,
    Reserved,
    OwnHost,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unspecified => "an unspecified address",
            Self::Loopback => "a loopback address",
            Self::Private => "a private address",
            Self::Shared => "a shared address of providers",
            Self::LinkLocal => "a link-local address",
            Self::Documentation => "an address for documentation",
            Self::Multicast => "a multicast address",
            Self::Reserved => "a reserved address",
            Self::OwnHost => "an address of this host",
        })
    }
}

/// An address that is not connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Barred {
    address: IpAddr,
    /// The IPv4 address that it leads to, where it has one in it.
    leads_to: Option<IpAddr>,
    kind: Kind,
}

impl Barred {
    /// Why the recipients wait, where nothing is left to connect to.
    pub(super) fn reason(text: impl Into<String>) -> Reason {
        // RFC 3463 X.4.4: unable to route.
        Reason::new(EnhancedCode(4, 4, 4), text).because(Cause::BarredAddress)
    }

    /// What was not done, in words.
    pub(super) fn told(&self, host: &str) -> String {
        let Self { address, kind, .. } = self;
        let host = if host == address.to_string() { host.to_owned() } else { format!("{host}[{address}]") };
        let leads = self.leads_to.map_or("it is".to_owned(), |to| format!("it leads to {to}, which is"));
        format!("not connecting to {host}: {leads} {kind}, and mx_networks does not list it")
    }
}

/// The address to connect to, without the form of an IPv4-mapped one.
///
/// # Errors
/// When it is of a kind that no mail exchanger of the Internet has, and in none of the `allowed` networks.
pub(super) fn judge(address: IpAddr, allowed: &[IpNet]) -> Result<IpAddr, Barred> {
    let address = address.to_canonical();
    let leads_to = embedded(address).map(IpAddr::V4);
    let target = leads_to.unwrap_or(address);
    if allowed.iter().any(|network| network.contains(&address) || network.contains(&target)) {
        return Ok(address);
    }
    let ours = || is_own(target) || (leads_to.is_some() && is_own(address));
    match kind(target).or_else(|| ours().then_some(Kind::OwnHost)) {
        Some(kind) => Err(Barred { address, leads_to, kind }),
        None => Ok(address),
    }
}

/// The IPv4 address that packets to this one end at.
fn embedded(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(address) = address else { return None };
    let octets = address.octets();
    let at = if NAT64.contains(&address) {
        12
    } else if SIX_TO_FOUR.contains(&address) {
        2
    } else {
        return None;
    };
    Some(Ipv4Addr::new(octets[at], octets[at + 1], octets[at + 2], octets[at + 3]))
}

fn kind(address: IpAddr) -> Option<Kind> {
    match address {
        IpAddr::V4(address) => IPV4.iter().find(|(network, _)| network.contains(&address)).map(|(_, kind)| *kind),
        IpAddr::V6(address) => {
            let listed = IPV6.iter().find(|(network, _)| network.contains(&address)).map(|(_, kind)| *kind);
            listed.or_else(|| (!GLOBAL.contains(&address)).then_some(Kind::Reserved))
        }
    }
}

/// Whether packets to this address stay on this host. Nothing is sent; a list of all interfaces would need a netlink socket, which
/// the service files do not allow.
fn is_own(address: IpAddr) -> bool {
    let (any, foreign): (IpAddr, IpAddr) = match address {
        IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED.into(), FOREIGN_IPV4.into()),
        IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED.into(), FOREIGN_IPV6.into()),
    };
    let connected = || {
        let socket = UdpSocket::bind((any, 0)).ok()?;
        socket.connect(SocketAddr::new(address, 9)).ok()?;
        Some(socket.local_addr().ok()?.ip() == address)
    };
    let binds = |address: IpAddr| UdpSocket::bind((address, 0)).is_ok();
    // To the second address of an interface a socket connects from the first. Where sockets may bind to what is not there
    // (net.ipv4.ip_nonlocal_bind), it says nothing that one does.
    connected() == Some(true) || (binds(address) && !binds(foreign))
}

/// Addresses that no host has: reserved (RFC 1112 4), and for packets that are to be discarded (RFC 6666).
const FOREIGN_IPV4: Ipv4Addr = Ipv4Addr::new(240, 0, 0, 1);
const FOREIGN_IPV6: Ipv6Addr = Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 1);

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(address: &str, allowed: &[&str]) -> Result<String, String> {
        let allowed: Vec<IpNet> = allowed.iter().map(|network| network.parse().unwrap()).collect();
        let verdict = judge(address.parse().unwrap(), &allowed);
        verdict.map(|address| address.to_string()).map_err(|barred| barred.kind.to_string())
    }

    #[test]
    fn mx_leads_to_no_address_that_is_not_of_the_internet() {
        for (kind, addresses) in [
            ("an unspecified address", &["0.0.0.0", "0.1.2.3", "::", "::ffff:0.0.0.0"][..]),
            ("a loopback address", &["127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1"]),
            ("a loopback address", &["64:ff9b::7f00:1", "2002:7f00:1::1", "2002:7f00:1:ffff::25"]),
            ("a private address", &["10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1"]),
            ("a private address", &["fc00::1", "fdff:1::1", "fec0::1", "::ffff:10.0.0.1"]),
            ("a private address", &["64:ff9b::10.0.0.1", "64:ff9b::c0a8:1", "2002:a00:1::1", "2002:ac10:1::"]),
            ("a shared address of providers", &["100.64.0.1", "100.127.255.255", "64:ff9b::100.64.0.1"]),
            ("a link-local address", &["169.254.169.254", "fe80::1", "febf::1", "2002:a9fe:a9fe::1"]),
            ("a multicast address", &["224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"]),
            ("an address for documentation", &["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"]),
            ("a reserved address", &["240.0.0.1", "255.255.255.255", "198.18.0.1", "198.19.255.255", "192.0.0.8"]),
            // IPv4-compatible, Teredo, NAT64 for local use, to be discarded, not given out.
            ("a reserved address", &["::10.0.0.1", "2001::1", "64:ff9b:1::a00:1", "100::1", "4000::1", "5f00::1"]),
        ] {
            for address in addresses {
                assert_eq!(judged(address, &[]), Err(kind.to_owned()), "{address}");
            }
        }
    }

    #[test]
    fn mx_leads_to_the_addresses_of_the_internet() {
        for address in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "126.255.255.255",
            "128.0.0.1",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.1",
            "192.0.1.1",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.1",
            "223.255.255.255",
            "2001:200::1",
            "2606:4700::1111",
            "2a00:1450::1a",
            "3ffe::1",
            "2002:101:101::1",
            "64:ff9b::101:101",
        ] {
            assert_eq!(judged(address, &[]), Ok(address.to_owned()), "{address}");
        }
        assert_eq!(judged("::ffff:1.1.1.1", &[]), Ok("1.1.1.1".to_owned()));
    }

    #[test]
    fn a_network_of_mx_networks_is_allowed_in_each_form_and_no_other() {
        for (address, allowed) in [
            ("127.0.0.2", "127.0.0.0/8"),
            ("::ffff:10.1.2.3", "10.0.0.0/8"),
            ("64:ff9b::10.1.2.3", "10.0.0.0/8"),
            ("64:ff9b::10.1.2.3", "64:ff9b::/96"),
            ("2002:a01:203::1", "10.1.2.3/32"),
            ("fd00:1::5", "fd00:1::/64"),
        ] {
            assert!(judged(address, &[allowed]).is_ok(), "{address} with {allowed}");
        }
        for (address, allowed) in [
            ("10.1.2.3", "10.1.2.4/32"),
            ("127.0.0.1", "10.0.0.0/8"),
            ("::1", "0.0.0.0/0"),
            ("fd00:2::5", "fd00:1::/64"),
        ] {
            assert!(judged(address, &[allowed]).is_err(), "{address} with {allowed}");
        }
    }

    #[test]
    fn mx_knows_the_addresses_of_this_host() {
        assert!(is_own(Ipv4Addr::LOCALHOST.into()));
        // It is a second address of its interface, of which connections come from the first.
        assert!(is_own(IpAddr::from([127, 0, 0, 77])));
        assert!(!is_own(IpAddr::from([192, 0, 2, 1])) && !is_own("2001:db8::1".parse().unwrap()));
        assert!(!is_own(FOREIGN_IPV4.into()) && !is_own(FOREIGN_IPV6.into()));
    }

    #[test]
    fn the_words_of_mx_name_the_address_the_kind_and_the_key() {
        let told = |address: &str, host: &str| judge(address.parse().unwrap(), &[]).unwrap_err().told(host);
        let plain = "not connecting to mx.x.example[::1]: it is a loopback address, and mx_networks does not list it";
        assert_eq!(told("::1", "mx.x.example"), plain);
        let literal = "not connecting to 10.0.0.1: it is a private address, and mx_networks does not list it";
        assert_eq!(told("10.0.0.1", "10.0.0.1"), literal);
        let leads = "not connecting to h[64:ff9b::a00:1]: it leads to 10.0.0.1, which is a private address, and \
                     mx_networks does not list it";
        assert_eq!(told("64:ff9b::a00:1", "h"), leads);
    }
}
