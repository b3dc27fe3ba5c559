//! The history: one line for each recipient that left the spool, in `spool/log/`, so that "where is my mail?" has an
//! answer for mail that is gone.
//!
//! It is an observer: it receives an event when the work is done, it is never synced, and an error while writing
//! stops no mail. Its size is bounded: `history` grows to half of it, is then renamed to `history.1`, and replaces
//! the previous `history.1`.

mod entry;
mod file;
mod read;
#[cfg(test)]
mod tests;

pub use entry::{Departure, Entry, Whose};
pub use file::Chronicle;
pub use read::{Search, search};

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::clock::Clock;
use crate::event::{Event, Observer};

/// The file that lines are added to.
fn current(folder: &Path) -> PathBuf {
    folder.join("history")
}

/// The file before it.
fn previous(folder: &Path) -> PathBuf {
    folder.join("history.1")
}

/// Writes what leaves the spool into a [`Chronicle`].
pub struct ChronicleObserver {
    chronicle: Chronicle,
    clock: Arc<dyn Clock>,
    failing: AtomicBool,
}

impl ChronicleObserver {
    /// Writes into this chronicle, by this clock.
    pub fn new(chronicle: Chronicle, clock: Arc<dyn Clock>) -> Self {
        Self { chronicle, clock, failing: AtomicBool::new(false) }
    }
}

impl Observer for ChronicleObserver {
    fn observe(&self, event: &Event) {
        let Some(entry) = Entry::of(event, self.clock.now()) else { return };
        match self.chronicle.append(&[entry]) {
            Ok(()) => self.failing.store(false, Ordering::Relaxed),
            // Said once, or a full disk would fill the log with a line for each message.
            Err(error) if !self.failing.swap(true, Ordering::Relaxed) => {
                log::warn!("writing the history of what left the spool: {error}; mail goes on without it");
            }
            Err(_) => {}
        }
    }
}
