//! The smarthost transport: SMTP by lettre's low-level connection over a wire of ours.
//!
//! lettre itself is named in `smtp/client.rs` only. [`SmarthostTransport`] keeps one connection from message to message and runs it on a
//! runtime of its own, so it must be used from a thread that is not itself inside a runtime. What is said in a transaction
//! is in `transaction.rs`, what a reply means in `classify/`.

pub(super) use super::smtp::SmtpClient;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

use super::classify::relays_to_nobody;
use super::credential::{Credential, Freshness, Password};
use super::delivery::{Body, Delivery, DeliveryRequest, Dispatch, Dsn, RouteFailure, SettingsError, Transport};
use super::leaving::Leaving;
use super::memory::HopRecord;
use super::opening;
use super::recipient_limit::RecipientLimit;
use super::settings::{AuthMethod, NextHop, RouteSettings, Smarthost, TlsPolicy};
use super::smtp::wire::{self, Opened};
use super::smtp::{ConnectionSettings, Ended, HeaderFirst, Login, Refusal, transaction};
use crate::receipt::{Cause, Outcome, Reason};
use crate::smtp::EnhancedCode;

/// Makes transports to one smarthost.
#[derive(Debug)]
pub struct SmarthostDispatch {
    route: Arc<Route>,
    connections: usize,
}

/// What all connections to a smarthost share.
#[derive(Debug)]
struct Route {
    smarthost: Smarthost,
    /// Where it is; empty where its name is to be looked up.
    addresses: Vec<IpAddr>,
    credential: Option<Credential>,
    auth: AuthMethod,
    connection_settings: Arc<ConnectionSettings>,
    /// The largest message that the smarthost said to take, since its last greeting; 0 where it named none.
    largest: AtomicU64,
    /// Whether it took a recipient of ours, so that it relays for us.
    relays: AtomicBool,
    /// How many recipients it takes in one transaction.
    recipients: RecipientLimit,
    /// What was found out about it, over all processes.
    record: HopRecord,
}

impl SmarthostDispatch {
    /// A dispatch by these settings. Nothing is read or opened yet.
    ///
    /// # Errors
    /// When user, password and TLS policy do not go together, or the next hop is no smarthost.
    pub fn new(settings: &RouteSettings, leaving: Leaving) -> Result<Self, SettingsError> {
        let refuse = |what: &str| SettingsError { route: settings.name.clone(), what: what.to_owned() };
        let NextHop::Smarthost(smarthost) = settings.next_hop.clone() else {
            return Err(refuse("expected the URL of a smarthost"));
        };
        let credential = Credential::of(&smarthost, settings).map_err(refuse)?;
        if smarthost.user.is_some() && smarthost.tls == TlsPolicy::Opportunistic {
            return Err(refuse(
                "expected tls=required where there is a user name: opportunistic TLS checks no certificate",
            ));
        }
        let connection_settings = Arc::new(ConnectionSettings::of(settings, smarthost.tls, leaving).map_err(refuse)?);
        let (addresses, auth) = (Vec::new(), settings.auth);
        let route = Route::new(smarthost, addresses, credential, auth, connection_settings);
        Ok(Self { route: Arc::new(route), connections: settings.connections.max(1) })
    }

    /// With what other processes found out about this next hop.
    #[must_use]
    pub(super) fn with_record(mut self, record: HopRecord) -> Self {
        if let Some(route) = Arc::get_mut(&mut self.route) {
            route.record = record;
        }
        self
    }
}

impl Dispatch for SmarthostDispatch {
    fn transport(&self) -> Box<dyn Transport> {
        Box::new(SmarthostTransport::over(self.route.clone()))
    }

    fn connections(&self) -> usize {
        self.connections
    }

    fn most_recipients(&self) -> Option<usize> {
        self.route.recipients.most(&self.route.record)
    }

    fn mark(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let Route { smarthost, auth, credential, .. } = &*self.route;
        format!("{smarthost:?} {auth:?} {credential:?}").hash(&mut hasher);
        for path in credential.iter().flat_map(Credential::files) {
            let status = path.metadata().ok();
            status.map(|status| (status.ino(), status.len(), status.mtime(), status.mtime_nsec())).hash(&mut hasher);
        }
        hasher.finish().max(1)
    }
}

/// One delivering thread's way to the smarthost.
#[derive(Debug)]
pub struct SmarthostTransport {
    /// Before the runtime, so that it is dropped before it.
    link: Link,
    runtime: Option<Runtime>,
}

impl SmarthostTransport {
    fn over(route: Arc<Route>) -> Self {
        Self { link: Link { client: None, route }, runtime: None }
    }

    /// To a host whose address is known already, without a login.
    pub(super) fn to_address(
        smarthost: Smarthost,
        address: IpAddr,
        connection_settings: Arc<ConnectionSettings>,
    ) -> Self {
        let route = Route::new(smarthost, vec![address], None, AuthMethod::Auto, connection_settings);
        // A mail exchanger relays for its own domains only: what it says of a recipient is about that.
        route.relays.store(true, Ordering::Relaxed);
        Self::over(Arc::new(route))
    }
}

impl Transport for SmarthostTransport {
    fn deliver(&mut self, request: &DeliveryRequest<'_>, body: &mut dyn Body) -> Result<Delivery, RouteFailure> {
        let runtime = match &mut self.runtime {
            Some(runtime) => runtime,
            none => none.insert(runtime().map_err(|error| self.link.route.no_runtime(&error))?),
        };
        runtime.block_on(self.link.deliver(request, body))
    }

    fn disconnect(&mut self) {
        if let (Some(runtime), Some(client)) = (&self.runtime, self.link.client.take()) {
            runtime.block_on(client.quit());
        }
    }

    fn looks_ahead(&self) -> bool {
        // Nothing is known of a next hop before it was greeted.
        self.link.client.as_ref().is_none_or(SmtpClient::looks_ahead)
    }

    fn largest_message(&self) -> Option<u64> {
        let told = Some(self.link.route.largest.load(Ordering::Relaxed)).filter(|octets| *octets != UNKNOWN);
        match (told, self.link.route.connection_settings.max_size) {
            (Some(told @ 1..), Some(allowed)) => Some(told.min(allowed)),
            (_, Some(allowed)) => Some(allowed),
            (told, None) => told,
        }
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
    client: Option<SmtpClient>,
    route: Arc<Route>,
}

impl Link {
    /// After the final reply this does nothing but return: the caller's next system call is to be an unlink.
    async fn deliver(&mut self, request: &DeliveryRequest<'_>, body: &mut dyn Body) -> Result<Delivery, RouteFailure> {
        let mut body = HeaderFirst::of(body, request);
        let mut attempt = Attempt::default();
        loop {
            let (mut client, kept) = self.connection(&mut attempt).await?;
            let most =
                [self.route.recipients.most(&self.route.record), client.most_recipients()].into_iter().flatten().min();
            match transaction::run(&mut client, request, &mut body, most).await {
                Ended::Judged { outcomes, usable, route_trouble, most_recipients } => {
                    if let Some(most) = most_recipients {
                        RecipientLimit::learn(&self.route.record, most);
                    }
                    let relay = client.relay().to_owned();
                    if let Some(reason) = self.route.relays_to_nobody(&outcomes) {
                        client.quit().await;
                        return Err(RouteFailure::new(reason, relay));
                    }
                    let dsn = if client.capabilities().dsn { Dsn::PassedOn } else { Dsn::NotPassedOn };
                    self.client = usable.then_some(client);
                    return Ok(Delivery { outcomes, relay, connecting: attempt.connecting, dsn, route_trouble });
                }
                Ended::UsedUp => client.quit().await,
                // Servers close idle connections when they like. The message was not touched, so this costs nothing; and as
                // the next connection is a new one, it happens once.
                Ended::GaveUp { .. } if kept => {}
                Ended::GaveUp { accepted, again: true, .. } if !attempt.gave_up => {
                    attempt.gave_up = true;
                    attempt.most_recipients = Some(accepted).filter(|accepted| *accepted > 0);
                }
                Ended::GaveUp { reason, .. } => {
                    let left = reason.cause == Some(Cause::Leaving);
                    let fault = RouteFailure::new(reason, client.relay().to_owned());
                    return Err(if left { fault } else { fault.in_transaction() });
                }
                Ended::Fault { reason, in_transaction } => {
                    let fault = RouteFailure { reason, relay: client.relay().to_owned(), in_transaction };
                    client.quit().await;
                    return Err(fault);
                }
            }
        }
    }

    /// The kept connection, or a new one; and whether it is the kept one.
    async fn connection(&mut self, attempt: &mut Attempt) -> Result<(SmtpClient, bool), RouteFailure> {
        match self.client.take() {
            // What was announced over it has begun already.
            Some(client) if client.is_used_up() && !client.is_ahead() => client.quit().await,
            Some(client) => return Ok((client, true)),
            None => {}
        }
        let started = Instant::now();
        let mut client = self.route.client().await?;
        attempt.connecting += started.elapsed();
        if let Some(most) = attempt.most_recipients {
            client.note_most_recipients(most);
        }
        Ok((client, false))
    }
}

/// What one delivery has met so far.
#[derive(Debug, Default)]
struct Attempt {
    connecting: Duration,
    /// The next hop ended the dialogue of a new connection.
    gave_up: bool,
    /// After how many recipients it did.
    most_recipients: Option<usize>,
}

impl Route {
    fn new(
        smarthost: Smarthost,
        addresses: Vec<IpAddr>,
        credential: Option<Credential>,
        auth: AuthMethod,
        connection_settings: Arc<ConnectionSettings>,
    ) -> Self {
        let recipients = RecipientLimit::of(connection_settings.recipients_per_message);
        let largest = AtomicU64::new(UNKNOWN);
        let relays = AtomicBool::new(false);
        Self {
            smarthost,
            addresses,
            credential,
            auth,
            connection_settings,
            largest,
            relays,
            recipients,
            record: HopRecord::forgetful(),
        }
    }

    /// That the smarthost relays for nobody of ours is the route's trouble, unless it took a recipient before.
    fn relays_to_nobody(&self, outcomes: &[Outcome]) -> Option<Reason> {
        if self.relays.load(Ordering::Relaxed) {
            return None;
        }
        if outcomes.iter().any(|outcome| matches!(outcome, Outcome::Delivered(_))) {
            self.relays.store(true, Ordering::Relaxed);
        }
        relays_to_nobody(outcomes)
    }

    /// A new connection, ready for MAIL. A token that is refused is read or fetched again once.
    async fn client(&self) -> Result<SmtpClient, RouteFailure> {
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

    async fn connection(&self) -> Result<SmtpClient, RouteFailure> {
        let opened = self.opened().await?;
        self.largest.store(opened.capabilities.size.unwrap_or(0), Ordering::Relaxed);
        self.recipients.announce(opened.capabilities.limits.recipients);
        SmtpClient::over(opened, &self.connection_settings).await
    }

    /// Where TLS is opportunistic, and nothing is to be proved, a handshake that fails is followed by plain text (RFC 7435): it is
    /// what whoever is on the way could have as well by taking STARTTLS away. A mail exchanger has its own rule.
    async fn opened(&self) -> Result<Opened, RouteFailure> {
        let opened = self.open(&self.smarthost).await;
        let may_go_plain = self.smarthost.tls == TlsPolicy::Opportunistic
            && self.smarthost.user.is_none()
            && self.addresses.is_empty()
            && !self.connection_settings.leaving.is_raised();
        match opened {
            Err(failure) if may_go_plain && wire::failed_at_tls(&failure.reason) => {
                log::warn!(
                    "{failure}; going on without TLS, as it is opportunistic; ?tls=none in the URL says so at once"
                );
                let plain = Smarthost { tls: TlsPolicy::None, ..self.smarthost.clone() };
                self.open(&plain).await
            }
            opened => opened,
        }
    }

    async fn open(&self, smarthost: &Smarthost) -> Result<Opened, RouteFailure> {
        opening::open(smarthost, &self.addresses, &self.connection_settings, &self.record).await
    }

    /// A connection with a login, or why it was refused; other faults are the outer error.
    async fn logged_in(
        &self,
        user: &str,
        secret: &Password,
    ) -> Result<Result<SmtpClient, (RouteFailure, Refusal)>, RouteFailure> {
        let mut client = self.connection().await?;
        let is_token = self.credential.as_ref().is_some_and(Credential::is_token);
        let login = Login { user, secret, is_token, method: self.auth, policy: self.smarthost.tls };
        match login.run(&mut client).await {
            Ok(()) => Ok(Ok(client)),
            Err(refusal) => {
                let fault = RouteFailure::new(refusal.reason.clone(), client.relay().to_owned());
                client.quit().await;
                Ok(Err((fault, refusal)))
            }
        }
    }

    /// RFC 3463 X.3.5: system incorrectly configured.
    fn misconfigured(&self, text: String) -> RouteFailure {
        self.fault(Reason::new(EnhancedCode(4, 3, 5), text).because(Cause::Credential))
    }

    fn fault(&self, reason: Reason) -> RouteFailure {
        RouteFailure::new(reason, format!("{}:{}", self.smarthost.host, self.smarthost.port))
    }

    fn no_runtime(&self, error: &io::Error) -> RouteFailure {
        let text = format!("starting the asynchronous runtime: {error}");
        self.fault(Reason::new(EnhancedCode(4, 3, 0), text).because(Cause::Resources))
    }
}
