//! The hosts that take the recipients' mail, each with what the DNS says of its certificate.

use super::found::Found;
use super::step::{Inquiry, failed};
use crate::address::Domain;
use crate::dns::{self, Dns, DnsClient, Exchanger, Exchangers, Validation};
use crate::receipt::{Cause, Reason};
use crate::smtp::EnhancedCode;
use crate::transport::classify::Place;
use crate::transport::dane::{Demand, published};
use crate::transport::leaving::Leaving;
use crate::transport::mta_sts::{FetchMeans, MtaSts, StsMode, StsPolicy};
use crate::transport::settings::{DirectMx, RouteSettings, ServerKind, Smarthost, TlsPolicy};
use crate::transport::smtp::ConnectionSettings;
use crate::transport::step::Step;

/// Hosts of a domain that are probed.
const MOST_HOSTS: usize = 3;
const WHAT: &str = "mail exchangers";
const DANE: &str = "DANE";
const STS: &str = "MTA-STS";

/// Those of the recipients' domains that mail may go to.
pub(super) async fn of_recipients(
    direct: DirectMx,
    place: &Place,
    inquiry: &Inquiry,
    settings: &RouteSettings,
    tell: &mut dyn FnMut(Step),
) -> Vec<Found> {
    let dns = DnsClient::at(settings.name_servers.clone());
    if direct.tls.asks_dane() {
        tell(validation(&dns, direct.tls).await);
    }
    let mut domains: Vec<_> = inquiry.recipients.iter().map(|recipient| recipient.domain().clone()).collect();
    domains.dedup();
    if domains.is_empty() {
        tell(Step::ok(WHAT, "none was looked up, as no recipient was named: --recipient names one"));
    }
    let mut found = Vec::new();
    for domain in domains {
        found.extend(of_domain(&dns, &domain, direct, settings, place, tell).await);
    }
    found
}

async fn of_domain(
    dns: &DnsClient,
    domain: &Domain,
    direct: DirectMx,
    settings: &RouteSettings,
    place: &Place,
    tell: &mut dyn FnMut(Step),
) -> Vec<Found> {
    let answer = match dns::exchangers_with_proof(dns, domain).await {
        Ok(answer) => answer,
        Err(error) => {
            let reason = Reason::new(EnhancedCode(4, 4, 3), error.to_string()).because(Cause::NameLookup);
            tell(failed(WHAT, &reason, place));
            return Vec::new();
        }
    };
    let (mut hosts, names) = match answer.exchangers {
        Exchangers::NoSuchName | Exchangers::Null => {
            let reason =
                Reason::new(EnhancedCode(5, 1, 2), format!("{domain} takes no mail")).because(Cause::NoSuchDomain);
            tell(failed(WHAT, &reason, place));
            return Vec::new();
        }
        Exchangers::Implicit => (vec![Exchanger { preference: 0, host: domain.clone() }], Some(Vec::new())),
        Exchangers::Hosts(hosts) => {
            let names = std::iter::once(domain.clone()).chain(answer.canonical).collect();
            (hosts, answer.authenticated.then_some(names))
        }
    };
    hosts.sort_by_key(|host| host.preference);
    let shown: Vec<_> = hosts.iter().map(|host| host.host.to_string()).collect();
    let proof = if answer.authenticated { ", validated by DNSSEC" } else { "" };
    tell(Step::ok(WHAT, format!("{domain}: {}{proof}", shown.join(", "))));
    let policy = sts_policy(dns, domain, direct, settings, tell).await;
    let mut found = Vec::new();
    for Exchanger { host, .. } in hosts.into_iter().take(MOST_HOSTS) {
        let smarthost = Smarthost {
            host: host.to_string(),
            port: direct.port,
            tls: direct.tls,
            user: None,
            kind: ServerKind::Smtp,
        };
        let of_host = of_host(dns, smarthost, names.as_deref(), place, tell).await;
        found.extend(of_host.and_then(|found| by_policy(found, domain, policy.as_ref(), place, tell)));
    }
    found
}

/// The MTA-STS policy of a domain, where the route asks for it. Nothing of it is kept.
async fn sts_policy(
    dns: &DnsClient,
    domain: &Domain,
    direct: DirectMx,
    settings: &RouteSettings,
    tell: &mut dyn FnMut(Step),
) -> Option<StsPolicy> {
    let mta_sts = MtaSts::without_trace(settings.mta_sts.as_ref()?);
    let connection_settings = ConnectionSettings::of(settings, direct.tls, Leaving::default()).ok()?;
    let certificates = &connection_settings.certificates;
    let means = FetchMeans { dns, networks: &settings.mx_networks, ip: settings.ip, certificates };
    let found = mta_sts.policy(domain, means).await;
    if let Some(trouble) = found.trouble {
        let remedy = "Mail is sent all the same. If it is so for all domains, look at this host's way to port 443 and its name servers.";
        tell(Step::warning(STS, trouble, remedy));
    } else if found.policy.is_none() {
        tell(Step::ok(STS, format!("{domain} has no policy")));
    }
    let policy = found.policy?;
    let hosts = policy.hosts.iter().take(10).map(String::as_str).collect::<Vec<_>>().join(", ");
    tell(Step::ok(
        STS,
        match policy.mode {
            None => format!("the policy of {domain} demands nothing"),
            Some(StsMode::Enforce) => {
                format!("{domain} demands TLS with a certificate for the host; its hosts are {hosts}")
            }
            Some(StsMode::Testing) => format!("{domain} tests a policy, which keeps no mail; its hosts are {hosts}"),
        },
    ));
    Some(policy)
}

/// The host with what the policy demands of it, where that allows any mail.
fn by_policy(
    found: Found,
    domain: &Domain,
    policy: Option<&StsPolicy>,
    place: &Place,
    tell: &mut dyn FnMut(Step),
) -> Option<Found> {
    let Some(policy) = policy else { return Some(found) };
    let Found { smarthost, demand } = found;
    match policy.demand(domain, &smarthost.host, demand) {
        Err(reason) => {
            tell(failed(STS, &reason, place));
            None
        }
        Ok(demanded) => {
            let demand = demanded.demand;
            Some(Found { smarthost: demand.applied_to(&smarthost), demand })
        }
    }
}

/// The smarthost of a URL that asks for TLSA records.
pub(super) async fn smarthost(
    smarthost: Smarthost,
    place: &Place,
    settings: &RouteSettings,
    tell: &mut dyn FnMut(Step),
) -> Vec<Found> {
    let dns = DnsClient::at(settings.name_servers.clone());
    tell(validation(&dns, smarthost.tls).await);
    of_host(&dns, smarthost, Some(&[]), place, tell).await.into_iter().collect()
}

/// A host with what is demanded of it, where that allows any mail.
async fn of_host(
    dns: &dyn Dns,
    smarthost: Smarthost,
    names: Option<&[Domain]>,
    place: &Place,
    tell: &mut dyn FnMut(Step),
) -> Option<Found> {
    let policy = smarthost.tls;
    if !policy.asks_dane() {
        return Some(Found { smarthost, demand: Demand::plain(policy) });
    }
    let published = match (smarthost.host.parse::<Domain>(), names) {
        (Ok(name), Some(names)) => published(dns, &name, smarthost.port, names).await,
        _ => Ok(None),
    };
    let demanded = published
        .map_err(|error| {
            let text =
                format!("{error}; mail waits, as it is not known which certificate {} must show", smarthost.host);
            Reason::new(EnhancedCode(4, 4, 3), text).because(Cause::NameLookup)
        })
        .and_then(|found| Demand::of(policy, &smarthost.host, found));
    match demanded {
        Err(reason) => {
            tell(failed(DANE, &reason, place));
            None
        }
        Ok(demand) => {
            tell(Step::ok(DANE, told(&smarthost.host, &demand)));
            Some(Found { smarthost: demand.applied_to(&smarthost), demand })
        }
    }
}

fn told(host: &str, demand: &Demand) -> String {
    match &demand.dane {
        None => format!("the DNS has no validated TLSA records of {host}: TLS is opportunistic"),
        Some(dane) if dane.verifies() => format!("{host} must show a certificate that fits {dane}"),
        Some(_) => format!("{host} has TLSA records, but none that is usable: TLS is required, with any certificate"),
    }
}

/// Whether DANE works at all here.
async fn validation(dns: &DnsClient, policy: TlsPolicy) -> Step {
    const HOW: &str = "Run a validating resolver on this host (unbound) and name it in dns.servers or /etc/resolv.conf; or set \
                       dns.trust_ad, if a validating one on a network of yours is asked.";
    let without = |found: &str| {
        let found = format!("{found}, so that no TLSA record counts");
        if policy == TlsPolicy::DaneOnly { Step::fault(DANE, found, HOW) } else { Step::warning(DANE, found, HOW) }
    };
    match dns.validation().await {
        Ok(Validation::Trusted) => Step::ok(DANE, "the name servers validate the DNS, and are trusted to"),
        Ok(Validation::Missing) => without("the name servers do not validate the DNS"),
        Ok(Validation::Untrusted) => {
            without("the name servers are on another host, and nothing says that they are trusted")
        }
        Err(error) => Step::fault(DANE, error.to_string(), HOW),
    }
}
