//! A message of the directory spool that is being worked on, by the holder of its lock.
//!
//! Claiming reads and verifies the whole file; what it keeps of that is bounded. The history in memory is at any time
//! the one in the file: a receipt that could not be written, or is torn, is cut off before anything else is appended.

use std::io;
use std::sync::Arc;

use super::contents::Contents;
use super::inner::Inner;
use super::look;
use super::look::InFile;
use crate::clock::Timestamp;
use crate::envelope::{Envelope, Seal};
use crate::id::SpoolId;
use crate::mutant::{Mutant, planted};
use crate::receipt::Receipt;
use crate::spool::disk::{Disk, Extent, HostDisk, Status};
use crate::spool::error::{SpoolError, SpoolErrorKind};
use crate::spool::folder::Folder;
use crate::spool::frozen;
use crate::spool::frozen::{Depth, Octets, Thawed};
use crate::spool::traits::{Claim, Claimed, Durability};

/// How much of a file's front is read at once and kept: a small message costs one system call.
const FRONT: u64 = 64 * 1024;
/// Blocks kept behind the history after a torn receipt was cut off, as a commit does.
const SLACK: u64 = 4096;
/// To what a reason's text is cut when the receipt would not fit into an entry.
const SHORT_TEXT: usize = 4096;

/// A claim in the directory spool.
pub struct DirClaim<D: Disk = HostDisk> {
    pub(super) inner: Arc<Inner<D>>,
    pub(super) folder: Folder,
    pub(super) id: SpoolId,
    pub(super) name: String,
    pub(super) file: D::File,
    front: Vec<u8>,
    pub(super) thawed: Thawed,
    contents: Contents,
    /// Whether octets of a failed receipt may lie behind the history, if only on the disk.
    remnant: bool,
}

/// Claims a message in a folder. What is torn or corrupt is moved to `bad/`, unless it is there already.
pub(in crate::spool) fn claim_in<D: Disk>(
    inner: &Arc<Inner<D>>,
    folder: Folder,
    id: SpoolId,
) -> Result<Claimed<DirClaim<D>>, SpoolError> {
    let name = id.to_string();
    let (file, status) = match look::open_locked(inner, folder, &name)? {
        Claimed::Ours(opened) => opened,
        Claimed::Busy => return Ok(Claimed::Busy),
        Claimed::Gone => return Ok(Claimed::Gone),
    };
    let failed = |trouble| inner.error("thawing", folder, &name, trouble);
    let front = read_front(&inner.disk, &file, &status).map_err(|error| failed(error.into()))?;
    let source = Fronted { front: &front, rest: InFile { disk: &inner.disk, file: &file } };
    match frozen::thaw(&source, status.size, Depth::Whole) {
        Ok(thawed) => {
            if thawed.end < status.size {
                cut_off(inner, &file, thawed.end).map_err(|error| failed(error.into()))?;
            }
            let contents = Contents::of(&source, &thawed).map_err(|error| failed(error.into()))?;
            let inner = Arc::clone(inner);
            Ok(Claimed::Ours(DirClaim { inner, folder, id, name, file, front, thawed, contents, remnant: false }))
        }
        Err(trouble @ (SpoolErrorKind::Torn(_) | SpoolErrorKind::Corrupt(_))) if folder != Folder::Bad => {
            inner.move_file(&name, folder, Folder::Bad)?;
            Err(failed(trouble))
        }
        Err(trouble) => Err(failed(trouble)),
    }
}

/// Cuts off what is behind the history, and syncs that: else a power cut could show some of it behind what is appended next.
fn cut_off<D: Disk>(inner: &Inner<D>, file: &D::File, end: u64) -> io::Result<()> {
    inner.disk.truncate(file, end)?;
    inner.heed(inner.disk.sync(file, Extent::All))?;
    // The cut gave the blocks back. They are a precaution, so doing without is no reason to fail.
    let _ = inner.disk.preallocate(file, end, SLACK);
    Ok(())
}

fn read_front<D: Disk>(disk: &D, file: &D::File, status: &Status) -> io::Result<Vec<u8>> {
    let mut front = vec![0; status.size.min(FRONT) as usize];
    let mut done = 0;
    while done < front.len() {
        match disk.read_at(file, done as u64, &mut front[done..])? {
            0 => break,
            count => done += count,
        }
    }
    front.truncate(done);
    Ok(front)
}

/// A file whose front is in memory.
struct Fronted<'a, D: Disk> {
    front: &'a [u8],
    rest: InFile<'a, D>,
}

impl<D: Disk> Octets for Fronted<'_, D> {
    fn read_at(&self, offset: u64, octets: &mut [u8]) -> io::Result<usize> {
        match self.front.read_at(offset, octets)? {
            0 => self.rest.read_at(offset, octets),
            count => Ok(count),
        }
    }
}

impl<D: Disk> DirClaim<D> {
    /// Makes file and name durable, whoever wrote them.
    pub(in crate::spool) fn make_durable(&self) -> io::Result<()> {
        self.inner.heed(self.inner.disk.sync(&self.file, Extent::All))?;
        self.inner.sync_folder(self.folder)
    }

    pub(super) fn failed(&self, doing: &'static str, trouble: impl Into<SpoolErrorKind>) -> SpoolError {
        self.inner.error(doing, self.folder, &self.name, trouble)
    }

    fn append(&mut self, entry: &[u8], durability: Durability) -> io::Result<()> {
        if planted(Mutant::ReceiptNotWritten) {
            return Ok(());
        }
        if self.remnant {
            cut_off(&self.inner, &self.file, self.thawed.end)?;
        }
        self.remnant = true;
        let disk = &self.inner.disk;
        // One write: a crash leaves none of it, a part that is known as torn, or all.
        if disk.write_at(&self.file, self.thawed.end, entry)? != entry.len() {
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error()));
        }
        if durability == Durability::Synced {
            self.inner.heed(disk.sync(&self.file, Extent::Data))?;
        }
        self.remnant = false;
        Ok(())
    }
}

/// A receipt and its entry. A next hop can answer more than fits: its words are cut rather than the fact lost.
fn fitting(mut receipt: Receipt) -> Option<(Receipt, Vec<u8>)> {
    if let Some(entry) = frozen::freeze_receipt(&receipt) {
        return Some((receipt, entry));
    }
    let text = &mut receipt.reason.text;
    text.truncate(text.floor_char_boundary(SHORT_TEXT));
    let entry = frozen::freeze_receipt(&receipt)?;
    Some((receipt, entry))
}

impl<D: Disk> Claim for DirClaim<D> {
    fn id(&self) -> SpoolId {
        self.id
    }

    fn envelope(&self) -> &Envelope {
        &self.thawed.envelope
    }

    fn seal(&self) -> &Seal {
        &self.thawed.seal
    }

    fn size(&self) -> u64 {
        self.contents.size()
    }

    fn receipts(&self) -> &[Receipt] {
        &self.thawed.receipts
    }

    fn read_at(&self, offset: u64, octets: &mut [u8]) -> io::Result<usize> {
        let source = Fronted { front: &self.front, rest: InFile { disk: &self.inner.disk, file: &self.file } };
        self.contents.read_at(&source, offset, octets)
    }

    fn record(&mut self, receipt: Receipt, durability: Durability) -> Result<(), SpoolError> {
        let invalid = |what| io::Error::new(io::ErrorKind::InvalidInput, what);
        if receipt.recipients.iter().any(|index| usize::from(*index) >= self.thawed.envelope.recipients.len()) {
            return Err(self.failed("recording in", invalid("the receipt names a recipient that is not there")));
        }
        let Some((receipt, entry)) = fitting(receipt) else {
            return Err(self.failed("recording in", invalid("the receipt is too large")));
        };
        if let Err(error) = self.append(&entry, durability) {
            // For those who look meanwhile; before the next receipt it is done again, and synced.
            let _ = self.inner.disk.truncate(&self.file, self.thawed.end);
            return Err(self.failed("recording in", error));
        }
        self.thawed.end += entry.len() as u64;
        self.thawed.receipts.push(receipt);
        Ok(())
    }

    fn note_due(&self, due: Timestamp) {
        // A hint: without it the next scan opens the file once more than it had to.
        let _ = self.inner.disk.note_modified(&self.file, due);
    }

    fn remove(&mut self) -> Result<(), SpoolError> {
        let removed = self.inner.disk.unlink(self.inner.folder(self.folder), &self.name);
        removed.map_err(|error| self.failed("removing", error))?;
        // The name is gone for everybody; that a power cut could bring it back is no reason to work on it again.
        self.inner.sync_removal(self.folder);
        Ok(())
    }

    fn set_aside(self, folder: Folder) -> Result<(), SpoolError> {
        if folder == self.folder { Ok(()) } else { self.inner.move_file(&self.name, self.folder, folder) }
    }
}

impl<D: Disk> std::fmt::Debug for DirClaim<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DirClaim").field("id", &self.id).field("shelf", &self.folder).finish_non_exhaustive()
    }
}
