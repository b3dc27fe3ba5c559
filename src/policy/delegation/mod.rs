//! Policies of other programs, by Postfix's policy delegation protocol: postgrey, policyd-spf, policyd-rate-limit.
//!
//! The protocol is that of Postfix's `SMTPD_POLICY_README`. A service never makes leafmail accept what a rule of leafmail
//! refuses, as the built-in rules come first. Where it does not answer, the client is deferred, or accepted if the
//! configuration says so; a message is never refused for trouble of ours.

pub(super) mod answer;
pub(super) mod connection;
mod request;
mod settings;

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;

use super::health::{Health, HealthObserver};
use super::{ClientInfo, Policy};
use crate::address::{Mailbox, ReversePath, printable};
use crate::envelope::Peer;
use crate::session::{Additions, Verdict};
use answer::ServiceAnswer;
use connection::Pool;
use request::{ServiceQuestion, Subject};
pub use settings::{Fallback, ServiceAddress, ServiceSettings, ServiceStage};

/// A policy that another program has.
pub struct PolicyService {
    settings: ServiceSettings,
    pool: Pool,
    health: Health,
}

impl PolicyService {
    /// The service with these settings. Nothing is connected to before a question.
    pub fn new(settings: ServiceSettings) -> Self {
        Self::with(settings, None)
    }

    /// The same; whether it answers is reported to this observer.
    pub fn reporting_to(settings: ServiceSettings, observer: Arc<dyn HealthObserver>) -> Self {
        Self::with(settings, Some(observer))
    }

    fn with(settings: ServiceSettings, observer: Option<Arc<dyn HealthObserver>>) -> Self {
        let mut health = Health::new(settings.name(), settings.fallback);
        observer.into_iter().for_each(|observer| health.report_to(observer));
        Self { pool: Pool::new(settings.address.clone()), settings, health }
    }

    /// Asks one question that concerns no client, as `doctor` does; the action that the service answers.
    ///
    /// # Errors
    /// What went wrong.
    pub async fn probe(&self) -> Result<String, String> {
        let address: IpAddr = [192, 0, 2, 1].into();
        let client = ClientInfo::new(Peer::tcp((address, 4711).into())).with_helo(Some("doctor.invalid"));
        let recipient: Option<Mailbox> = "doctor@recipient.invalid".parse().ok();
        let sender = ReversePath::Null;
        let subject = Subject {
            stage: ServiceStage::Rcpt,
            helo: client.helo,
            sender: Some(&sender),
            recipient: recipient.as_ref(),
            size: 0,
        };
        let question = ServiceQuestion { client: &client, subject: &subject }.to_string();
        let answer = self.exchange(question.as_bytes()).await?;
        answer::action(&answer).map(|action| action.chars().take(100).collect())
    }

    async fn ask(&self, client: &ClientInfo<'_>, subject: Subject<'_>) -> Verdict {
        // Programs of this host are known by the permissions of the socket.
        let is_local = client.peer.ip().is_none();
        let excepted = is_local
            || !self.settings.listeners.include(client)
            || client.peer.is_in(&self.settings.except)
            || self.settings.except_logins && client.login.is_some();
        if excepted || !self.settings.stages.contains(&subject.stage) {
            return Verdict::Accept;
        }
        if self.health.rests() {
            return self.health.fallback();
        }
        let question = ServiceQuestion { client, subject: &subject }.to_string();
        let answer = match self.exchange(question.as_bytes()).await {
            Ok(answer) => ServiceAnswer::parse(&answer),
            Err(error) => Err(error),
        };
        match answer {
            Ok(answer) => {
                self.health.note_answer();
                self.carry_out(answer)
            }
            Err(error) => {
                self.health.note_trouble(&error);
                self.health.fallback()
            }
        }
    }

    /// One question and its answer, within the time limit.
    async fn exchange(&self, question: &[u8]) -> Result<Vec<u8>, String> {
        match tokio::time::timeout(self.settings.timeout, self.pool.exchange(question)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => {
                self.health.exceeded();
                Err(format!("no answer within {} s", self.settings.timeout.as_secs()))
            }
        }
    }

    fn carry_out(&self, answer: ServiceAnswer) -> Verdict {
        match answer {
            ServiceAnswer::GoOn => Verdict::Accept,
            ServiceAnswer::Refuse(reply) => Verdict::Refuse(reply),
            ServiceAnswer::Defer(reply) => Verdict::Defer(reply),
            ServiceAnswer::Disconnect(reply) => Verdict::Disconnect(reply),
            ServiceAnswer::Prepend(line) => Verdict::accept_with(Additions::header(line)),
            ServiceAnswer::Hold(reason) => Verdict::accept_with(Additions::hold(&self.named(&reason))),
            ServiceAnswer::Note(text) => {
                log::info!("{}: {}", self.settings.name(), printable(&text));
                Verdict::accept_with(Additions::note(&self.named(&text)))
            }
            ServiceAnswer::Unsupported(action) => {
                self.health.warn(&format!("the action {action} is not supported, and was ignored"));
                Verdict::Accept
            }
        }
    }

    fn named(&self, text: &str) -> String {
        format!("{}: {}", self.settings.address, if text.is_empty() { "no reason given" } else { text })
    }
}

#[async_trait]
impl Policy for PolicyService {
    async fn connect(&self, client: &ClientInfo<'_>) -> Verdict {
        let subject = Subject { stage: ServiceStage::Connect, helo: None, sender: None, recipient: None, size: 0 };
        self.ask(client, subject).await
    }

    async fn helo(&self, client: &ClientInfo<'_>, name: &str) -> Verdict {
        let subject = Subject { stage: ServiceStage::Helo, helo: Some(name), sender: None, recipient: None, size: 0 };
        self.ask(client, subject).await
    }

    async fn mail(&self, client: &ClientInfo<'_>, sender: &ReversePath, declared_size: Option<u64>) -> Verdict {
        let size = declared_size.unwrap_or(0);
        let subject =
            Subject { stage: ServiceStage::Mail, helo: client.helo, sender: Some(sender), recipient: None, size };
        self.ask(client, subject).await
    }

    async fn rcpt(&self, client: &ClientInfo<'_>, sender: &ReversePath, recipient: &Mailbox) -> Verdict {
        let subject = Subject {
            stage: ServiceStage::Rcpt,
            helo: client.helo,
            sender: Some(sender),
            recipient: Some(recipient),
            size: client.transaction.and_then(|transaction| transaction.declared_size).unwrap_or(0),
        };
        self.ask(client, subject).await
    }

    async fn message(&self, client: &ClientInfo<'_>, size: u64) -> Verdict {
        let transaction = client.transaction;
        let recipient = match transaction.map(|transaction| transaction.recipients) {
            Some([one]) => Some(&one.mailbox),
            _ => None,
        };
        let sender = transaction.map(|transaction| transaction.sender);
        let subject = Subject { stage: ServiceStage::EndOfMessage, helo: client.helo, sender, recipient, size };
        self.ask(client, subject).await
    }
}

#[cfg(test)]
mod tests;
