//! The file of a message that is being written: locked from its beginning, named when it is complete.
//!
//! Invariant: dropped before it is durable, it takes its name with it; file goes before name to the disk.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::io::Errno;

use super::inner::{Creation, Inner};
use super::{claim, look};
use crate::id::SpoolId;
use crate::spool::disk::{Disk, Extent, Lock};
use crate::spool::error::{SpoolError, SpoolErrorKind};
use crate::spool::folder::Folder;
use crate::spool::traits::Claimed;

/// Octets of envelope and message that are kept in memory before they go to the disk.
pub(super) const BUFFER: usize = 64 * 1024;
/// What a commit keeps free behind the message, so that a full disk does not stop receipts: some twenty of them.
pub(super) const SLACK: u64 = 4096;
/// How often a newly named file is tried to be locked, at 2 ms, while somebody looks at it.
const LOCK_ATTEMPTS: usize = 250;

/// A locked file on its way to a folder. Dropped before it is durable, it takes its name with it.
pub(super) struct Arriving<D: Disk> {
    inner: Arc<Inner<D>>,
    folder: Folder,
    name: String,
    file: D::File,
    written: u64,
    /// Whether our file is under the name, not yet acknowledged.
    named: bool,
}

impl<D: Disk> Arriving<D> {
    pub(super) fn create(inner: &Arc<Inner<D>>, folder: Folder, id: SpoolId) -> Result<Self, SpoolError> {
        let name = id.to_string();
        let failed = |error: io::Error| inner.error("creating", folder, &name, error);
        if inner.settings.creation == Creation::Anonymous {
            match inner.disk.create_anonymous(inner.folder(folder)) {
                Ok(file) => {
                    let arriving = Self { inner: Arc::clone(inner), folder, name, file, written: 0, named: false };
                    arriving.lock()?;
                    return Ok(arriving);
                }
                Err(error) if knows_no_anonymous_files(&error) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Self::create_named(inner, folder, name)
    }

    fn create_named(inner: &Arc<Inner<D>>, folder: Folder, name: String) -> Result<Self, SpoolError> {
        let mut created = inner.disk.create_named(inner.folder(folder), &name);
        if created.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists) {
            make_way(inner, folder, &name)?;
            created = inner.disk.create_named(inner.folder(folder), &name);
        }
        let file = created.map_err(|error| inner.error("creating", folder, &name, error))?;
        let mut arriving = Self { inner: Arc::clone(inner), folder, name, file, written: 0, named: true };
        arriving.lock()?;
        // Before it was locked, whoever came long after its making took it for torn.
        arriving.named = arriving.is_in_place().map_err(|error| arriving.failed("creating", error))?;
        if !arriving.named {
            return Err(arriving.failed("creating", io::Error::other("it was set aside before it was locked")));
        }
        Ok(arriving)
    }

    /// Whether the name leads to our file.
    fn is_in_place(&self) -> io::Result<bool> {
        let ours = self.inner.disk.status(&self.file)?.identity;
        match self.inner.disk.status_at(self.inner.folder(self.folder), &self.name) {
            Ok(found) => Ok(found.identity == ours),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Nobody but one who looks at a folder can have the lock, and only for a moment.
    fn lock(&self) -> Result<(), SpoolError> {
        for _ in 0..LOCK_ATTEMPTS {
            if self.inner.disk.try_lock(&self.file, Lock::Exclusive).map_err(|error| self.failed("locking", error))? {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(2));
        }
        Err(self.failed("locking", io::ErrorKind::WouldBlock.into()))
    }

    pub(super) fn write(&mut self, octets: &[u8]) -> Result<(), SpoolError> {
        self.write_at(self.written, octets)?;
        self.written += octets.len() as u64;
        Ok(())
    }

    pub(super) fn write_at(&self, mut offset: u64, mut octets: &[u8]) -> Result<(), SpoolError> {
        while !octets.is_empty() {
            match self.inner.disk.write_at(&self.file, offset, octets) {
                Ok(0) => return Err(self.failed("writing", io::ErrorKind::WriteZero.into())),
                Ok(count) => {
                    offset += count as u64;
                    octets = &octets[count..];
                }
                Err(error) => return Err(self.failed("writing", error)),
            }
        }
        Ok(())
    }

    pub(super) fn preallocate(&self) -> Result<(), SpoolError> {
        self.inner
            .disk
            .preallocate(&self.file, self.written, SLACK)
            .map_err(|error| self.failed("reserving room behind", error))
    }

    /// Gives the complete file its name, unless it has it from the start.
    pub(super) fn publish(&mut self) -> Result<(), SpoolError> {
        if self.named {
            return Ok(());
        }
        let folder = self.inner.folder(self.folder);
        let mut linked = self.inner.disk.link(&self.file, folder, &self.name);
        if linked.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists) {
            make_way(&self.inner, self.folder, &self.name)?;
            linked = self.inner.disk.link(&self.file, folder, &self.name);
        }
        linked.map_err(|error| self.failed("naming", error))?;
        self.named = true;
        Ok(())
    }

    /// File, then name unless the file system takes that along, without company.
    pub(super) fn make_durable(self) -> Result<(), SpoolError> {
        self.sync_file()?;
        let synced = if self.inner.file_sync_suffices() { Ok(()) } else { self.inner.sync_folder(self.folder) };
        self.settle(synced)
    }

    /// The file goes to the disk before the sync of its name, or with it.
    pub(super) fn sync_file(&self) -> Result<(), SpoolError> {
        let Inner { disk, gathering, .. } = &*self.inner;
        let sync = || disk.sync(&self.file, Extent::All);
        let synced = match self.inner.file_sync_suffices() {
            true => gathering.sync(|| disk.write_out(&self.file), sync),
            false => sync(),
        };
        self.inner.heed(synced).map_err(|error| self.failed("syncing", error))
    }

    /// The name was synced after the file, or with it. When both are on the disk, the name stays, and the lock is given up.
    pub(super) fn settle(mut self, synced: io::Result<()>) -> Result<(), SpoolError> {
        synced.map_err(|error| self.failed("syncing", error))?;
        // Another's sync may have failed since ours was asked for, and with it the truth of ours.
        self.inner.refuse_if_poisoned()?;
        self.named = false;
        Ok(())
    }

    fn failed(&self, doing: &'static str, error: io::Error) -> SpoolError {
        self.inner.error(doing, self.folder, &self.name, error)
    }
}

impl<D: Disk> Drop for Arriving<D> {
    fn drop(&mut self) {
        if self.named {
            // Nothing more can be done; what stays is torn, or whole and unacknowledged.
            let _ = self.inner.disk.unlink(self.inner.folder(self.folder), &self.name);
        }
    }
}

/// The name is taken. By a whole message: it exists, and is made durable before that is said, as whoever wrote it may
/// have died before. By a torn one, left by a crash: it is set aside, and the name is free.
fn make_way<D: Disk>(inner: &Arc<Inner<D>>, folder: Folder, name: &str) -> Result<(), SpoolError> {
    let failed = |trouble| inner.error("creating", folder, name, trouble);
    let id = name.parse().map_err(|error| failed(SpoolErrorKind::Io(io::Error::other(error))))?;
    match claim::claim_in(inner, folder, id) {
        Ok(Claimed::Ours(whole)) => {
            whole.make_durable().map_err(|error| failed(error.into()))?;
            Err(failed(SpoolErrorKind::Exists))
        }
        Ok(Claimed::Gone) | Err(SpoolError { kind: SpoolErrorKind::Torn(_) | SpoolErrorKind::Corrupt(_), .. }) => {
            Ok(())
        }
        Ok(Claimed::Busy) if look::find(inner, &[folder], id)?.is_some() => Err(failed(SpoolErrorKind::Exists)),
        Ok(Claimed::Busy) => Err(failed(SpoolErrorKind::Io(io::ErrorKind::WouldBlock.into()))),
        Err(error) => Err(error),
    }
}

/// Old kernels and some file systems take the flag for that of a folder, or for none at all.
fn knows_no_anonymous_files(error: &io::Error) -> bool {
    [Errno::OPNOTSUPP, Errno::ISDIR, Errno::NOENT, Errno::INVAL]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}
