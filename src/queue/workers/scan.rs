//! The scan of the whole queue by a watch, and the work that begins before a long scan has ended.

use super::pool::WorkerPool;
use crate::clock::Timestamp;
use crate::event::Event;
use crate::spool::{QueueEntry, Spool};

/// Messages that keep all workers busy until the next piece is found.
const ENOUGH: usize = 4_000;

impl<S: Spool> WorkerPool<'_, S> {
    pub(super) fn scan(&self, now: Timestamp) {
        self.runner.send_digest(now);
        let begins = self.waiting() == 0;
        let entries = self.runner.entries(now, |found| {
            if begins {
                self.begin_with(found, now);
            }
        });
        let mut shared = self.shared();
        self.reload_routes(&mut shared);
        self.retry_records(&mut shared);
        match entries {
            Ok(entries) => shared.agenda.align(entries, now),
            Err(error) => self.runner.emit(&Event::Trouble { text: error.to_string() }),
        }
        shared.wake_all();
    }

    /// Lets the workers begin with these, unless they have enough: a scan of a million messages takes seconds. Its end puts
    /// their order right.
    fn begin_with(&self, found: &[QueueEntry], now: Timestamp) {
        let mut shared = self.shared();
        if shared.agenda.waiting() > ENOUGH {
            return;
        }
        found.iter().filter(|entry| entry.due <= now).for_each(|entry| shared.agenda.appear(entry.id, now));
        shared.wake_all();
    }
}
