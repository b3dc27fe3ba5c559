//! A resolver with a fixed table, for tests.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::Resolver;
use super::error::DnsError;
use super::exchangers::{Exchanger, Exchangers};
use super::lookup::{Dns, DnsAnswer, DnsRecord, RecordKind, reversed};
use super::tlsa::Tlsa;
use crate::address::Domain;

/// A resolver that knows a fixed table and nothing else, or fails at everything: for tests.
#[derive(Debug, Clone, Default)]
pub struct FixedNames {
    reverse: HashMap<IpAddr, Vec<Domain>>,
    forward: HashMap<Domain, Vec<IpAddr>>,
    exchangers: HashMap<Domain, Exchangers>,
    texts: HashMap<Domain, Vec<String>>,
    tlsa: HashMap<Domain, Vec<Tlsa>>,
    secure: Vec<Domain>,
    failing: HashSet<Domain>,
    broken: bool,
}

impl FixedNames {
    /// A resolver whose every look-up fails.
    pub fn broken() -> Self {
        Self { broken: true, ..Self::default() }
    }

    /// Adds a name to an address, without the way back.
    #[must_use]
    pub fn reverse(mut self, address: IpAddr, name: Domain) -> Self {
        self.reverse.entry(address).or_default().push(name);
        self
    }

    /// Adds an address to a name, without the way back.
    #[must_use]
    pub fn forward(mut self, name: Domain, address: IpAddr) -> Self {
        self.forward.entry(name).or_default().push(address);
        self
    }

    /// Adds an MX record.
    #[must_use]
    pub fn exchanger(mut self, domain: Domain, preference: u16, host: Domain) -> Self {
        let known = self.exchangers.entry(domain).or_insert(Exchangers::Hosts(Vec::new()));
        if let Exchangers::Hosts(hosts) = known {
            hosts.push(Exchanger { preference, host });
        }
        self
    }

    /// Says who takes mail for a domain; without a word nobody knows the name, unless it has addresses.
    #[must_use]
    pub fn takes_mail(mut self, domain: Domain, who: Exchangers) -> Self {
        self.exchangers.insert(domain, who);
        self
    }

    /// Adds a TXT record.
    #[must_use]
    pub fn text(mut self, name: Domain, text: &str) -> Self {
        self.texts.entry(name).or_default().push(text.to_owned());
        self
    }

    /// Adds a TLSA record, at a name such as `_25._tcp.mx.example`.
    #[must_use]
    pub fn tlsa(mut self, name: Domain, record: Tlsa) -> Self {
        self.tlsa.entry(name).or_default().push(record);
        self
    }

    /// What is said of this name, and of names below it, is authenticated.
    #[must_use]
    pub fn secure(mut self, zone: Domain) -> Self {
        self.secure.push(zone);
        self
    }

    /// Look-ups of this name fail.
    #[must_use]
    pub fn failing(mut self, name: Domain) -> Self {
        self.failing.insert(name);
        self
    }

    fn answer<T: Clone>(&self, what: &dyn std::fmt::Display, found: Option<&Vec<T>>) -> Result<Vec<T>, DnsError> {
        if self.broken {
            return Err(DnsError { what: what.to_string(), cause: "the resolver is broken".to_owned() });
        }
        Ok(found.cloned().unwrap_or_default())
    }
}

#[async_trait]
impl Resolver for FixedNames {
    async fn reverse_names(&self, address: IpAddr) -> Result<Vec<Domain>, DnsError> {
        self.answer(&address, self.reverse.get(&address))
    }

    async fn addresses(&self, name: &Domain) -> Result<Vec<IpAddr>, DnsError> {
        if self.failing.contains(name) {
            return Err(DnsError { what: name.to_string(), cause: "SERVFAIL".to_owned() });
        }
        self.answer(name, self.forward.get(name))
    }
}

#[async_trait]
impl Dns for FixedNames {
    async fn lookup(&self, name: &Domain, kind: RecordKind) -> Result<DnsAnswer, DnsError> {
        // Fails where everything does.
        let addresses = self.addresses(name).await?;
        let exchangers = self.exchangers.get(name);
        let records: Vec<DnsRecord> = match kind {
            RecordKind::A | RecordKind::Aaaa => {
                let fits = |address: &IpAddr| address.is_ipv4() == (kind == RecordKind::A);
                addresses.iter().copied().filter(fits).map(DnsRecord::Address).collect()
            }
            RecordKind::Mx => match exchangers {
                Some(Exchangers::Hosts(hosts)) => {
                    let record = |Exchanger { preference, host }: &Exchanger| DnsRecord::Mx {
                        preference: *preference,
                        host: Some(host.clone()),
                    };
                    // There may be records that name no host.
                    return Ok(self.found(name, hosts.iter().map(record).collect()));
                }
                Some(Exchangers::Null) => vec![DnsRecord::Mx { preference: 0, host: None }],
                Some(Exchangers::Implicit | Exchangers::NoSuchName) | None => Vec::new(),
            },
            RecordKind::Ptr => self.names_at(name).into_iter().map(DnsRecord::Name).collect(),
            RecordKind::Txt => {
                let texts = self.texts.get(name).into_iter().flatten();
                texts.map(|text| DnsRecord::Text(text.clone().into_bytes())).collect()
            }
            RecordKind::Tlsa => self.tlsa.get(name).into_iter().flatten().cloned().map(DnsRecord::Tlsa).collect(),
            RecordKind::Cname => Vec::new(),
        };
        let exists = !addresses.is_empty() || self.texts.contains_key(name) || exchangers.is_some();
        Ok(match records.is_empty() {
            false => self.found(name, records),
            true if !exists || exchangers == Some(&Exchangers::NoSuchName) => DnsAnswer::NoSuchName,
            true => DnsAnswer::NoRecords,
        })
    }
}

impl FixedNames {
    fn found(&self, name: &Domain, records: Vec<DnsRecord>) -> DnsAnswer {
        let below = |zone: &Domain| {
            let (name, zone) = (name.as_str().to_ascii_lowercase(), zone.as_str().to_ascii_lowercase());
            name == zone || name.strip_suffix(&zone).is_some_and(|rest| rest.ends_with('.'))
        };
        let authenticated = self.secure.iter().any(below);
        let valid_until = Instant::now() + Duration::from_secs(60);
        DnsAnswer::Records { records, authenticated, canonical: None, valid_until }
    }

    /// The names of the address that this name of the DNS means.
    fn names_at(&self, name: &Domain) -> Vec<Domain> {
        let means = |address: &IpAddr| {
            let zone = if address.is_ipv4() { "in-addr.arpa" } else { "ip6.arpa" };
            reversed(*address, zone).as_ref() == Some(name)
        };
        self.reverse.iter().filter(|(address, _)| means(address)).flat_map(|(_, names)| names.clone()).collect()
    }
}
