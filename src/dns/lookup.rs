//! The [`Dns`] trait: one question to the DNS, and its answer.
//!
//! That there is no such name, or no such record, is an answer; an error is trouble of ours, and says nothing about the name.
//! `/etc/hosts` and search lists play no part: names are looked up as they are.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::error::DnsError;
use super::tlsa::Tlsa;
use crate::address::Domain;

/// Which name servers are asked, and how long a question may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameServers {
    /// Where they are; none: those of `/etc/resolv.conf`.
    pub addresses: Vec<SocketAddr>,
    /// How long a question may take, with all attempts.
    pub timeout: Duration,
    /// Whether they are trusted to validate, and the way to them is safe, although they are on another host.
    pub trust_ad: bool,
}

impl Default for NameServers {
    fn default() -> Self {
        Self { addresses: Vec::new(), timeout: Duration::from_secs(10), trust_ad: false }
    }
}

/// The kinds of records that are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordKind {
    /// An address of IPv4.
    A,
    /// An address of IPv6.
    Aaaa,
    /// A host that takes mail.
    Mx,
    /// The name of an address.
    Ptr,
    /// Text.
    Txt,
    /// The certificate of a server.
    Tlsa,
    /// The name that a name stands for.
    Cname,
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Mx => "MX",
            Self::Ptr => "PTR",
            Self::Txt => "TXT",
            Self::Tlsa => "TLSA",
            Self::Cname => "CNAME",
        })
    }
}

/// What a record says. Names in it are valid; a record with another name is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DnsRecord {
    /// Of A and AAAA; IPv4-mapped ones as IPv4.
    Address(IpAddr),
    /// Of MX.
    Mx {
        /// Lower goes first.
        preference: u16,
        /// The host; `None`: the root (RFC 7505).
        host: Option<Domain>,
    },
    /// Of PTR and CNAME.
    Name(Domain),
    /// Of TXT: its strings in one, as RFC 7208 3.3 has it; hostile octets.
    Text(Vec<u8>),
    /// Of TLSA.
    Tlsa(Tlsa),
}

/// What the DNS says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DnsAnswer {
    /// There are records of this kind.
    Records {
        /// Those that are usable; perhaps none.
        records: Vec<DnsRecord>,
        /// Whether a name server that is trusted to validate (RFC 6840 5.8) did so.
        authenticated: bool,
        /// The name that has them, where the one that was asked for is an alias.
        canonical: Option<Domain>,
        /// The end of the shortest time to live.
        valid_until: Instant,
    },
    /// There is no such name.
    NoSuchName,
    /// There is such a name, but no record of this kind.
    NoRecords,
}

impl DnsAnswer {
    /// The records; none where there is no such name.
    pub fn records(&self) -> &[DnsRecord] {
        match self {
            Self::Records { records, .. } => records,
            Self::NoSuchName | Self::NoRecords => &[],
        }
    }

    /// Whether there are records, and all of it was validated.
    pub fn is_authenticated(&self) -> bool {
        matches!(self, Self::Records { authenticated: true, .. })
    }

    /// The name that has the records, where the one that was asked for is an alias.
    pub fn canonical(&self) -> Option<&Domain> {
        match self {
            Self::Records { canonical, .. } => canonical.as_ref(),
            Self::NoSuchName | Self::NoRecords => None,
        }
    }

    /// The addresses among them.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.records().iter().filter_map(|record| match record {
            DnsRecord::Address(address) => Some(*address),
            _ => None,
        })
    }
}

/// Asks the DNS.
#[async_trait]
pub trait Dns: Send + Sync {
    /// The records of this kind that a name has. The name is no address literal.
    ///
    /// # Errors
    /// When it cannot be known now: no name server answers, or it has trouble itself, as with a signature that is wrong.
    async fn lookup(&self, name: &Domain, kind: RecordKind) -> Result<DnsAnswer, DnsError>;
}

/// The addresses of a host, IPv4 first. Where one family cannot be asked for, those of the other are enough to go on with.
///
/// # Errors
/// When none is found, and it cannot be known that there is none.
pub async fn host_addresses(dns: &dyn Dns, host: &Domain) -> Result<Vec<IpAddr>, DnsError> {
    let (mut addresses, mut trouble) = (Vec::new(), None);
    let answers = tokio::join!(dns.lookup(host, RecordKind::A), dns.lookup(host, RecordKind::Aaaa));
    for answer in [answers.0, answers.1] {
        match answer {
            Ok(answer) => addresses.extend(answer.addresses()),
            Err(error) => trouble = Some(error),
        }
    }
    if addresses.is_empty() { trouble.map_or(Ok(addresses), Err) } else { Ok(addresses) }
}

/// The name under which the DNS has what is said about an address: its octets or nibbles, the last first, below `zone`
/// (RFC 5782 2.1, 2.4). `None` where that name would be too long.
pub fn reversed(address: IpAddr, zone: &str) -> Option<Domain> {
    let labels: Vec<String> = match address.to_canonical() {
        IpAddr::V4(address) => address.octets().iter().rev().map(u8::to_string).collect(),
        IpAddr::V6(address) => {
            let nibbles = address.octets().into_iter().rev().flat_map(|octet| [octet & 15, octet >> 4]);
            nibbles.map(|nibble| format!("{nibble:x}")).collect()
        }
    };
    format!("{}.{zone}", labels.join(".")).parse().ok()
}

/// The names that the holder of an address gave it (RFC 1035 3.5, RFC 3596 2.5). Not to be believed before they lead back.
///
/// # Errors
/// When it cannot be known now.
pub async fn names_of(dns: &dyn Dns, address: IpAddr) -> Result<Vec<Domain>, DnsError> {
    let zone = if address.to_canonical().is_ipv4() { "in-addr.arpa" } else { "ip6.arpa" };
    let Some(name) = reversed(address, zone) else { return Ok(Vec::new()) };
    let answer = dns.lookup(&name, RecordKind::Ptr).await?;
    let named = |record: &DnsRecord| match record {
        DnsRecord::Name(name) => Some(name.clone()),
        _ => None,
    };
    Ok(answer.records().iter().filter_map(named).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_turned_around_below_a_zone() {
        for (address, name) in [
            ("192.0.2.99", "99.2.0.192.bl.example"),
            ("::ffff:192.0.2.99", "99.2.0.192.bl.example"),
            ("2001:db8:1:2:3:4:567:89ab", "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.bl.example"),
        ] {
            assert_eq!(reversed(address.parse().unwrap(), "bl.example").unwrap().as_str(), name);
        }
        assert_eq!(reversed("::1".parse().unwrap(), &format!("{}.example", "a".repeat(60).repeat(4))), None);
    }
}
