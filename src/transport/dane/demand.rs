//! How a host is to be reached: its policy, and what the DNS says of it where the policy asks.

use std::fmt;
use std::sync::Arc;

use super::{Dane, published};
use crate::address::Domain;
use crate::dns::{Dns, DnsError};
use crate::receipt::{Cause, Reason};
use crate::smtp::EnhancedCode;
use crate::transport::settings::{Smarthost, TlsPolicy};

/// See the module. Where `dane` is there, `policy` is one that asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::transport) struct Demand {
    pub(in crate::transport) policy: TlsPolicy,
    pub(in crate::transport) dane: Option<Arc<Dane>>,
}

impl Demand {
    /// By a policy that asks no DNS.
    pub(in crate::transport) fn plain(policy: TlsPolicy) -> Self {
        Self { policy, dane: None }
    }

    /// By a policy that asks the DNS, and by its answer.
    ///
    /// # Errors
    /// When nothing may be sent to the host.
    pub(in crate::transport) fn of(policy: TlsPolicy, host: &str, found: Option<Arc<Dane>>) -> Result<Self, Reason> {
        match (policy, found) {
            (TlsPolicy::Dane, None) => Ok(Self::plain(TlsPolicy::Opportunistic)),
            (TlsPolicy::DaneOnly, found) if found.as_ref().is_none_or(|dane| !dane.verifies()) => {
                let what = if found.is_some() { "usable" } else { "validated" };
                let text = format!("tls=dane-only is set, but the DNS has no {what} TLSA records of {host}");
                // RFC 3463 X.7.5: cryptographic failure.
                Err(Reason::new(EnhancedCode(4, 7, 5), text).because(Cause::Dane))
            }
            (policy, dane) => Ok(Self { policy, dane }),
        }
    }

    /// The host with the policy that was demanded.
    pub(in crate::transport) fn applied_to(&self, smarthost: &Smarthost) -> Smarthost {
        Smarthost { tls: self.policy, ..smarthost.clone() }
    }
}

/// Where a host's demand comes from.
#[derive(Clone)]
pub(in crate::transport) enum DemandSource {
    /// It is known.
    Known(Demand),
    /// The DNS is asked before each connection.
    Asked(Arc<dyn Dns>),
}

impl DemandSource {
    /// What is demanded of this host now.
    ///
    /// # Errors
    /// When nothing may be sent to it: it cannot be known what is demanded, or that cannot be had.
    pub(in crate::transport) async fn demand(&self, smarthost: &Smarthost) -> Result<Demand, Reason> {
        let dns = match self {
            Self::Known(demand) => return Ok(demand.clone()),
            Self::Asked(dns) => dns,
        };
        let found = match smarthost.host.parse::<Domain>() {
            Ok(name) if smarthost.host.parse::<std::net::IpAddr>().is_err() => {
                published(dns.as_ref(), &name, smarthost.port, &[]).await.map_err(|error| unknown(&error))?
            }
            // An address has no records.
            _ => None,
        };
        Demand::of(smarthost.tls, &smarthost.host, found)
    }
}

/// RFC 3463 X.4.3: directory server failure.
fn unknown(error: &DnsError) -> Reason {
    let text = format!("{error}; so it is not known which certificate the host must show");
    Reason::new(EnhancedCode(4, 4, 3), text).because(Cause::NameLookup)
}

impl fmt::Debug for DemandSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(demand) => demand.fmt(f),
            Self::Asked(_) => f.write_str("Asked"),
        }
    }
}
