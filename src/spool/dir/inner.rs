//! What drafts, claims and the spool of a folder share: the disk, the folders, the room on it, and who syncs.
//!
//! After the disk failed to sync, the spool is poisoned (`durable.rs`): it accepts nothing more, as what the disk says from then on
//! proves nothing.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::chance::Chance;
use super::gauge::Gauge;
use super::room::{Reservations, Reserve, too_small};
use super::syncs::{Finishing, Gathering, GroupCommit, Removals};
use crate::clock::{Clock, longest_varied};
use crate::id::IdSource;
use crate::smtp::LARGEST_MESSAGE;
use crate::spool::disk::{Disk, FileSystem, Room, room_at};
use crate::spool::error::{SpoolError, SpoolErrorKind};
use crate::spool::folder::Folder;

/// What can be set of a spool.
///
/// ```
/// use leafmail::spool::SpoolSettings;
///
/// let settings = SpoolSettings { reserve_octets: Some(1 << 30), ..SpoolSettings::default() }; // 1 GiB stays free
/// assert!(settings.reserve_inodes.is_none());
/// ```
#[derive(Debug, Clone)]
pub struct SpoolSettings {
    /// Octets of the largest message that is accepted; the default reserve is at least twice that.
    pub largest_message: u64,
    /// Octets that must stay free on the disk; `None` for [`Reserve::of`].
    pub reserve_octets: Option<u64>,
    /// Inodes that must stay free on the disk; `None` for [`Reserve::of`].
    pub reserve_inodes: Option<u64>,
    /// A hint of being due that is further off than this is not believed: a clock jumped. 2 h and its variation.
    pub longest_interval: Duration,
    /// How files are created.
    pub creation: Creation,
    /// Which syncs a new message gets.
    pub sync: SpoolSync,
    /// From when on a flush of the disk is slow: the syncs of new messages then begin together, and nobody waits for those of
    /// removals.
    pub slow_flush: Duration,
}

impl Default for SpoolSettings {
    fn default() -> Self {
        Self {
            largest_message: LARGEST_MESSAGE,
            reserve_octets: None,
            reserve_inodes: None,
            longest_interval: longest_varied(Duration::from_secs(2 * 3600)),
            creation: Creation::Anonymous,
            sync: SpoolSync::Auto,
            // A disk with a cache of its own flushes in less, a consumer SSD or an SD card takes longer.
            slow_flush: Duration::from_millis(2),
        }
    }
}

impl SpoolSettings {
    pub(super) fn reserve(&self, room: &Room) -> Reserve {
        let usual = Reserve::of(room, self.largest_message);
        Reserve {
            octets: self.reserve_octets.unwrap_or(usual.octets),
            inodes: self.reserve_inodes.unwrap_or(usual.inodes),
        }
    }

    /// Why a spool at `path` would refuse every message at present: less than its reserve is free there. The spool need not
    /// be there yet; `None` also where the disk does not say.
    pub fn shortage_at(&self, path: &Path) -> Option<String> {
        let is_there = |folder: &&Path| !folder.as_os_str().is_empty() && folder.exists();
        let folder = path.ancestors().find(is_there).unwrap_or(Path::new("."));
        let room = room_at(folder).ok()?;
        too_small(&room, self.reserve(&room))
    }
}

/// How a message's file comes to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creation {
    /// Without a name until it is complete (`O_TMPFILE`); as `Named` where the file system cannot.
    Anonymous,
    /// Under its final name, locked. For file systems that pretend, and for tests.
    Named,
}

/// Which syncs make a new message durable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SpoolSync {
    /// Its file alone, where the file system is known to make the name durable with it; else both.
    #[default]
    Auto,
    /// Its file and then its folder, on every file system.
    Always,
}

impl SpoolSync {
    /// Whether a message needs no sync of its folder on such a file system.
    pub(super) fn is_of_file_alone_on(self, file_system: FileSystem) -> bool {
        self == Self::Auto && file_system.file_sync_covers_name()
    }

    /// What makes a new message durable on such a file system, in words.
    pub fn durability_on(self, file_system: FileSystem) -> String {
        let why = match self {
            _ if self.is_of_file_alone_on(file_system) => {
                return format!("on {file_system}: one sync for a message and its name");
            }
            Self::Always => "as spool_sync = \"always\" demands",
            Self::Auto => "as one is not known to suffice there",
        };
        format!("on {file_system}: a sync for each message and one for its name, {why}")
    }
}

/// What drafts, claims and the spool share.
pub(in crate::spool) struct Inner<D: Disk> {
    pub(super) disk: D,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) settings: SpoolSettings,
    pub(super) ledger: Arc<Reservations>,
    /// The user whose files are ours.
    pub(super) owner: u32,
    pub(super) reserve: Reserve,
    pub(super) ids: IdSource,
    pub(super) chance: Chance,
    pub(super) gauge: Gauge,
    pub(super) folders: [D::Folder; Folder::ALL.len()],
    pub(super) file_system: FileSystem,
    /// The syncs of each folder.
    pub(super) syncs: [GroupCommit; Folder::ALL.len()],
    pub(super) gathering: Gathering,
    pub(super) removals: Removals,
    pub(super) finishing: Finishing,
    pub(super) poisoned: AtomicBool,
}

impl<D: Disk> Inner<D> {
    pub(in crate::spool) fn folder(&self, folder: Folder) -> &D::Folder {
        &self.folders[folder as usize]
    }

    /// An error about a file of a folder.
    pub(in crate::spool) fn error(
        &self,
        doing: &'static str,
        folder: Folder,
        name: &str,
        trouble: impl Into<SpoolErrorKind>,
    ) -> SpoolError {
        let trouble = match trouble.into() {
            SpoolErrorKind::Io(error) if is_full(&error) => SpoolErrorKind::Full(format!("the disk says: {error}")),
            other => other,
        };
        SpoolError::new(doing, Path::new(folder.name()).join(name), trouble)
    }

    /// Whether this many octets fit beside the reserve and what drafts have reserved.
    pub(in crate::spool) fn check_room(&self, octets: u64) -> Result<(), SpoolError> {
        self.refuse_if_poisoned()?;
        let recent = self.gauge.recent(self.ledger.asked(), Instant::now());
        match recent.map(|room| self.ledger.shortage(&room, self.reserve, octets)) {
            Some(None) => Ok(()),
            _ => self.ask_for_room(octets),
        }
    }

    /// The same by asking the disk, whatever was known.
    pub(in crate::spool) fn ask_for_room(&self, octets: u64) -> Result<(), SpoolError> {
        self.refuse_if_poisoned()?;
        let failed = |trouble| SpoolError::new("finding room in", "queue", trouble);
        let asked = self.ledger.asked();
        let room = self.disk.room(self.folder(Folder::Queue)).map_err(|error| failed(error.into()))?;
        self.gauge.note(room, asked, Instant::now());
        self.ledger.shortage(&room, self.reserve, octets).map_or(Ok(()), |what| Err(failed(SpoolErrorKind::Full(what))))
    }

    /// Moves a file between folders and makes that durable, first where it is, then where it was. In `bad/`, whose names
    /// are not looked up, a name that is taken gets a number.
    pub(in crate::spool) fn move_file(&self, name: &str, from: Folder, to: Folder) -> Result<(), SpoolError> {
        let source = (self.folder(from), name);
        let failed = |error| self.error("moving", from, name, error);
        let mut moved = self.disk.rename(source, (self.folder(to), name));
        let mut number = 0;
        while to == Folder::Bad && number < 1000 && is_taken(&moved) {
            number += 1;
            moved = self.disk.rename(source, (self.folder(to), &format!("{name}.{number}")));
        }
        if is_taken(&moved) {
            return Err(self.error("moving to", to, name, SpoolErrorKind::Exists));
        }
        moved.map_err(|error| failed(SpoolErrorKind::from(error)))?;
        self.sync_folder(to).and_then(|()| self.sync_folder(from)).map_err(|error| failed(SpoolErrorKind::from(error)))
    }
}

fn is_taken(result: &io::Result<()>) -> bool {
    result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists)
}

fn is_full(error: &io::Error) -> bool {
    [Errno::NOSPC, Errno::DQUOT].iter().any(|full| error.raw_os_error() == Some(full.raw_os_error()))
}
