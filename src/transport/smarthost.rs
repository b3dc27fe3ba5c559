//! The smarthost transport: SMTP by lettre's low-level connection over a [`Wire`] of ours.
//!
//! The only file that knows lettre. [`SmarthostTransport`] keeps one connection from message to message and runs it on a
//! runtime of its own, so it must be used from a thread that is not itself inside a runtime. What is said in a transaction
//! stands in `transaction.rs`, what a reply means in `classify.rs`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{fmt, io};

use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream};
use lettre::transport::smtp::extension::ClientId;
use tokio::runtime::{Builder, Runtime};

use super::credential::Credential;
use super::header_first::HeaderFirst;
use super::login::{Login, Refusal};
use super::pieces::Pieces;
use super::secret::Password;
use super::token::Freshness;
use super::transaction::{self, Ended};
use super::wire::{self, Capabilities, Certificates, Control, Opened, Phase, Protection, Trouble, Wire};
use super::{AuthMethod, Body, ConfigError, Consignment, Delivery, Dispatch, Extensions, Fault, Leaving};
use super::{NextHop, RouteSettings, Smarthost, Timeouts, TlsPolicy, TlsSettings, Transport};
use crate::address::Domain;
use crate::receipt::Reason;
use crate::smtp::{EnhancedCode, Reply};

/// Makes transports to one smarthost.
#[derive(Debug)]
pub struct SmarthostDispatch {
    route: Arc<Route>,
    connections: usize,
}

/// What all connections of a route share.
#[derive(Debug)]
struct Route {
    smarthost: Smarthost,
    credential: Option<Credential>,
    auth: AuthMethod,
    helo: Domain,
    timeouts: Timeouts,
    certificates: Certificates,
    extensions: Extensions,
    leaving: Leaving,
    /// The largest message that the smarthost said to take, since its last greeting; 0 where it named none.
    largest: AtomicU64,
}

impl SmarthostDispatch {
    /// A dispatch by these settings. Nothing is read or opened yet.
    ///
    /// # Errors
    /// When user, password and TLS policy do not go together, or the next hop is no smarthost.
    pub fn new(settings: &RouteSettings, leaving: Leaving) -> Result<Self, ConfigError> {
        let refuse = |what: &str| ConfigError { route: settings.name.clone(), what: what.to_owned() };
        let NextHop::Smarthost(smarthost) = settings.next_hop.clone() else {
            return Err(refuse("expected the URL of a smarthost"));
        };
        let credential = Credential::of(&smarthost, settings).map_err(refuse)?;
        if smarthost.user.is_some() && smarthost.tls == TlsPolicy::Opportunistic {
            return Err(refuse(
                "expected tls=required where there is a user name: opportunistic TLS checks no certificate",
            ));
        }
        if let Some(what) = unverifiable(smarthost.tls, &settings.tls) {
            return Err(refuse(what));
        }
        let route = Route {
            smarthost,
            credential,
            auth: settings.auth,
            helo: settings.helo.clone(),
            timeouts: settings.timeouts,
            certificates: Certificates::new(settings.tls.clone()),
            extensions: settings.extensions,
            leaving,
            largest: AtomicU64::new(UNKNOWN),
        };
        Ok(Self { route: Arc::new(route), connections: settings.connections.max(1) })
    }
}

/// A pin or a client certificate that would never be used.
fn unverifiable(policy: TlsPolicy, tls: &TlsSettings) -> Option<&'static str> {
    let verified = matches!(policy, TlsPolicy::Required | TlsPolicy::Implicit);
    if !verified && tls.pin.is_some() {
        return Some("expected tls=required or smtps: in the URL, as there is a pin: otherwise it is not looked at");
    }
    if !verified && tls.identity.is_some() {
        return Some("expected tls=required or smtps: in the URL, as there is a client certificate");
    }
    None
}

impl Dispatch for SmarthostDispatch {
    fn transport(&self) -> Box<dyn Transport> {
        Box::new(SmarthostTransport { link: Link { client: None, route: self.route.clone() }, runtime: None })
    }

    fn connections(&self) -> usize {
        self.connections
    }
}

/// One delivering thread's way to the smarthost.
#[derive(Debug)]
pub struct SmarthostTransport {
    /// Before the runtime, so that it is dropped before it.
    link: Link,
    runtime: Option<Runtime>,
}

impl Transport for SmarthostTransport {
    fn deliver(&mut self, consignment: &Consignment<'_>, body: &mut dyn Body) -> Result<Delivery, Fault> {
        let runtime = match &mut self.runtime {
            Some(runtime) => runtime,
            none => none.insert(runtime().map_err(|error| self.link.route.no_runtime(&error))?),
        };
        runtime.block_on(self.link.deliver(consignment, body))
    }

    fn disconnect(&mut self) {
        if let (Some(runtime), Some(client)) = (&self.runtime, self.link.client.take()) {
            runtime.block_on(client.quit());
        }
    }

    fn largest_message(&self) -> Option<u64> {
        Some(self.link.route.largest.load(Ordering::Relaxed)).filter(|octets| *octets != UNKNOWN)
    }
}

/// No greeting was heard yet.
const UNKNOWN: u64 = u64::MAX;

impl Drop for SmarthostTransport {
    fn drop(&mut self) {
        self.link.client = None;
        if let Some(runtime) = self.runtime.take() {
            // A name look-up may hang in the C library; nobody needs its answer any more.
            runtime.shutdown_background();
        }
    }
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_io().enable_time().build()
}

/// The connection, while there is one, and how to make another.
#[derive(Debug)]
struct Link {
    client: Option<Client>,
    route: Arc<Route>,
}

impl Link {
    /// After the final reply this does nothing but return: the caller's next system call is to be an unlink.
    async fn deliver(&mut self, consignment: &Consignment<'_>, body: &mut dyn Body) -> Result<Delivery, Fault> {
        let mut connecting = Duration::ZERO;
        let mut body = HeaderFirst::of(body, consignment);
        loop {
            let (mut client, kept) = match self.client.take() {
                Some(client) => (client, true),
                None => {
                    let started = Instant::now();
                    let client = self.route.client().await?;
                    connecting = started.elapsed();
                    (client, false)
                }
            };
            match transaction::run(&mut client, consignment, &mut body).await {
                Ended::Judged { outcomes, usable } => {
                    let relay = client.relay.clone();
                    let dsn_passed_on = client.capabilities.dsn;
                    self.client = usable.then_some(client);
                    return Ok(Delivery { outcomes, relay, connecting, dsn_passed_on });
                }
                // Servers close idle connections when they like. The message was not touched, so this costs nothing; and as
                // the next connection is a new one, it happens once.
                Ended::Unanswered(_) if kept => {}
                Ended::Unanswered(reason) => return Err(Fault { reason, relay: client.relay }),
                Ended::Fault(reason) => {
                    let relay = client.relay.clone();
                    client.quit().await;
                    return Err(Fault { reason, relay });
                }
            }
        }
    }
}

impl Route {
    /// A new connection, ready for MAIL. A token that is refused is read or fetched anew once.
    async fn client(&self) -> Result<Client, Fault> {
        let (Some(user), Some(credential)) = (&self.smarthost.user, &self.credential) else {
            return self.connection().await;
        };
        // Read first: where it is missing there is no need to bother the smarthost.
        let secret = credential.read(Freshness::Kept).map_err(|text| self.misconfigured(text))?;
        let (fault, refusal) = match self.logged_in(user, &secret).await? {
            Ok(client) => return Ok(client),
            Err(refused) => refused,
        };
        if !refusal.stale || !credential.is_token() {
            return Err(fault);
        }
        let fresh = credential.read(Freshness::New).map_err(|text| self.misconfigured(text))?;
        if fresh.reveal() == secret.reveal() {
            return Err(fault);
        }
        log::debug!("{}: the token was refused; trying another", fault.relay);
        self.logged_in(user, &fresh).await?.map_err(|(fault, _)| fault)
    }

    async fn connection(&self) -> Result<Client, Fault> {
        let opened = wire::open(&self.smarthost, &self.helo, &self.timeouts, &self.certificates, &self.leaving).await?;
        self.largest.store(opened.capabilities.size.unwrap_or(0), Ordering::Relaxed);
        Client::over(opened, self).await
    }

    /// A connection with a login, or why it was refused; other faults are the outer error.
    async fn logged_in(&self, user: &str, secret: &Password) -> Result<Result<Client, (Fault, Refusal)>, Fault> {
        let mut client = self.connection().await?;
        let is_token = self.credential.as_ref().is_some_and(Credential::is_token);
        let login = Login { user, secret, is_token, method: self.auth, policy: self.smarthost.tls };
        match login.run(&mut client).await {
            Ok(()) => Ok(Ok(client)),
            Err(refusal) => {
                let fault = Fault { reason: refusal.reason.clone(), relay: client.relay.clone() };
                client.quit().await;
                Ok(Err((fault, refusal)))
            }
        }
    }

    /// RFC 3463 X.3.5: system incorrectly configured.
    fn misconfigured(&self, text: String) -> Fault {
        self.fault(Reason::new(EnhancedCode(4, 3, 5), text))
    }

    fn fault(&self, reason: Reason) -> Fault {
        Fault { reason, relay: format!("{}:{}", self.smarthost.host, self.smarthost.port) }
    }

    fn no_runtime(&self, error: &io::Error) -> Fault {
        self.fault(Reason::new(EnhancedCode(4, 3, 0), format!("starting the asynchronous runtime: {error}")))
    }
}

impl AsyncTokioStream for Wire {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer())
    }
}

/// lettre's connection over our wire. Its replies come from the [`Control`], as lettre's errors lose half of them.
pub(super) struct Client {
    lettre: AsyncSmtpConnection,
    control: Control,
    capabilities: Capabilities,
    protection: Protection,
    relay: String,
    extensions: Extensions,
    helo: Domain,
}

impl Client {
    async fn over(opened: Opened, route: &Route) -> Result<Self, Fault> {
        let (extensions, helo) = (route.extensions, route.helo.clone());
        let Opened { wire, control, capabilities, protection, relay } = opened;
        // The name goes nowhere: the wire has said EHLO already and plays the answers.
        let hello = ClientId::Domain("played".to_owned());
        match AsyncSmtpConnection::connect_with_transport(Box::new(wire), &hello).await {
            Ok(lettre) => Ok(Self { lettre, control, capabilities, protection, relay, extensions, helo }),
            Err(error) => {
                let reason = Reason::new(EnhancedCode(4, 3, 0), format!("handing the connection to lettre: {error}"));
                Err(Fault { reason, relay })
            }
        }
    }

    pub(super) fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    pub(super) fn extensions(&self) -> Extensions {
        self.extensions
    }

    pub(super) fn protection(&self) -> Protection {
        self.protection
    }

    pub(super) fn control(&self) -> &Control {
        &self.control
    }

    pub(super) fn relay(&self) -> &str {
        &self.relay
    }

    /// Sends one or several lines, each with its CRLF, and waits for the first reply.
    pub(super) async fn exchange(&mut self, phase: Phase, lines: &str) -> Result<Reply, Trouble> {
        self.control.enter(phase);
        // A refusal is an Err to lettre; the control tells refusals from troubles.
        let _ = self.lettre.command(lines).await;
        self.control.answer()
    }

    /// Sends a line and octets that follow it, and waits for the reply.
    pub(super) async fn exchange_with(&mut self, phase: Phase, line: &str, octets: Vec<u8>) -> Result<Reply, Trouble> {
        self.control.attach(octets);
        self.exchange(phase, line).await
    }

    /// Says EHLO once more, after the session began anew.
    pub(super) async fn hello_again(&mut self) -> Result<(), Reason> {
        let line = format!("EHLO {}\r\n", self.helo);
        match self.exchange(Phase::Hello, &line).await {
            Ok(reply) if reply.code() == 250 => {
                self.capabilities = Capabilities::of(&reply);
                Ok(())
            }
            Ok(reply) => Err(Reason::reply(&reply)),
            Err(trouble) => Err(trouble.reason(Phase::Hello, &self.relay)),
        }
    }

    /// Waits for the next reply of a flight of several lines.
    pub(super) async fn next_reply(&mut self, phase: Phase) -> Result<Reply, Trouble> {
        self.control.expect(phase);
        let _ = self.lettre.read_response().await;
        self.control.answer()
    }

    /// Sends the message and its end, and waits for the final reply.
    pub(super) async fn message(&mut self, body: &mut dyn Body) -> Result<Reply, Trouble> {
        self.control.enter(Phase::Message);
        let pieces = Pieces::new(body, self.control.clone());
        let _ = self.lettre.message_iter(pieces).await;
        self.control.answer()
    }

    /// Ends a failed transaction; whether the connection can be used for another.
    pub(super) async fn reset(&mut self) -> bool {
        matches!(self.exchange(Phase::Reset, "RSET\r\n").await, Ok(reply) if reply.code() == 250)
    }

    async fn quit(mut self) {
        // Politeness (RFC 5321 4.1.1.10); nothing depends on the answer.
        let _ = self.exchange(Phase::Quit, "QUIT\r\n").await;
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("relay", &self.relay)
            .field("protection", &self.protection)
            .finish_non_exhaustive()
    }
}
