//! The observer that writes the history.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::entry::HistoryEntry;
use super::file::HistoryFile;
use crate::clock::Clock;
use crate::event::{Event, Observer};

/// Writes what leaves the spool into a [`HistoryFile`].
pub struct HistoryObserver {
    file: HistoryFile,
    clock: Arc<dyn Clock>,
    failing: AtomicBool,
}

impl HistoryObserver {
    /// Writes into this file, with the time of this clock.
    pub fn new(file: HistoryFile, clock: Arc<dyn Clock>) -> Self {
        Self { file, clock, failing: AtomicBool::new(false) }
    }
}

impl Observer for HistoryObserver {
    fn observe(&self, event: &Event) {
        let Some(entry) = HistoryEntry::of(event, self.clock.now()) else { return };
        match self.file.append(&[entry]) {
            Ok(()) => self.failing.store(false, Ordering::Relaxed),
            // Reported once, or a full disk would fill the log with a line for each message.
            Err(error) if !self.failing.swap(true, Ordering::Relaxed) => {
                log::warn!("writing the history of what left the spool: {error}; mail goes on without it");
            }
            Err(_) => {}
        }
    }
}
