//! Recipients that exist: whether a mailbox of a domain of ours is there, asked of a file, a command, a database or the next hop.
//!
//! The answer is yes, no or unknown: trouble of ours is never a refusal. What was answered is kept for a while, in bounded memory, and
//! only a few questions are open at a time. Text of a source reaches neither a reply nor the log unescaped.

mod answers;
mod callout;
mod command;
mod existence;
mod file;
mod settings;

pub use callout::answer_of;
pub use command::command_line;
pub use existence::Existence;
pub use file::RecipientFile;
pub use settings::{RecipientSettings, RecipientSource};

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::address::{Mailbox, ReversePath, escaped};
use crate::policy::{ClientInfo, Fallback, Health, HealthObserver, Policy};
use crate::session::Verdict;
use crate::smtp::{EnhancedCode, Reply};
use crate::transport::DatabaseAsker;
use answers::Answers;

/// Questions to a command, a database or a next hop at the same time.
const AT_ONCE: usize = 8;

/// Asks the source, and says what came of it.
pub struct RecipientCheck {
    settings: RecipientSettings,
    /// What a file says.
    file: Option<RecipientFile>,
    /// What asks a database.
    database: Option<Arc<DatabaseAsker>>,
    /// Which mailboxes this relay has itself.
    is_ours: Box<dyn Fn(&Mailbox) -> bool + Send + Sync>,
    answers: Mutex<Answers>,
    open: Arc<Semaphore>,
    health: Health,
}

impl RecipientCheck {
    /// By these settings. Nothing is read or asked before a recipient is named.
    pub fn new(settings: RecipientSettings) -> Self {
        let file = match &settings.source {
            RecipientSource::File(path) => Some(RecipientFile::at(path.clone())),
            _ => None,
        };
        let database = match &settings.source {
            RecipientSource::Database(question) => Some(Arc::new(DatabaseAsker::new(question.clone()))),
            _ => None,
        };
        let (answers, open) = (Mutex::default(), Arc::new(Semaphore::new(AT_ONCE)));
        let health =
            Health::new(RecipientSource::SETTING.to_owned(), settings.fallback).meanwhile(match settings.fallback {
                Fallback::Defer => "such recipients are deferred with 451",
                Fallback::Accept => "such recipients are accepted",
            });
        Self { settings, file, database, is_ours: Box::new(|_| false), answers, open, health }
    }

    /// The same; whether the source answers is reported to this observer.
    #[must_use]
    pub fn reporting_to(mut self, observer: Arc<dyn HealthObserver>) -> Self {
        self.health.report_to(observer);
        self
    }

    /// The same, but it is not asked about mailboxes that this relay has itself, such as lists.
    #[must_use]
    pub fn except(self, is_ours: impl Fn(&Mailbox) -> bool + Send + Sync + 'static) -> Self {
        Self { is_ours: Box::new(is_ours), ..self }
    }

    /// Whether a mailbox exists; `None`: it is of no domain that the source knows.
    ///
    /// # Errors
    /// Why that cannot be found out now, in words that are safe to log.
    pub async fn existence(&self, recipient: &Mailbox) -> Result<Option<Existence>, String> {
        // RFC 5321 4.5.1: whoever has trouble with a domain must be able to reach its postmaster.
        let is_asked = self.settings.domains.contains(recipient.domain()) && !recipient.is_postmaster();
        if !is_asked || (self.is_ours)(recipient) {
            return Ok(None);
        }
        if let Some(file) = &self.file {
            return self.note(file.existence(recipient)).map(Some);
        }
        let key = recipient.to_string().to_lowercase();
        if let Some(known) = locked(&self.answers).get(&key, Instant::now()) {
            return known.map(Some);
        }
        let answer = match tokio::time::timeout(self.settings.timeout, self.ask(recipient)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {} s", self.settings.timeout.as_secs())),
        };
        locked(&self.answers).keep(key, answer.clone(), Instant::now());
        self.note(answer).map(Some)
    }

    /// Whether the source answered.
    fn note(&self, answer: Result<Existence, String>) -> Result<Existence, String> {
        match &answer {
            Ok(_) => self.health.note_answer(),
            Err(error) => self.health.note_trouble(&escaped(error)),
        }
        answer
    }

    async fn ask(&self, recipient: &Mailbox) -> Result<Existence, String> {
        let permit = Arc::clone(&self.open).acquire_owned().await.map_err(|error| error.to_string())?;
        let (source, recipient, timeout) = (self.settings.source.clone(), recipient.clone(), self.settings.timeout);
        let database = self.database.clone();
        let work = move || {
            // It is given back when the work is over, also where nobody waits for it any more.
            let _permit = permit;
            match &source {
                RecipientSource::File(_) => Err("a file is read, not asked".to_owned()),
                RecipientSource::Command(line) => command::ask(line, &recipient, timeout),
                RecipientSource::Callout(settings) => callout::ask(settings, &recipient, timeout),
                RecipientSource::Database(_) => database.map_or_else(
                    || Err("there is nobody to ask".to_owned()),
                    |asker| Ok(if asker.has_row(&recipient, timeout)? { Existence::Yes } else { Existence::No }),
                ),
            }
        };
        spawn_blocking(work).await.unwrap_or_else(|_panicked| Err("an internal error".to_owned()))
    }

    async fn judge(&self, recipient: &Mailbox) -> Verdict {
        match self.existence(recipient).await {
            Ok(None | Some(Existence::Yes)) => Verdict::Accept,
            Ok(Some(Existence::No)) => Verdict::Refuse(no_mailbox(recipient)),
            Err(_) => match self.settings.fallback {
                Fallback::Accept => Verdict::Accept,
                Fallback::Defer => Verdict::Defer(unknown()),
            },
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// RFC 3463 3.2: bad destination mailbox address.
fn no_mailbox(recipient: &Mailbox) -> Reply {
    let shown: String =
        recipient.to_string().chars().take(100).map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect();
    let text = format!("there is no mailbox {shown}, says the source in the relay's setting recipients.source");
    Reply::new(550, EnhancedCode(5, 1, 1), text)
}

fn unknown() -> Reply {
    let text =
        "this relay could not find out whether the mailbox exists; try again later (its setting recipients.source)";
    Reply::new(451, EnhancedCode(4, 3, 0), text)
}

#[async_trait]
impl Policy for RecipientCheck {
    async fn rcpt(&self, _: &ClientInfo<'_>, _: &ReversePath, recipient: &Mailbox) -> Verdict {
        self.judge(recipient).await
    }

    async fn verify(&self, _: &ClientInfo<'_>, mailbox: &Mailbox) -> Verdict {
        // Whoever asks is not told yes for want of an answer.
        match self.existence(mailbox).await {
            Err(_) => Verdict::Defer(unknown()),
            Ok(_) => self.judge(mailbox).await,
        }
    }
}

#[cfg(test)]
mod tests;
