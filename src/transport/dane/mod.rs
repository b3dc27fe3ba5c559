//! DANE (RFC 7672): what the DNS says of the certificate of a host, before it is connected to.
//!
//! Asks, but opens no connection. Nothing that was not validated counts, and no TLSA record is asked for below an address that was not:
//! broken name servers do not answer such questions. Invariant: where it cannot be known what the DNS says, that is an error, and never
//! the answer that there is nothing.

mod demand;

use std::fmt;
use std::sync::Arc;

use crate::address::Domain;
use crate::dns::{Dns, DnsAnswer, DnsError, DnsRecord, RecordKind, Tlsa, TlsaUsage};

pub(in crate::transport) use demand::{Demand, DemandSource};

/// More records of a host are not looked at.
const MOST_RECORDS: usize = 50;

/// The validated TLSA records of a host: TLS is required, and the certificate must fit one of them where any is usable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::transport) struct Dane {
    /// The TLSA base domain, which is also the name that TLS asks for (RFC 7672 2.2.2, 8.1).
    pub(in crate::transport) base: Domain,
    /// The usable records; empty where none is, and then the certificate is not looked at (RFC 7672 2.1.1).
    pub(in crate::transport) records: Vec<Tlsa>,
    /// The names that a certificate of an authority may be for (RFC 7672 3.2.2), the base first.
    pub(in crate::transport) names: Vec<Domain>,
}

impl Dane {
    /// Whether the certificate is looked at.
    pub(in crate::transport) fn verifies(&self) -> bool {
        !self.records.is_empty()
    }
}

impl fmt::Display for Dane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.records.is_empty() {
            return f.write_str("no TLSA record that is usable");
        }
        let shown: Vec<_> = self.records.iter().map(ToString::to_string).collect();
        write!(f, "TLSA {}", shown.join(", "))
    }
}

/// What the DNS says of a host at a port; `None` where DANE does not apply. `next_hop` are the names for which the host takes mail, as
/// far as the DNS is validated.
///
/// # Errors
/// When it cannot be known now.
pub(in crate::transport) async fn published(
    dns: &dyn Dns,
    host: &Domain,
    port: u16,
    next_hop: &[Domain],
) -> Result<Option<Arc<Dane>>, DnsError> {
    for base in bases(dns, host).await? {
        let Ok(place) = format!("_{port}._tcp.{base}").parse() else { continue };
        let answer = dns.lookup(&place, RecordKind::Tlsa).await?;
        if !answer.is_authenticated() {
            continue;
        }
        let record = |record: &DnsRecord| match record {
            DnsRecord::Tlsa(tlsa) => Some(tlsa.clone()),
            _ => None,
        };
        let all: Vec<Tlsa> = answer.records().iter().filter_map(record).take(MOST_RECORDS).collect();
        let records = Tlsa::strongest(&all);
        let mut names = vec![base.clone()];
        // Of the server's own certificate no name counts, and so hosts are the same for all domains.
        if records.iter().any(|record| record.usage() == Some(TlsaUsage::Authority)) {
            next_hop.iter().filter(|name| **name != base).for_each(|name| names.push(name.clone()));
        }
        return Ok(Some(Arc::new(Dane { base, records, names })));
    }
    Ok(None)
}

/// The names below which TLSA records may be, the better first (RFC 7672 2.2.2, 2.2.3); none where the address is not validated.
async fn bases(dns: &dyn Dns, host: &Domain) -> Result<Vec<Domain>, DnsError> {
    let (four, six) = tokio::join!(dns.lookup(host, RecordKind::A), dns.lookup(host, RecordKind::Aaaa));
    let has_records = |answer: &Result<DnsAnswer, DnsError>| matches!(answer, Ok(DnsAnswer::Records { .. }));
    // One family that cannot be asked for leaves the other to judge by, as its addresses are those that are connected to.
    let answers = match (has_records(&four), has_records(&six)) {
        (true, true) => vec![four?, six?],
        (true, false) => vec![four?],
        (false, true) => vec![six?],
        (false, false) => {
            let _no_address = (four?, six?);
            return Ok(Vec::new());
        }
    };
    let canonical = answers.iter().find_map(|answer| answer.canonical().cloned());
    let secure = answers.iter().all(DnsAnswer::is_authenticated);
    Ok(match (secure, canonical) {
        (true, None) => vec![host.clone()],
        (true, Some(canonical)) => vec![canonical, host.clone()],
        (false, None) => Vec::new(),
        // The alias may be validated, and only what it leads to not.
        (false, Some(_)) => match dns.lookup(host, RecordKind::Cname).await?.is_authenticated() {
            true => vec![host.clone()],
            false => Vec::new(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::FixedNames;

    fn name(text: &str) -> Domain {
        text.parse().unwrap()
    }

    fn ask(table: &FixedNames, next_hop: &[Domain]) -> Result<Option<Arc<Dane>>, DnsError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(published(table, &name("mx.d.example"), 25, next_hop))
    }

    fn table(usage: u8) -> FixedNames {
        FixedNames::default()
            .forward(name("mx.d.example"), [192, 0, 2, 1].into())
            .tlsa(name("_25._tcp.mx.d.example"), Tlsa::new(usage, 1, 1, vec![7; 32]))
    }

    #[test]
    fn only_validated_records_of_a_validated_host_count() {
        let found = ask(&table(3).secure(name("d.example")), &[name("d.example")]).unwrap().unwrap();
        assert_eq!((found.base.as_str(), found.records.len(), found.names.len()), ("mx.d.example", 1, 1));
        assert_eq!(ask(&table(3), &[]), Ok(None), "an address that is not validated");
        assert_eq!(ask(&table(3).secure(name("mx.d.exampl")), &[]), Ok(None));
        let empty = FixedNames::default().secure(name("d.example"));
        assert_eq!(ask(&empty.clone().forward(name("mx.d.example"), [192, 0, 2, 1].into()), &[]), Ok(None));
        assert_eq!(ask(&empty, &[]), Ok(None), "no address");
        let unusable = ask(&table(1).secure(name("d.example")), &[]).unwrap().unwrap();
        assert!(!unusable.verifies(), "{unusable}");
    }

    #[test]
    fn the_domain_of_the_recipient_is_a_name_for_authorities_alone() {
        let found = ask(&table(2).secure(name("d.example")), &[name("d.example"), name("mx.d.example")]).unwrap();
        assert_eq!(found.unwrap().names, [name("mx.d.example"), name("d.example")]);
    }

    #[test]
    fn what_cannot_be_asked_is_an_error_and_never_nothing() {
        assert!(ask(&table(3).secure(name("d.example")).failing(name("_25._tcp.mx.d.example")), &[]).is_err());
        assert!(ask(&table(3).failing(name("mx.d.example")), &[]).is_err());
        // No question below an address that is not validated.
        assert_eq!(ask(&table(3).failing(name("_25._tcp.mx.d.example")), &[]), Ok(None));
    }
}
