//! The mail exchangers of a domain: the [`MailExchangers`] trait.
//!
//! As in the rest of this module, an empty answer is a fact and an error is our own failure.

use std::net::IpAddr;

use async_trait::async_trait;

use super::DnsError;
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
