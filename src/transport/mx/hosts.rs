//! From a recipient's domain to the hosts that take its mail, in the order in which they are tried (RFC 5321 5.1).
//!
//! Asks, but opens no connection. An address is judged here, and the one that was judged is connected to. What the DNS says for
//! certain is a verdict about the recipients; that it cannot be asked is our trouble, unless it can be asked about other domains.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::shared::Shared;
use crate::address::Domain;
use crate::dns::{self, DnsError, Exchanger, Exchangers};
use crate::receipt::{Cause, Outcome, Reason};
use crate::smtp::EnhancedCode;
use crate::transport::dane::{Demand, published};
use crate::transport::destination::{self, Barred};
use crate::transport::mta_sts::{HostDemand, StsPolicy};

/// More hosts of a domain are not tried in one attempt.
const MOST_HOSTS: usize = 5;
/// More addresses of a host are not looked at.
const MOST_JUDGED: usize = 50;

/// A host that takes mail for the domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Host {
    /// As TLS and the log name it; without brackets.
    pub(super) name: String,
    /// Lower goes first.
    pub(super) preference: u16,
    /// Where it is.
    pub(super) place: HostPlace,
}

/// Where a host is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HostPlace {
    /// Where its name leads.
    Name(Domain),
    /// Where the address literal says.
    Address(IpAddr),
}

/// The hosts of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hosts {
    /// Best first; at least one.
    pub(super) hosts: Vec<Host>,
    /// The names of the domain, where validated records lead to the hosts: those that an authority may have named in a certificate. `None`:
    /// DANE does not apply (RFC 7672 2.2.1).
    pub(super) names: Option<Vec<Domain>>,
}

/// Why there is no host to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Dead {
    /// The recipients are judged.
    End(Outcome),
    /// Our trouble.
    Fault(Reason),
}

impl Shared {
    /// The hosts of a domain.
    pub(super) async fn hosts(&self, domain: &Domain) -> Result<Hosts, Dead> {
        let never =
            |status, text: String| Dead::End(Outcome::Failed(Reason::new(status, text).because(Cause::NoSuchDomain)));
        if domain.is_literal() {
            let address = literal(domain);
            // RFC 3463 X.1.2: bad destination system address.
            let address = address.ok_or_else(|| {
                never(EnhancedCode(5, 1, 2), format!("{domain} is no address that mail can be sent to"))
            })?;
            let host = Host { name: address.to_string(), preference: 0, place: HostPlace::Address(address) };
            return Ok(Hosts { hosts: vec![host], names: None });
        }
        let found = self.in_time(domain, dns::exchangers_with_proof(self.dns.as_ref(), domain)).await?;
        let names = match &found.exchangers {
            Exchangers::Hosts(_) if !found.authenticated => None,
            Exchangers::Hosts(_) => Some(std::iter::once(domain.clone()).chain(found.canonical).collect()),
            // The host is the domain itself.
            _ => Some(Vec::new()),
        };
        let exchangers = match found.exchangers {
            Exchangers::Hosts(hosts) => hosts,
            Exchangers::Implicit => vec![Exchanger { preference: 0, host: domain.clone() }],
            // RFC 7505 6: recipient address has null MX.
            Exchangers::Null => return Err(never(EnhancedCode(5, 1, 10), format!("{domain} takes no mail (null MX)"))),
            Exchangers::NoSuchName => {
                return Err(never(EnhancedCode(5, 1, 2), format!("there is no domain {domain} in the DNS")));
            }
        };
        // RFC 5321 5.1: a relay that finds itself among them leaves out itself, and all that are not better.
        let ours = exchangers.iter().filter(|exchanger| exchanger.host == self.connection_settings.helo);
        let limit = ours.map(|exchanger| exchanger.preference).min();
        let none = exchangers.is_empty();
        let better = exchangers.into_iter().filter(|exchanger| limit.is_none_or(|limit| exchanger.preference < limit));
        let hosts = in_order(better.collect());
        match (hosts.is_empty(), none) {
            (false, _) => Ok(Hosts { hosts, names }),
            (true, true) => Err(never(EnhancedCode(5, 4, 4), format!("no mail exchanger of {domain} is a host"))),
            // RFC 3463 X.4.6: routing loop. A slip in somebody's configuration, which may be repaired in time.
            (true, false) => {
                let text = format!(
                    "mail for {domain} would loop back: its best mail exchanger is {}",
                    self.connection_settings.helo
                );
                Err(Dead::End(Outcome::Deferred(Reason::new(EnhancedCode(4, 4, 6), text).because(Cause::Loop))))
            }
        }
    }

    /// The addresses of a host of this domain, each with the verdict whether it is connected to; empty where it has none.
    pub(super) async fn addresses(&self, domain: &Domain, host: &Host) -> Result<Vec<Result<IpAddr, Barred>>, Dead> {
        let found = match &host.place {
            HostPlace::Address(address) => vec![*address],
            HostPlace::Name(name) => self.in_time(domain, dns::host_addresses(self.dns.as_ref(), name)).await?,
        };
        Ok(found.into_iter().take(MOST_JUDGED).map(|address| destination::judge(address, &self.networks)).collect())
    }

    /// The MTA-STS policy of a domain, where it has one.
    pub(super) async fn sts_policy(&self, domain: &Domain) -> Result<Option<StsPolicy>, Dead> {
        let Some(mta_sts) = &self.mta_sts else { return Ok(None) };
        let found = tokio::select! {
            biased;
            found = mta_sts.policy(domain, self.means()) => found,
            () = self.connection_settings.leaving.raised() => return Err(told_to_leave(domain)),
        };
        if let Some(trouble) = &found.trouble {
            log::warn!("{trouble}");
        }
        Ok(found.policy)
    }

    /// How a host of this domain is to be reached. DANE goes before MTA-STS (RFC 8461 2).
    pub(super) async fn demand(
        &self,
        domain: &Domain,
        host: &Host,
        names: Option<&[Domain]>,
        policy: Option<&StsPolicy>,
    ) -> Result<HostDemand, Dead> {
        let demand = self.demand_of_dns(domain, host, names).await?;
        let Some(policy) = policy else { return Ok(HostDemand::plain(demand)) };
        policy.demand(domain, &host.name, demand).map_err(|reason| Dead::End(Outcome::Deferred(reason)))
    }

    async fn demand_of_dns(&self, domain: &Domain, host: &Host, names: Option<&[Domain]>) -> Result<Demand, Dead> {
        let policy = self.hop.tls;
        if !policy.asks_dane() {
            return Ok(Demand::plain(policy));
        }
        let found = match (&host.place, names) {
            (HostPlace::Name(name), Some(names)) => {
                let found = self.in_time(domain, published(self.dns.as_ref(), name, self.hop.port, names)).await;
                // The DNS answered about the domain just now, so that it is the zone of the records that is broken, and no trouble of
                // ours: mail to other domains goes on.
                found.map_err(|dead| match dead {
                    Dead::Fault(reason) if reason.cause == Some(Cause::NameLookup) => {
                        Dead::End(Outcome::Deferred(reason))
                    }
                    dead => dead,
                })?
            }
            _ => None,
        };
        Demand::of(policy, &host.name, found).map_err(|reason| Dead::End(Outcome::Deferred(reason)))
    }

    async fn in_time<T>(
        &self,
        domain: &Domain,
        question: impl Future<Output = Result<T, DnsError>>,
    ) -> Result<T, Dead> {
        // RFC 3463 X.4.3: directory server failure.
        let reason = |text: String| Reason::new(EnhancedCode(4, 4, 3), text).because(Cause::NameLookup);
        let limit: Duration = self.connection_settings.timeouts.connect;
        let answer = tokio::select! {
            biased;
            answer = tokio::time::timeout(limit, question) => answer,
            () = self.connection_settings.leaving.raised() => return Err(told_to_leave(domain)),
        };
        let cause = match answer {
            Ok(Ok(found)) => {
                self.answered.note(domain, Instant::now());
                return Ok(found);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("looking {domain} up: no answer within {} s", limit.as_secs_f32()),
        };
        let theirs = self.answered.works_for_another(domain, Instant::now());
        Err(if theirs { Dead::End(Outcome::Deferred(reason(cause))) } else { Dead::Fault(reason(cause)) })
    }
}

fn told_to_leave(domain: &Domain) -> Dead {
    let text = format!("broken off while looking {domain} up: told to leave");
    Dead::Fault(Reason::new(EnhancedCode(4, 3, 2), text).because(Cause::Leaving))
}

/// By preference, and at random among equals, which spreads the load (RFC 5321 5.1).
fn in_order(exchangers: Vec<Exchanger>) -> Vec<Host> {
    let mut drawn: Vec<(u16, u64, Domain)> = Vec::new();
    for exchanger in exchangers {
        if drawn.iter().all(|(_, _, known)| *known != exchanger.host) {
            // Without random octets the order is the resolver's, which is as good as any.
            let lot = getrandom::u64().unwrap_or_default();
            drawn.push((exchanger.preference, lot, exchanger.host));
        }
    }
    drawn.sort_by_key(|(preference, lot, _)| (*preference, *lot));
    let host = |(preference, _, name): (u16, u64, Domain)| {
        // A host in figures is no name, but somebody's slip that is easily understood.
        let address = name.as_str().parse().ok();
        Host { name: name.to_string(), preference, place: address.map_or(HostPlace::Name(name), HostPlace::Address) }
    };
    drawn.into_iter().take(MOST_HOSTS).map(host).collect()
}

/// RFC 5321 4.1.3.
fn literal(domain: &Domain) -> Option<IpAddr> {
    let inner = domain.as_str().strip_prefix('[')?.strip_suffix(']')?;
    match inner.split_once(':') {
        None => inner.parse().ok(),
        Some((tag, address)) if tag.eq_ignore_ascii_case("ipv6") => address.parse().ok().map(IpAddr::V6),
        Some(_) => None,
    }
}
