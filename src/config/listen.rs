//! Where `smtpd` listens.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::path::PathBuf;
use std::str::FromStr;

use ipnet::IpNet;
use serde::Deserialize;

use super::error::unexpected;
use super::values::{self, FromText};
use crate::address::{Domain, Zoned, zone_number};
use crate::smtp::Keyword;

/// `[listen]`: where `smtpd` listens.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListenSection {
    /// Where; if empty, `smtpd` does not listen by itself but serves the connection on its standard input.
    #[serde(deserialize_with = "values::list")]
    pub addresses: Vec<ListenAddress>,
    /// The proxies that say at `proxy:` addresses who the client is.
    #[serde(deserialize_with = "values::list")]
    pub proxy_from: Vec<IpNet>,
    /// What EHLO does not offer at an address of `addresses`.
    #[serde(deserialize_with = "values::table")]
    pub hide_extensions: Vec<(ListenAddress, Vec<Keyword>)>,
    /// Where EHLO offers AUTH in its old form too, of `addresses`.
    #[serde(deserialize_with = "values::list")]
    pub auth_equals: Vec<ListenAddress>,
}

impl ListenSection {
    /// What EHLO does not offer at this address.
    pub fn hidden_at(&self, at: SocketAddr) -> impl Iterator<Item = Keyword> {
        let here = move |(address, _): &&(ListenAddress, Vec<Keyword>)| address.socket() == Some(at);
        self.hide_extensions.iter().filter(here).flat_map(|(_, hidden)| hidden.iter().copied())
    }

    /// Whether EHLO offers AUTH in its old form too at this address.
    pub fn has_auth_equals(&self, at: SocketAddr) -> bool {
        self.auth_equals.iter().any(|address| address.socket() == Some(at))
    }
}

/// An address to listen at: TCP with its port, or a Unix socket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// `127.0.0.1:2525` or `[::1]:2525`; port 0 lets the system choose. `proxy:`, `tls:` and `login:` may
    /// stand before, in this order.
    Tcp(SocketAddr, ListenPrefixes),
    /// `unix:/run/leafmail/smtp.sock`.
    Unix(PathBuf),
}

/// What comes before SMTP on a TCP connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ListenPrefixes {
    /// `proxy:`, the PROXY protocol: a listed proxy says who the client is.
    pub proxied: bool,
    /// `tls:`, TLS from the start (RFC 8314 3.3).
    pub tls: bool,
    /// `login:`, for submission (RFC 6409): who connects there has to log in, from wherever.
    pub login: bool,
}

impl ListenAddress {
    /// Where in the network.
    pub(super) fn socket(&self) -> Option<SocketAddr> {
        if let Self::Tcp(address, _) = self { Some(*address) } else { None }
    }
}

const EXPECTED: &str = "an address such as 127.0.0.1:2525, [::1]:2525, tls:0.0.0.0:465 or unix:/run/leafmail/smtp.sock";

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("unix:") {
            Some(path) if !path.is_empty() && !path.contains('\0') => return Ok(Self::Unix(path.into())),
            Some(_) => return Err(unexpected(EXPECTED, text)),
            None => {}
        }
        let (proxied, rest) = text.strip_prefix("proxy:").map_or((false, text), |rest| (true, rest));
        let (tls, rest) = rest.strip_prefix("tls:").map_or((false, rest), |rest| (true, rest));
        let (login, rest) = rest.strip_prefix("login:").map_or((false, rest), |rest| (true, rest));
        let address = tcp_address(rest).ok_or_else(|| format!("{}{}", unexpected(EXPECTED, text), hint(rest)))?;
        Ok(Self::Tcp(address, ListenPrefixes { proxied, tls, login }))
    }
}

/// `localhost` is 127.0.0.1, whatever a name server says.
fn tcp_address(text: &str) -> Option<SocketAddr> {
    if let Some(port) = text.strip_prefix("localhost:") {
        return Some(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port.parse().ok()?));
    }
    if let Some((address, rest)) = text.strip_prefix('[').and_then(|text| text.split_once('%')) {
        let (zone, port) = rest.split_once("]:")?;
        let address: Ipv6Addr = address.parse().ok().filter(Ipv6Addr::is_unicast_link_local)?;
        return Some(SocketAddrV6::new(address, port.parse().ok()?, 0, zone_number(zone)?).into());
    }
    let address: SocketAddr = text.parse().ok()?;
    // Without its interface it could not be bound.
    let is_incomplete = matches!(address, SocketAddr::V6(address) if address.ip().is_unicast_link_local());
    (!is_incomplete).then_some(address)
}

/// What is missing of what was nearly an address.
fn hint(text: &str) -> String {
    let is_port = |text: &str| text.parse::<u16>().is_ok();
    if is_port(text) {
        return format!("; the address is missing: 127.0.0.1:{text} takes mail from this host alone");
    }
    if text.contains("fe80:") || text.contains('%') {
        return "; an address of a link needs an interface of this host: [fe80::1%eth0]:25".to_owned();
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return format!("; the port is missing: {}", SocketAddr::new(address, 25));
    }
    match text.rsplit_once(':') {
        Some(("" | "*", port)) if is_port(port) => {
            format!("; all addresses of this host are 0.0.0.0:{port} and [::]:{port}")
        }
        Some((name, port)) if is_port(port) && name.parse::<Domain>().is_ok_and(|name| !name.is_literal()) => {
            "; names are not looked up, but for localhost: write the address".to_owned()
        }
        _ => String::new(),
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address, front) => {
                let prefixes = [(front.proxied, "proxy:"), (front.tls, "tls:"), (front.login, "login:")];
                for (_, prefix) in prefixes.iter().filter(|(is_set, _)| *is_set) {
                    f.write_str(prefix)?;
                }
                Zoned(*address).fmt(f)
            }
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl FromText for ListenAddress {
    const EXPECTED: &'static str = EXPECTED;

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localhost_is_the_loopback_and_what_is_missing_is_said() {
        let read = |text: &str| text.parse::<ListenAddress>().map(|address| address.to_string());
        assert_eq!(read("localhost:2525").unwrap(), "127.0.0.1:2525");
        assert_eq!(read("tls:login:localhost:465").unwrap(), "tls:login:127.0.0.1:465");
        for (text, expected) in [
            ("2525", "but found \"2525\"; the address is missing: 127.0.0.1:2525 takes mail from this host alone"),
            ("192.0.2.1", "; the port is missing: 192.0.2.1:25"),
            ("::1", "; the port is missing: [::1]:25"),
            ("*:25", "; all addresses of this host are 0.0.0.0:25 and [::]:25"),
            ("mail.example.lan:25", "; names are not looked up, but for localhost: write the address"),
            ("localhost:smtp", "but found \"localhost:smtp\""),
            ("[fe80::1]:25", "; an address of a link needs an interface of this host: [fe80::1%eth0]:25"),
            ("[fe80::1%nosuch0]:25", "; an address of a link needs an interface of this host: [fe80::1%eth0]:25"),
            ("[::1%lo]:25", "; an address of a link needs an interface of this host: [fe80::1%eth0]:25"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.ends_with(expected), "{error}");
        }
    }

    #[test]
    fn an_address_is_printed_as_it_was_read() {
        for good in [
            "127.0.0.1:2525",
            "[::1]:25",
            "0.0.0.0:0",
            "tls:[::]:465",
            "[fe80::1%lo]:25",
            "login:[fe80::1%lo]:587",
            "proxy:127.0.0.1:25",
            "proxy:tls:127.0.0.1:465",
            "login:0.0.0.0:587",
            "proxy:tls:login:[::]:465",
            "unix:/run/leafmail/smtp.sock",
            "unix:smtp.sock",
        ] {
            assert_eq!(good.parse::<ListenAddress>().unwrap().to_string(), good);
        }
        for bad in
            ["", "2525", "127.0.0.1", "::1:25", "unix:", "127.0.0.1:65536", "tls:", "tls:unix:a", "login:tls:[::]:1"]
        {
            assert!(bad.parse::<ListenAddress>().is_err(), "{bad:?} was accepted");
        }
    }
}
