//! A message that is arriving in the directory spool.
//!
//! A small one is gathered in memory, and the disk hears of it only at commit, by one write. A larger one streams
//! through a buffer of [`BUFFER`] octets into a locked file, without a name where the system has such files. Dropped at any
//! moment, or failed at any step, a draft leaves no name in the queue.

use std::io;
use std::sync::Arc;

use super::draft_file::{Arriving, BUFFER, SLACK};
use super::inner::Inner;
use super::room::Reservation;
use crate::envelope::{Envelope, Seal};
use crate::id::SpoolId;
use crate::spool::disk::{Disk, HostDisk};
use crate::spool::error::{SpoolError, SpoolErrorKind};
use crate::spool::folder::Folder;
use crate::spool::frozen::{self, LENGTH_AT};
use crate::spool::traits::{Committed, Draft};

/// What a streaming draft reserves at a time.
const STEP: u64 = 1 << 20;

/// A draft in the directory spool.
pub struct DirDraft<D: Disk = HostDisk> {
    inner: Arc<Inner<D>>,
    id: SpoolId,
    /// Octets of header and envelope.
    head: usize,
    /// What has not been written: at first the header, then what came since.
    buffer: Vec<u8>,
    /// The file, once the buffer did not suffice.
    arriving: Option<Arriving<D>>,
    reservation: Reservation,
    /// Octets of the message so far, and their sum.
    size: u64,
    sum: u32,
    /// Whether a write failed, so that octets are missing.
    broken: bool,
}

impl<D: Disk> DirDraft<D> {
    pub(in crate::spool) fn open(inner: &Arc<Inner<D>>, id: SpoolId, envelope: &Envelope) -> Result<Self, SpoolError> {
        let head = frozen::freeze_head(envelope).ok_or_else(|| {
            inner.error("freezing", Folder::Queue, &id.to_string(), too_large("the envelope is too large"))
        })?;
        let reservation = inner.ledger.reserve((head.len().max(BUFFER) as u64) + SLACK);
        inner.check_room(0)?;
        Ok(Self {
            inner: Arc::clone(inner),
            id,
            head: head.len(),
            buffer: head,
            arriving: None,
            reservation,
            size: 0,
            sum: 0,
            broken: false,
        })
    }

    /// Octets that the draft holds in memory.
    #[cfg(test)]
    pub(in crate::spool) fn held(&self) -> usize {
        self.buffer.capacity()
    }

    fn take(&mut self, octets: &[u8]) -> Result<(), SpoolError> {
        if self.buffer.len() + octets.len() > BUFFER {
            self.flush()?;
        }
        if octets.len() >= BUFFER {
            return self.write(octets);
        }
        let needed = self.buffer.len() + octets.len();
        if needed > self.buffer.capacity() {
            let capacity = (2 * self.buffer.capacity()).clamp(needed, BUFFER);
            self.buffer.reserve_exact(capacity - self.buffer.len());
        }
        self.buffer.extend_from_slice(octets);
        Ok(())
    }

    /// Writes out the buffer, and frees it if a large envelope made it larger than it need be from now on.
    fn flush(&mut self) -> Result<(), SpoolError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        self.write(&buffer)?;
        buffer.clear();
        if buffer.capacity() <= BUFFER {
            self.buffer = buffer;
        }
        Ok(())
    }

    fn write(&mut self, octets: &[u8]) -> Result<(), SpoolError> {
        let wanted = octets.len() as u64 + SLACK;
        if self.reservation.octets() < wanted {
            self.reservation.extend(wanted.max(STEP));
            self.inner.ask_for_room(0)?;
        }
        let arriving = match &mut self.arriving {
            Some(arriving) => arriving,
            empty => empty.insert(Arriving::create(&self.inner, Folder::Queue, self.id)?),
        };
        arriving.write(octets)?;
        self.reservation.spend(octets.len() as u64);
        Ok(())
    }

    /// Writes what is left and gives the file its name; nothing of it is synced. `None` never comes, as no file is empty.
    fn complete(&mut self, seal: &Seal) -> Result<Option<Arriving<D>>, SpoolError> {
        if self.broken {
            let broken = io::Error::other("octets of it could not be written");
            return Err(self.inner.error("committing", Folder::Queue, &self.id.to_string(), broken));
        }
        self.inner.refuse_if_poisoned()?;
        let end = frozen::freeze_end(self.size, self.sum, seal).ok_or_else(|| {
            self.inner.error("freezing", Folder::Queue, &self.id.to_string(), too_large("the seal is too large"))
        })?;
        let length = self.size.to_le_bytes();
        let streamed = self.arriving.is_some();
        if !streamed {
            debug_assert!(self.buffer.len() >= self.head, "an unwritten draft begins with its header");
            self.buffer[LENGTH_AT..LENGTH_AT + length.len()].copy_from_slice(&length);
        }
        let mut last = std::mem::take(&mut self.buffer);
        last.extend_from_slice(&end);
        self.write(&last)?;
        let Some(mut arriving) = self.arriving.take() else { return Ok(None) };
        if streamed {
            arriving.write_at(LENGTH_AT as u64, &length)?;
        }
        arriving.preallocate()?;
        arriving.publish()?;
        Ok(Some(arriving))
    }
}

impl<D: Disk> Draft for DirDraft<D> {
    fn id(&self) -> SpoolId {
        self.id
    }

    fn append(&mut self, octets: &[u8]) -> Result<(), SpoolError> {
        self.size += octets.len() as u64;
        self.sum = frozen::sum_on(self.sum, octets);
        let taken = self.take(octets);
        self.broken |= taken.is_err();
        taken
    }

    fn commit(mut self, seal: &Seal) -> Result<Committed, SpoolError> {
        if let Some(arriving) = self.complete(seal)? {
            arriving.make_durable()?;
        }
        Ok(Committed { id: self.id, size: self.size })
    }

    fn commit_then(mut self, seal: &Seal, then: impl FnOnce(Result<Committed, SpoolError>) + Send + 'static) {
        let committed = Committed { id: self.id, size: self.size };
        let inner = Arc::clone(&self.inner);
        let synced = self.complete(seal).and_then(|arriving| match arriving {
            Some(arriving) => arriving.sync_file().map(|()| Some(arriving)),
            None => Ok(None),
        });
        drop(self);
        match synced {
            Err(error) => then(Err(error)),
            Ok(None) => then(Ok(committed)),
            Ok(Some(arriving)) => inner.sync_name_then(Box::new(move |synced| {
                then(arriving.settle(synced).map(|()| committed));
            })),
        }
    }
}

impl<D: Disk> std::fmt::Debug for DirDraft<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DirDraft").field("id", &self.id).field("size", &self.size).finish_non_exhaustive()
    }
}

fn too_large(what: &'static str) -> SpoolErrorKind {
    SpoolErrorKind::Io(io::Error::new(io::ErrorKind::InvalidInput, what))
}
