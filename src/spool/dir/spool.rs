//! The directory spool: `queue/ hold/ failed/ bad/ routes/ log/` under one folder, one file per message.
//!
//! A message is where its file is; a lock says who works on it; nothing else is remembered, so any number of processes
//! share a spool. After the disk failed to sync, the spool is poisoned: it accepts nothing more, as what the disk says
//! from then on proves nothing. What is still in the queue may be delivered.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::chance::Chance;
use super::claim::DirClaim;
use super::draft::DirDraft;
use super::gauge::Gauge;
use super::inner::{Inner, SpoolSettings};
use super::syncs::{Finishing, Gathering, Removals};
use super::{claim, look};
use crate::clock::{Clock, Timestamp};
use crate::envelope::Envelope;
use crate::id::{IdSource, SpoolId};
use crate::mutant::{Mutant, planted};
use crate::spool::disk::{Disk, HostDisk, Kind};
use crate::spool::error::{SpoolError, SpoolErrorKind};
use crate::spool::folder::Folder;
use crate::spool::traits::{Claimed, Glance, QueueEntry, Spool};

/// A spool in a folder. Clones share it.
///
/// ```
/// use std::sync::Arc;
///
/// use leafmail::spool::{DirSpool, Folder, Spool, SpoolSettings};
/// use leafmail::sys::SystemClock;
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path();
/// let spool = DirSpool::open(path, SpoolSettings::default(), Arc::new(SystemClock)).unwrap();
/// assert!(spool.entries(Folder::Queue).unwrap().is_empty());
/// ```
pub struct DirSpool<D: Disk = HostDisk> {
    pub(in crate::spool) inner: Arc<Inner<D>>,
}

impl DirSpool {
    /// Opens the spool at `path` on the host's disk, and makes the folders that are missing. A folder of our own that
    /// others may look into is narrowed to 0700.
    ///
    /// # Errors
    /// [`SpoolErrorKind::OtherOwner`] when it belongs to another user, [`SpoolErrorKind::Foreign`] when others may write to it, or when it is no
    /// spool and holds other things; [`SpoolErrorKind::Io`] when it cannot be opened or made.
    pub fn open(path: &Path, settings: SpoolSettings, clock: Arc<dyn Clock>) -> Result<Self, SpoolError> {
        // First, as another user's folder cannot even be opened.
        if let Ok(status) = std::fs::metadata(path) {
            check_owner(status.uid(), path)?;
        }
        check_purpose(path)?;
        narrow(path).map_err(|error| SpoolError::new("narrowing the mode of", path, error))?;
        Self::open_on(HostDisk, path, settings, clock)
    }
}

impl<D: Disk> DirSpool<D> {
    /// Opens the spool at `path` on another disk than the host's.
    ///
    /// # Errors
    /// As [`DirSpool::open`].
    pub fn open_on(disk: D, path: &Path, settings: SpoolSettings, clock: Arc<dyn Clock>) -> Result<Self, SpoolError> {
        const BESIDE: [&str; 2] = ["routes", "log"];
        let failed = |name: &'static str| move |error: io::Error| SpoolError::new("opening", path.join(name), error);
        let root = disk.root(path).map_err(failed(""))?;
        check_folder(&disk, &root, path)?;
        let there = disk.list(&root).map_err(failed(""))?;
        let is_new = Folder::ALL.map(Folder::name).iter().chain(&BESIDE).any(|name| !there.iter().any(|it| it == name));
        let folder = |name: &'static str| {
            let folder = disk.folder(&root, name).map_err(failed(name))?;
            check_folder(&disk, &folder, &path.join(name))?;
            Ok::<_, SpoolError>(folder)
        };
        // In the order of [`Folder::ALL`].
        let folders = [folder("queue")?, folder("hold")?, folder("failed")?, folder("bad")?];
        for name in BESIDE {
            folder(name)?;
        }
        // The folders' own names must outlive a power cut before anything in them is promised.
        if is_new {
            disk.sync_folder(&root).map_err(failed(""))?;
        }
        let room = disk.room(&folders[0]).map_err(failed("queue"))?;
        let reserve = settings.reserve(&room);
        let file_system = disk.file_system(&folders[0]);
        let (gathering, removals) =
            (Gathering::slower_than(settings.slow_flush), Removals::patient(settings.slow_flush));
        Ok(Self {
            inner: Arc::new(Inner {
                disk,
                clock,
                settings,
                ledger: Arc::default(),
                owner: rustix::process::geteuid().as_raw(),
                reserve,
                ids: IdSource::default(),
                chance: Chance::default(),
                gauge: Gauge::default(),
                folders,
                file_system,
                syncs: Default::default(),
                gathering,
                removals,
                finishing: Finishing::default(),
                poisoned: AtomicBool::new(false),
            }),
        })
    }

    /// What makes a new message durable here, in words.
    pub fn durability(&self) -> String {
        self.inner.settings.sync.durability_on(self.inner.file_system)
    }

    /// Whether the disk failed to sync. It stays so: the process should finish its replies and leave.
    pub fn is_poisoned(&self) -> bool {
        self.inner.is_poisoned()
    }
}

/// A path that was mistyped, such as `/etc` or `/tmp`, must not become a spool, nor be closed to everybody else. What
/// a file system, a version control system or a new home directory begins with is nothing, nor is the page in `./spool`.
fn check_purpose(path: &Path) -> Result<(), SpoolError> {
    let Ok(mut names) = std::fs::read_dir(path) else { return Ok(()) };
    if path.join(Folder::Queue.name()).symlink_metadata().is_ok() {
        return Ok(());
    }
    let is_other = |name: &str| !name.starts_with('.') && !["README.md", "lost+found", "log", "routes"].contains(&name);
    if names.any(|entry| entry.is_ok_and(|entry| is_other(&entry.file_name().to_string_lossy()))) {
        return Err(SpoolError::new(
            "opening",
            path,
            SpoolErrorKind::Foreign("the folder holds other things and is no spool; name an empty or a new folder"),
        ));
    }
    Ok(())
}

/// A folder made by hand, or by a version control system, has the mode of its maker's mask.
fn narrow(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(status)
            if status.is_dir() && status.uid() == rustix::process::geteuid().as_raw() && status.mode() & 0o077 != 0 =>
        {
            std::fs::set_permissions(path, Permissions::from_mode(0o700))
        }
        _ => Ok(()),
    }
}

/// Refuses a folder that somebody else could change behind our back.
fn check_folder<D: Disk>(disk: &D, folder: &D::Folder, path: &Path) -> Result<(), SpoolError> {
    let status = disk.status_of_folder(folder).map_err(|error| SpoolError::new("opening", path, error))?;
    check_owner(status.owner, path)?;
    if status.mode & 0o022 != 0 {
        return Err(SpoolError::new("opening", path, SpoolErrorKind::Foreign("others may write to it")));
    }
    Ok(())
}

fn check_owner(owner: u32, path: &Path) -> Result<(), SpoolError> {
    if owner == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    Err(SpoolError::new("opening", path, SpoolErrorKind::OtherOwner(owner)))
}

impl<D: Disk> Clone for DirSpool<D> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<D: Disk> std::fmt::Debug for DirSpool<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DirSpool").field("settings", &self.inner.settings).finish_non_exhaustive()
    }
}

impl<D: Disk> Drop for DirSpool<D> {
    fn drop(&mut self) {
        // A thread that syncs for others ends with the process.
        self.inner.removals.settle();
    }
}

impl<D: Disk> Spool for DirSpool<D> {
    type Draft = DirDraft<D>;
    type Claim = DirClaim<D>;

    fn has_room(&self, size: u64) -> Result<(), SpoolError> {
        self.inner.check_room(size)
    }

    fn is_sound(&self) -> bool {
        !self.is_poisoned()
    }

    fn open(&self, envelope: &Envelope) -> Result<DirDraft<D>, SpoolError> {
        let random =
            self.inner.chance.draw().map_err(|error| SpoolError::new("naming a message in", "queue", error))?;
        let now = self.inner.clock.now();
        let id = match planted(Mutant::NameFromPidAndSecond) {
            false => self.inner.ids.next(now, random),
            true => {
                SpoolId::new(Timestamp::from_millis(now.as_millis() / 1000 * 1000), 0, u64::from(std::process::id()))
            }
        };
        DirDraft::open(&self.inner, id, envelope)
    }

    fn open_as(&self, id: SpoolId, envelope: &Envelope) -> Result<DirDraft<D>, SpoolError> {
        for folder in [Folder::Hold, Folder::Failed] {
            if look::is_there(&self.inner, folder, &id.to_string())? {
                return Err(self.inner.error("opening", folder, &id.to_string(), SpoolErrorKind::Exists));
            }
        }
        DirDraft::open(&self.inner, id, envelope)
    }

    fn entries(&self, folder: Folder) -> Result<Vec<QueueEntry>, SpoolError> {
        let mut entries = Vec::new();
        self.scan(folder, &mut |entry| entries.push(entry))?;
        entries.sort_unstable_by_key(|entry| entry.id);
        Ok(entries)
    }

    fn scan(&self, folder: Folder, each: &mut dyn FnMut(QueueEntry)) -> Result<(), SpoolError> {
        let Inner { disk, clock, settings, .. } = &*self.inner;
        let handle = self.inner.folder(folder);
        let now = clock.now();
        let mut failed = None;
        let listed = disk.each_name(handle, &mut |name| {
            let (Ok(id), None) = (name.parse::<SpoolId>(), &failed) else { return };
            match disk.status_at(handle, name) {
                Ok(status) if status.kind == Kind::Regular => {
                    let believed = status.modified <= now + settings.longest_interval;
                    each(QueueEntry { id, due: if believed { status.modified } else { now } });
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => failed = Some(self.inner.error("listing", folder, name, error)),
            }
        });
        listed.map_err(|error| SpoolError::new("listing", folder.name(), error))?;
        failed.map_or(Ok(()), Err)
    }

    fn claim(&self, id: SpoolId) -> Result<Claimed<DirClaim<D>>, SpoolError> {
        claim::claim_in(&self.inner, Folder::Queue, id)
    }

    fn peek(&self, id: SpoolId) -> Result<Option<Glance>, SpoolError> {
        look::peek_on(&self.inner, &[Folder::Queue, Folder::Hold, Folder::Failed], id)
    }
}
