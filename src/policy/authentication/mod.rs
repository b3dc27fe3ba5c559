//! Authentication of senders: SPF at MAIL.
//!
//! Clients of this site and those who logged in are not checked. What is found is noted or refused; that the DNS does not answer is
//! never a refusal.

mod judged;
mod received_spf;
mod sentences;
mod settings;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::memory::RememberingDns;
use super::{ClientInfo, Policy, Strictness};
use crate::address::{Domain, ReversePath};
use crate::clock::Clock;
use crate::dns::Dns;
use crate::session::{Additions, Verdict};
use crate::spf::{SpfClient, SpfOutcome, SpfResult, check_host};
use judged::{Identity, Judged};
use received_spf::received_spf;
pub use settings::AuthenticationSettings;

/// How long answers of the DNS are remembered.
const REMEMBERED: Duration = Duration::from_secs(60);
/// How long one evaluation may take (RFC 7208 4.6.4: at least 20 s).
const PATIENCE: Duration = Duration::from_secs(20);
/// Trouble is logged once in this time.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Who sends mail, as far as the DNS can say, as a policy.
pub struct Authentication {
    settings: AuthenticationSettings,
    dns: RememberingDns,
    clock: Arc<dyn Clock>,
    logged: Mutex<Option<Instant>>,
}

impl Authentication {
    /// By these settings.
    pub fn new(settings: AuthenticationSettings, dns: Arc<dyn Dns>, clock: Arc<dyn Clock>) -> Self {
        Self { settings, dns: RememberingDns::new(dns, REMEMBERED), clock, logged: Mutex::default() }
    }

    /// The address of a client that is checked.
    fn address(&self, client: &ClientInfo<'_>) -> Option<IpAddr> {
        // Programs of this host are known by the permissions of the socket.
        let address = client.peer.ip()?.to_canonical();
        let is_own = client.login.is_some() || client.peer.is_in(&self.settings.own_networks);
        (self.settings.own_clients || !is_own).then_some(address)
    }

    /// The result for the sender, and that for the name in HELO; without a sender they are one (RFC 7208 2.4).
    async fn judge(&self, client: &ClientInfo<'_>, address: IpAddr, sender: &ReversePath) -> Vec<Judged> {
        let (of_sender, of_helo) = (self.settings.spf.of(client), self.settings.spf_helo.of(client));
        let helo = client.helo.unwrap_or_default();
        let named = sender.mailbox().map(|mailbox| {
            let domain = mailbox.domain().in_ascii().filter(|domain| !domain.is_literal());
            (mailbox.local(), domain.map(|domain| domain.to_string()).unwrap_or_default())
        });
        let is_null = named.is_none();
        let (local, domain) = named.unwrap_or_else(|| ("postmaster", helo.to_owned()));
        let asked = |identity, strictness: Strictness, local: &str, domain: String| {
            let local = local.to_owned();
            async move {
                if strictness == Strictness::Off {
                    return None;
                }
                let outcome = self.ask(address, helo, &local, &domain).await;
                Some(Judged { identity, domain, strictness, outcome })
            }
        };
        let of_helo = if is_null { Strictness::Off } else { of_helo };
        let of_sender = if is_null { of_sender.max(self.settings.spf_helo.of(client)) } else { of_sender };
        let (by_helo, by_sender) = tokio::join!(
            asked(Identity::Helo, of_helo, "postmaster", helo.to_owned()),
            asked(Identity::MailFrom, of_sender, local, domain),
        );
        by_sender.into_iter().chain(by_helo).collect()
    }

    async fn ask(&self, address: IpAddr, helo: &str, local: &str, domain: &str) -> SpfOutcome {
        let receiver = &self.settings.hostname;
        let millis = self.clock.now().as_millis();
        let of_sender = Domain::of_records(domain.strip_suffix('.').unwrap_or(domain));
        let client = SpfClient {
            address,
            helo,
            local,
            domain: of_sender.as_ref().unwrap_or(receiver),
            receiver,
            unix_time: millis / 1000,
        };
        let answer = tokio::time::timeout(PATIENCE, check_host(&self.dns, &client, domain)).await;
        answer.unwrap_or_else(|_late| SpfOutcome::late())
    }

    /// Once a minute.
    fn warn(&self, judged: &Judged) {
        let now = Instant::now();
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.is_none_or(|logged| now.duration_since(logged) >= LOG_INTERVAL) {
            *logged = Some(now);
            log::warn!("authentication: {}; where a check may refuse, clients are deferred with 451", judged.note());
        }
    }
}

#[async_trait]
impl Policy for Authentication {
    async fn mail(&self, client: &ClientInfo<'_>, sender: &ReversePath, _declared_size: Option<u64>) -> Verdict {
        let Some(address) = self.address(client) else { return Verdict::Accept };
        let all = self.judge(client, address, sender).await;
        let (mut additions, mut deferral) = (Additions::default(), None);
        for judged in &all {
            match judged.reply(address) {
                Some(reply) if reply.code() >= 500 => return Verdict::Refuse(reply),
                reply => deferral = deferral.or(reply),
            }
            if judged.outcome.result == SpfResult::TempError {
                self.warn(judged);
            }
            let note = judged.note();
            if !matches!(judged.outcome.result, SpfResult::Pass | SpfResult::None) {
                log::info!("[{}] noted: {}", client.peer, crate::address::escaped(&note));
            }
            additions.join(Additions::note(&note));
            let helo = client.helo.unwrap_or_default();
            additions.header.extend(received_spf(judged, &self.settings.hostname, address, sender, helo));
        }
        deferral.map_or_else(|| Verdict::accept_with(additions), Verdict::Defer)
    }
}
