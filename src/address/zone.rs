//! Zones of link-local IPv6 addresses (RFC 4007): the names of this host's network interfaces, and their numbers.
//!
//! A network with a zone is kept as an [`ipnet::IpNet`] whose second group is the number of the interface, which is zero in
//! every real address of a link (RFC 4291 2.5.6). So it holds addresses of that interface, and none of any other.

use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};

use rustix::net::netdevice::{index_to_name, name_to_index};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

/// Where the number is in an address.
const ZONE_AT: u32 = 96;
/// What is zero in an address of a link: the 54 bits after the prefix.
const ZEROS: u128 = (1 << 118) - (1 << 64);

/// The number of an interface, by its name or as a number.
pub fn zone_number(name: &str) -> Option<u32> {
    let socket = socket_with(AddressFamily::INET6, SocketType::DGRAM, SocketFlags::CLOEXEC, None);
    // The kernel takes names of up to 15 octets.
    let by_name = || name_to_index(socket.ok()?, name).ok();
    let is_name = !name.is_empty() && name.len() < 16 && !name.contains('\0');
    is_name.then(|| name.parse().ok().or_else(by_name)).flatten().filter(|number| *number != 0)
}

/// The name of an interface, or its number where it has none any more.
fn zone_name(number: u32) -> String {
    let socket = socket_with(AddressFamily::INET6, SocketType::DGRAM, SocketFlags::CLOEXEC, None);
    let name = socket.and_then(|socket| index_to_name(socket, number));
    name.ok().filter(|name| name.bytes().all(|octet| octet.is_ascii_graphic())).unwrap_or_else(|| number.to_string())
}

/// An address of a link with the number of its interface in it, as networks with a zone have it.
pub fn with_zone(address: Ipv6Addr, number: u32) -> Option<Ipv6Addr> {
    let number = u16::try_from(number).ok().filter(|number| *number != 0)?;
    let is_plain = address.is_unicast_link_local() && address.to_bits() & ZEROS == 0;
    is_plain.then(|| Ipv6Addr::from_bits(address.to_bits() | u128::from(number) << ZONE_AT))
}

/// Whether an address, or the network that it begins, has a zone in it.
pub fn has_zone(address: Ipv6Addr) -> bool {
    address.is_unicast_link_local() && address.to_bits() & ZEROS != 0
}

/// A socket's address, with the name of its zone if it has one.
#[derive(Debug, Clone, Copy)]
pub struct Zoned(pub SocketAddr);

impl Zoned {
    /// The zone as it is written behind an address, with its percent sign; empty for none.
    pub fn suffix(self) -> String {
        match self.0 {
            SocketAddr::V6(address) if address.scope_id() != 0 => format!("%{}", zone_name(address.scope_id())),
            _ => String::new(),
        }
    }
}

impl fmt::Display for Zoned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.suffix().as_str() {
            "" => self.0.fmt(f),
            zone => write!(f, "[{}{zone}]:{}", self.0.ip(), self.0.port()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_has_a_number_and_a_name() {
        let number = zone_number("lo").unwrap();
        assert_eq!(zone_number(&number.to_string()), Some(number));
        let address = |scope| SocketAddr::V6(std::net::SocketAddrV6::new("fe80::1".parse().unwrap(), 25, 0, scope));
        assert_eq!(Zoned(address(number)).to_string(), "[fe80::1%lo]:25");
        assert_eq!(Zoned(address(0)).to_string(), "[fe80::1]:25");
        assert_eq!(Zoned(address(0xffff_fff0)).to_string(), "[fe80::1%4294967280]:25");
        for bad in ["", "0", "no-such-interface-at-all", "nosuch0", "lo\0", "l o"] {
            assert_eq!(zone_number(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_zone_is_put_into_addresses_of_a_link_alone() {
        let zoned = |text: &str, number| with_zone(text.parse().unwrap(), number).map(|address| address.to_string());
        assert_eq!(zoned("fe80::5", 2), Some("fe80:2::5".to_owned()));
        assert_eq!((zoned("fe80::5", 0), zoned("fe80::5", 0x1_0000)), (None, None));
        assert_eq!((zoned("2001:db8::5", 2), zoned("fe80:2::5", 2), zoned("fe80:0:0:1::5", 2)), (None, None, None));
        assert!(has_zone("fe80:2::".parse().unwrap()) && !has_zone("fe80::".parse().unwrap()));
    }
}
