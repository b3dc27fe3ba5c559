//! A disk that does what the host's does, until it shall fail; it keeps book of what has been synced.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::clock::Timestamp;
use crate::spool::Creation;
use crate::spool::disk::{Access, Disk, Extent, FileSystem, HostDisk, HostFile, Lock, Room, Status};

/// How files are created, whether the draft is handed over, and the file system.
pub(super) const EVERY_COMMIT: [(Creation, bool, FileSystem); 6] = [
    (Creation::Anonymous, false, UNKNOWN),
    (Creation::Named, false, UNKNOWN),
    (Creation::Anonymous, true, UNKNOWN),
    (Creation::Named, true, UNKNOWN),
    (Creation::Anonymous, false, FileSystem::Journalled),
    (Creation::Anonymous, true, FileSystem::Journalled),
];
/// One that covers nothing by a sync but what was synced.
pub(super) const UNKNOWN: FileSystem = FileSystem::Other(0);

/// What happens at one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// The call fails with this error number and does nothing.
    Error(i32),
    /// A write writes half; any other call goes through.
    Short,
}

/// Decides by the number of the call, from 1, and its name.
type Script = Box<dyn FnMut(usize, &'static str) -> Fault + Send>;

pub(super) struct Book {
    script: Script,
    calls: usize,
    /// Files with octets that were not synced.
    dirty: HashSet<(u64, u64)>,
    /// Names in the queue, the files that they lead to, and whether the folder was synced since.
    names: HashMap<String, ((u64, u64), bool)>,
    /// Which calls were made.
    pub(super) trace: Vec<&'static str>,
}

impl Book {
    /// Whether a power cut now would leave the file under its name.
    pub(super) fn is_durable(&self, name: &str) -> bool {
        self.names.get(name).is_some_and(|(file, synced)| *synced && !self.dirty.contains(file))
    }

    /// From now on.
    pub(super) fn follow(&mut self, script: impl FnMut(usize, &'static str) -> Fault + Send + 'static) {
        self.script = Box::new(script);
        self.calls = 0;
        self.trace.clear();
    }
}

#[derive(Clone)]
pub(super) struct FaultyDisk {
    host: HostDisk,
    kind: FileSystem,
    pub(super) book: Arc<Mutex<Book>>,
}

impl FaultyDisk {
    pub(super) fn new() -> Self {
        Self::of(UNKNOWN)
    }

    /// One with a file system of this kind: the sync of a file covers its names, or does not.
    pub(super) fn of(kind: FileSystem) -> Self {
        let book = Book {
            script: Box::new(|_, _| Fault::None),
            calls: 0,
            dirty: HashSet::new(),
            names: HashMap::new(),
            trace: Vec::new(),
        };
        Self { host: HostDisk, kind, book: Arc::new(Mutex::new(book)) }
    }

    fn step(&self, call: &'static str) -> io::Result<Fault> {
        let mut book = self.book.lock().unwrap();
        book.calls += 1;
        book.trace.push(call);
        let number = book.calls;
        match (book.script)(number, call) {
            Fault::Error(number) => Err(io::Error::from_raw_os_error(number)),
            fault => Ok(fault),
        }
    }

    fn note_name(&self, file: &HostFile, name: &str) {
        let identity = self.host.status(file).unwrap().identity;
        self.book.lock().unwrap().names.insert(name.to_owned(), (identity, false));
    }
}

impl Disk for FaultyDisk {
    type Folder = OwnedFd;
    type File = HostFile;

    fn root(&self, path: &Path) -> io::Result<OwnedFd> {
        self.step("root")?;
        self.host.root(path)
    }

    fn folder(&self, within: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
        self.step("folder")?;
        self.host.folder(within, name)
    }

    fn status_of_folder(&self, folder: &OwnedFd) -> io::Result<Status> {
        self.step("status_of_folder")?;
        self.host.status_of_folder(folder)
    }

    fn list(&self, folder: &OwnedFd) -> io::Result<Vec<String>> {
        self.step("list")?;
        self.host.list(folder)
    }

    fn sync_folder(&self, folder: &OwnedFd) -> io::Result<()> {
        self.step("sync_folder")?;
        self.host.sync_folder(folder)?;
        let there = self.host.list(folder)?;
        let mut book = self.book.lock().unwrap();
        for name in there {
            if let Some((_, synced)) = book.names.get_mut(&name) {
                *synced = true;
            }
        }
        Ok(())
    }

    fn room(&self, folder: &OwnedFd) -> io::Result<Room> {
        self.step("room")?;
        self.host.room(folder)
    }

    fn file_system(&self, _: &OwnedFd) -> FileSystem {
        self.kind
    }

    fn create_anonymous(&self, folder: &OwnedFd) -> io::Result<HostFile> {
        self.step("create_anonymous")?;
        self.host.create_anonymous(folder)
    }

    fn create_named(&self, folder: &OwnedFd, name: &str) -> io::Result<HostFile> {
        self.step("create_named")?;
        let file = self.host.create_named(folder, name)?;
        self.note_name(&file, name);
        Ok(file)
    }

    fn open(&self, folder: &OwnedFd, name: &str, access: Access) -> io::Result<HostFile> {
        self.step("open")?;
        self.host.open(folder, name, access)
    }

    fn link(&self, file: &HostFile, folder: &OwnedFd, name: &str) -> io::Result<()> {
        self.step("link")?;
        self.host.link(file, folder, name)?;
        self.note_name(file, name);
        Ok(())
    }

    fn unlink(&self, folder: &OwnedFd, name: &str) -> io::Result<()> {
        self.step("unlink")?;
        self.host.unlink(folder, name)
    }

    fn rename(&self, from: (&OwnedFd, &str), to: (&OwnedFd, &str)) -> io::Result<()> {
        self.step("rename")?;
        self.host.rename(from, to)
    }

    fn status_at(&self, folder: &OwnedFd, name: &str) -> io::Result<Status> {
        self.step("status_at")?;
        self.host.status_at(folder, name)
    }

    fn status(&self, file: &HostFile) -> io::Result<Status> {
        self.step("status")?;
        self.host.status(file)
    }

    fn try_lock(&self, file: &HostFile, lock: Lock) -> io::Result<bool> {
        self.step("try_lock")?;
        self.host.try_lock(file, lock)
    }

    fn read_at(&self, file: &HostFile, offset: u64, octets: &mut [u8]) -> io::Result<usize> {
        self.step("read_at")?;
        self.host.read_at(file, offset, octets)
    }

    fn write_at(&self, file: &HostFile, offset: u64, octets: &[u8]) -> io::Result<usize> {
        let octets = match self.step("write_at")? {
            Fault::Short => &octets[..octets.len() / 2],
            _ => octets,
        };
        let identity = self.host.status(file)?.identity;
        self.book.lock().unwrap().dirty.insert(identity);
        self.host.write_at(file, offset, octets)
    }

    fn truncate(&self, file: &HostFile, size: u64) -> io::Result<()> {
        self.step("truncate")?;
        self.host.truncate(file, size)
    }

    fn preallocate(&self, file: &HostFile, offset: u64, octets: u64) -> io::Result<()> {
        self.step("preallocate")?;
        self.host.preallocate(file, offset, octets)
    }

    fn note_modified(&self, file: &HostFile, time: Timestamp) -> io::Result<()> {
        self.step("note_modified")?;
        self.host.note_modified(file, time)
    }

    fn write_out(&self, file: &HostFile) -> io::Result<()> {
        self.step("write_out")?;
        self.host.write_out(file)
    }

    fn sync(&self, file: &HostFile, extent: Extent) -> io::Result<()> {
        self.step(match extent {
            Extent::All => "sync",
            Extent::Data => "sync_data",
        })?;
        self.host.sync(file, extent)?;
        let identity = self.host.status(file)?.identity;
        let mut book = self.book.lock().unwrap();
        book.dirty.remove(&identity);
        if extent == Extent::All && self.kind.file_sync_covers_name() {
            book.names.values_mut().filter(|(file, _)| *file == identity).for_each(|(_, synced)| *synced = true);
        }
        Ok(())
    }
}
