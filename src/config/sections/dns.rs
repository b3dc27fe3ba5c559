//! `[dns]`: which name servers are asked.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::Deserialize;

use crate::config::error::{Fault, unexpected};
use crate::config::values::{self, FromText};
use crate::dns::NameServers;

/// `[dns]`: which name servers are asked for the mail exchangers of `mx:` and for `[checks]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DnsSection {
    /// Instead of those of `/etc/resolv.conf`.
    #[serde(deserialize_with = "values::list")]
    pub servers: Vec<SocketAddr>,
    /// How long a question may take: 1 s to 60 s.
    #[serde(deserialize_with = "values::duration::<1, 60, _>")]
    pub timeout: Duration,
    /// Whether these servers are trusted to validate, although they are not on this host.
    pub trust_ad: bool,
}

impl Default for DnsSection {
    fn default() -> Self {
        let NameServers { addresses, timeout, trust_ad } = NameServers::default();
        Self { servers: addresses, timeout, trust_ad }
    }
}

impl DnsSection {
    /// As the part that asks takes it.
    pub fn settings(&self) -> NameServers {
        NameServers { addresses: self.servers.clone(), timeout: self.timeout, trust_ad: self.trust_ad }
    }
}

/// What this program was built without.
pub(in crate::config) fn faults(dns: &DnsSection) -> Vec<Fault> {
    let key = match dns {
        DnsSection { servers, .. } if !servers.is_empty() => "dns.servers",
        DnsSection { trust_ad: true, .. } => "dns.trust_ad",
        _ => return Vec::new(),
    };
    let reason = "this leafmail was built without the feature dns, and asks no name server by itself; build it with \
                  --features dns";
    if cfg!(feature = "dns") { Vec::new() } else { vec![Fault::new(key, reason)] }
}

impl FromText for SocketAddr {
    const EXPECTED: &'static str = "the address of a name server, such as 127.0.0.1, 127.0.0.1:5353 or [::1]:5353";

    fn from_text(text: &str) -> Result<Self, String> {
        let bare = || text.parse::<IpAddr>().ok().map(|address| (address, 53).into());
        let found: Option<Self> = text.parse().ok().or_else(bare);
        found.filter(|at| at.port() != 0 && !at.ip().is_unspecified()).ok_or_else(|| unexpected(Self::EXPECTED, text))
    }
}
