//! A smarthost with what all connections to it share, and how one is opened: EHLO or HELO, TLS, login.
//!
//! Invariant: credentials go over no connection that was opened with less than the settings ask for.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::receipt::{Cause, Outcome, Reason};
use crate::smtp::EnhancedCode;
use crate::transport::classify::relays_to_nobody;
use crate::transport::credential::{Credential, Freshness, Password};
use crate::transport::dane::{Dane, Demand, DemandSource};
use crate::transport::delivery::RouteFailure;
use crate::transport::lessons::{Lesson, Lessons};
use crate::transport::memory::HopRecord;
use crate::transport::opening;
use crate::transport::recipient_limit::RecipientLimit;
use crate::transport::settings::{AuthMethod, Smarthost, TlsPolicy};
use crate::transport::smtp::wire::{self, Opened};
use crate::transport::smtp::{ConnectionSettings, Login, Refusal, SmtpClient};

/// No greeting was heard yet.
pub(super) const UNKNOWN: u64 = u64::MAX;

/// What all connections to a smarthost share.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) smarthost: Smarthost,
    /// Where it is; empty where its name is to be looked up.
    pub(super) addresses: Vec<IpAddr>,
    pub(super) credential: Option<Credential>,
    pub(super) auth: AuthMethod,
    pub(super) connection_settings: Arc<ConnectionSettings>,
    /// How it is to be reached.
    pub(super) demand: DemandSource,
    /// The largest message that the smarthost said to take, since its last greeting; 0 where it named none.
    pub(super) largest: AtomicU64,
    /// Whether it took a recipient of ours, so that it relays for us.
    pub(super) relays: AtomicBool,
    /// How many recipients it takes in one transaction.
    pub(super) recipients: RecipientLimit,
    /// Whether it answered EHLO.
    pub(super) knows_ehlo: AtomicBool,
    /// What was found out about it, over all processes.
    pub(super) record: HopRecord,
}

impl Route {
    pub(super) fn new(
        smarthost: Smarthost,
        addresses: Vec<IpAddr>,
        credential: Option<Credential>,
        auth: AuthMethod,
        connection_settings: Arc<ConnectionSettings>,
    ) -> Self {
        let demand = DemandSource::Known(Demand::plain(smarthost.tls));
        let recipients = RecipientLimit::of(connection_settings.recipients_per_message);
        let largest = AtomicU64::new(UNKNOWN);
        // A mail store does not relay: what it says of a recipient is about that.
        let relays = AtomicBool::new(smarthost.kind.is_lmtp());
        Self {
            smarthost,
            addresses,
            credential,
            auth,
            connection_settings,
            demand,
            largest,
            relays,
            recipients,
            knows_ehlo: AtomicBool::new(false),
            record: HopRecord::forgetful(),
        }
    }

    /// That the smarthost relays for nobody of ours is the route's trouble, unless it took a recipient before.
    pub(super) fn relays_to_nobody(&self, outcomes: &[Outcome]) -> Option<Reason> {
        if self.relays.load(Ordering::Relaxed) {
            return None;
        }
        if outcomes.iter().any(|outcome| matches!(outcome, Outcome::Delivered(_))) {
            self.relays.store(true, Ordering::Relaxed);
        }
        relays_to_nobody(outcomes)
    }

    /// A new connection, ready for MAIL. A token that is refused is read or fetched again once.
    pub(super) async fn client(&self, trial: Lessons) -> Result<SmtpClient, RouteFailure> {
        let (Some(user), Some(credential)) = (&self.smarthost.user, &self.credential) else {
            return self.connection(trial).await;
        };
        // Read first: where it is missing there is no need to bother the smarthost.
        let secret = credential.read(Freshness::Kept).map_err(|text| self.misconfigured(text))?;
        let (fault, refusal) = match self.logged_in(user, &secret, trial).await? {
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
        self.logged_in(user, &fresh, trial).await?.map_err(|(fault, _)| fault)
    }

    async fn connection(&self, trial: Lessons) -> Result<SmtpClient, RouteFailure> {
        let opened = self.opened(trial).await?;
        self.largest.store(opened.capabilities.size.unwrap_or(0), Ordering::Relaxed);
        self.recipients.announce(opened.capabilities.limits.recipients);
        SmtpClient::over(opened, &self.connection_settings).await
    }

    /// Where TLS is opportunistic, and nothing is to be proved, a handshake that fails is followed by plain text (RFC 7435): it is
    /// what whoever is on the way could have as well by taking STARTTLS away. A mail exchanger has its own rule.
    async fn opened(&self, trial: Lessons) -> Result<Opened, RouteFailure> {
        let demand = self.demand.demand(&self.smarthost);
        let demand = tokio::select! {
            biased;
            demand = demand => demand.map_err(|reason| self.fault(reason))?,
            () = self.connection_settings.leaving.raised() => return Err(self.fault(told_to_leave())),
        };
        let smarthost = demand.applied_to(&self.smarthost);
        let opened = self.greeted(&smarthost, demand.dane.as_ref(), trial).await;
        let may_go_plain = smarthost.tls == TlsPolicy::Opportunistic
            && self.smarthost.user.is_none()
            && self.addresses.is_empty()
            && !self.connection_settings.leaving.is_raised();
        match opened {
            Err(failure) if may_go_plain && wire::failed_at_tls(&failure.reason) => {
                log::warn!(
                    "{failure}; going on without TLS, as it is opportunistic; ?tls=none in the URL says so at once"
                );
                let plain = Smarthost { tls: TlsPolicy::None, ..smarthost };
                self.greeted(&plain, None, trial).await
            }
            opened => opened,
        }
    }

    /// Where EHLO ends the connection, HELO is tried on another, unless that could show what is secret. Who knew EHLO before has other
    /// reasons to close.
    async fn greeted(
        &self,
        smarthost: &Smarthost,
        dane: Option<&Arc<Dane>>,
        trial: Lessons,
    ) -> Result<Opened, RouteFailure> {
        let lessons = self.record.lessons().and(trial);
        let failure = match self.open(smarthost, dane, lessons).await {
            Ok(opened) => {
                self.knows_ehlo.fetch_or(!lessons.contains(Lesson::Ehlo), Ordering::Relaxed);
                return Ok(opened);
            }
            Err(failure) => failure,
        };
        let may_say_helo = wire::closed_at_ehlo(&failure.reason)
            && self.connection_settings.may_say_helo(smarthost)
            && !lessons.contains(Lesson::Ehlo)
            && !self.knows_ehlo.load(Ordering::Relaxed);
        if !may_say_helo {
            return Err(failure);
        }
        log::info!("{failure}; trying HELO");
        let Ok(opened) = self.open(smarthost, dane, lessons.with(Lesson::Ehlo)).await else { return Err(failure) };
        self.learn(Lesson::Ehlo, &opened.relay);
        Ok(opened)
    }

    async fn open(
        &self,
        smarthost: &Smarthost,
        dane: Option<&Arc<Dane>>,
        lessons: Lessons,
    ) -> Result<Opened, RouteFailure> {
        let open = || opening::open(smarthost, dane, &self.addresses, &self.connection_settings, &self.record, lessons);
        match open().await {
            Err(failure) if self.connection_settings.certificates.may_do_with_short_key(&failure.reason) => {
                open().await
            }
            opened => opened,
        }
    }

    pub(super) fn learn(&self, lesson: Lesson, relay: &str) {
        log::warn!("{relay} {}; this is remembered for a day", lesson.said());
        self.record.learn(lesson);
    }

    /// A connection with a login, or why it was refused; other faults are the outer error.
    async fn logged_in(
        &self,
        user: &str,
        secret: &Password,
        trial: Lessons,
    ) -> Result<Result<SmtpClient, (RouteFailure, Refusal)>, RouteFailure> {
        let mut client = self.connection(trial).await?;
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

    pub(super) fn no_runtime(&self, error: &io::Error) -> RouteFailure {
        let text = format!("starting the asynchronous runtime: {error}");
        self.fault(Reason::new(EnhancedCode(4, 3, 0), text).because(Cause::Resources))
    }
}

fn told_to_leave() -> Reason {
    let text = "broken off while the DNS was asked: told to leave";
    Reason::new(EnhancedCode(4, 3, 2), text).because(Cause::Leaving)
}
