//! The mail exchangers of a domain: the [`MailExchangers`] trait, and a test double with a fixed table.
//!
//! As in the rest of this module, an empty answer is a fact and an error is our own failure.

use std::net::IpAddr;

use async_trait::async_trait;

use super::{DnsError, FixedNames, Resolver};
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

/// Finds who takes mail for a domain. `/etc/hosts` and search lists play no part: names are looked up in the DNS as they are.
#[async_trait]
pub trait MailExchangers: Send + Sync {
    /// Those of a domain that is no address literal.
    ///
    /// # Errors
    /// When it cannot be known now.
    async fn exchangers(&self, domain: &Domain) -> Result<Exchangers, DnsError>;

    /// The addresses of a host, in the order in which they are to be tried.
    ///
    /// # Errors
    /// When it cannot be known now.
    async fn exchanger_addresses(&self, host: &Domain) -> Result<Vec<IpAddr>, DnsError>;
}

impl FixedNames {
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
