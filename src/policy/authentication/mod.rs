//! Authentication of senders: SPF at MAIL, DKIM and DMARC at the end of the message, and the field that says what came of them.
//!
//! Clients of this site and those who logged in are not checked. What is found is noted or refused; that the DNS does not answer is
//! never a refusal.

mod author;
mod judged;
mod message;
mod received_spf;
mod results;
mod sentences;
mod settings;
mod shared;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;

use super::{ClientInfo, Inspector, Interest, Policy, Strictness};
use crate::address::{Domain, ReversePath};
use crate::clock::Clock;
use crate::dns::Dns;
use crate::envelope::Envelope;
use crate::session::{Additions, HeaderBlock, Verdict};
use crate::spf::{SpfClient, SpfOutcome, SpfResult, check_host};
use judged::{Identity, Judged};
use message::MessageCheck;
use received_spf::received_spf;
pub use settings::AuthenticationSettings;
use shared::{PATIENCE, SenderVisit, Shared};

/// Who sends mail, as far as the DNS can say: a policy for MAIL, and an inspector of messages.
pub struct Authentication(Arc<Shared>);

impl Authentication {
    /// By these settings.
    pub fn new(settings: AuthenticationSettings, dns: Arc<dyn Dns>, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Shared::new(settings, dns, clock)))
    }

    /// Whether the messages of a client are looked at: they are checked, or results in the name of this relay are removed from them.
    fn inspects(&self, client: &ClientInfo<'_>) -> bool {
        self.0.address(client).is_some() || (client.login.is_some() && client.peer.ip().is_some())
    }

    /// The result for the sender, and that for the name in HELO; without a sender they are one (RFC 7208 2.4).
    async fn judge(&self, client: &ClientInfo<'_>, address: IpAddr, sender: &ReversePath) -> Vec<Judged> {
        let settings = &self.0.settings;
        let (of_sender, of_helo) = (settings.spf.of(client), settings.spf_helo.of(client));
        let helo = client.helo.unwrap_or_default();
        let named = sender.mailbox().map(|mailbox| {
            let domain = mailbox.domain().in_ascii().filter(|domain| !domain.is_literal());
            (mailbox.local(), domain.map(|domain| domain.to_string()).unwrap_or_default())
        });
        let is_null = named.is_none();
        let (local, domain) = named.unwrap_or_else(|| ("postmaster", helo.to_owned()));
        // DMARC wants to know it in any case.
        let always = settings.dmarc.of(client) != Strictness::Off;
        let asked = |identity, strictness: Strictness, local: &str, domain: String| {
            let local = local.to_owned();
            async move {
                if strictness == Strictness::Off && !(always && identity == Identity::MailFrom) {
                    return None;
                }
                let outcome = self.ask(address, helo, &local, &domain).await;
                Some(Judged { identity, domain, strictness, outcome })
            }
        };
        let is_helo = is_null && of_sender == Strictness::Off && of_helo != Strictness::Off;
        let identity = if is_helo { Identity::Helo } else { Identity::MailFrom };
        let (of_sender, of_helo) =
            if is_null { (of_sender.max(of_helo), Strictness::Off) } else { (of_sender, of_helo) };
        let (by_helo, by_sender) = tokio::join!(
            asked(Identity::Helo, of_helo, "postmaster", helo.to_owned()),
            asked(identity, of_sender, local, domain),
        );
        by_sender.into_iter().chain(by_helo).collect()
    }

    async fn ask(&self, address: IpAddr, helo: &str, local: &str, domain: &str) -> SpfOutcome {
        let receiver = &self.0.settings.hostname;
        let of_sender = Domain::of_records(domain.strip_suffix('.').unwrap_or(domain));
        let client = SpfClient {
            address,
            helo,
            local,
            domain: of_sender.as_ref().unwrap_or(receiver),
            receiver,
            unix_time: self.0.now(),
        };
        let answer = tokio::time::timeout(PATIENCE, check_host(&self.0.dns, &client, domain)).await;
        answer.unwrap_or_else(|_late| SpfOutcome::late())
    }
}

#[async_trait]
impl Policy for Authentication {
    async fn mail(&self, client: &ClientInfo<'_>, sender: &ReversePath, _declared_size: Option<u64>) -> Verdict {
        let shared = &self.0;
        let Some(address) = shared.address(client) else { return Verdict::Accept };
        let all = self.judge(client, address, sender).await;
        let (mut additions, mut deferral) = (Additions::default(), None);
        for judged in &all {
            if judged.outcome.result == SpfResult::TempError {
                shared.warn(&judged.note());
            }
            if judged.strictness == Strictness::Off {
                continue;
            }
            match judged.reply(address) {
                Some(reply) if reply.code() >= 500 => return Verdict::Refuse(reply),
                reply => deferral = deferral.or(reply),
            }
            let note = judged.note();
            if !matches!(judged.outcome.result, SpfResult::Pass | SpfResult::None) {
                log::info!("[{}] noted: {}", client.peer, crate::address::escaped(&note));
            }
            additions.join(Additions::note(&note));
            let helo = client.helo.unwrap_or_default();
            additions.header.extend(received_spf(judged, &shared.settings.hostname, address, sender, helo));
        }
        if deferral.is_none() {
            let visit = SenderVisit { sender: sender.clone(), spf: all, header: 0 };
            shared.visits().insert(client.session, visit);
        }
        deferral.map_or_else(|| Verdict::accept_with(additions), Verdict::Defer)
    }

    async fn headers(&self, client: &ClientInfo<'_>, block: &HeaderBlock) -> Verdict {
        if self.inspects(client) {
            self.0.visits().entry(client.session).or_default().header = block.size();
        }
        Verdict::Accept
    }

    fn ended(&self, session: u64) {
        self.0.visits().remove(&session);
    }
}

#[async_trait]
impl Inspector for Authentication {
    async fn begin(&self, client: &ClientInfo<'_>, _envelope: &Envelope) -> Interest {
        if !self.inspects(client) {
            return Interest::PassedOver;
        }
        let settings = &self.0.settings;
        let judges = self.0.address(client).is_some();
        let strictness = judges.then(|| (settings.dkim.of(client), settings.dmarc.of(client)));
        let check = MessageCheck::new(Arc::clone(&self.0), client.session, client.peer, strictness);
        Interest::Inspecting(Box::new(check))
    }
}
