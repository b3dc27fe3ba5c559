//! The addresses that this relay listens at, as rules name them: by port, or by address and port.
//!
//! A client on a Unix socket or a pipe came to none of them.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use super::ClientInfo;

/// `:587`, the port at each address; or `192.0.2.1:587`, the address as it is listened at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerPattern {
    ip: Option<IpAddr>,
    port: u16,
}

impl ListenerPattern {
    /// Whether it means this address.
    pub fn matches(&self, listener: SocketAddr) -> bool {
        self.port == listener.port() && self.ip.is_none_or(|ip| ip == listener.ip())
    }

    /// Whether it names an address too, and so counts before one that names the port alone.
    pub fn is_exact(&self) -> bool {
        self.ip.is_some()
    }
}

impl FromStr for ListenerPattern {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (ip, port) = match text.strip_prefix(':') {
            Some(port) if port.bytes().all(|octet| octet.is_ascii_digit()) => (None, port.parse().map_err(drop)?),
            Some(_) => return Err(()),
            None => {
                let address: SocketAddr = text.parse().map_err(drop)?;
                (Some(address.ip()), address.port())
            }
        };
        if port == 0 { Err(()) } else { Ok(Self { ip, port }) }
    }
}

impl fmt::Display for ListenerPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip {
            Some(ip) => SocketAddr::new(ip, self.port).fmt(f),
            None => write!(f, ":{}", self.port),
        }
    }
}

/// Which clients a rule is for, by where they connected; without a pattern for all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listeners(Vec<ListenerPattern>);

impl Listeners {
    /// These alone; for all where there is none.
    pub fn new(patterns: Vec<ListenerPattern>) -> Self {
        Self(patterns)
    }

    /// Whether the rule is for this client.
    pub fn include(&self, client: &ClientInfo<'_>) -> bool {
        self.include_listener(client.listener)
    }

    pub(crate) fn include_listener(&self, listener: Option<SocketAddr>) -> bool {
        self.0.is_empty() || listener.is_some_and(|at| self.0.iter().any(|pattern| pattern.matches(at)))
    }
}

impl fmt::Display for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&all.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> ListenerPattern {
        text.parse().unwrap()
    }

    #[test]
    fn a_pattern_names_a_port_or_an_address_with_its_port() {
        for text in [":25", "0.0.0.0:587", "[::]:465", "[2001:db8::1]:25"] {
            assert_eq!(pattern(text).to_string(), text);
        }
        for bad in ["", ":", "25", ":0", ":+25", ":65536", "192.0.2.1", "0.0.0.0:0", "localhost:25", "*:25"] {
            assert_eq!(bad.parse::<ListenerPattern>(), Err(()), "{bad:?}");
        }
        let at: SocketAddr = "192.0.2.1:25".parse().unwrap();
        assert!(pattern(":25").matches(at) && pattern("192.0.2.1:25").matches(at));
        assert!(!pattern(":587").matches(at) && !pattern("0.0.0.0:25").matches(at));
    }

    #[test]
    fn a_rule_without_listeners_is_for_all_and_one_with_them_never_for_local_clients() {
        let rule = Listeners::new(vec![pattern(":25"), pattern("127.0.0.1:587")]);
        for (at, expected) in [("0.0.0.0:25", true), ("127.0.0.1:587", true), ("0.0.0.0:587", false)] {
            assert_eq!(rule.include_listener(at.parse().ok()), expected, "{at}");
        }
        assert!(!rule.include_listener(None) && Listeners::default().include_listener(None));
    }
}
