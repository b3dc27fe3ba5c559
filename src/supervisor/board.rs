//! The scoreboard: the state of the workers, in small files of the spool's `log/` that `smtpd --status` reads.
//!
//! Each worker writes its own file, `smtpd-PID.status`, as a whole and by rename, at most once a second. Nobody else
//! writes it, so no lock is needed. A new worker adds up the counts of the earlier ones, and removes the files of
//! dead ones.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::SupervisorStatus;
use crate::event::{Event, Observer};
use crate::small_file::{self, FileSync, Writers};
use crate::sys::process;

/// Longer than any that we write.
const MAX_OCTETS: u64 = 64 * 1024;
/// Of the last error.
const MAX_TEXT: usize = 500;
const INTERVAL: Duration = Duration::from_secs(1);

/// What one worker tells of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its process id.
    pub pid: u32,
    /// Distinguishes it from another process with the same id: clock ticks from boot to its start.
    pub birth: u64,
    /// Since when, in milliseconds since 1970.
    pub since: u64,
    /// What it does.
    pub state: State,
    /// Its supervisor.
    pub supervisor: SupervisorStatus,
    /// Sessions at present.
    pub sessions: u64,
    /// What it did.
    pub own: Totals,
    /// What those before it did.
    pub before: Totals,
    /// The last trouble that it had.
    pub last_error: Option<String>,
}

/// What a worker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It takes connections.
    Serving,
    /// It finishes its sessions, as another one takes the connections.
    Draining,
    /// It is gone, and took its leave.
    Ended,
}

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Sessions.
    pub sessions: u64,
    /// Messages accepted.
    pub accepted: u64,
    /// Commands and messages refused.
    pub refused: u64,
}

impl Totals {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            sessions: self.sessions.saturating_add(other.sessions),
            accepted: self.accepted.saturating_add(other.accepted),
            refused: self.refused.saturating_add(other.refused),
        }
    }
}

impl Record {
    /// Whether the worker lives.
    pub fn is_alive(&self) -> bool {
        process::birth(self.pid) == Some(self.birth)
    }
}

/// Where the records are: `log/` in the spool.
#[derive(Debug, Clone)]
pub struct BoardFolder(PathBuf);

impl BoardFolder {
    /// Of the spool at this path.
    pub fn of_spool(spool: &Path) -> Self {
        Self(spool.join("log"))
    }

    /// All records that can be read, the oldest first.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn records(&self) -> io::Result<Vec<Record>> {
        let mut records = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            let name = entry.file_name();
            let is_record = name.to_str().is_some_and(|name| name.starts_with("smtpd-") && name.ends_with(".status"));
            let fits = || entry.metadata().is_ok_and(|status| status.is_file() && status.len() <= MAX_OCTETS);
            if is_record && fits() {
                records.extend(fs::read(entry.path()).ok().and_then(|octets| serde_json::from_slice(&octets).ok()));
            }
        }
        records.sort_by_key(|record: &Record| (record.since, record.pid));
        Ok(records)
    }

    fn path(&self, pid: u32) -> PathBuf {
        self.0.join(format!("smtpd-{pid}.status"))
    }

    /// Whole or not at all; it need not outlive a power cut.
    fn write(&self, record: &Record) -> io::Result<()> {
        let octets = serde_json::to_vec(record)?;
        small_file::replace(&self.path(record.pid), &octets, Writers::One, FileSync::Unsynced)
    }

    /// What the dead did; their files are gone then. The living tell it themselves.
    fn inherit(&self) -> Totals {
        let dead = self.records().unwrap_or_default().into_iter().filter(|record| !record.is_alive());
        dead.fold(Totals::default(), |sum, record| {
            let _ = fs::remove_file(self.path(record.pid));
            sum.and(record.own).and(record.before)
        })
    }
}

/// The record of this worker, kept by what it observes.
pub struct Board {
    folder: BoardFolder,
    first: Record,
    sessions: AtomicU64,
    all_sessions: AtomicU64,
    accepted: AtomicU64,
    refused: AtomicU64,
    draining: AtomicBool,
    last_error: Mutex<Option<String>>,
}

impl Board {
    /// Begins the record of this process; `now` is in milliseconds since 1970.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin(folder: BoardFolder, supervisor: &SupervisorStatus, now: u64) -> io::Result<Self> {
        let pid = std::process::id();
        let first = Record {
            pid,
            birth: process::birth(pid).unwrap_or_default(),
            since: now,
            state: State::Serving,
            supervisor: supervisor.clone(),
            sessions: 0,
            own: Totals::default(),
            before: folder.inherit(),
            last_error: None,
        };
        folder.write(&first)?;
        Ok(Self {
            folder,
            first,
            sessions: AtomicU64::default(),
            all_sessions: AtomicU64::default(),
            accepted: AtomicU64::default(),
            refused: AtomicU64::default(),
            draining: AtomicBool::default(),
            last_error: Mutex::default(),
        })
    }

    /// Writes what changed, once a second, until the program ends. A record that cannot be written stops nothing.
    pub fn keep(&self) {
        let mut written = self.first.clone();
        loop {
            thread::sleep(INTERVAL);
            let now = self.record();
            if now != written && self.folder.write(&now).is_ok() {
                written = now;
            }
        }
    }

    /// From now on this worker only finishes its sessions.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Takes leave.
    pub fn end(&self) {
        let _ = self.folder.write(&Record { state: State::Ended, sessions: 0, ..self.record() });
    }

    fn record(&self) -> Record {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let own = Totals {
            sessions: count(&self.all_sessions),
            accepted: count(&self.accepted),
            refused: count(&self.refused),
        };
        let state = if self.draining.load(Ordering::Relaxed) { State::Draining } else { State::Serving };
        let last_error = self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Record { state, sessions: count(&self.sessions), own, last_error, ..self.first.clone() }
    }
}

impl Observer for Board {
    fn observe(&self, event: &Event) {
        let one_more = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
        match event {
            Event::Connected { .. } => {
                one_more(&self.sessions);
                one_more(&self.all_sessions);
            }
            Event::Disconnected { .. } => {
                let less = |now: u64| Some(now.saturating_sub(1));
                let _ = self.sessions.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
            }
            Event::Accepted { client: Some(_), .. } => {
                one_more(&self.accepted);
            }
            Event::Rejected { .. } => {
                one_more(&self.refused);
            }
            Event::Trouble { text } => {
                let text = text.chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect();
                *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::Peer;
    use crate::event::Client;

    #[test]
    fn a_worker_counts_what_it_sees_and_takes_over_what_the_dead_did() {
        let spool = tempfile::tempdir().unwrap();
        fs::create_dir(spool.path().join("log")).unwrap();
        let folder = BoardFolder::of_spool(spool.path());
        let supervisor = SupervisorStatus { pid: 7, restarts: 1, ..SupervisorStatus::default() };
        let board = Board::begin(folder.clone(), &supervisor, 5).unwrap();
        let dead = Record {
            pid: u32::MAX,
            own: Totals { sessions: 3, accepted: 2, refused: 1 },
            before: Totals { sessions: 30, accepted: 20, refused: 10 },
            ..board.record()
        };
        folder.write(&dead).unwrap();
        fs::write(spool.path().join("log/smtpd-1.status"), "{").unwrap();
        let client = || Client { peer: Peer::Local, name: None };
        board.observe(&Event::Connected { client: client() });
        board.observe(&Event::Connected { client: client() });
        board.observe(&Event::Disconnected { client: client(), cause: None });
        board.observe(&Event::Trouble { text: "a\nb".to_owned() });
        let record = board.record();
        assert_eq!((record.sessions, record.own.sessions, record.last_error.as_deref()), (1, 2, Some("ab")));
        assert!(record.is_alive() && !dead.is_alive());
        board.end();
        let next = Board::begin(folder.clone(), &supervisor, 6).unwrap();
        assert_eq!(next.record().before, Totals { sessions: 33, accepted: 22, refused: 11 });
        assert_eq!(folder.records().unwrap(), [next.record()]);
    }
}
