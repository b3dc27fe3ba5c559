//! What the sessions share: the settings, the DNS, and what was found out about each session's sender.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::judged::Judged;
use super::settings::AuthenticationSettings;
use crate::address::ReversePath;
use crate::clock::Clock;
use crate::dns::Dns;
use crate::policy::ClientInfo;
use crate::policy::memory::RememberingDns;

/// How long answers of the DNS are remembered.
const REMEMBERED: Duration = Duration::from_secs(60);
/// How long one evaluation may take (RFC 7208 4.6.4: at least 20 s).
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// Trouble is logged once in this time.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// What the sessions share.
pub(super) struct Shared {
    pub(super) settings: AuthenticationSettings,
    pub(super) dns: RememberingDns,
    clock: Arc<dyn Clock>,
    logged: Mutex<Option<Instant>>,
    visits: Mutex<HashMap<u64, SenderVisit>>,
}

/// What is known of the present message of a session.
#[derive(Default)]
pub(super) struct SenderVisit {
    pub(super) sender: ReversePath,
    pub(super) spf: Vec<Judged>,
    /// Octets of the header that the client sent.
    pub(super) header: usize,
}

impl Shared {
    pub(super) fn new(settings: AuthenticationSettings, dns: Arc<dyn Dns>, clock: Arc<dyn Clock>) -> Self {
        let dns = RememberingDns::new(dns, REMEMBERED);
        Self { settings, dns, clock, logged: Mutex::default(), visits: Mutex::default() }
    }

    /// Seconds since 1970.
    pub(super) fn now(&self) -> u64 {
        self.clock.now().as_millis() / 1000
    }

    /// The address of a client that is checked.
    pub(super) fn address(&self, client: &ClientInfo<'_>) -> Option<IpAddr> {
        // Programs of this host are known by the permissions of the socket.
        let address = client.peer.ip()?.to_canonical();
        let is_own = client.login.is_some() || client.peer.is_in(&self.settings.own_networks);
        (self.settings.own_clients || !is_own).then_some(address)
    }

    pub(super) fn visits(&self) -> MutexGuard<'_, HashMap<u64, SenderVisit>> {
        self.visits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of the message, of which nothing is kept here any longer.
    pub(super) fn take(&self, session: u64) -> SenderVisit {
        self.visits().remove(&session).unwrap_or_default()
    }

    /// Logs trouble, once a minute.
    pub(super) fn warn(&self, trouble: &str) {
        let now = Instant::now();
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.is_none_or(|logged| now.duration_since(logged) >= LOG_INTERVAL) {
            *logged = Some(now);
            let trouble = crate::address::escaped(trouble);
            log::warn!("authentication: {trouble}; where a check may refuse, clients are deferred with 451");
        }
    }
}
