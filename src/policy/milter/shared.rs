//! What the sessions share of one milter: its settings, its health, and the conversation of each session in which mail was begun.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::answer::MilterAnswer;
use super::conversation::Conversation;
use super::settings::MilterSettings;
use super::wire::WireError;
use crate::address::{Mailbox, ReversePath};
use crate::policy::ClientInfo;
use crate::policy::health::{Health, HealthObserver};
use crate::session::{Additions, Verdict};

/// What the sessions share.
pub(super) struct Shared {
    pub(super) settings: Arc<MilterSettings>,
    pub(super) health: Health,
    /// The conversations of sessions in which mail was begun, by their number.
    visits: Mutex<HashMap<u64, Visit>>,
}

/// A session of which the milter knows.
pub(super) enum Visit {
    Talking(Box<Conversation>),
    /// There was trouble within the present transaction.
    Failed,
}

impl Shared {
    pub(super) fn new(settings: MilterSettings, observer: Option<Arc<dyn HealthObserver>>) -> Self {
        let mut health = Health::new(settings.name(), settings.fallback);
        observer.into_iter().for_each(|observer| health.report_to(observer));
        Self { settings: Arc::new(settings), health, visits: Mutex::default() }
    }

    pub(super) fn name(&self) -> String {
        self.settings.name()
    }

    pub(super) fn named(&self, text: &str) -> String {
        format!("{}: {}", self.name(), if text.trim().is_empty() { "no reason given" } else { text })
    }

    pub(super) fn is_excepted(&self, client: &ClientInfo<'_>) -> bool {
        !self.settings.listeners.include(client)
            || client.peer.is_in(&self.settings.except)
            || self.settings.except_logins && client.login.is_some()
    }

    pub(super) fn visits(&self) -> MutexGuard<'_, HashMap<u64, Visit>> {
        self.visits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(&self, session: u64, conversation: Box<Conversation>) {
        self.visits().insert(session, Visit::Talking(conversation));
    }

    pub(super) fn take(&self, session: u64) -> Option<Box<Conversation>> {
        match self.visits().remove(&session) {
            Some(Visit::Talking(conversation)) => Some(conversation),
            Some(Visit::Failed) | None => None,
        }
    }

    pub(super) fn note_trouble(&self, error: &WireError) {
        if matches!(error, WireError::Late(_)) {
            self.health.exceeded();
        }
        self.health.note_trouble(&error.to_string());
    }

    /// The verdict where the milter gives none.
    pub(super) fn without(&self) -> Verdict {
        match self.health.fallback() {
            Verdict::Accept => Verdict::accept_with(Additions::note(&self.named("it did not answer"))),
            other => other,
        }
    }

    pub(super) fn failed(&self, session: u64, error: &WireError) -> Verdict {
        self.note_trouble(error);
        self.visits().insert(session, Visit::Failed);
        self.without()
    }

    /// What an answer before the message means to the client.
    pub(super) fn verdict(&self, answer: &MilterAnswer) -> Verdict {
        // One that goes on may fail later in the message: it is well when it has decided.
        if *answer != MilterAnswer::Continue {
            self.health.note_answer();
        }
        match answer {
            MilterAnswer::Refuse(reply) => Verdict::Refuse(reply.clone()),
            MilterAnswer::Defer(reply) => Verdict::Defer(reply.clone()),
            MilterAnswer::Disconnect(reply) => Verdict::Disconnect(reply.clone()),
            MilterAnswer::Discard => Verdict::accept_with(Additions::hold(&self.named("it was to be discarded"))),
            _ => Verdict::Accept,
        }
    }

    pub(super) async fn mail(&self, client: &ClientInfo<'_>, sender: &ReversePath) -> Verdict {
        let kept = self.take(client.session);
        if self.health.rests() {
            self.visits().insert(client.session, Visit::Failed);
            return self.without();
        }
        match self.begin(kept, client, sender).await {
            Ok((conversation, answer)) => {
                self.put(client.session, conversation);
                self.verdict(&answer)
            }
            Err(error) => self.failed(client.session, &error),
        }
    }

    /// Begins a message on the connection of the session, or on a new one.
    pub(super) async fn begin(
        &self,
        kept: Option<Box<Conversation>>,
        client: &ClientInfo<'_>,
        sender: &ReversePath,
    ) -> Result<(Box<Conversation>, MilterAnswer), WireError> {
        if let Some(mut kept) = kept
            && kept.is_for(client).await
        {
            match self.about_message(&mut kept, client, sender).await {
                Ok(answer) => return Ok((kept, answer)),
                // It closed the connection meanwhile, as one that is restarted does.
                Err(WireError::Broken(_)) => {}
                Err(late) => return Err(late),
            }
        }
        let mut fresh = Box::new(Conversation::open(Arc::clone(&self.settings), client).await?);
        match fresh.greet(client).await? {
            MilterAnswer::Continue => {}
            MilterAnswer::Accept => fresh.accepted = true,
            refused => return Ok((fresh, refused)),
        }
        let answer = self.about_message(&mut fresh, client, sender).await?;
        Ok((fresh, answer))
    }

    pub(super) async fn about_message(
        &self,
        conversation: &mut Conversation,
        client: &ClientInfo<'_>,
        sender: &ReversePath,
    ) -> Result<MilterAnswer, WireError> {
        conversation.is_passed_over = conversation.accepted;
        if conversation.accepted {
            return Ok(MilterAnswer::Accept);
        }
        let answer = conversation.mail(client, sender).await?;
        conversation.is_passed_over = matches!(answer, MilterAnswer::Accept | MilterAnswer::Discard);
        Ok(answer)
    }

    pub(super) async fn rcpt(&self, client: &ClientInfo<'_>, recipient: &Mailbox) -> Verdict {
        let Some(mut conversation) = self.take(client.session) else {
            self.visits().insert(client.session, Visit::Failed);
            return self.without();
        };
        if conversation.is_passed_over {
            self.put(client.session, conversation);
            return Verdict::Accept;
        }
        match conversation.rcpt(&recipient.to_string()).await {
            Ok(answer) => {
                conversation.is_passed_over = matches!(answer, MilterAnswer::Accept | MilterAnswer::Discard);
                self.put(client.session, conversation);
                self.verdict(&answer)
            }
            Err(error) => self.failed(client.session, &error),
        }
    }
}
