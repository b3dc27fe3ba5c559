//! The store of a route: one connection, which all its delivering threads share by turns.
//!
//! Whoever comes while it is in use leaves rows behind and waits: the next one who gets it puts in all that wait, by one
//! transaction. So the syncs of a busy route are shared, and nobody waits where there is nobody else.
//! Invariant: each consignment is answered, once it is committed or certainly is not.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::connection::{Consignment, Doubt, Failed, OpenTable};
use super::database::Database;
use super::fault::{Scope, is_full, scope, words};
use super::row::Mail;
use super::table::Unfit;
use crate::receipt::{Cause, Reason};
use crate::smtp::EnhancedCode;
use crate::transport::leaving::Leaving;
use crate::transport::settings::{AgentSettings, SecretSource};

/// The most that goes into one transaction.
const MESSAGES: usize = 100;
const OCTETS: usize = 16 * 1024 * 1024;
/// How long a transaction may take, and for how many octets it gets a second more: each recipient's row has the whole message.
const TRANSACTION: Duration = Duration::from_secs(60);
const OCTETS_IN_A_SECOND: usize = 256 * 1024;
/// How often the same is tried before the route pauses.
const TRIES: usize = 3;

/// Why rows were not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The database takes no mail now.
    Route(Reason),
    /// It takes none, and may have stored these rows before it said so.
    Unanswered(Reason),
    /// It does not take these rows.
    Message(Reason),
}

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Store {
    database: Database,
    password: Option<SecretSource>,
    authorities: Option<PathBuf>,
    connect: Duration,
    leaving: Leaving,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<(u64, Consignment)>,
    answers: HashMap<u64, Result<(), Trouble>>,
    tickets: u64,
    in_use: bool,
    /// `None` while it is in use, or before the first use.
    line: Option<Line>,
}

/// A connection and what drives it; the connection goes first.
#[derive(Debug)]
struct Line {
    open: Option<OpenTable>,
    runtime: Runtime,
    used: Instant,
}

impl Store {
    /// That of a route; nothing is opened yet.
    pub(super) fn new(database: &Database, settings: &AgentSettings) -> Self {
        Self {
            database: database.clone(),
            password: settings.password.clone(),
            authorities: settings.authorities().map(Path::to_owned),
            connect: settings.timeouts.connect,
            leaving: settings.leaving.clone(),
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores a consignment, together with those of others. Blocks until it is committed.
    pub(super) fn put(&self, consignment: Consignment) -> Result<(), Trouble> {
        let mut state = self.lock();
        let ticket = state.tickets;
        state.tickets += 1;
        state.waiting.push_back((ticket, consignment));
        loop {
            if let Some(answer) = state.answers.remove(&ticket) {
                return answer;
            }
            if state.in_use {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.in_use = true;
            let (batch, line) = (state.batch(), state.line.take());
            drop(state);
            let (answers, line) = self.serve(line, &batch);
            state = self.lock();
            state.answers.extend(batch.iter().map(|(ticket, _)| *ticket).zip(answers));
            (state.line, state.in_use) = (line, false);
            self.changed.notify_all();
        }
    }

    /// Closes a connection that nobody used for a while.
    pub(super) fn close_unused(&self, limit: Duration) {
        let mut state = self.lock();
        let unused = state.line.as_ref().is_some_and(|line| line.used.elapsed() >= limit);
        let line = state.line.take_if(|_| unused);
        drop(state);
        if let Some(Line { open: Some(open), runtime, .. }) = line {
            runtime.block_on(async { tokio::time::timeout(Duration::from_secs(1), open.close()).await.is_ok() });
        }
    }

    /// Tries the database out: what was found, or why it takes no mail.
    pub(super) fn try_out(&self) -> Result<(Option<usize>, Option<Doubt>), Reason> {
        let runtime = runtime()?;
        runtime.block_on(async {
            let mut open = self.open().await?;
            let largest = open.largest();
            let doubt = open.doubt(&self.database).await.map_err(|error| self.told(&error))?;
            // Without transactions the row would stay.
            if !matches!(doubt, Some(Doubt::Engine(_))) {
                let row = Consignment { mail: Mail::rehearsed(), recipients: vec!["doctor@invalid".to_owned()] };
                match self.in_time(self.connect, open.rehearse(&row)).await {
                    // A CHECK of the administrator may have nothing against mail.
                    Some(Err(error)) if scope(&error) != Scope::Message => return Err(self.told(&error)),
                    Some(_) => {}
                    None => return Err(no_answer(self.connect)),
                }
            }
            open.close().await;
            Ok((largest, doubt))
        })
    }

    /// Answers a batch by a connection, a new one where there is none; one that panicked is not used again.
    fn serve(&self, line: Option<Line>, batch: &[(u64, Consignment)]) -> (Vec<Result<(), Trouble>>, Option<Line>) {
        let for_all = |reason: Reason| batch.iter().map(|_| Err(Trouble::Route(reason.clone()))).collect();
        let line = line.map_or_else(|| runtime().map(|runtime| Line { open: None, runtime, used: Instant::now() }), Ok);
        let mut line = match line {
            Ok(line) => line,
            Err(reason) => return (for_all(reason), None),
        };
        let Line { open, runtime, used } = &mut line;
        let consignments: Vec<_> = batch.iter().map(|(_, consignment)| consignment).collect();
        let served = catch_unwind(AssertUnwindSafe(|| runtime.block_on(self.store_each(open, &consignments))));
        *used = Instant::now();
        match served {
            Ok(answers) => (answers, Some(line)),
            Err(_) => (for_all(ours("storing mail failed in this program itself")), None),
        }
    }

    /// All at once; where one does not fit, each on its own.
    async fn store_each(&self, open: &mut Option<OpenTable>, batch: &[&Consignment]) -> Vec<Result<(), Trouble>> {
        match self.store(open, batch).await {
            Err(Trouble::Message(_)) if batch.len() > 1 => {
                let mut answers = Vec::new();
                for one in batch {
                    answers.push(self.store(open, std::slice::from_ref(one)).await);
                }
                answers
            }
            answer => vec![answer; batch.len()],
        }
    }

    /// One transaction, which is repeated where that may help: what is stored already is not stored again.
    async fn store(&self, open: &mut Option<OpenTable>, batch: &[&Consignment]) -> Result<(), Trouble> {
        let mut unanswered = false;
        let mut tries = 0;
        loop {
            tries += 1;
            let fresh = open.is_none();
            let table = match open {
                Some(table) => table,
                None => {
                    let opened = self.open().await.map_err(|reason| trouble(reason, unanswered))?;
                    open.insert(opened)
                }
            };
            too_large(table, batch)?;
            let limit = limit(batch);
            let Failed { error, in_commit } = match self.in_time(limit, table.store(batch)).await {
                Some(Ok(())) => return Ok(()),
                Some(Err(failed)) => failed,
                None => {
                    *open = None;
                    return Err(Trouble::Unanswered(no_answer(limit)));
                }
            };
            unanswered |= in_commit;
            let scope = scope(&error);
            let reason = match scope {
                Scope::Message => {
                    let text = format!("the database does not take this message: {}", words(&error));
                    return Err(Trouble::Message(database(text)));
                }
                Scope::Table => self.told_table(table, &error).await,
                Scope::Route | Scope::Again => self.told(&error),
            };
            if scope != Scope::Again {
                *open = None;
            }
            // A connection that broke while nobody used it says nothing about the database.
            let again = scope == Scope::Again || in_commit || scope == Scope::Route && !fresh;
            if !again || tries == TRIES {
                return Err(trouble(reason, unanswered));
            }
        }
    }

    /// Connects, within the time for it.
    async fn open(&self) -> Result<OpenTable, Reason> {
        let password = match &self.password {
            None => None,
            Some(secret) => Some(
                secret.read().map_err(|text| Reason::new(EnhancedCode(4, 3, 5), text).because(Cause::Credential))?,
            ),
        };
        let password = password.as_ref().map_or("", |password| password.reveal());
        let opening = OpenTable::open(&self.database, password, self.authorities.as_deref());
        tokio::select! {
            () = self.leaving.raised() => Err(ours("this program ends").because(Cause::Leaving)),
            opened = tokio::time::timeout(self.connect, opening) => match opened {
                Ok(Ok(open)) => Ok(open),
                Ok(Err(Unfit::Table(text))) => Err(database(text)),
                Ok(Err(Unfit::Error(error))) => Err(self.told(&error)),
                Err(_) => {
                    let text = format!("no answer within {} s", self.connect.as_secs());
                    Err(Reason::new(EnhancedCode(4, 4, 1), text).because(Cause::Database))
                }
            },
        }
    }

    /// What comes of it in time: before the limit, and a while after the call to leave.
    async fn in_time<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        let ending = async {
            self.leaving.raised().await;
            tokio::time::sleep(self.leaving.patience()).await;
        };
        tokio::select! {
            done = work => Some(done),
            () = tokio::time::sleep(limit) => None,
            () = ending => None,
        }
    }

    fn told(&self, error: &sqlx::Error) -> Reason {
        let status = if is_full(error) { EnhancedCode(4, 3, 1) } else { EnhancedCode(4, 3, 0) };
        Reason::new(status, words(error)).because(Cause::Database)
    }

    /// What is wrong with the table, in plain words where it can be seen.
    async fn told_table(&self, table: &mut OpenTable, error: &sqlx::Error) -> Reason {
        match self.in_time(TRANSACTION, table.look_again(&self.database)).await {
            Some(Err(Unfit::Table(text))) => database(text),
            _ => self.told(error),
        }
    }
}

impl State {
    /// The next ones, as many as go into one transaction.
    fn batch(&mut self) -> Vec<(u64, Consignment)> {
        let (mut batch, mut octets) = (Vec::new(), 0);
        while let Some((_, next)) = self.waiting.front() {
            octets = self::octets(next).saturating_add(octets);
            if !batch.is_empty() && (batch.len() >= MESSAGES || octets > OCTETS) {
                break;
            }
            batch.extend(self.waiting.pop_front());
        }
        batch
    }
}

fn no_answer(limit: Duration) -> Reason {
    database(format!("no answer to a transaction within {} s", limit.as_secs()))
}

/// How many octets the rows of a message have.
fn octets(consignment: &Consignment) -> usize {
    consignment.mail.size().saturating_mul(consignment.recipients.len())
}

/// How long the rows of a batch may take.
fn limit(batch: &[&Consignment]) -> Duration {
    let octets = batch.iter().fold(0_usize, |sum, one| sum.saturating_add(octets(one)));
    TRANSACTION + Duration::from_secs((octets / OCTETS_IN_A_SECOND) as u64)
}

/// One message above what the database takes would cost the connection.
fn too_large(table: &OpenTable, batch: &[&Consignment]) -> Result<(), Trouble> {
    let Some(largest) = table.largest() else { return Ok(()) };
    let Some(found) = batch.iter().map(|one| one.mail.size()).find(|size| *size > largest) else { return Ok(()) };
    let text =
        format!("the row would have {found} octets, but max_allowed_packet of the database is {largest}; raise it");
    Err(Trouble::Message(database(text)))
}

fn runtime() -> Result<Runtime, Reason> {
    let made = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    made.map_err(|error| ours(&format!("starting a connection failed: {error}")).because(Cause::Resources))
}

fn trouble(reason: Reason, unanswered: bool) -> Trouble {
    if unanswered { Trouble::Unanswered(reason) } else { Trouble::Route(reason) }
}

fn database(text: String) -> Reason {
    Reason::new(EnhancedCode(4, 3, 0), text).because(Cause::Database)
}

fn ours(text: &str) -> Reason {
    Reason::new(EnhancedCode(4, 3, 0), text).because(Cause::Resources)
}
