//! A resolver with a fixed table, for tests.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use async_trait::async_trait;

use super::exchangers::{Exchanger, Exchangers, MailExchangers};
use super::{DnsError, Resolver};
use crate::address::Domain;

/// A resolver that knows a fixed table and nothing else, or fails at everything: for tests.
#[derive(Debug, Clone, Default)]
pub struct FixedNames {
    reverse: HashMap<IpAddr, Vec<Domain>>,
    forward: HashMap<Domain, Vec<IpAddr>>,
    exchangers: HashMap<Domain, Exchangers>,
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
impl MailExchangers for FixedNames {
    async fn exchangers(&self, domain: &Domain) -> Result<Exchangers, DnsError> {
        // Fails where everything does.
        let addresses = self.addresses(domain).await?;
        let otherwise = if addresses.is_empty() { Exchangers::NoSuchName } else { Exchangers::Implicit };
        Ok(self.exchangers.get(domain).cloned().unwrap_or(otherwise))
    }

    async fn exchanger_addresses(&self, host: &Domain) -> Result<Vec<IpAddr>, DnsError> {
        self.addresses(host).await
    }
}
