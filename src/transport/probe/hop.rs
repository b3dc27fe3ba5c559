//! From a next hop's URL to an open connection: name, TCP to each address, TLS with its certificate, EHLO.

use std::net::{IpAddr, SocketAddr};

use super::certificate::{Certificate, FEW_DAYS, date};
use super::dialogue::Dialogue;
#[cfg(feature = "dns")]
use super::exchangers;
use super::found::Found;
use super::step::{Inquiry, failed};
use crate::receipt::{Cause, Reason};
use crate::smtp::EnhancedCode;
use crate::transport::classify::Place;
use crate::transport::dane::Demand;
use crate::transport::delivery::RouteFailure;
use crate::transport::destination::{self, Barred};
use crate::transport::leaving::Leaving;
use crate::transport::lessons::{Lesson, Lessons};
use crate::transport::settings::{DirectMx, NextHop, RouteSettings, Smarthost, TlsPolicy};
use crate::transport::smtp::wire::{Capabilities, Opened, TlsFacts};
use crate::transport::smtp::{ConnectionSettings, wire};
use crate::transport::step::Step;

/// RFC 3463 X.7.5: cryptographic failure.
const INSECURE: EnhancedCode = EnhancedCode(4, 7, 5);

/// What is probed.
pub(super) enum Target {
    /// This host.
    Host(Smarthost),
    /// The hosts that take the recipients' mail.
    Exchangers(DirectMx),
}

/// Probes what the settings lead to.
pub(super) async fn probe(
    target: Target,
    settings: &RouteSettings,
    place: &Place,
    inquiry: &Inquiry,
    tell: &mut dyn FnMut(Step),
) {
    for Found { smarthost, demand } in &found(target, settings, place, inquiry, tell).await {
        Hop { settings, place, inquiry, smarthost, demand }.probe(tell).await;
    }
}

#[cfg(feature = "dns")]
async fn found(
    target: Target,
    settings: &RouteSettings,
    place: &Place,
    inquiry: &Inquiry,
    tell: &mut dyn FnMut(Step),
) -> Vec<Found> {
    match target {
        Target::Host(smarthost) if smarthost.tls.asks_dane() => {
            exchangers::smarthost(smarthost, place, settings, tell).await
        }
        Target::Host(smarthost) => vec![Found { demand: Demand::plain(smarthost.tls), smarthost }],
        Target::Exchangers(direct) => exchangers::of_recipients(direct, place, inquiry, settings, tell).await,
    }
}

#[cfg(not(feature = "dns"))]
async fn found(
    target: Target,
    _: &RouteSettings,
    place: &Place,
    _: &Inquiry,
    tell: &mut dyn FnMut(Step),
) -> Vec<Found> {
    match target {
        Target::Host(smarthost) if !smarthost.tls.asks_dane() => {
            vec![Found { demand: Demand::plain(smarthost.tls), smarthost }]
        }
        Target::Host(_) | Target::Exchangers(DirectMx { port: _, tls: _ }) => {
            let remedy = format!("Build it with --features dns, or name a smarthost in {} url.", place.heading);
            tell(Step::fault("mail exchangers", "this leafmail was built without the feature dns", remedy));
            Vec::new()
        }
    }
}

/// One host, and what is to be found out about it.
struct Hop<'a> {
    settings: &'a RouteSettings,
    place: &'a Place,
    inquiry: &'a Inquiry,
    smarthost: &'a Smarthost,
    demand: &'a Demand,
}

impl Hop<'_> {
    async fn probe(&self, tell: &mut dyn FnMut(Step)) {
        let connection_settings = match ConnectionSettings::of(self.settings, self.smarthost.tls, Leaving::default()) {
            Ok(connection_settings) => connection_settings,
            Err(what) => return tell(Step::fault("settings", what, format!("Correct {}.", self.place.heading))),
        };
        let address = match self.smarthost.kind.socket() {
            Some(_) => None,
            None => {
                let Some(addresses) = self.addresses(&connection_settings, tell).await else { return };
                let Some(address) = self.reachable(&addresses, &connection_settings, tell).await else { return };
                Some(address)
            }
        };
        let opened = self.open(address, &connection_settings, tell).await;
        let facts = match &opened {
            Ok(opened) => opened.wire.tls_facts(),
            // The handshake failed, perhaps for the certificate: what is in it? Whoever was silent would be so again.
            Err(fault) if self.smarthost.tls != TlsPolicy::None && fault.reason.status == INSECURE => {
                self.shown(address, &connection_settings).await
            }
            Err(_) => None,
        };
        let opened = match opened {
            Ok(opened) => opened,
            Err(fault) => {
                if let Some(facts) = facts {
                    tell(Step::ok("certificate", describe(&facts, self.inquiry.now)));
                }
                if self.smarthost.kind.socket().is_some() && fault.reason.cause != Some(Cause::NotSmtp) {
                    let remedy = format!(
                        "See whether the server runs, and whether {} url names its socket.",
                        self.place.heading
                    );
                    return tell(Step::fault("socket", fault.reason.text, remedy));
                }
                return tell(failed("greeting and TLS", &fault.reason, self.place));
            }
        };
        match facts {
            Some(facts) => self.tell_tls(&facts, tell),
            None => tell(Step::ok("TLS", "none, as the settings or the host would have it")),
        }
        self.tell_offers(&opened, tell);
        let Self { settings, place, inquiry, smarthost, demand } = *self;
        Dialogue { settings, place, inquiry, smarthost, demand, connection_settings: &connection_settings }
            .run(opened, address, tell)
            .await;
    }

    /// As deliveries open a connection: where EHLO ends it, HELO is tried on another.
    async fn open(
        &self,
        address: Option<IpAddr>,
        settings: &ConnectionSettings,
        tell: &mut dyn FnMut(Step),
    ) -> Result<Opened, RouteFailure> {
        let dane = self.demand.dane.as_ref();
        let mut opened = wire::open(self.smarthost, dane, address.as_slice(), settings, Lessons::NONE).await;
        if let Err(fault) = &opened
            && settings.certificates.may_do_with_short_key(&fault.reason)
        {
            let remedy =
                "It can be broken with effort: give the next hop a key of 2048 bits or more, and tls_pin its pin.";
            tell(Step::warning("pin", "the pinned key is an RSA key of fewer than 2048 bits", remedy));
            opened = wire::open(self.smarthost, dane, address.as_slice(), settings, Lessons::NONE).await;
        }
        let may_say_helo = settings.may_say_helo(self.smarthost);
        match opened {
            Err(fault) if may_say_helo && wire::closed_at_ehlo(&fault.reason) => {
                let helo = Lessons::NONE.with(Lesson::Ehlo);
                let opened =
                    wire::open(self.smarthost, dane, address.as_slice(), settings, helo).await.map_err(|_| fault)?;
                let remedy = "Mail goes by HELO, without TLS by STARTTLS and without the extensions of SMTP. Look at what stands \
                              between this host and the next hop: some firewalls do this.";
                tell(Step::warning("EHLO", "the connection is closed at EHLO; HELO is taken", remedy));
                Ok(opened)
            }
            opened => opened,
        }
    }

    async fn addresses(
        &self,
        connection_settings: &ConnectionSettings,
        tell: &mut dyn FnMut(Step),
    ) -> Option<Vec<SocketAddr>> {
        let host = self.smarthost.host.as_str();
        match self.look_up(connection_settings).await {
            Ok(addresses) => {
                let shown: Vec<_> = addresses.iter().map(|address| address.ip().to_string()).collect();
                tell(Step::ok("name", format!("{host} is {}", shown.join(", "))));
                if matches!(self.settings.next_hop, NextHop::Mx(_)) {
                    return self.allowed(addresses, tell);
                }
                Some(addresses)
            }
            Err(cause) => {
                // RFC 3463 X.4.3: directory server failure.
                let text = format!("looking the name {host} up failed: {cause}");
                let reason = Reason::new(EnhancedCode(4, 4, 3), text).because(Cause::NameLookup);
                tell(failed("name", &reason, self.place));
                None
            }
        }
    }

    /// As deliveries do: mail exchangers in the DNS alone.
    async fn look_up(&self, connection_settings: &ConnectionSettings) -> Result<Vec<SocketAddr>, String> {
        let (host, port) = (self.smarthost.host.as_str(), self.smarthost.port);
        #[cfg(feature = "dns")]
        if let (NextHop::Mx(_), Ok(name)) = (&self.settings.next_hop, host.parse()) {
            let address = host.parse::<IpAddr>().ok();
            let dns = crate::dns::client(self.settings.name_servers.clone());
            let found = match address {
                Some(address) => vec![address],
                None => crate::dns::host_addresses(dns.as_ref(), &name).await.map_err(|error| error.to_string())?,
            };
            let found: Vec<_> = found.into_iter().map(|address| SocketAddr::new(address, port)).collect();
            return if found.is_empty() { Err("it has no address".to_owned()) } else { Ok(found) };
        }
        wire::look_up(host, port, connection_settings).await
    }

    /// Those of a mail exchanger's addresses that mail goes to.
    fn allowed(&self, addresses: Vec<SocketAddr>, tell: &mut dyn FnMut(Step)) -> Option<Vec<SocketAddr>> {
        let (host, port) = (self.smarthost.host.as_str(), self.smarthost.port);
        let judge = |address: &SocketAddr| destination::judge(address.ip(), &self.settings.mx_networks);
        let (open, barred): (Vec<_>, Vec<_>) = addresses.iter().map(judge).partition(Result::is_ok);
        let told: Vec<_> = barred.into_iter().filter_map(Result::err).map(|barred| barred.told(host)).collect();
        if !told.is_empty() {
            tell(failed("address", &Barred::reason(told.join("; ")), self.place));
        }
        let open: Vec<_> = open.into_iter().flatten().map(|address| SocketAddr::new(address, port)).collect();
        (!open.is_empty()).then_some(open)
    }

    /// Tries all addresses; the first that answers. One that does not is a warning if another does.
    async fn reachable(
        &self,
        addresses: &[SocketAddr],
        connection_settings: &ConnectionSettings,
        tell: &mut dyn FnMut(Step),
    ) -> Option<IpAddr> {
        let (mut first, mut silent) = (None, Vec::new());
        for address in addresses.iter().filter(|address| connection_settings.ip.includes(address.ip())) {
            let one = wire::addresses(self.smarthost, &[address.ip()], connection_settings).await;
            let connected = match one {
                Ok(one) => wire::connect(self.smarthost, &one, connection_settings).await,
                Err(fault) => Err(fault),
            };
            match connected {
                Ok(_closed_at_once) => {
                    let from = connection_settings.source.map_or(String::new(), |source| format!(" from {source}"));
                    tell(Step::ok("connection", format!("{address} answers{from}")));
                    first = first.or(Some(address.ip()));
                }
                Err(fault) => silent.push(fault.reason),
            }
        }
        for reason in silent {
            tell(match first {
                None => failed("connection", &reason, self.place),
                Some(_) => Step::warning(
                    "connection",
                    reason.text,
                    "Mail goes by the other address, after a wait. Look at this host's network for that one, or name the \
                     address that works in url.",
                ),
            });
        }
        first
    }

    async fn shown(&self, address: Option<IpAddr>, connection_settings: &ConnectionSettings) -> Option<TlsFacts> {
        wire::open_to_anyone(self.smarthost, address.as_slice(), connection_settings).await.ok()?.wire.tls_facts()
    }

    fn tell_tls(&self, facts: &TlsFacts, tell: &mut dyn FnMut(Step)) {
        tell(Step::ok("TLS", format!("{}, {}", facts.version, facts.cipher)));
        let found = describe(facts, self.inquiry.now);
        let Some(certificate) = facts.chain.first().and_then(Certificate::read) else {
            return tell(Step::ok("certificate", found));
        };
        let (days, pinned) = (certificate.days_left(self.inquiry.now), self.settings.tls.pin.is_some());
        let by_dane = self.demand.dane.as_ref().filter(|dane| dane.verifies());
        if let Some(dane) = by_dane {
            return tell(Step::ok("certificate", format!("{found}; it fits {dane}")));
        }
        let looked_at = self.smarthost.tls.verifies();
        tell(if days < FEW_DAYS && looked_at && !(pinned && self.settings.tls.roots.is_none()) {
            let remedy = format!(
                "It must be renewed before {}, or the route stops then. That is for whoever runs the next hop.",
                date(certificate.not_after)
            );
            Step::warning("certificate", found, remedy)
        } else if looked_at {
            Step::ok("certificate", found)
        } else {
            Step::ok(
                "certificate",
                format!("{found}; not looked at, as {} url does not require TLS", self.place.heading),
            )
        });
    }

    fn tell_offers(&self, opened: &Opened, tell: &mut dyn FnMut(Step)) {
        let offers = offers(&opened.capabilities);
        let said = if self.smarthost.kind.is_lmtp() { "LHLO" } else { "EHLO" };
        tell(Step::ok(said, format!("{} offers {offers}", opened.relay)));
        let told = opened.capabilities.size.filter(|limit| *limit > 0);
        let limit = [told, self.settings.max_size].into_iter().flatten().min();
        let accepted = self.inquiry.largest;
        tell(match limit {
            Some(limit) if limit < accepted => Step::warning(
                "size",
                format!("the next hop takes {limit} octets at most, this relay accepts {accepted}"),
                format!(
                    "What is larger comes back to its sender only after it was accepted. Set [message] max_size to {limit}, \
                     or make a [[route]] with a provider that takes more."
                ),
            ),
            Some(limit) => Step::ok("size", format!("up to {limit} octets; this relay accepts {accepted}")),
            None => Step::ok("size", "the next hop names no limit"),
        });
    }
}

fn describe(facts: &TlsFacts, now: u64) -> String {
    let certificate = facts.chain.first().and_then(Certificate::read);
    let own = certificate.map_or_else(|| "it cannot be read".to_owned(), |certificate| certificate.describe(now));
    format!("{own}, {} in the chain", facts.chain.len())
}

fn offers(capabilities: &Capabilities) -> String {
    let known = [
        (capabilities.eight_bit, "8BITMIME"),
        (capabilities.smtputf8, "SMTPUTF8"),
        (capabilities.pipelining, "PIPELINING"),
        (capabilities.chunking, "CHUNKING"),
        (capabilities.dsn, "DSN"),
        (capabilities.starttls, "STARTTLS"),
    ];
    let mut words: Vec<String> = known.iter().filter(|(is, _)| *is).map(|(_, word)| (*word).to_owned()).collect();
    if !capabilities.auth.is_empty() {
        words.push(format!("AUTH {}", capabilities.auth.join(" ")));
    }
    if words.is_empty() { "nothing beyond plain SMTP".to_owned() } else { words.join(", ") }
}
