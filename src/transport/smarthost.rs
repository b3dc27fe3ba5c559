//! The smarthost transport: SMTP by lettre's low-level connection over a wire of ours.
//!
//! lettre itself is named in `smtp/client.rs` only. [`SmarthostTransport`] keeps one connection from message to message and runs it on a
//! runtime of its own, so it must be used from a thread that is not itself inside a runtime. What is said in a transaction
//! is in `transaction.rs`, what a reply means in `classify/`; `smarthost/route.rs` opens connections, `smarthost/link.rs` keeps one.

mod link;
mod route;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::runtime::{Builder, Runtime};

use super::credential::Credential;
use super::dane::{Demand, DemandSource};
use super::delivery::{Body, Delivery, DeliveryRequest, Dispatch, RouteFailure, SettingsError, Transport};
use super::leaving::Leaving;
use super::lessons::Lessons;
use super::memory::HopRecord;
use super::settings::{AuthMethod, NextHop, RouteSettings, Smarthost, TlsPolicy};
use super::smtp::wire::Phase;
use super::smtp::{ConnectionSettings, SmtpClient};
use crate::address::Mailbox;
use crate::dns;
use crate::smtp::Reply;
use link::Link;
use route::{Route, UNKNOWN};

/// Makes transports to one smarthost.
#[derive(Debug)]
pub struct SmarthostDispatch {
    route: Arc<Route>,
    connections: usize,
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
        let asks = smarthost.tls.asks_dane();
        if asks && !cfg!(feature = "dns") {
            return Err(refuse(
                "this leafmail was built without the feature dns, which asks for TLSA records: build it with --features dns",
            ));
        }
        let mut route = Route::new(smarthost, addresses, credential, auth, connection_settings);
        if asks {
            route.demand = DemandSource::Asked(dns::client(settings.name_servers.clone()));
        }
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

/// Asks a smarthost by MAIL FROM:<> and RCPT whether a mailbox exists; its reply to RCPT. DATA is never sent. Blocks; must not be
/// called from inside a runtime.
///
/// # Errors
/// Why it gave no such reply, in words that may have text of the smarthost.
pub fn ask_recipient(settings: &RouteSettings, recipient: &Mailbox) -> Result<Reply, String> {
    let dispatch = SmarthostDispatch::new(settings, Leaving::default()).map_err(|error| error.to_string())?;
    let runtime = Builder::new_current_thread().enable_io().enable_time().build().map_err(|error| error.to_string())?;
    let asked = runtime.block_on(async {
        let mut client = dispatch.route.client(Lessons::NONE).await.map_err(|fault| fault.to_string())?;
        let utf8 = if recipient.is_ascii() { "" } else { " SMTPUTF8" };
        let mail = client.exchange(Phase::Mail, &format!("MAIL FROM:<>{utf8}\r\n")).await;
        let mail = mail.map_err(|error| error.reason(Phase::Mail, client.relay()).text)?;
        if !mail.is_positive() {
            return Err(format!("{} answered {mail} to MAIL FROM:<>", client.relay()));
        }
        let reply = client.exchange(Phase::Rcpt, &format!("RCPT TO:<{recipient}>\r\n")).await;
        let reply = reply.map_err(|error| error.reason(Phase::Rcpt, client.relay()).text)?;
        client.quit().await;
        Ok(reply)
    });
    // A name look-up may hang in the C library; nobody needs its answer any more.
    runtime.shutdown_background();
    asked
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
        Self { link: Link::new(route), runtime: None }
    }

    /// To a host whose address is known already, without a login.
    pub(super) fn to_address(
        smarthost: Smarthost,
        demand: Demand,
        address: IpAddr,
        connection_settings: Arc<ConnectionSettings>,
    ) -> Self {
        let mut route = Route::new(smarthost, vec![address], None, AuthMethod::Auto, connection_settings);
        route.demand = DemandSource::Known(demand);
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
        self.link.keep_lessons();
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

impl Drop for SmarthostTransport {
    fn drop(&mut self) {
        self.link.keep_lessons();
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
