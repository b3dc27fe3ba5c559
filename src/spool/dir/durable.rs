//! What makes names durable: syncs of folders, shared where several wait for the same, and the end of trust in a disk that failed
//! one.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::io::Errno;

use super::inner::Inner;
use super::syncs::Waiter;
use crate::spool::disk::Disk;
use crate::spool::error::{SpoolError, SpoolErrorKind};
use crate::spool::folder::Folder;

impl<D: Disk> Inner<D> {
    pub(super) fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::SeqCst)
    }

    pub(super) fn refuse_if_poisoned(&self) -> Result<(), SpoolError> {
        if self.is_poisoned() { Err(SpoolError::new("writing to", "queue", SpoolErrorKind::Poisoned)) } else { Ok(()) }
    }

    /// To be called with the result of every sync: after EIO the kernel has dropped what it could not write, and forgets
    /// that it did.
    pub(super) fn heed(&self, synced: io::Result<()>) -> io::Result<()> {
        synced.inspect_err(|error| {
            if error.raw_os_error() == Some(Errno::IO.raw_os_error()) {
                self.poisoned.store(true, Ordering::SeqCst);
            }
        })
    }

    /// Makes the names in a folder durable, together with others who wait for the same.
    pub(super) fn sync_folder(&self, folder: Folder) -> io::Result<()> {
        self.heed(self.syncs[folder as usize].sync(|| self.disk.sync_folder(self.folder(folder))))
    }

    /// Whether the sync of a file that was named before makes the name durable, too.
    pub(super) fn file_sync_suffices(&self) -> bool {
        self.settings.sync.is_of_file_alone_on(self.file_system)
    }

    /// Sees to it that a removal becomes durable soon, without waiting where somebody syncs just now.
    pub(super) fn sync_removal(self: &Arc<Self>, folder: Folder) {
        // A failure poisons the spool, which is how it is known.
        let inner = Arc::clone(self);
        let sync = move || drop(inner.sync_folder(folder));
        if folder == Folder::Queue { self.removals.note(sync) } else { sync() }
    }

    /// Calls `waiter` once the name of a file of the queue that was synced is durable, with others who wait for the same.
    pub(super) fn sync_name_then(&self, waiter: Waiter) {
        if self.file_sync_suffices() {
            return waiter(Ok(()));
        }
        self.finishing.join(waiter, || self.sync_folder(Folder::Queue));
    }
}
