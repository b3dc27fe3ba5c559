//! Which of the programs that are asked about mail give no answer: `routes/helpers.json` in the spool.
//!
//! `smtpd` notices it, and whoever sends alarms, and `stats` and `doctor`, read it. A program is in the file from its first
//! question without an answer to its next answer, of whatever process. The file is written by a thread of its own, which
//! exists only while there is something to write: no session waits for the disk.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::address::printable;
use crate::clock::{Clock, Timestamp};
use crate::policy::{HealthObserver, Unanswered};
use crate::queue::change_shared;

/// The name of the shared state.
const HELPERS: &str = "helpers";
/// The file is changed once in this time at most.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long the end of the program waits for it.
const PATIENCE: Duration = Duration::from_secs(2);
/// Of what a program said.
const MOST_TEXT: usize = 300;
/// After how long a program that nobody asks any more is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(30 * 86_400);

/// A program that gives no answer. Times are in milliseconds since the epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HelperTrouble {
    /// When it first gave none.
    pub since: u64,
    /// When it last gave none.
    pub last: u64,
    /// How many questions it did not answer.
    pub questions: u64,
    /// What is wrong, in words.
    pub text: String,
    /// What happens to mail meanwhile.
    pub meanwhile: String,
}

impl HelperTrouble {
    /// In a sentence, without control characters; `since` as the reader wants it.
    pub fn describe(&self, program: &str, since: &dyn fmt::Display) -> String {
        let (text, meanwhile) = (&self.text, &self.meanwhile);
        printable(&format!("{program} has given no answer since {since}: {text}; {meanwhile}")).into_owned()
    }
}

/// How a program is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HelperState {
    /// Nothing is known against it.
    Answers,
    /// It gives no answer.
    Silent(HelperTrouble),
}

/// Programs that give no answer, by name.
pub type HelperTroubles = BTreeMap<String, HelperTrouble>;

/// Those of the spool whose states of routes are in `folder`.
///
/// # Errors
/// When the file cannot be locked.
pub fn helper_troubles(folder: &Path) -> io::Result<HelperTroubles> {
    let mut found = HelperTroubles::new();
    change_shared(folder, HELPERS, &mut |troubles: &mut HelperTroubles| found = troubles.clone())?;
    Ok(found)
}

/// A program answered somebody else than `smtpd`, such as `doctor`.
///
/// # Errors
/// When the file cannot be changed.
pub fn forget_helper(folder: &Path, program: &str) -> io::Result<()> {
    change_shared(folder, HELPERS, &mut |troubles: &mut HelperTroubles| drop(troubles.remove(program)))
}

/// Keeps the file.
pub struct HelperRecord {
    shared: Arc<Shared>,
}

struct Shared {
    folder: PathBuf,
    clock: Arc<dyn Clock>,
    pending: Mutex<Pending>,
    /// Something is to be written at once, or was.
    changed: Condvar,
}

#[derive(Default)]
struct Pending {
    /// What is to be written, by program.
    changes: BTreeMap<String, Change>,
    is_writing: bool,
    is_ending: bool,
}

/// What happened to a program since it was last written.
#[derive(Default)]
struct Change {
    /// It answered, so that trouble of before is over.
    has_answered: bool,
    /// What was wrong after that.
    trouble: Option<HelperTrouble>,
}

impl HelperRecord {
    /// In the folder of the routes' states.
    pub fn in_folder(folder: PathBuf, clock: Arc<dyn Clock>) -> Self {
        let (pending, changed) = (Mutex::default(), Condvar::new());
        Self { shared: Arc::new(Shared { folder, clock, pending, changed }) }
    }

    fn note(&self, program: &str, change: impl FnOnce(&mut Change)) {
        let mut pending = self.shared.pending();
        change(pending.changes.entry(program.to_owned()).or_default());
        if !pending.is_writing {
            let shared = Arc::clone(&self.shared);
            // Without a thread, the next report tries it again.
            pending.is_writing =
                thread::Builder::new().name("helpers".to_owned()).spawn(move || shared.write()).is_ok();
        }
    }
}

impl HealthObserver for HelperRecord {
    fn answered(&self, program: &str) {
        self.note(program, |change| *change = Change { has_answered: true, trouble: None });
    }

    fn unanswered(&self, program: &str, trouble: &Unanswered<'_>) {
        let now = self.shared.clock.now().as_millis();
        self.note(program, |change| {
            let so_far = change.trouble.get_or_insert_with(|| HelperTrouble { since: now, ..HelperTrouble::default() });
            so_far.last = now;
            so_far.questions += trouble.questions;
            so_far.text = printable(trouble.error).chars().take(MOST_TEXT).collect();
            so_far.meanwhile = trouble.meanwhile.to_owned();
        });
    }
}

impl Drop for HelperRecord {
    /// What is pending is written, or the time is over.
    fn drop(&mut self) {
        let mut pending = self.shared.pending();
        pending.is_ending = true;
        self.shared.changed.notify_all();
        let written = self.shared.changed.wait_timeout_while(pending, PATIENCE, |pending| pending.is_writing);
        drop(written);
    }
}

impl Shared {
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until nothing is pending.
    fn write(&self) {
        loop {
            let changes = {
                let mut pending = self.pending();
                if pending.changes.is_empty() {
                    pending.is_writing = false;
                    self.changed.notify_all();
                    return;
                }
                std::mem::take(&mut pending.changes)
            };
            if let Err(error) = self.keep(&changes) {
                log::warn!("keeping which programs give no answer: {error}");
            }
            let pending = self.pending();
            drop(self.changed.wait_timeout_while(pending, INTERVAL, |pending| !pending.is_ending));
        }
    }

    fn keep(&self, changes: &BTreeMap<String, Change>) -> io::Result<()> {
        let now = self.clock.now();
        change_shared(&self.folder, HELPERS, &mut |troubles: &mut HelperTroubles| {
            troubles.retain(|_, trouble| now.since(Timestamp::from_millis(trouble.last)) < FORGOTTEN);
            for (program, change) in changes {
                let before = troubles.remove(program).filter(|_| !change.has_answered);
                if let Some(new) = &change.trouble {
                    let joined = before.map_or_else(|| new.clone(), |before| joined(before, new));
                    troubles.insert(program.clone(), joined);
                }
            }
        })
    }
}

/// It goes on since when it began.
fn joined(before: HelperTrouble, new: &HelperTrouble) -> HelperTrouble {
    HelperTrouble {
        since: before.since.min(new.since),
        questions: before.questions.saturating_add(new.questions),
        ..new.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct At(u64);

    impl Clock for At {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.0)
        }
    }

    fn unanswered(record: &HelperRecord, program: &str, error: &str) {
        record.unanswered(program, &Unanswered { error, meanwhile: "clients wait", questions: 2 });
    }

    #[test]
    fn a_program_is_in_the_file_from_its_first_silence_to_its_next_answer() {
        let folder = tempfile::tempdir().unwrap();
        let record = |second: u64| HelperRecord::in_folder(folder.path().to_owned(), Arc::new(At(second * 1000)));
        let troubles = || helper_troubles(folder.path()).unwrap();
        let (first, second) = (record(10), record(70));
        unanswered(&first, "milter x", "refused\r\n");
        unanswered(&first, "hook[0]", "it ended");
        drop(first);
        unanswered(&second, "milter x", "late");
        unanswered(&second, "milter x", "late");
        drop(second);
        let trouble = &troubles()["milter x"];
        assert_eq!((trouble.since, trouble.last, trouble.questions), (10_000, 70_000, 6));
        let said = trouble.describe("milter x", &"noon");
        assert!(said.starts_with("milter x has given no answer since noon: late; clients wait"), "{said}");
        assert_eq!(troubles()["hook[0]"].text, "it ended");
        let third = record(80);
        third.answered("milter x");
        third.answered("never heard of");
        drop(third);
        assert_eq!(troubles().into_keys().collect::<Vec<_>>(), ["hook[0]"]);
        forget_helper(folder.path(), "hook[0]").unwrap();
        assert!(troubles().is_empty());
    }

    #[test]
    fn trouble_after_an_answer_is_new_though_both_are_written_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let record = |second: u64| HelperRecord::in_folder(folder.path().to_owned(), Arc::new(At(second * 1000)));
        unanswered(&record(10), "x", "late");
        let trouble = HelperTrouble { since: 70_000, last: 70_000, questions: 1, ..HelperTrouble::default() };
        let change = Change { has_answered: true, trouble: Some(trouble) };
        record(70).shared.keep(&BTreeMap::from([("x".to_owned(), change)])).unwrap();
        let trouble = &helper_troubles(folder.path()).unwrap()["x"];
        assert_eq!((trouble.since, trouble.questions), (70_000, 1));
    }

    #[test]
    fn hostile_text_is_bounded_and_has_no_control_characters() {
        let folder = tempfile::tempdir().unwrap();
        let record = HelperRecord::in_folder(folder.path().to_owned(), Arc::new(At(1)));
        unanswered(&record, "x", &format!("\x1b[2J\r\n{}", "a".repeat(5_000)));
        drop(record);
        let trouble = &helper_troubles(folder.path()).unwrap()["x"];
        assert!(trouble.text.len() <= MOST_TEXT && !trouble.describe("x", &0).contains(char::is_control));
    }

    #[test]
    fn a_folder_that_is_not_there_costs_no_mail() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let record = HelperRecord::in_folder(missing.clone(), Arc::new(At(1)));
        unanswered(&record, "x", "refused");
        drop(record);
        assert!(helper_troubles(&missing).unwrap().is_empty());
    }
}
