//! MTA-STS (RFC 8461): what a domain says by HTTPS of the hosts that take its mail.
//!
//! A TXT record names the policy; where its name is a new one, or the policy that is kept is a day old, it is fetched. Invariant:
//! a policy that was fetched counts until it expires, whatever becomes of later questions; that there is no policy is never
//! trouble, as a domain that nobody knows yet could be hidden from us anyway.

mod demand;
#[cfg_attr(not(feature = "mta-sts"), expect(dead_code, reason = "nothing is fetched"))]
mod fetch;
mod policy;
mod record;
mod store;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ipnet::IpNet;

use super::destination;
use super::settings::{IpVersion, MtaStsSettings};
use super::smtp::Certificates;
use crate::address::Domain;
use crate::dns::{self, Dns, DnsError, DnsRecord, RecordKind};
pub(in crate::transport) use demand::HostDemand;
use fetch::{PolicySource, Request, Web};
pub(in crate::transport) use policy::{StsMode, StsPolicy};
use store::{Kept, Store};

/// After that a policy is fetched again, although its name is the same (RFC 8461 3.3).
const REFRESH: Duration = Duration::from_secs(24 * 60 * 60);
/// After a failure nothing is fetched of the domain for that long (RFC 8461 3.3).
const REST: Duration = Duration::from_secs(5 * 60);
/// Failures that are remembered.
const MOST_FAILURES: usize = 1_000;

/// See the module.
#[derive(Debug)]
pub(in crate::transport) struct MtaSts {
    store: Store,
    /// Whether what was fetched is kept.
    keeps: bool,
    port: u16,
    source: Arc<dyn PolicySource>,
    failed: Mutex<HashMap<Domain, Instant>>,
}

/// What policies are fetched with.
#[derive(Clone, Copy)]
pub(in crate::transport) struct FetchMeans<'a> {
    pub(in crate::transport) dns: &'a dyn Dns,
    /// Networks that are connected to although they are private.
    pub(in crate::transport) networks: &'a [IpNet],
    pub(in crate::transport) ip: IpVersion,
    pub(in crate::transport) certificates: &'a Certificates,
}

/// What is known of a domain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::transport) struct FoundPolicy {
    /// The policy, where the domain has one.
    pub(in crate::transport) policy: Option<StsPolicy>,
    /// Why it is not known whether there is a newer one, in words.
    pub(in crate::transport) trouble: Option<String>,
}

impl MtaSts {
    pub(in crate::transport) fn new(settings: &MtaStsSettings) -> Self {
        let MtaStsSettings { folder, port } = settings;
        let (store, port) = (Store::new(folder), *port);
        Self { store, keeps: true, port, source: Arc::new(Web), failed: Mutex::default() }
    }

    /// The same, but it leaves nothing on the disk.
    #[cfg(feature = "dns")]
    pub(in crate::transport) fn without_trace(settings: &MtaStsSettings) -> Self {
        Self { keeps: false, ..Self::new(settings) }
    }

    /// The policy of a domain of recipients.
    pub(in crate::transport) async fn policy(&self, domain: &Domain, means: FetchMeans<'_>) -> FoundPolicy {
        let Some(domain) = domain.in_ascii().filter(|domain| !domain.is_literal()) else {
            return FoundPolicy::default();
        };
        let kept = self.store.load(&domain);
        let counts = |kept: Option<Kept>, trouble| FoundPolicy { policy: kept.map(|kept| kept.policy), trouble };
        let id = match identifier(means.dns, &domain).await {
            Ok(Some(id)) => id,
            Ok(None) => return counts(kept, None),
            Err(error) => return counts(kept, Some(error.to_string())),
        };
        if kept.as_ref().is_some_and(|kept| kept.id == id && is_fresh(kept)) || self.rests(&domain) {
            return counts(kept, None);
        }
        match self.fetch(&domain, means).await {
            Ok((policy, text)) => {
                let saved = if self.keeps { self.store.keep(&domain, &id, &text) } else { Ok(()) };
                let trouble = saved.err().map(|error| format!("keeping the MTA-STS policy of {domain}: {error}"));
                FoundPolicy { policy: Some(policy), trouble }
            }
            Err(cause) => {
                self.note_failure(&domain);
                let then = match kept {
                    Some(_) => "the former one counts until it expires",
                    None => "mail goes as if there were none",
                };
                counts(kept, Some(format!("fetching the MTA-STS policy of {domain}: {cause}; {then}")))
            }
        }
    }

    async fn fetch(&self, domain: &Domain, means: FetchMeans<'_>) -> Result<(StsPolicy, String), String> {
        let host: Domain = format!("mta-sts.{domain}").parse().map_err(|_| "its name is too long".to_owned())?;
        let found = dns::host_addresses(means.dns, &host).await.map_err(|error| error.to_string())?;
        let judged = found.into_iter().filter(|address| means.ip.includes(*address));
        let (open, barred): (Vec<_>, Vec<_>) =
            judged.map(|address| destination::judge(address, means.networks)).partition(Result::is_ok);
        let addresses: Vec<_> = open.into_iter().flatten().map(|address| SocketAddr::new(address, self.port)).collect();
        if addresses.is_empty() {
            let told = barred.into_iter().find_map(Result::err).map(|barred| barred.told(host.as_str()));
            return Err(told.unwrap_or_else(|| format!("{host} has no address")));
        }
        let authorities = means.certificates.authorities()?.map(Arc::new);
        let request = Request { host, addresses, authorities };
        let source = Arc::clone(&self.source);
        // A thread of its own, which nobody waits for once it is time to leave.
        let (answer, answered) = tokio::sync::oneshot::channel();
        let asking = move || {
            let _nobody_waits = answer.send(source.fetch(&request));
        };
        std::thread::Builder::new().name("mta-sts".to_owned()).spawn(asking).map_err(|error| error.to_string())?;
        let text = answered.await.map_err(|broken| broken.to_string())??;
        StsPolicy::parse(&text).map(|policy| (policy, text))
    }

    /// Whether it failed a short while ago.
    fn rests(&self, domain: &Domain) -> bool {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.get(domain).is_some_and(|at| at.elapsed() < REST)
    }

    fn note_failure(&self, domain: &Domain) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if failed.len() >= MOST_FAILURES {
            failed.retain(|_, at| at.elapsed() < REST);
        }
        if failed.len() < MOST_FAILURES {
            failed.insert(domain.clone(), Instant::now());
        }
    }
}

/// Whether it need not be fetched again, as long as its name is the same.
fn is_fresh(kept: &Kept) -> bool {
    kept.age.is_some_and(|age| age < REFRESH.min(kept.policy.max_age / 2))
}

/// What the domain calls its policy.
async fn identifier(dns: &dyn Dns, domain: &Domain) -> Result<Option<String>, DnsError> {
    let Ok(name) = format!("_mta-sts.{domain}").parse() else { return Ok(None) };
    let answer = dns.lookup(&name, RecordKind::Txt).await?;
    let texts = answer.records().iter().filter_map(|record| match record {
        DnsRecord::Text(text) => Some(text.as_slice()),
        _ => None,
    });
    Ok(record::identifier(texts))
}

#[cfg(test)]
mod tests;
