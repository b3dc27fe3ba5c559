//! Checks of clients, senders and recipients, most of them by the DNS.
//!
//! All of them are made at MAIL and RCPT, when it is known whether the client logged in, and side by side. Clients of this site
//! and those who logged in are not checked. What is found is noted or refused; that it cannot be known is never a refusal.

mod characters;
mod domains;
mod lists;
mod names;
mod sentences;
mod settings;
#[cfg(test)]
mod tests;
mod watched_lists;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::memory::RememberingDns;
use super::refusals::dns_trouble;
use super::{ClientInfo, HealthObserver, Policy};
use crate::address::{Mailbox, ReversePath};
use crate::dns::{Dns, DnsError};
use crate::envelope::Peer;
use crate::session::{Additions, Verdict};
pub use lists::{is_listed, probe_list};
use names::Finding;
use sentences::Party;
pub use settings::{ByNetwork, CheckSettings, DnsListSettings, Strictness};
use watched_lists::WatchedLists;

/// How long answers about names are remembered.
const NAMES: Duration = Duration::from_secs(60);
/// How long answers of lists are: they count how often they are asked.
const LISTS: Duration = Duration::from_secs(5 * 60);
/// Trouble is logged once in this time.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// What becomes of clients that lists have.
const LISTED: &str = "checks.dnsbl";

/// The checks as a policy.
pub struct Checks {
    settings: CheckSettings,
    names: RememberingDns,
    lists: Arc<dyn Dns>,
    logged: Mutex<Option<Instant>>,
}

/// What a check came to.
struct Checked {
    strictness: Strictness,
    setting: &'static str,
    finding: Finding,
}

impl Checks {
    /// By these settings.
    pub fn new(settings: CheckSettings, dns: Arc<dyn Dns>) -> Self {
        Self::with(settings, dns, None)
    }

    /// The same; whether the lists answer is reported to this observer.
    pub fn reporting_to(settings: CheckSettings, dns: Arc<dyn Dns>, observer: &Arc<dyn HealthObserver>) -> Self {
        Self::with(settings, dns, Some(observer))
    }

    fn with(settings: CheckSettings, dns: Arc<dyn Dns>, observer: Option<&Arc<dyn HealthObserver>>) -> Self {
        let watched = WatchedLists::new(Arc::clone(&dns), &settings.lists, observer);
        let lists = Arc::new(RememberingDns::new(Arc::new(watched), LISTS));
        Self { settings, names: RememberingDns::new(dns, NAMES), lists, logged: Mutex::default() }
    }

    /// The address of a client that is checked.
    fn address(&self, client: &ClientInfo<'_>) -> Option<IpAddr> {
        // Programs of this host are known by the permissions of the socket.
        let address = client.peer.ip()?.to_canonical();
        let is_own = client.login.is_some() || client.peer.is_in(&self.settings.own_networks);
        (self.settings.own_clients || !is_own).then_some(address)
    }

    fn conclude(&self, peer: Peer, all: impl IntoIterator<Item = Checked>) -> Verdict {
        let (mut additions, mut refusal, mut deferral) = (Additions::default(), None, None);
        for Checked { strictness, setting, finding } in all {
            match (finding, strictness) {
                (Ok(None), _) | (_, Strictness::Off) => {}
                (Ok(Some(reply)), Strictness::Refuse) => refusal = refusal.or(Some(reply)),
                (Ok(Some(reply)), Strictness::Note) => {
                    log::info!("[{peer}] noted: {}", reply.text());
                    additions.join(Additions::note(reply.text()));
                }
                (Err(error), Strictness::Refuse) => {
                    self.warn(setting, &error);
                    deferral = deferral.or(Some(dns_trouble(setting)));
                }
                (Err(error), Strictness::Note) => {
                    self.warn(setting, &error);
                    additions.join(Additions::note(&format!("{setting} could not be checked: {error}")));
                }
            }
        }
        match (refusal, deferral) {
            (Some(reply), _) => Verdict::Refuse(reply),
            (None, Some(reply)) => Verdict::Defer(reply),
            (None, None) => Verdict::accept_with(additions),
        }
    }

    /// Once a minute; the trouble of a list is logged by whoever watches the lists.
    fn warn(&self, setting: &str, error: &DnsError) {
        if setting == LISTED {
            return;
        }
        let now = Instant::now();
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.is_none_or(|logged| now.duration_since(logged) >= LOG_INTERVAL) {
            *logged = Some(now);
            log::warn!("checks: {error}; where a check may refuse, clients are deferred with 451");
        }
    }
}

/// Makes a check, unless it is off for this client.
async fn check(
    by_network: &ByNetwork,
    client: &ClientInfo<'_>,
    setting: &'static str,
    finding: impl Future<Output = Finding>,
) -> Checked {
    let strictness = by_network.of(client);
    let finding = if strictness == Strictness::Off { Ok(None) } else { finding.await };
    Checked { strictness, setting, finding }
}

#[async_trait]
impl Policy for Checks {
    async fn mail(&self, client: &ClientInfo<'_>, sender: &ReversePath, _declared_size: Option<u64>) -> Verdict {
        let Some(address) = self.address(client) else { return Verdict::Accept };
        let (settings, peer, dns) = (&self.settings, client.peer, &self.names);
        let helo = client.helo.unwrap_or_default();
        let mailbox = sender.mailbox();
        let domain = async {
            match mailbox {
                Some(mailbox) => domains::takes_mail(dns, Party::Sender, mailbox.domain()).await,
                None => Ok(None),
            }
        };
        let characters = async { Ok(mailbox.and_then(|mailbox| characters::judge(Party::Sender, mailbox))) };
        let listed = async {
            if !settings.asks_lists() {
                return Ok(None);
            }
            lists::listed(&self.lists, settings, address).await
        };
        let all = tokio::join!(
            check(&settings.listed, client, LISTED, listed),
            check(&settings.helo_resolvable, client, "checks.helo_resolvable", names::resolvable(dns, address, helo)),
            check(&settings.helo_verified, client, "checks.helo_verified", names::verified(dns, address, helo)),
            check(&settings.sender_domain, client, "checks.sender_domain", domain),
            check(&settings.sender_characters, client, "checks.sender_characters", characters),
        );
        self.conclude(peer, [all.0, all.1, all.2, all.3, all.4])
    }

    async fn rcpt(&self, client: &ClientInfo<'_>, _sender: &ReversePath, recipient: &Mailbox) -> Verdict {
        if self.address(client).is_none() {
            return Verdict::Accept;
        }
        let (settings, peer) = (&self.settings, client.peer);
        let is_known = settings.known.iter().any(|pattern| pattern.matches(recipient));
        let domain = async {
            if is_known {
                return Ok(None);
            }
            domains::takes_mail(&self.names, Party::Recipient, recipient.domain()).await
        };
        let characters = async { Ok(characters::judge(Party::Recipient, recipient)) };
        let all = tokio::join!(
            check(&settings.recipient_domain, client, "checks.recipient_domain", domain),
            check(&settings.recipient_characters, client, "checks.recipient_characters", characters),
        );
        self.conclude(peer, [all.0, all.1])
    }
}
