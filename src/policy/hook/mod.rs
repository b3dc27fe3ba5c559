//! JSON hooks: a coprocess or a URL that decides about clients, senders, recipients and messages, by the schema of Stalwart's
//! MTA hooks.
//!
//! A hook is a policy, and for whole messages an inspector; the rules of leafmail come first. Where it gives no answer that
//! can be carried out, the client is deferred, or accepted if the configuration says so; a message is never refused for
//! trouble of ours, and never discarded unless the configuration allows it.

mod answer;
mod coprocess;
mod envelope_change;
mod logins;
mod question;
mod settings;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::health::{Health, HealthObserver};
use super::{ClientInfo, Inspection, Inspector, Interest, Policy};
use crate::address::{Mailbox, ReversePath};
use crate::envelope::{Envelope, Peer};
use crate::session::{Additions, Verdict};
use crate::smtp::header::Beginning;
use crate::webhook;
use answer::{HookAction, HookAnswer};
use coprocess::CoprocessPool;
pub use settings::{Discarding, HookSettings, HookStage, HookTarget};

/// The longest answer of a URL, in octets.
const MAX_ANSWER: u64 = 1024 * 1024;
/// Questions to a URL at the same time.
const MOST_POSTS: usize = 64;

/// A hook; cheap to clone, as the inspection of a message has one.
#[derive(Clone)]
pub struct JsonHook {
    inner: Arc<Inner>,
}

struct Inner {
    settings: HookSettings,
    way: Way,
    health: Health,
}

enum Way {
    Command(CoprocessPool),
    Url(String, Arc<Semaphore>),
}

impl JsonHook {
    /// A hook with these settings. Nothing is started or connected to before a question.
    pub fn new(settings: HookSettings) -> Self {
        Self::with(settings, None)
    }

    /// The same; whether it answers is reported to this observer.
    pub fn reporting_to(settings: HookSettings, observer: Arc<dyn HealthObserver>) -> Self {
        Self::with(settings, Some(observer))
    }

    fn with(settings: HookSettings, observer: Option<Arc<dyn HealthObserver>>) -> Self {
        let way = match &settings.target {
            HookTarget::Command(line) => Way::Command(CoprocessPool::new(line.clone(), settings.timeout)),
            HookTarget::Url(url) => Way::Url(url.clone(), Arc::new(Semaphore::new(MOST_POSTS))),
        };
        let mut health = Health::new(settings.name.clone(), settings.fallback);
        observer.into_iter().for_each(|observer| health.report_to(observer));
        Self { inner: Arc::new(Inner { settings, way, health }) }
    }

    /// Asks one question that concerns no client, as `doctor` does; the action that the hook answers.
    ///
    /// # Errors
    /// What went wrong.
    pub async fn probe(&self) -> Result<&'static str, String> {
        let client = ClientInfo::new(Peer::tcp(([192, 0, 2, 1], 4711).into()));
        if self.inner.settings.stages.contains(&HookStage::Auth) {
            return Ok(self.probe_login(&client).await?.action.word());
        }
        let recipient: Option<Mailbox> = "doctor@recipient.invalid".parse().ok();
        let stage = self.inner.settings.stages.first().copied().unwrap_or(HookStage::Data);
        let context = question::context(&self.inner.settings.host, &client, stage, Some("doctor.invalid"));
        let envelope = question::begun(&ReversePath::Null, None, recipient.iter());
        let mut contents = Beginning::new(self.inner.settings.contents);
        contents.add(b"Subject: a test of leafmail\r\n\r\nThis message does not exist.\r\n");
        let question = json!({ "context": context, "envelope": envelope, "message": question::message(&contents) });
        let answer = self.inner.exchange(question).await?;
        Ok(HookAnswer::parse(&answer, stage)?.action.word())
    }

    /// Whether it wants to know of this client at this stage.
    fn is_asked(&self, client: &ClientInfo<'_>, stage: HookStage) -> bool {
        let HookSettings { stages, except, except_logins, listeners, .. } = &self.inner.settings;
        let is_meant = stages.contains(&stage) && listeners.include(client);
        is_meant && !client.peer.is_in(except) && !(*except_logins && client.login.is_some())
    }

    fn context(&self, client: &ClientInfo<'_>, stage: HookStage) -> Value {
        question::context(&self.inner.settings.host, client, stage, client.helo)
    }
}

impl Inner {
    async fn ask(&self, question: Value, stage: HookStage) -> Verdict {
        match self.answer(question, stage).await {
            Some(answer) => self.carry_out(answer),
            None => self.health.fallback(),
        }
    }

    /// The answer to a question; none where there is none that can be carried out.
    async fn answer(&self, question: Value, stage: HookStage) -> Option<HookAnswer> {
        if self.health.rests() {
            return None;
        }
        let answer = self.exchange(question).await.and_then(|answer| HookAnswer::parse(&answer, stage));
        let answer = answer.and_then(|answer| match &answer.route {
            Some(route) if !self.settings.routes.contains(route) => {
                Err("it chose a route that the configuration does not have".to_owned())
            }
            _ => Ok(answer),
        });
        match &answer {
            Ok(_) => self.health.note_answer(),
            Err(error) => self.health.note_trouble(error),
        }
        answer.ok()
    }

    /// One question and its answer, within the time limit.
    async fn exchange(&self, question: Value) -> Result<Vec<u8>, String> {
        let (asked, limit) = (Instant::now(), self.settings.timeout);
        let answer = async {
            match &self.way {
                Way::Command(pool) => pool.ask(question).await,
                Way::Url(url, posts) => post(url, &question, posts, limit).await,
            }
        };
        match tokio::time::timeout(limit, answer).await {
            Ok(answer) => answer,
            Err(_) => {
                self.health.exceeded();
                if let Way::Command(pool) = &self.way {
                    pool.note_late(asked);
                }
                Err(format!("no answer within {} s", limit.as_secs()))
            }
        }
    }

    fn carry_out(&self, answer: HookAnswer) -> Verdict {
        let mut additions = Additions::edits(answer.edits);
        if let Some(told) = envelope_change::told(&answer.envelope, answer.route.as_deref()) {
            additions.join(Additions::note(&self.named(&told)));
        }
        (additions.envelope, additions.route) = (answer.envelope, answer.route);
        answer.lines.into_iter().for_each(|line| additions.join(Additions::header(line)));
        answer.notes.iter().for_each(|note| additions.join(Additions::note(&self.named(note))));
        match answer.action {
            HookAction::Refuse(reply) => return Verdict::Refuse(reply),
            HookAction::Defer(reply) => return Verdict::Defer(reply),
            HookAction::Disconnect(reply) => return Verdict::Disconnect(reply),
            HookAction::Accept | HookAction::Authenticate => {}
            HookAction::Hold(reason) => additions.join(Additions::hold(&self.named(&reason))),
            HookAction::Discard(reason) => additions.join(match self.settings.discarding {
                Discarding::Allowed => Additions::discard(&self.named(&reason)),
                // Nothing that was accepted gets lost: a person decides.
                Discarding::Held => Additions::hold(&self.named(&format!("discard: {reason}"))),
            }),
        }
        Verdict::accept_with(additions)
    }

    fn named(&self, text: &str) -> String {
        format!("{}: {}", self.settings.name, if text.is_empty() { "no reason given" } else { text })
    }
}

/// Asks a URL, on a thread that may block.
async fn post(url: &str, question: &Value, posts: &Arc<Semaphore>, limit: Duration) -> Result<Vec<u8>, String> {
    // It goes with the thread, which may go on for longer than somebody waits.
    let permit = Arc::clone(posts).acquire_owned().await.map_err(|error| error.to_string())?;
    let (url, body) = (url.to_owned(), question.to_string());
    let asked = tokio::task::spawn_blocking(move || {
        let answer = webhook::ask(&url, &body, MAX_ANSWER, limit);
        drop(permit);
        answer
    });
    let answer = asked.await.map_err(|error| error.to_string())??;
    match answer.is_success() {
        true if answer.body.len() as u64 >= MAX_ANSWER => Err("it answered with too much".to_owned()),
        true => Ok(answer.body),
        false => Err(format!("it answered with the status {}", answer.status)),
    }
}

#[async_trait]
impl Policy for JsonHook {
    async fn connect(&self, client: &ClientInfo<'_>) -> Verdict {
        if !self.is_asked(client, HookStage::Connect) {
            return Verdict::Accept;
        }
        let question = json!({ "context": self.context(client, HookStage::Connect) });
        self.inner.ask(question, HookStage::Connect).await
    }

    async fn helo(&self, client: &ClientInfo<'_>, name: &str) -> Verdict {
        if !self.is_asked(client, HookStage::Ehlo) {
            return Verdict::Accept;
        }
        let context = question::context(&self.inner.settings.host, client, HookStage::Ehlo, Some(name));
        self.inner.ask(json!({ "context": context }), HookStage::Ehlo).await
    }

    async fn mail(&self, client: &ClientInfo<'_>, sender: &ReversePath, declared_size: Option<u64>) -> Verdict {
        if !self.is_asked(client, HookStage::Mail) {
            return Verdict::Accept;
        }
        let envelope = question::begun(sender, declared_size, std::iter::empty());
        let question = json!({ "context": self.context(client, HookStage::Mail), "envelope": envelope });
        self.inner.ask(question, HookStage::Mail).await
    }

    async fn rcpt(&self, client: &ClientInfo<'_>, sender: &ReversePath, recipient: &Mailbox) -> Verdict {
        if !self.is_asked(client, HookStage::Rcpt) {
            return Verdict::Accept;
        }
        let before = client.transaction.map_or(&[][..], |transaction| transaction.recipients);
        let recipients = before.iter().map(|recipient| &recipient.mailbox).chain([recipient]);
        let size = client.transaction.and_then(|transaction| transaction.declared_size);
        let envelope = question::begun(sender, size, recipients);
        let question = json!({ "context": self.context(client, HookStage::Rcpt), "envelope": envelope });
        self.inner.ask(question, HookStage::Rcpt).await
    }
}

#[async_trait]
impl Inspector for JsonHook {
    async fn begin(&self, client: &ClientInfo<'_>, envelope: &Envelope) -> Interest {
        if !self.is_asked(client, HookStage::Data) {
            return Interest::PassedOver;
        }
        let question =
            json!({ "context": self.context(client, HookStage::Data), "envelope": question::envelope(envelope) });
        let contents = Beginning::new(self.inner.settings.contents);
        Interest::Inspecting(Box::new(HookInspection { hook: Arc::clone(&self.inner), question, contents }))
    }
}

/// A message that a hook is going to be asked about.
struct HookInspection {
    hook: Arc<Inner>,
    question: Value,
    contents: Beginning,
}

#[async_trait]
impl Inspection for HookInspection {
    async fn octets(&mut self, octets: &[u8]) {
        self.contents.add(octets);
    }

    async fn end(mut self: Box<Self>) -> Verdict {
        self.question["message"] = question::message(&self.contents);
        self.hook.ask(self.question, HookStage::Data).await
    }
}

#[cfg(test)]
mod tests;
