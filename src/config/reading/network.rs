//! Networks: how the configuration writes them, and which of them are private.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv6Net};

use super::error::unexpected;
use crate::address::{has_zone, with_zone, zone_number};

/// What a network looks like.
pub(in crate::config) const EXPECTED_NETWORK: &str = "a network such as 192.168.1.0/24";

/// Reads a network, or a single address, which is the network of itself alone. An IPv4-mapped one is the IPv4 network that
/// it means, since clients are judged by that form.
///
/// # Errors
/// In words.
pub fn parse_network(text: &str) -> Result<IpNet, String> {
    if let Some((address, zone)) = text.split_once('%') {
        return zoned(address, zone, text);
    }
    let network = match text.parse::<IpNet>() {
        Ok(network) => network,
        // Three figures and a dot are more often a network cut short than an address, and are neither.
        Err(_) => text.parse::<IpAddr>().map(IpNet::from).map_err(|_| unexpected(EXPECTED_NETWORK, text))?,
    };
    if network.addr() != network.network() {
        // Whoever wrote this means either one host or the whole network: rather ask than guess.
        let both = format!("the network {} or the address {}", network.trunc(), network.addr());
        return Err(unexpected(&both, text));
    }
    if let IpAddr::V6(address) = network.addr()
        && has_zone(address)
    {
        return Err(unexpected("zeros after the first group of an address of a link, such as fe80::5%eth0", text));
    }
    Ok(canonical(network))
}

/// `fe80::5%eth0` or `fe80::%eth0/64` (RFC 4007 11.7): only those who come by that interface.
fn zoned(address: &str, zone: &str, text: &str) -> Result<IpNet, String> {
    let (zone, length) = zone.split_once('/').map_or((zone, ""), |(zone, length)| (zone, length));
    let slash = if length.is_empty() { "" } else { "/" };
    let network = parse_network(&format!("{address}{slash}{length}"))?;
    let number =
        zone_number(zone).ok_or_else(|| unexpected("the name of a network interface of this host after %", text))?;
    let IpNet::V6(network) = network else { return Err(unexpected("a zone after an address of a link only", text)) };
    let begin = with_zone(network.addr(), number).filter(|_| network.prefix_len() >= 64);
    let begin =
        begin.ok_or_else(|| unexpected("an address of a link before %, or a network such as fe80::%eth0/64", text))?;
    Ipv6Net::new(begin, network.prefix_len()).map(IpNet::V6).map_err(|_| unexpected(EXPECTED_NETWORK, text))
}

/// `::ffff:10.0.0.0/104` as `10.0.0.0/8`.
fn canonical(network: IpNet) -> IpNet {
    match (network.addr().to_canonical(), network.prefix_len().checked_sub(96)) {
        (address @ IpAddr::V4(_), Some(prefix)) if network.addr().is_ipv6() => {
            IpNet::new(address, prefix).unwrap_or(network)
        }
        _ => network,
    }
}

/// The networks that no router of the Internet carries: loopback (RFC 1122, RFC 4291), private (RFC 1918, RFC 4193),
/// link-local (RFC 3927, RFC 4291) and shared with the provider (RFC 6598).
const PRIVATE: [&str; 9] = [
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "100.64.0.0/10",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
];

/// All private networks.
pub(in crate::config) fn private() -> impl Iterator<Item = IpNet> {
    PRIVATE.iter().filter_map(|text| text.parse().ok())
}

/// Whether all of a network is private.
pub(in crate::config) fn is_private(network: &IpNet) -> bool {
    private().any(|private| private.contains(network))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_and_single_addresses_are_read() {
        for (text, network) in [
            ("192.168.1.0/24", "192.168.1.0/24"),
            ("192.168.1.7", "192.168.1.7/32"),
            ("::1", "::1/128"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:10.1.2.3", "10.1.2.3/32"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(parse_network(text).unwrap().to_string(), network, "{text}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused_with_the_reason() {
        let found = "expected a network such as 192.168.1.0/24, but found \"192.168.1\"";
        assert_eq!(parse_network("192.168.1").unwrap_err(), found);
        let both = "expected the network 192.168.1.0/24 or the address 192.168.1.5, but found \"192.168.1.5/24\"";
        assert_eq!(parse_network("192.168.1.5/24").unwrap_err(), both);
        for bad in ["", "lan", "10.0.0.0/33", "::/129", "10.0.0.0/-1", "10.0.0.0/8 ", "300.0.0.0/8", "fe80::1%nosuch0"]
        {
            assert!(parse_network(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn a_zone_is_one_of_this_host_and_behind_an_address_of_a_link() {
        let number = zone_number("lo").unwrap();
        for (text, expected) in [
            ("fe80::5%lo", format!("fe80:{number:x}::5/128")),
            ("fe80::%lo/64", format!("fe80:{number:x}::/64")),
            ("fe80::", "fe80::/128".to_owned()),
            ("fe80::/10", "fe80::/10".to_owned()),
        ] {
            let network = parse_network(text).unwrap();
            assert_eq!(network.to_string(), expected);
            assert!(is_private(&network));
        }
        for bad in [
            "fe80::5%",
            "fe80::5%nosuch0",
            "fe80::%lo/10",
            "2001:db8::5%lo",
            "::1%lo",
            "10.0.0.1%lo",
            "fe80:2::/64",
            "fe80::5%lo/64",
        ] {
            assert!(parse_network(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn every_private_network_of_the_list_is_one() {
        for text in PRIVATE {
            assert!(is_private(&text.parse().unwrap()), "{text}");
        }
        for public in [
            "0.0.0.0/0",
            "126.0.0.0/7",
            "10.0.0.0/7",
            "172.32.0.0/16",
            "8.8.8.8/32",
            "::/0",
            "2001:db8::/32",
            "fc00::/6",
        ] {
            assert!(!is_private(&public.parse().unwrap()), "{public}");
        }
    }
}
