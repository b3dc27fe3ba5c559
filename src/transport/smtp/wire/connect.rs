//! From a host to a connection that is ready for MAIL or AUTH: greeting, EHLO, STARTTLS, EHLO.
//!
//! Whatever fails here is a [`RouteFailure`]: no recipient was named yet. lettre's own STARTTLS is not used, as it takes replies
//! that were sent before the handshake for replies inside it.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::capabilities::Capabilities;
use super::channel::Channel;
use super::control::{Control, Phase, WireError};
use super::dial;
use super::end::End;
use super::stream::Wire;
use crate::address::Domain;
use crate::receipt::{Cause, Reason};
use crate::smtp::{EnhancedCode, Reply};
use crate::tls_words;
use crate::transport::dane::Dane;
use crate::transport::delivery::RouteFailure;
use crate::transport::leaving::Leaving;
use crate::transport::lessons::{Lesson, Lessons};
use crate::transport::settings::{Discarded, Smarthost, TlsPolicy};
use crate::transport::smtp::connection_settings::ConnectionSettings;
use crate::transport::smtp::tls::{Certificates, cause_of};

/// How a connection turned out to be protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::transport) enum Protection {
    /// Not at all.
    Plain,
    /// TLS with somebody.
    Unverified,
    /// TLS with the host.
    Verified,
}

/// A connection after its last EHLO.
#[derive(Debug)]
pub(in crate::transport) struct Opened {
    pub(in crate::transport) wire: Wire,
    pub(in crate::transport) control: Control,
    pub(in crate::transport) capabilities: Capabilities,
    pub(in crate::transport) protection: Protection,
    /// `host[address]:port`.
    pub(in crate::transport) relay: String,
    /// What we said in EHLO.
    pub(in crate::transport) helo: String,
    /// What the host is spoken to without.
    pub(in crate::transport) lessons: Lessons,
    /// Whether it is spoken to by LMTP.
    pub(in crate::transport) is_lmtp: bool,
}

/// Opens a connection and protects it as the smarthost's policy demands, without what it does not get on with.
///
/// Where `addresses` is empty the name is looked up. `dane` is what the DNS says of the host, where the policy asks it.
pub(in crate::transport) async fn open(
    smarthost: &Smarthost,
    dane: Option<&Arc<Dane>>,
    addresses: &[IpAddr],
    connection_settings: &ConnectionSettings,
    lessons: Lessons,
) -> Result<Opened, RouteFailure> {
    open_with(smarthost, addresses, connection_settings, Whom::Trusted(dane), lessons).await
}

/// As [`open`], but with whatever certificate the host shows, to look at it. No login goes over such a connection.
pub(in crate::transport) async fn open_to_anyone(
    smarthost: &Smarthost,
    addresses: &[IpAddr],
    connection_settings: &ConnectionSettings,
) -> Result<Opened, RouteFailure> {
    open_with(smarthost, addresses, connection_settings, Whom::Anyone, Lessons::NONE).await
}

/// With whom TLS is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whom<'a> {
    /// As the policy says, and the DNS where that asks it.
    Trusted(Option<&'a Arc<Dane>>),
    /// With whoever answers.
    Anyone,
}

/// Connects to the first of these addresses that answers.
pub(in crate::transport) async fn connect(
    smarthost: &Smarthost,
    addresses: &[SocketAddr],
    connection_settings: &ConnectionSettings,
) -> Result<(TcpStream, SocketAddr), RouteFailure> {
    let dialled = dial::connect(smarthost, addresses, connection_settings);
    let dialled = unless_leaving(&connection_settings.leaving, dialled).await;
    dialled.unwrap_or_else(|| Err(left(format!("{}:{}", smarthost.host, smarthost.port))))
}

fn left(relay: String) -> RouteFailure {
    RouteFailure::new(WireError::Leaving.reason(Phase::Greeting, &relay), relay)
}

/// Greets the smarthost over a connection to one of its addresses, and protects it.
pub(in crate::transport) async fn open_over(
    stream: TcpStream,
    peer: SocketAddr,
    smarthost: &Smarthost,
    dane: Option<&Arc<Dane>>,
    connection_settings: &ConnectionSettings,
    lessons: Lessons,
) -> Result<Opened, RouteFailure> {
    opened(End::of(stream, peer, smarthost), smarthost, connection_settings, Whom::Trusted(dane), lessons).await
}

async fn open_with(
    smarthost: &Smarthost,
    addresses: &[IpAddr],
    connection_settings: &ConnectionSettings,
    whom: Whom<'_>,
    lessons: Lessons,
) -> Result<Opened, RouteFailure> {
    if let Some(path) = smarthost.kind.socket() {
        let dialled = dial::connect_local(smarthost, path, connection_settings);
        let stream = unless_leaving(&connection_settings.leaving, dialled).await;
        let stream = stream.unwrap_or_else(|| Err(left(smarthost.to_string())))?;
        let relay = smarthost.to_string();
        return opened(End::local(stream, relay), smarthost, connection_settings, whom, lessons).await;
    }
    let addresses = dial::addresses(smarthost, addresses, connection_settings).await?;
    let (stream, peer) = connect(smarthost, &addresses, connection_settings).await?;
    opened(End::of(stream, peer, smarthost), smarthost, connection_settings, whom, lessons).await
}

async fn opened(
    end: End,
    smarthost: &Smarthost,
    connection_settings: &ConnectionSettings,
    whom: Whom<'_>,
    lessons: Lessons,
) -> Result<Opened, RouteFailure> {
    let ConnectionSettings { timeouts, certificates, leaving, traced, .. } = connection_settings;
    let End { channel, peer, local, relay } = end;
    // The port tells the connections to one host apart, here and in what the network shows.
    let port = local.map_or(0, |local| local.port());
    let helo = said_in_ehlo(&connection_settings.helo, local.map(|local| local.ip()));
    let control = Control::new(format!("{relay} (from port {port})"), *timeouts, leaving.clone(), *traced);
    let wire = Wire::new(channel, peer, control.clone());
    let opening = Opening {
        smarthost,
        whom,
        helo: &helo,
        lessons,
        discarded: lessons.discarded(connection_settings.extensions.discarded),
        own_mark: connection_settings.own_mark.as_deref(),
        certificates,
        leaving,
        control: control.clone(),
        relay: relay.clone(),
    };
    let opened = opening.run(wire).await;
    if opened.is_err() {
        certificates.forget();
    }
    let (wire, capabilities, protection) = opened?;
    let is_lmtp = smarthost.kind.is_lmtp();
    Ok(Opened { wire, control, capabilities, protection, relay, helo, lessons, is_lmtp })
}

/// Our name, or the address of the connection where many would refuse the name (RFC 5321 4.1.3, 4.1.4).
fn said_in_ehlo(name: &Domain, local: Option<IpAddr>) -> String {
    match local.map(|local| local.to_canonical()).filter(|_| !name.is_full_name()) {
        None => name.to_string(),
        Some(IpAddr::V4(address)) => format!("[{address}]"),
        Some(IpAddr::V6(address)) => format!("[IPv6:{address}]"),
    }
}

/// What comes of it; `None` if it is time to leave before.
async fn unless_leaving<T>(leaving: &Leaving, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        done = work => Some(done),
        () = leaving.raised() => None,
    }
}

/// What the steps of the opening share.
struct Opening<'a> {
    smarthost: &'a Smarthost,
    whom: Whom<'a>,
    helo: &'a str,
    lessons: Lessons,
    discarded: Discarded,
    own_mark: Option<&'a str>,
    certificates: &'a Certificates,
    leaving: &'a Leaving,
    control: Control,
    relay: String,
}

impl Opening<'_> {
    async fn run(&self, mut wire: Wire) -> Result<(Wire, Capabilities, Protection), RouteFailure> {
        let mut protection = Protection::Plain;
        if self.smarthost.tls == TlsPolicy::Implicit {
            (wire, protection) = self.shake_hands(wire).await?;
        }
        self.control.enter(Phase::Greeting);
        let greeting = wire.reply().await.map_err(|error| self.error(&error))?;
        if greeting.code() != 220 {
            return Err(self.refused(wire, "the greeting", &greeting).await);
        }
        if self.is_ourselves(&greeting) {
            self.say_goodbye(&mut wire).await;
            // RFC 3463 X.4.6: routing loop detected.
            let text =
                format!("the next hop {} is this relay itself: it greets with the mark of our own spool", self.relay);
            let reason = Reason::new(EnhancedCode(4, 4, 6), text).because(Cause::OwnRelay);
            return Err(RouteFailure::new(reason, self.relay.clone()));
        }
        let mut capabilities;
        (wire, capabilities) = self.hello(wire).await?;
        if self.wants_starttls(&capabilities)? {
            let (secured, now) = self.start_tls(wire).await?;
            (wire, protection) = (secured, now);
            if protection != Protection::Plain {
                // RFC 3207 4.2: what was said before the handshake is forgotten.
                (wire, capabilities) = self.hello(wire).await?;
            }
        }
        Ok((wire, capabilities, protection))
    }

    /// Only one spool has our mark; a name may be shared by accident.
    fn is_ourselves(&self, greeting: &Reply) -> bool {
        self.own_mark.is_some_and(|mark| greeting.text().split_ascii_whitespace().any(|word| word == mark))
    }

    /// EHLO, or HELO where EHLO is refused permanently (RFC 5321 3.2), or is known to end the connection. LMTP has LHLO alone.
    async fn hello(&self, mut wire: Wire) -> Result<(Wire, Capabilities), RouteFailure> {
        if self.smarthost.kind.is_lmtp() {
            let reply = self.exchange(&mut wire, Phase::Hello, &format!("LHLO {}", self.helo)).await?;
            return match reply.code() {
                250 => Ok((wire, Capabilities::of(&reply).without(self.discarded))),
                _ => Err(self.refused(wire, "LHLO", &reply).await),
            };
        }
        if self.lessons.contains(Lesson::Ehlo) {
            return self.hello_of_old(wire, "HELO").await;
        }
        let reply = self.exchange(&mut wire, Phase::Hello, &format!("EHLO {}", self.helo)).await?;
        if reply.code() == 250 {
            return Ok((wire, Capabilities::of(&reply).without(self.discarded)));
        }
        if !reply.is_permanent() {
            return Err(self.refused(wire, "EHLO", &reply).await);
        }
        self.hello_of_old(wire, "EHLO and HELO").await
    }

    async fn hello_of_old(&self, mut wire: Wire, said: &str) -> Result<(Wire, Capabilities), RouteFailure> {
        let reply = self.exchange(&mut wire, Phase::Hello, &format!("HELO {}", self.helo)).await?;
        if reply.code() == 250 {
            Ok((wire, Capabilities::default()))
        } else {
            Err(self.refused(wire, said, &reply).await)
        }
    }

    fn wants_starttls(&self, capabilities: &Capabilities) -> Result<bool, RouteFailure> {
        match self.smarthost.tls {
            TlsPolicy::None | TlsPolicy::Implicit => Ok(false),
            TlsPolicy::Opportunistic => Ok(capabilities.starttls),
            _ if capabilities.starttls => Ok(true),
            policy => {
                let why = if policy.asks_dane() { " by the TLSA records of the host" } else { "" };
                let Smarthost { host, port, .. } = self.smarthost;
                let text = format!("TLS is required{why}, but {host} does not offer STARTTLS on port {port}");
                Err(self.insecure(Cause::NoStartTls, text))
            }
        }
    }

    async fn start_tls(&self, mut wire: Wire) -> Result<(Wire, Protection), RouteFailure> {
        let reply = self.exchange(&mut wire, Phase::StartTls, "STARTTLS").await?;
        if reply.code() != 220 {
            // RFC 3207 4: 454 is a trouble of theirs; where TLS is not required the session goes on without.
            if self.smarthost.tls == TlsPolicy::Opportunistic && !reply.is_positive() && reply.code() != 421 {
                return Ok((wire, Protection::Plain));
            }
            return Err(self.refused(wire, "STARTTLS", &reply).await);
        }
        if !wire.input.is_empty() {
            // CVE-2011-0411 and kin: replies in plain text, sent along with the 220 by somebody on the way.
            return Err(self.insecure(
                Cause::Tls,
                format!(
                    "response injection: expected nothing after the reply to STARTTLS, but found \"{}\"",
                    wire.input.rest()
                ),
            ));
        }
        self.shake_hands(wire).await
    }

    /// Whom TLS is done with. A policy that asks the DNS trusts nobody whom that says nothing of.
    fn connector(&self) -> (Result<TlsConnector, String>, Protection) {
        match (self.smarthost.tls, self.whom) {
            (TlsPolicy::Opportunistic, _) | (_, Whom::Anyone) => (Certificates::unverified(), Protection::Unverified),
            (TlsPolicy::Dane | TlsPolicy::DaneOnly, Whom::Trusted(Some(dane))) if dane.verifies() => {
                (Certificates::published(dane), Protection::Verified)
            }
            (TlsPolicy::Dane, Whom::Trusted(Some(_))) => (Certificates::unverified(), Protection::Unverified),
            (TlsPolicy::Dane | TlsPolicy::DaneOnly, Whom::Trusted(_)) => {
                (Err("the DNS says nothing of the certificate".to_owned()), Protection::Unverified)
            }
            _ => (self.certificates.verifying(), Protection::Verified),
        }
    }

    async fn shake_hands(&self, mut wire: Wire) -> Result<(Wire, Protection), RouteFailure> {
        let (connector, protection) = self.connector();
        // RFC 3463 X.3.5: system incorrectly configured.
        let connector = connector
            .map_err(|text| Reason::new(EnhancedCode(4, 3, 5), text).because(Cause::Settings))
            .map_err(|reason| RouteFailure::new(reason, self.relay.clone()))?;
        let host = &self.smarthost.host;
        let base = match self.whom {
            Whom::Trusted(Some(dane)) => dane.base.to_string(),
            Whom::Trusted(None) | Whom::Anyone => host.clone(),
        };
        let name = ServerName::try_from(base).map_err(|error| self.insecure(Cause::Tls, format!("{host}: {error}")))?;
        let Channel::Plain(stream) = wire.channel else {
            return Err(self.insecure(Cause::Tls, "expected a connection without TLS".to_owned()));
        };
        self.control.enter(Phase::StartTls);
        let limit = self.control.state().limit;
        match unless_leaving(self.leaving, timeout(limit, connector.connect(name, stream))).await {
            None => Err(self.error(&WireError::Leaving)),
            Some(Ok(Ok(stream))) => {
                wire.channel = Channel::Tls(Box::new(stream));
                Ok((wire, protection))
            }
            Some(Ok(Err(error))) => {
                Err(self
                    .insecure(cause_of(&error), format!("TLS with {host} failed: {}", tls_words::of_handshake(&error))))
            }
            Some(Err(_)) => Err(self.error(&WireError::Late(limit))),
        }
    }

    async fn exchange(&self, wire: &mut Wire, phase: Phase, line: &str) -> Result<Reply, RouteFailure> {
        wire.exchange(phase, line).await.map_err(|error| self.error(&error))
    }

    fn error(&self, error: &WireError) -> RouteFailure {
        RouteFailure::new(error.reason(self.control.phase(), &self.relay), self.relay.clone())
    }

    /// RFC 3463 X.7.5: cryptographic failure.
    fn insecure(&self, cause: Cause, text: String) -> RouteFailure {
        RouteFailure::new(Reason::new(EnhancedCode(4, 7, 5), text).because(cause), self.relay.clone())
    }

    /// The host's own words; QUIT is sent, and its answer is not waited for.
    async fn refused(&self, mut wire: Wire, what: &str, reply: &Reply) -> RouteFailure {
        let mut reason = Reason::reply(reply);
        reason.text = format!("{} refused {what}: {}", self.smarthost.host, reason.text);
        self.say_goodbye(&mut wire).await;
        RouteFailure::new(reason, self.relay.clone())
    }

    /// The fault is known already; that QUIT cannot be sent adds nothing.
    async fn say_goodbye(&self, wire: &mut Wire) {
        self.control.enter(Phase::Quit);
        let _ = wire.send(b"QUIT\r\n").await;
    }
}
