//! The connections by which a database is asked: a few, which stay open for a while.
//!
//! Invariant: what is asked changes nothing in a database. A connection whose answer did not come in time is not used again.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row};
use tokio::runtime::Runtime;

use super::connection::{Access, connect};
use super::fault::words;
use super::question::{DatabaseQuestion, Part};
use crate::address::Mailbox;

/// Connections that are kept for later.
const KEPT: usize = 2;
/// How long one may have been of no use.
const UNUSED: Duration = Duration::from_secs(60);

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Connections {
    question: DatabaseQuestion,
    kept: Mutex<VecDeque<Line>>,
}

/// A connection and what drives it.
#[derive(Debug)]
struct Line {
    connection: AnyConnection,
    /// Always there until the end.
    runtime: Option<Runtime>,
    used: Instant,
}

impl Drop for Line {
    /// A runtime may not wait for its end where others run.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Why there is no answer.
enum Failed {
    Error(sqlx::Error),
    Text(String),
}

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Self::Error(error)
    }
}

/// What is read of a row, which says whether another one is wanted.
type Reader<'a> = &'a mut dyn FnMut(&AnyRow) -> Result<bool, Failed>;

impl Connections {
    /// Nothing is opened yet.
    pub(super) fn new(question: DatabaseQuestion) -> Self {
        Self { question, kept: Mutex::default() }
    }

    /// As of `DatabaseAsker`.
    pub(super) fn has_row(&self, address: &Mailbox, patience: Duration) -> Result<bool, String> {
        let mut found = false;
        self.read(address, patience, &mut |_| {
            found = true;
            Ok(false)
        })?;
        Ok(found)
    }

    /// As of `DatabaseAsker`.
    pub(super) fn texts(&self, address: &Mailbox, most: usize, patience: Duration) -> Result<Vec<String>, String> {
        let mut texts = Vec::new();
        self.read(address, patience, &mut |row| {
            if texts.len() >= most {
                return Err(Failed::Text(format!("expected at most {most} rows")));
            }
            let text = row.try_get::<String, _>(0);
            texts.push(text.map_err(|_| Failed::Text("expected text in the first column of the query".to_owned()))?);
            Ok(true)
        })?;
        Ok(texts)
    }

    fn read(&self, address: &Mailbox, patience: Duration, reader: Reader<'_>) -> Result<(), String> {
        let end = Instant::now() + patience;
        let left = || end.saturating_duration_since(Instant::now());
        // What broke while nobody used it says nothing about the database.
        let mut line = self.unused();
        let mut failed = None;
        if let Some(used) = &mut line {
            failed = self.ask(used, address, left(), reader).err();
            if matches!(failed, Some(Failed::Error(sqlx::Error::Database(_)) | Failed::Text(_)) | None) {
                return self.keep(line, failed);
            }
        }
        if left().is_zero() {
            return self.keep(None, failed);
        }
        let mut fresh = self.open(left())?;
        let failed = self.ask(&mut fresh, address, left(), reader).err();
        self.keep(Some(fresh), failed)
    }

    /// A connection that was of use lately.
    fn unused(&self) -> Option<Line> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|line| line.used.elapsed() < UNUSED);
        kept.pop_back()
    }

    /// Keeps a connection that works, and tells what came of it.
    fn keep(&self, line: Option<Line>, failed: Option<Failed>) -> Result<(), String> {
        match failed {
            Some(Failed::Error(error)) => return Err(words(&error)),
            // It may have an answer under way.
            Some(Failed::Text(text)) => return Err(text),
            None => {}
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(line);
        kept.truncate(KEPT);
        Ok(())
    }

    fn open(&self, patience: Duration) -> Result<Line, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
        let runtime = runtime.map_err(|error| format!("starting a connection failed: {error}"))?;
        let password = self.question.password.as_ref().map(|secret| secret.read()).transpose()?;
        let password = password.as_ref().map_or("", |password| password.reveal());
        let database = &self.question.url.0;
        let connecting = connect(database, password, None, Access::Read);
        let opened = runtime.block_on(async { tokio::time::timeout(patience, connecting).await });
        match opened {
            Ok(Ok(connection)) => Ok(Line { connection, runtime: Some(runtime), used: Instant::now() }),
            Ok(Err(error)) => Err(words(&error)),
            Err(_) => Err(format!("no connection within {} s", patience.as_secs())),
        }
    }

    fn ask(&self, line: &mut Line, address: &Mailbox, patience: Duration, reader: Reader<'_>) -> Result<(), Failed> {
        let Line { connection, runtime, used } = line;
        let Some(runtime) = runtime else { return Err(Failed::Text("the connection has ended".to_owned())) };
        let asked = runtime.block_on(async {
            tokio::time::timeout(patience, rows(connection, &self.question, address, reader)).await
        });
        *used = Instant::now();
        asked.unwrap_or_else(|_| Err(Failed::Text(format!("no answer within {} s", patience.as_secs()))))
    }
}

/// Asks on a connection, and reads row by row.
async fn rows(
    connection: &mut AnyConnection,
    question: &DatabaseQuestion,
    address: &Mailbox,
    reader: Reader<'_>,
) -> Result<(), Failed> {
    let (statement, parts) = question.query.statement(question.url.0.kind);
    let mut query = sqlx::query(AssertSqlSafe(statement));
    for part in parts {
        query = query.bind(value(address, part));
    }
    let mut rows = query.fetch(connection);
    while let Some(row) = poll_fn(|context| rows.as_mut().poll_next(context)).await {
        if !reader(&row?)? {
            break;
        }
    }
    Ok(())
}

/// In small letters: case does not count for a mailbox that people write to.
fn value(address: &Mailbox, part: Part) -> String {
    match part {
        Part::Address => address.to_string().to_lowercase(),
        Part::Local => address.local().to_lowercase(),
        Part::Domain => address.domain().to_string().to_lowercase(),
    }
}
