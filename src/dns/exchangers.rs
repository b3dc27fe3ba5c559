//! The mail exchangers of a domain, from its MX records.

use super::error::DnsError;
use super::lookup::{Dns, DnsAnswer, DnsRecord, RecordKind};
use crate::address::Domain;

/// Who takes mail for a domain (RFC 5321 5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exchangers {
    /// These hosts, in no order; empty where there are records, but none names a host.
    Hosts(Vec<Exchanger>),
    /// The name has no MX record: its own addresses do.
    Implicit,
    /// Nobody, by its own word (RFC 7505).
    Null,
    /// There is no such name.
    NoSuchName,
}

/// An MX record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchanger {
    /// Lower goes first.
    pub preference: u16,
    /// The host.
    pub host: Domain,
}

/// The mail exchangers of a domain that is no address literal.
///
/// # Errors
/// When it cannot be known now.
pub async fn exchangers(dns: &dyn Dns, domain: &Domain) -> Result<Exchangers, DnsError> {
    Ok(exchangers_with_proof(dns, domain).await?.exchangers)
}

/// The mail exchangers of a domain, and what is known of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundExchangers {
    /// Who they are.
    pub exchangers: Exchangers,
    /// Whether they come from records that a trusted name server validated.
    pub authenticated: bool,
    /// The name that has the records, where the domain is an alias.
    pub canonical: Option<Domain>,
}

/// As [`exchangers`], with what DANE has to know of the answer.
///
/// # Errors
/// When it cannot be known now.
pub async fn exchangers_with_proof(dns: &dyn Dns, domain: &Domain) -> Result<FoundExchangers, DnsError> {
    let answer = dns.lookup(domain, RecordKind::Mx).await?;
    let (authenticated, canonical) = (answer.is_authenticated(), answer.canonical().cloned());
    let host = |record: &DnsRecord| match record {
        DnsRecord::Mx { preference, host: Some(host) } => {
            Some(Exchanger { preference: *preference, host: host.clone() })
        }
        _ => None,
    };
    let exchangers = match &answer {
        DnsAnswer::NoSuchName => Exchangers::NoSuchName,
        DnsAnswer::NoRecords => Exchangers::Implicit,
        // RFC 7505 3: the only one, with the root for a host.
        DnsAnswer::Records { records, .. } if matches!(records[..], [DnsRecord::Mx { host: None, .. }]) => {
            Exchangers::Null
        }
        DnsAnswer::Records { records, .. } => Exchangers::Hosts(records.iter().filter_map(host).collect()),
    };
    Ok(FoundExchangers { exchangers, authenticated, canonical })
}
