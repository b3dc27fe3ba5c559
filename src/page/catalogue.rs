//! The ids of the messages in each folder, read once for all visitors, and pages of messages by a cursor.
//!
//! Listing a folder costs one look at its names, whatever their number; envelopes are read for the rows of a page alone.
//! A page looks at a bounded number of messages, and hands out the id to go on after.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::relay::{Enough, PageRelay, PageSpool};
use crate::admin::{Filter, Listing, Routes, Selected, Visited};
use crate::clock::Timestamp;
use crate::id::SpoolId;
use crate::spool::{Folder, SpoolError};

/// How long ids are used again, at least; listing takes at most a tenth of the time.
const FRESH: Duration = Duration::from_secs(1);
/// Messages that one page with a filter looks at.
const MOST_LOOKS: usize = 5_000;
/// Messages that are looked at at once.
const PIECE: usize = 100;

/// What answers are made from.
pub(super) struct Site {
    pub(super) spool: Arc<dyn PageSpool>,
    /// The folder of the spool.
    pub(super) folder: PathBuf,
    pub(super) hostname: String,
    pub(super) relay: Arc<dyn PageRelay>,
    pub(super) catalogue: Catalogue,
}

struct Listed {
    at: Instant,
    cost: Duration,
    ids: Arc<Vec<SpoolId>>,
}

/// The ids in each folder.
pub(super) struct Catalogue {
    spool: Arc<dyn PageSpool>,
    listed: Mutex<BTreeMap<&'static str, Listed>>,
}

/// Some messages.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// The messages.
    pub(super) messages: Vec<Listing>,
    /// Where the next page begins; `None` at the end.
    pub(super) next: Option<SpoolId>,
    /// What could not be read.
    pub(super) unreadable: usize,
}

impl Catalogue {
    pub(super) fn new(spool: Arc<dyn PageSpool>) -> Self {
        Self { spool, listed: Mutex::new(BTreeMap::new()) }
    }

    /// The ids in a folder, oldest first.
    pub(super) fn ids(&self, folder: Folder) -> Result<Arc<Vec<SpoolId>>, SpoolError> {
        // Held while the folder is read: others wait for the same.
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = listed.get(folder.name())
            && known.at.elapsed() < FRESH.max(known.cost * 10)
        {
            return Ok(Arc::clone(&known.ids));
        }
        listed.remove(folder.name());
        let begun = Instant::now();
        let ids = Arc::new(self.spool.ids(folder)?);
        listed.insert(folder.name(), Listed { at: Instant::now(), cost: begun.elapsed(), ids: Arc::clone(&ids) });
        Ok(ids)
    }

    /// Forgets what was listed, after a change of our own.
    pub(super) fn forget(&self) {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Messages of a folder after `after`, at most `most`.
    pub(super) fn rows(
        &self,
        (folder, filter): (Folder, &Filter),
        after: Option<SpoolId>,
        most: usize,
        (routes, now): (&Routes, Timestamp),
    ) -> Result<Rows, SpoolError> {
        let ids = self.ids(folder)?;
        let begin = after.map_or(0, |after| ids.partition_point(|id| *id <= after));
        let mut rows = Rows::default();
        let rest = &ids[begin..];
        let mut looked = 0;
        for piece in rest.chunks(PIECE) {
            if looked >= MOST_LOOKS {
                break;
            }
            let selected = Selected { ids: piece.to_vec(), folders: vec![folder], filter: filter.clone() };
            let full = self.spool.visit(&selected, (routes, now), &mut |found| {
                match found {
                    Visited::Message(listing) => rows.messages.push(listing.clone()),
                    Visited::Unreadable(_) => rows.unreadable += 1,
                    Visited::NotThere(_) | Visited::SetAside(_) => {}
                }
                if rows.messages.len() > most { Err(Enough) } else { Ok(()) }
            });
            looked += piece.len();
            if full.is_err() {
                rows.messages.truncate(most);
                rows.next = rows.messages.last().map(|last| last.id);
                return Ok(rows);
            }
        }
        rows.next = rest.get(looked).and_then(|_| rest.get(looked - 1)).copied();
        Ok(rows)
    }
}
