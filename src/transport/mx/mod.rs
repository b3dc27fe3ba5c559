//! The MX transport: straight to the hosts that take mail for the recipients' domain.
//!
//! Each host is reached by a smarthost transport of its own, made for one address; here is only which ones are tried, and what
//! it means when none works. An unreachable host is its domain's trouble and defers the recipients; that we reach nobody is
//! ours, and a fault. Invariant: one request goes to one domain.

mod hosts;
mod recent;
mod shared;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

use crate::address::Domain;
use crate::dns::Dns;
use crate::receipt::{Cause, Outcome, Reason};
use crate::smtp::EnhancedCode;
use crate::transport::classify::{Side, side_at_fault};
use crate::transport::dane::Demand;
use crate::transport::delivery::{
    Body, Delivery, DeliveryRequest, Dispatch, Dsn, RouteFailure, SettingsError, Transport,
};
use crate::transport::destination::Barred;
use crate::transport::failover::Replay;
use crate::transport::leaving::Leaving;
use crate::transport::mta_sts::{HostDemand, MtaSts, StsMode};
use crate::transport::settings::{NextHop, RouteSettings, ServerKind, Smarthost, TlsPolicy};
use crate::transport::smarthost::SmarthostTransport;
use crate::transport::smtp::ConnectionSettings;
use hosts::{Dead, Host, Hosts};
use recent::Recent;
use shared::Shared;

/// More addresses are not tried in one attempt.
const MOST_ADDRESSES: usize = 10;

/// Makes transports to mail exchangers.
pub struct MxDispatch {
    shared: Arc<Shared>,
    connections: usize,
}

impl MxDispatch {
    /// A dispatch by these settings. Nothing is asked or opened yet.
    ///
    /// # Errors
    /// When the next hop is not `mx:`, or there is a password or token that nobody would ask for.
    pub fn new(settings: &RouteSettings, dns: Arc<dyn Dns>, leaving: Leaving) -> Result<Self, SettingsError> {
        let refuse = |what: &str| SettingsError { route: settings.name.clone(), what: what.to_owned() };
        let NextHop::Mx(hop) = settings.next_hop else { return Err(refuse("expected mx: as the next hop")) };
        if settings.password.is_some() || settings.token.is_some() {
            return Err(refuse("expected no password or token, as mail exchangers ask for no login"));
        }
        let connection_settings = Arc::new(ConnectionSettings::of(settings, hop.tls, leaving).map_err(refuse)?);
        let networks = settings.mx_networks.clone();
        let (answered, reached) = (Recent::default(), Recent::default());
        let mta_sts = settings.mta_sts.as_ref().map(MtaSts::new);
        let shared = Shared { hop, connection_settings, networks, dns, mta_sts, answered, reached };
        Ok(Self { shared: Arc::new(shared), connections: settings.connections.max(1) })
    }
}

impl Dispatch for MxDispatch {
    fn transport(&self) -> Box<dyn Transport> {
        Box::new(MxTransport { shared: Arc::clone(&self.shared), kept: None, runtime: None })
    }

    fn connections(&self) -> usize {
        self.connections
    }

    fn per_domain(&self) -> bool {
        true
    }

    fn most_recipients(&self) -> Option<usize> {
        self.shared.connection_settings.recipients_per_message
    }
}

/// One delivering thread's way to mail exchangers; it keeps the last connection.
pub struct MxTransport {
    shared: Arc<Shared>,
    kept: Option<Kept>,
    /// For look-ups.
    runtime: Option<Runtime>,
}

/// The way that worked last.
struct Kept {
    domain: Domain,
    host: String,
    address: IpAddr,
    /// How it was tried.
    tls: TlsPolicy,
    /// What was demanded of the host.
    demand: HostDemand,
    transport: SmarthostTransport,
}

impl Transport for MxTransport {
    fn deliver(&mut self, request: &DeliveryRequest<'_>, body: &mut dyn Body) -> Result<Delivery, RouteFailure> {
        let domain = one_domain(request)?;
        let shared = Arc::clone(&self.shared);
        let Hosts { hosts, names } = match self.wait(shared.hosts(&domain))? {
            Ok(found) => found,
            Err(dead) => return ended(request, &domain, dead),
        };
        let policy = match self.wait(shared.sts_policy(&domain))? {
            Ok(policy) => policy,
            Err(dead) => return ended(request, &domain, dead),
        };
        let demand = |host| shared.demand(&domain, host, names.as_deref(), policy.as_ref());
        let mut attempt = Attempt::new(request, &domain, Replay::new(body).alone());
        if let Some(kept) = self.kept.take() {
            let best = hosts.first().map(|host| host.preference);
            let known = hosts.iter().find(|host| host.name == kept.host);
            // For another domain only where it is as good as any, as RFC 5321 5.1 wants the best first; and only if it is as safe as
            // is demanded now, as it may have to be opened again.
            let fits = match known {
                Some(host) if kept.domain == domain || Some(host.preference) == best => {
                    self.wait(demand(host))?.is_ok_and(|now| now == kept.demand)
                }
                _ => false,
            };
            if fits {
                if let Some(delivery) = self.attempt(&mut attempt, kept)? {
                    return Ok(delivery);
                }
            } else {
                let mut unfit = kept.transport;
                unfit.disconnect();
            }
        }
        for host in &hosts {
            let ready = async {
                // Both, before anything is connected to; the addresses first, as whoever has none has no records either.
                let addresses = shared.addresses(&domain, host).await?;
                Ok((addresses, demand(host).await?))
            };
            let (addresses, demand) = match self.wait(ready)? {
                Ok(ready) => ready,
                // Nobody is judged for hosts that there is no time to ask for.
                Err(dead) if shared.connection_settings.leaving.is_raised() => {
                    return ended(request, &domain, dead);
                }
                Err(dead) => {
                    attempt.unknown = attempt.unknown.or(Some(dead));
                    continue;
                }
            };
            for judged in addresses {
                let Some(address) = attempt.choose(judged, host) else { continue };
                for policy in demand.attempts() {
                    let kept = self.way(&domain, host, address, policy, &demand);
                    if let Some(delivery) = self.attempt(&mut attempt, kept)? {
                        return Ok(delivery);
                    }
                    // A policy that is only tested delays nothing: neither does STARTTLS that is offered and refused.
                    let is_tested = demand.sts == Some(StsMode::Testing) && policy == TlsPolicy::Required;
                    if !(attempt.failed_at_tls() || is_tested && attempt.was_refused()) {
                        break;
                    }
                }
            }
        }
        attempt.give_up(&shared)
    }

    fn disconnect(&mut self) {
        if let Some(mut kept) = self.kept.take() {
            kept.transport.disconnect();
        }
    }

    fn largest_message(&self) -> Option<u64> {
        self.shared.connection_settings.max_size
    }
}

impl MxTransport {
    fn way(&self, domain: &Domain, host: &Host, address: IpAddr, tls: TlsPolicy, demand: &HostDemand) -> Kept {
        let now = Demand { policy: tls, ..demand.demand.clone() };
        let smarthost =
            Smarthost { host: host.name.clone(), port: self.shared.hop.port, tls, user: None, kind: ServerKind::Smtp };
        let transport =
            SmarthostTransport::to_address(smarthost, now, address, Arc::clone(&self.shared.connection_settings));
        Kept { domain: domain.clone(), host: host.name.clone(), address, tls, demand: demand.clone(), transport }
    }

    /// Tries one way. Where it works it is kept for the next message; `None` where another is to be tried.
    fn attempt(&mut self, attempt: &mut Attempt<'_>, mut way: Kept) -> Result<Option<Delivery>, RouteFailure> {
        attempt.tried.push(way.address);
        match way.transport.deliver(attempt.request, &mut attempt.body) {
            Ok(delivery) => {
                way.domain = attempt.domain.clone();
                self.shared.reached.note(&way.domain, Instant::now());
                self.kept = Some(way);
                // Whatever a host says of us, it says it for its domain: the route works for others.
                Ok(Some(Delivery { route_trouble: None, ..delivery }))
            }
            Err(fault) if self.shared.connection_settings.leaving.is_raised() => Err(fault),
            Err(fault) => {
                log::debug!("{fault}");
                let fault = attempt.told(fault, way.demand.sts, way.tls);
                attempt.faults.push(fault);
                attempt.spent |= !attempt.body.begin_again();
                Ok(None)
            }
        }
    }

    fn wait<T>(&mut self, work: impl Future<Output = T>) -> Result<T, RouteFailure> {
        let runtime = match &mut self.runtime {
            Some(runtime) => runtime,
            none => none.insert(Builder::new_current_thread().enable_all().build().map_err(|error| {
                let text = format!("starting the asynchronous runtime: {error}");
                RouteFailure::new(Reason::new(EnhancedCode(4, 3, 0), text).because(Cause::Resources), "mx".to_owned())
            })?),
        };
        Ok(runtime.block_on(work))
    }
}

/// One message on its way to one domain.
struct Attempt<'a> {
    request: &'a DeliveryRequest<'a>,
    domain: &'a Domain,
    body: Replay<'a>,
    tried: Vec<IpAddr>,
    /// One for each way that was tried in vain.
    faults: Vec<RouteFailure>,
    /// The addresses that are not connected to, in words.
    barred: Vec<String>,
    /// Why the addresses of a host are not known.
    unknown: Option<Dead>,
    /// The message cannot be offered once more.
    spent: bool,
}

impl<'a> Attempt<'a> {
    fn new(request: &'a DeliveryRequest<'a>, domain: &'a Domain, body: Replay<'a>) -> Self {
        Self {
            request,
            domain,
            body,
            tried: Vec::new(),
            faults: Vec::new(),
            barred: Vec::new(),
            unknown: None,
            spent: false,
        }
    }

    /// The address, if a connection to it is to be tried.
    fn choose(&mut self, judged: Result<IpAddr, Barred>, host: &Host) -> Option<IpAddr> {
        let is_over =
            |address: &IpAddr| self.spent || self.tried.len() >= MOST_ADDRESSES || self.tried.contains(address);
        match judged {
            Ok(address) => (!is_over(&address)).then_some(address),
            Err(barred) => {
                let told = barred.told(&host.name);
                log::debug!("{told}");
                // Some of very many say enough.
                if self.barred.len() < MOST_ADDRESSES {
                    self.barred.push(told);
                }
                None
            }
        }
    }

    /// What the policy of the domain has to do with a fault of TLS.
    fn told(&self, mut fault: RouteFailure, sts: Option<StsMode>, tls: TlsPolicy) -> RouteFailure {
        let Self { domain, .. } = self;
        let is_tls = fault.reason.reply_code.is_none() && fault.reason.status == EnhancedCode(4, 7, 5);
        match sts {
            Some(StsMode::Enforce) if is_tls => {
                fault.reason.text += &format!("; the MTA-STS policy of {domain} demands a certificate for the host");
                fault.reason.cause = Some(Cause::MtaSts);
            }
            Some(StsMode::Testing) if is_tls && tls == TlsPolicy::Required => {
                log::info!(
                    "{fault}; the MTA-STS policy of {domain} is only tested, so mail goes without a certificate"
                );
            }
            _ => {}
        }
        fault
    }

    /// Whether the last way failed at TLS (RFC 3463 X.7.5).
    fn failed_at_tls(&self) -> bool {
        let last = self.faults.last().map(|fault| &fault.reason);
        !self.spent && last.is_some_and(|last| last.reply_code.is_none() && last.status == EnhancedCode(4, 7, 5))
    }

    /// Whether the last way ended with a reply, perhaps one to STARTTLS.
    fn was_refused(&self) -> bool {
        !self.spent && self.faults.last().is_some_and(|fault| fault.reason.reply_code.is_some())
    }

    /// No way worked: whose trouble that is.
    fn give_up(self, shared: &Shared) -> Result<Delivery, RouteFailure> {
        let text = self.faults.iter().map(ToString::to_string).chain(self.barred.iter().cloned());
        let text = text.collect::<Vec<_>>().join("; ");
        let blamed = |whom| self.faults.iter().find(|fault| side_at_fault(&fault.reason) == whom);
        let as_one = |fault: &RouteFailure| {
            let Reason { status, reply_code, cause, .. } = fault.reason;
            Reason { reply_code, cause, ..Reason::new(status, &text) }
        };
        let deferred = |mut reason: Reason| {
            // RFC 3463 2: class 5 would say that trying again is of no use.
            reason.status.0 = 4;
            Ok(judged(self.request, self.domain, &Outcome::Deferred(reason)))
        };
        if let Some(fault) = blamed(Side::Peer) {
            return deferred(as_one(fault));
        }
        let fault = |reason| Err(RouteFailure::new(reason, format!("mx:{}", self.domain)));
        if let Some(broken) = blamed(Side::Host) {
            return fault(as_one(broken));
        }
        if let Some(unreachable) = blamed(Side::Network) {
            let theirs = shared.reached.works_for_another(self.domain, Instant::now());
            return if theirs { deferred(as_one(unreachable)) } else { fault(as_one(unreachable)) };
        }
        // A slip in somebody's zone, or in our settings, which may be repaired: no bounce before the queue gives up.
        if !self.barred.is_empty() {
            return deferred(Barred::reason(text));
        }
        // RFC 3463 X.4.4: unable to route.
        let text = format!("no mail exchanger of {} has an address", self.domain);
        let nowhere = Dead::End(Outcome::Failed(Reason::new(EnhancedCode(5, 4, 4), text).because(Cause::NoSuchDomain)));
        ended(self.request, self.domain, self.unknown.unwrap_or(nowhere))
    }
}

fn ended(request: &DeliveryRequest<'_>, domain: &Domain, dead: Dead) -> Result<Delivery, RouteFailure> {
    match dead {
        Dead::End(outcome) => Ok(judged(request, domain, &outcome)),
        Dead::Fault(reason) => Err(RouteFailure::new(reason, format!("mx:{domain}"))),
    }
}

fn judged(request: &DeliveryRequest<'_>, domain: &Domain, outcome: &Outcome) -> Delivery {
    let outcomes = request.recipients().map(|_| outcome.clone()).collect();
    let (relay, connecting) = (format!("mx:{domain}"), Duration::ZERO);
    Delivery { outcomes, relay, connecting, dsn: Dsn::NotPassedOn, route_trouble: None }
}

/// The domain of all recipients.
fn one_domain(request: &DeliveryRequest<'_>) -> Result<Domain, RouteFailure> {
    let mut domains = request.recipients().map(|recipient| recipient.mailbox.domain());
    match domains.next() {
        Some(first) if domains.all(|domain| domain == first) => Ok(first.clone()),
        // An error of whoever made the request: nothing is sent to hosts that it is not for.
        _ => {
            let text = "expected recipients of one domain, but found several";
            Err(RouteFailure::new(Reason::new(EnhancedCode(4, 3, 5), text).because(Cause::Settings), "mx".to_owned()))
        }
    }
}
