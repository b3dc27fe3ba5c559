//! What a shift does about the whole queue: the scan of a watch, and beginning before the first one is done.

use super::pool::Shift;
use crate::clock::Timestamp;
use crate::event::Event;
use crate::spool::{Entry, Spool};

/// Messages that keep all workers busy until the next piece is found.
const ENOUGH: usize = 4_000;

impl<S: Spool> Shift<'_, S> {
    pub(super) fn scan(&self, now: Timestamp) {
        self.runner.tell_what_was_withheld(now);
        let begins = self.waiting() == 0;
        let entries = self.runner.entries(now, |found| {
            if begins {
                self.begin_with(found, now);
            }
        });
        let mut board = self.board();
        self.reload_routes(&mut board);
        self.retry_records(&mut board);
        match entries {
            Ok(entries) => board.agenda.align(entries, now),
            Err(error) => self.runner.tell(&Event::Trouble { text: error.to_string() }),
        }
        board.call_all();
    }

    /// Lets the workers begin with these, unless they have enough: a scan of a million takes seconds. Who is first among them is
    /// put right by its end.
    fn begin_with(&self, found: &[Entry], now: Timestamp) {
        let mut board = self.board();
        if board.agenda.waiting() > ENOUGH {
            return;
        }
        found.iter().filter(|entry| entry.due <= now).for_each(|entry| board.agenda.appear(entry.id, now));
        board.call_all();
    }
}
