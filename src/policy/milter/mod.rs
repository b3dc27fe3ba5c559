//! Milters: mail filters that speak Sendmail's protocol, such as rspamd, opendkim, opendmarc and clamav-milter.
//!
//! A milter is asked from MAIL on, and sees the octets of a message as they come. It may refuse, defer, hold, and change fields
//! of the header; it never lets in what the rules of the configuration refuse, and changes neither body nor envelope. A connection
//! serves the messages of one session. Where a milter does not answer, the client is deferred, or accepted without it if
//! the configuration says so.

mod answer;
mod content;
mod conversation;
mod protocol;
mod settings;
mod shared;
mod wire;

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;

use super::{ClientInfo, HealthObserver, Inspector, Interest, Policy};
use crate::address::{Mailbox, ReversePath};
use crate::envelope::{Envelope, Peer};
use crate::session::Verdict;
use answer::MilterAnswer;
use content::Content;
use conversation::Conversation;
pub use settings::MilterSettings;
use shared::Shared;

/// A milter: a policy for MAIL and RCPT, and an inspector of messages.
pub struct Milter(Arc<Shared>);

impl Milter {
    /// The milter with these settings. Nothing is connected to before the first MAIL.
    pub fn new(settings: MilterSettings) -> Self {
        Self(Arc::new(Shared::new(settings, None)))
    }

    /// The same; whether it answers is reported to this observer.
    pub fn reporting_to(settings: MilterSettings, observer: Arc<dyn HealthObserver>) -> Self {
        Self(Arc::new(Shared::new(settings, Some(observer))))
    }

    /// Connects and agrees on the protocol, as `doctor` does; what was agreed on, in words.
    ///
    /// # Errors
    /// What went wrong.
    pub async fn probe(&self) -> Result<String, String> {
        let address: IpAddr = [192, 0, 2, 1].into();
        let client = ClientInfo::new(Peer::tcp((address, 4711).into()));
        let opened = Conversation::open(Arc::clone(&self.0.settings), &client).await;
        opened.map(|conversation| conversation.describe()).map_err(|error| error.to_string())
    }
}

#[async_trait]
impl Policy for Milter {
    async fn mail(&self, client: &ClientInfo<'_>, sender: &ReversePath, _declared_size: Option<u64>) -> Verdict {
        if self.0.is_excepted(client) { Verdict::Accept } else { self.0.mail(client, sender).await }
    }

    async fn rcpt(&self, client: &ClientInfo<'_>, _sender: &ReversePath, recipient: &Mailbox) -> Verdict {
        if self.0.is_excepted(client) { Verdict::Accept } else { self.0.rcpt(client, recipient).await }
    }

    fn ended(&self, session: u64) {
        self.0.visits().remove(&session);
    }
}

#[async_trait]
impl Inspector for Milter {
    async fn begin(&self, client: &ClientInfo<'_>, _envelope: &Envelope) -> Interest {
        let shared = &self.0;
        if shared.is_excepted(client) {
            return Interest::PassedOver;
        }
        let Some(mut conversation) = shared.take(client.session) else {
            // What happened was logged then.
            return Interest::Judged(shared.without());
        };
        if conversation.is_passed_over {
            shared.put(client.session, conversation);
            return Interest::PassedOver;
        }
        let id = client.transaction.and_then(|transaction| transaction.spool_id);
        let id = id.map(|id| id.to_string()).unwrap_or_default();
        match conversation.data(&id).await {
            Ok(answer) => match shared.verdict(&answer) {
                Verdict::Accept | Verdict::AcceptWith(_) => {
                    let settled = (answer != MilterAnswer::Continue).then_some(answer);
                    let content = Content::new(Arc::clone(shared), client.session, id, conversation, settled);
                    Interest::Inspecting(Box::new(content))
                }
                other => {
                    shared.put(client.session, conversation);
                    Interest::Judged(other)
                }
            },
            Err(error) => Interest::Judged(shared.failed(client.session, &error)),
        }
    }
}

#[cfg(test)]
mod tests;
