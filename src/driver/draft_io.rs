//! A message on its way into the spool: the parts that may wait for the disk run on a thread that may block.
//!
//! A small message changes threads once, at its commit, and the thread does not wait for the sync of the folder: the
//! thread that syncs for all wakes the session. Of a large message, each piece changes threads. A session that is
//! alone in its process changes none, because nobody else waits for its thread.

use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use crate::envelope::{Envelope, Seal};
use crate::spool::{Committed, Draft, SpoolError};

/// Up to this size a draft is in memory, and adding to it needs no thread that may block.
const SMALL: u64 = 32 * 1024;

/// Where a session waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskWait {
    /// On threads that may block: other sessions go on meanwhile.
    Elsewhere,
    /// On its own thread: there is no other session. Costs no threads, and the order of system calls is always the same.
    Here,
}

/// A draft and the envelope that it was opened with.
pub(super) struct Arriving<D> {
    draft: D,
    size: u64,
    envelope: Box<Envelope>,
    wait: DiskWait,
}

impl<D: Draft> Arriving<D> {
    pub(super) fn new(draft: D, envelope: Box<Envelope>, wait: DiskWait) -> Self {
        Self { draft, size: 0, envelope, wait }
    }

    /// Adds octets, where there is a draft; a large one writes to the disk, which may block.
    pub(super) async fn append(arriving: Option<Self>, octets: Vec<u8>) -> Result<Option<Self>, SpoolError> {
        let Some(mut arriving) = arriving else { return Ok(None) };
        arriving.size += octets.len() as u64;
        if arriving.size <= SMALL || arriving.wait == DiskWait::Here {
            arriving.draft.append(&octets)?;
            return Ok(Some(arriving));
        }
        let appended = spawn_blocking(move || arriving.draft.append(&octets).map(|()| arriving)).await;
        let gone = || SpoolError::new("writing", "a draft", std::io::Error::other("the writing thread panicked"));
        appended.map_err(|_panicked| gone())?.map(Some)
    }

    /// Octets so far.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Makes it durable; hands the envelope back. `None` when the thread that did it panicked.
    pub(super) async fn commit(self, seal: Seal) -> Option<(Result<Committed, SpoolError>, Box<Envelope>)> {
        let Self { draft, envelope, wait, .. } = self;
        let (answer, answered) = oneshot::channel();
        let commit = move || {
            draft.commit_then(&seal, move |committed| {
                // The session may have been broken off; the message is on disk all the same.
                let _ = answer.send(committed);
            });
        };
        match wait {
            DiskWait::Here => commit(),
            // The answer may come from another thread than this one, so its own end says nothing.
            DiskWait::Elsewhere => drop(spawn_blocking(commit)),
        }
        Some((answered.await.ok()?, envelope))
    }
}
