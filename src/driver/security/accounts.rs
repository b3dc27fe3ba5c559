//! Who may log in: what policies say, then the stored users or a program that knows them.
//!
//! A password is checked on a thread that may block, few at a time, and the addresses take turns. What is not known for
//! trouble of ours is no failed login.

use std::io;
use std::sync::Arc;
use std::thread::available_parallelism;

use async_trait::async_trait;
use tokio::task::spawn_blocking;

use super::lockout::{Failure, Lockout};
use super::turns::Turns;
use crate::auth::{UserFile, Users};
use crate::envelope::Peer;
use crate::event::{Event, Observer};
use crate::policy::{ClientInfo, LoginPolicy, LoginVerdict, PasswordLogin};
use crate::session::{Answer, Query};
use crate::smtp::{Mechanism, Mechanisms, catalogue};

/// Checks of passwords at the same time, but no more than there are processors: each keeps 19 MiB (RFC 9106's second
/// choice, as OWASP narrows it).
const CHECKS: usize = 4;

/// Who knows users that are in no file.
#[async_trait]
pub trait PasswordSource: Send + Sync {
    /// The users among whom the password of this one is looked for. Without such a user, others on whom the same work is done.
    ///
    /// # Errors
    /// In words for the log, where it cannot be found out.
    async fn users(&self, user: &str) -> Result<Arc<Users>, String>;
}

/// The users, and the addresses that guessed too often.
pub struct Accounts {
    users: Option<Arc<UserFile>>,
    source: Option<Box<dyn PasswordSource>>,
    /// Who decides before the users are asked.
    policies: Vec<Arc<dyn LoginPolicy>>,
    lockout: Arc<Lockout>,
    max_failures: u32,
    turns: Arc<Turns>,
}

impl Accounts {
    /// The users of a file, if any; `failures` end a session, and lock the address out.
    pub fn new(users: Option<UserFile>, failures: u32, lockout: Arc<Lockout>) -> Self {
        Self {
            users: users.map(Arc::new),
            source: None,
            policies: Vec::new(),
            lockout,
            max_failures: failures,
            turns: Turns::new(available_parallelism().map_or(1, |processors| processors.get().min(CHECKS))),
        }
    }

    /// The users whom a program knows, by PLAIN and LOGIN.
    pub fn asking(source: Box<dyn PasswordSource>, failures: u32, lockout: Arc<Lockout>) -> Self {
        Self { source: Some(source), ..Self::new(None, failures, lockout) }
    }

    /// The same; these policies are asked first, in this order, about logins by PLAIN and LOGIN.
    #[must_use]
    pub fn decided_by(self, policies: Vec<Arc<dyn LoginPolicy>>) -> Self {
        Self { policies, ..self }
    }

    fn users(&self) -> Result<Option<Arc<Users>>, String> {
        self.users.as_ref().map(|file| file.users()).transpose()
    }
}

impl Accounts {
    pub(super) fn is_locked_out(&self, peer: Peer) -> bool {
        self.lockout.holds(Failure::Login, peer, self.max_failures)
    }

    pub(super) fn mechanisms(&self, observer: &dyn Observer) -> Mechanisms {
        let by_password = [Mechanism::Plain, Mechanism::Login].into_iter();
        if self.source.is_some() {
            return by_password.collect();
        }
        let stored = match self.users() {
            Ok(users) => users.map_or(Mechanisms::NONE, |users| users.mechanisms()),
            Err(text) => {
                observer.observe(&Event::Trouble { text });
                Mechanisms::NONE
            }
        };
        let decided = by_password.filter(|_| !self.policies.is_empty());
        let stored = Mechanism::ALL.into_iter().filter(|one| stored.contains(*one));
        stored.chain(decided).collect()
    }

    /// What the policies say, and then the stored users.
    pub(super) async fn look_up(&self, query: Query, client: &ClientInfo<'_>, observer: &dyn Observer) -> Answer {
        if self.policies.is_empty() {
            return self.compare(query, client.peer, observer).await;
        }
        let Decided { answer, is_sure } = self.decide(&query, client).await;
        // Others of this address may have failed meanwhile.
        if self.is_locked_out(client.peer) {
            return Answer::Unavailable(catalogue::locked_out());
        }
        if let Some(answer) = answer {
            return answer;
        }
        let unsure_of = match &query {
            Query::Password { user, .. } if !is_sure => Some(user.clone()),
            _ => None,
        };
        match (self.compare(query, client.peer, observer).await, unsure_of) {
            (Answer::Wrong, Some(user)) => {
                self.note_unsure(client.peer, &user, observer);
                unavailable()
            }
            (answer, _) => answer,
        }
    }

    /// The stored users say no, and whoever gave no answer may know better. For a stored user it still is a guess that counts:
    /// nobody may guess without end while a policy is silent.
    fn note_unsure(&self, peer: Peer, user: &str, observer: &dyn Observer) {
        if self.has_stored(user)
            && let Err(error) = self.strike(peer, user)
        {
            let text = format!("counting failures of clients in routes/clients.failures of the spool: {error}");
            observer.observe(&Event::Trouble { text });
        }
    }

    /// What the policies say of a password.
    async fn decide(&self, query: &Query, client: &ClientInfo<'_>) -> Decided {
        let mut decided = Decided { answer: None, is_sure: true };
        let Query::Password { user, password, mechanism } = query else { return decided };
        let login = PasswordLogin { user, password, mechanism: *mechanism };
        for policy in &self.policies {
            decided.answer = match policy.login(client, login).await {
                LoginVerdict::NoOpinion => continue,
                LoginVerdict::NoAnswer => {
                    decided.is_sure = false;
                    continue;
                }
                LoginVerdict::LoggedIn => Some(Answer::Right),
                LoginVerdict::Refuse(reply) => Some(Answer::Refused { reply, closes: false }),
                LoginVerdict::Disconnect(reply) => Some(Answer::Refused { reply, closes: true }),
                LoginVerdict::Defer(reply) => Some(Answer::Unavailable(reply)),
            };
            break;
        }
        decided
    }

    /// What the stored users say.
    async fn compare(&self, query: Query, peer: Peer, observer: &dyn Observer) -> Answer {
        let found = match (&self.source, &query) {
            (Some(source), Query::Password { user, .. }) => source.users(user).await.map(Some),
            _ => self.users(),
        };
        let users = match found {
            Ok(Some(users)) => users,
            Ok(None) if self.policies.is_empty() => return unavailable(),
            Ok(None) => return Answer::Wrong,
            Err(text) => {
                observer.observe(&Event::Trouble { text });
                return unavailable();
            }
        };
        let Some(mut turn) = self.turns.take(peer).await else { return unavailable() };
        // Others of this address may have failed while this one waited.
        if self.is_locked_out(peer) {
            return Answer::Unavailable(catalogue::locked_out());
        }
        let work = move || match query {
            Query::Password { user, password, .. } => match users.check(&user, &password, turn.memory()) {
                true => Answer::Right,
                false => Answer::Wrong,
            },
            Query::Find(mechanism, user) => users.find(mechanism, &user).map_or_else(unavailable, Answer::Found),
            Query::Begin(_) => unavailable(),
        };
        spawn_blocking(work).await.unwrap_or_else(|_panicked| unavailable())
    }

    /// Failed logins that end a session, and lock an address out.
    pub(super) fn max_failures(&self) -> u32 {
        self.max_failures
    }

    /// Whether the file has this user.
    pub(super) fn has_stored(&self, user: &str) -> bool {
        matches!(self.users(), Ok(Some(users)) if users.contains(user))
    }

    /// A login failed; whether this locks the address out.
    pub(super) fn strike(&self, peer: Peer, user: &str) -> io::Result<bool> {
        self.lockout.strike(Failure::Login, peer, Some(user), self.max_failures)
    }

    /// A login succeeded.
    pub(super) fn forgive(&self, peer: Peer, user: &str) -> io::Result<()> {
        self.lockout.forgive(peer, user)
    }
}

/// What policies said of a login.
struct Decided {
    answer: Option<Answer>,
    /// Whether all who were asked gave an answer.
    is_sure: bool,
}

fn unavailable() -> Answer {
    Answer::Unavailable(catalogue::auth_unavailable())
}
