//! The simulated disk as the spool sees it: each call is a step of its process, and may fail.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard};

use leafmail::clock::Timestamp;
use leafmail::spool::disk::{Access, Disk, Extent, FileSystem, Kind, Lock, Room, Status};

use crate::disk_state::{Folder, Inode};
use crate::world::{State, World};

const EIO: i32 = 5;
const EMFILE: i32 = 24;
const ENOSPC: i32 = 28;
const EDQUOT: i32 = 122;

/// Octets of the disk: too few for the spool to rely on an earlier look at them, whose age is measured by the host's clock.
const ROOM: u64 = 32 << 20;

/// The disk, in the hands of one process.
#[derive(Clone)]
pub(crate) struct SimulatedDisk {
    pub(crate) world: Arc<World>,
    pub(crate) process: usize,
}

/// An open folder.
pub(crate) struct OpenFolder {
    index: Folder,
    /// Failures of syncs that were told.
    told: AtomicU64,
}

/// An open file.
pub(crate) struct OpenFile {
    disk: SimulatedDisk,
    inode: Inode,
    handle: usize,
    told: AtomicU64,
}

impl OpenFile {
    /// As the trace shows it.
    fn name(&self) -> String {
        format!("#{}", self.inode)
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        // The kernel did it already for who is dead; the handle is nobody else's.
        self.disk.world.state().disk_state.unlock(self.handle);
    }
}

fn errno(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}

impl SimulatedDisk {
    /// The step of a call; one of `errors` may be its end.
    fn call(&self, what: &str, about: &str, errors: &[i32]) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.world.step(self.process, what, about).map_err(|_dead| errno(EIO))?;
        let many = state.rates.fault;
        if state.chance.one_in(many) && !errors.is_empty() {
            let number = *state.chance.of(errors);
            self.note_failure(&mut state, what);
            return Err(errno(number));
        }
        Ok(state)
    }

    fn note_failure(&self, state: &mut State, what: &str) {
        state.note(self.process, "fails", what);
        state.judge.figures.faults += 1;
        state.judge.trouble(self.process);
    }

    fn file(&self, state: &mut State, inode: Inode) -> OpenFile {
        let handle = state.handle(self.process);
        let told = AtomicU64::new(state.disk_state.failures(inode));
        OpenFile { disk: self.clone(), inode, handle, told }
    }

    /// Fails where the disk is full.
    fn want_block(&self, state: &mut State, what: &str) -> io::Result<()> {
        if state.rates.full {
            self.note_failure(state, what);
            return Err(errno(ENOSPC));
        }
        Ok(())
    }

    fn found(state: &State, folder: &OpenFolder, name: &str) -> io::Result<Inode> {
        state.disk_state.find(folder.index, name).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn status_of(state: &State, inode: Inode) -> Status {
        Status {
            kind: Kind::Regular,
            owner: rustix::process::geteuid().as_raw(),
            mode: 0o600,
            links: state.disk_state.links(inode) as u64,
            identity: (1, inode as u64),
            size: state.disk_state.octets(inode).len() as u64,
            modified: Timestamp::from_millis(state.disk_state.modified(inode)),
        }
    }
}

impl Disk for SimulatedDisk {
    type Folder = OpenFolder;
    type File = OpenFile;

    fn root(&self, _: &Path) -> io::Result<OpenFolder> {
        let mut state = self.call("root", "", &[EMFILE])?;
        let index = state.disk_state.folder("");
        Ok(OpenFolder { index, told: AtomicU64::new(state.disk_state.folder_failures(index)) })
    }

    fn folder(&self, _: &OpenFolder, name: &str) -> io::Result<OpenFolder> {
        let mut state = self.call("folder", name, &[EMFILE])?;
        let index = state.disk_state.folder(name);
        Ok(OpenFolder { index, told: AtomicU64::new(state.disk_state.folder_failures(index)) })
    }

    fn status_of_folder(&self, folder: &OpenFolder) -> io::Result<Status> {
        let state = self.call("status_of_folder", "", &[])?;
        Ok(Status {
            kind: Kind::Folder,
            owner: rustix::process::geteuid().as_raw(),
            mode: 0o700,
            links: 1,
            identity: (0, folder.index as u64),
            size: 0,
            modified: state.timestamp(),
        })
    }

    fn list(&self, folder: &OpenFolder) -> io::Result<Vec<String>> {
        let state = self.call("list", "", &[EIO])?;
        // The root has only folders in it.
        let names =
            if folder.index == 0 { state.disk_state.folder_names() } else { state.disk_state.names(folder.index) };
        Ok(names)
    }

    fn sync_folder(&self, folder: &OpenFolder) -> io::Result<()> {
        let mut state = self.call("sync_folder", "", &[])?;
        let many = state.rates.fault;
        if state.chance.one_in(many) {
            self.note_failure(&mut state, "sync_folder");
            state.disk_state.fail_sync_folder(folder.index);
        }
        let failures = state.disk_state.folder_failures(folder.index);
        if folder.told.swap(failures, Ordering::SeqCst) < failures {
            state.judge.trouble(self.process);
            return Err(errno(EIO));
        }
        state.disk_state.sync_folder(folder.index);
        Ok(())
    }

    fn file_system(&self, _: &OpenFolder) -> FileSystem {
        // Whoever is dead does not care.
        if self.world.state().covers_names { FileSystem::Journalled } else { FileSystem::Other(0) }
    }

    fn room(&self, _: &OpenFolder) -> io::Result<Room> {
        let state = self.call("room", "", &[EIO])?;
        let free_octets = if state.rates.full { 0 } else { ROOM };
        Ok(Room { octets: 2 * ROOM, free_octets, inodes: 0, free_inodes: 0 })
    }

    fn create_anonymous(&self, _: &OpenFolder) -> io::Result<OpenFile> {
        let mut state = self.call("create", "", &[EIO, EMFILE, ENOSPC, EDQUOT])?;
        self.want_block(&mut state, "create")?;
        let now = state.now;
        let inode = state.disk_state.create(now);
        Ok(self.file(&mut state, inode))
    }

    fn create_named(&self, folder: &OpenFolder, name: &str) -> io::Result<OpenFile> {
        let mut state = self.call("create", name, &[EIO, EMFILE, ENOSPC, EDQUOT])?;
        self.want_block(&mut state, "create")?;
        if state.disk_state.find(folder.index, name).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let now = state.now;
        let inode = state.disk_state.create(now);
        state.disk_state.rename(inode, None, Some((folder.index, name.to_owned())));
        Ok(self.file(&mut state, inode))
    }

    fn open(&self, folder: &OpenFolder, name: &str, _: Access) -> io::Result<OpenFile> {
        let mut state = self.call("open", name, &[EIO, EMFILE])?;
        let inode = Self::found(&state, folder, name)?;
        Ok(self.file(&mut state, inode))
    }

    fn link(&self, file: &OpenFile, folder: &OpenFolder, name: &str) -> io::Result<()> {
        let mut state = self.call("link", &format!("{} {name}", file.name()), &[EIO, ENOSPC, EDQUOT])?;
        if state.disk_state.find(folder.index, name).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.disk_state.rename(file.inode, None, Some((folder.index, name.to_owned())));
        Ok(())
    }

    fn unlink(&self, folder: &OpenFolder, name: &str) -> io::Result<()> {
        let mut state = self.call("unlink", name, &[EIO])?;
        let inode = Self::found(&state, folder, name)?;
        state.disk_state.rename(inode, Some((folder.index, name.to_owned())), None);
        Ok(())
    }

    fn rename(&self, from: (&OpenFolder, &str), to: (&OpenFolder, &str)) -> io::Result<()> {
        let mut state = self.call("rename", from.1, &[EIO])?;
        let inode = Self::found(&state, from.0, from.1)?;
        if state.disk_state.find(to.0.index, to.1).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let (from, to) = ((from.0.index, from.1.to_owned()), (to.0.index, to.1.to_owned()));
        state.disk_state.rename(inode, Some(from), Some(to));
        Ok(())
    }

    fn status_at(&self, folder: &OpenFolder, name: &str) -> io::Result<Status> {
        let state = self.call("status_at", name, &[EIO])?;
        Ok(Self::status_of(&state, Self::found(&state, folder, name)?))
    }

    fn status(&self, file: &OpenFile) -> io::Result<Status> {
        let state = self.call("status", &file.name(), &[EIO])?;
        Ok(Self::status_of(&state, file.inode))
    }

    fn try_lock(&self, file: &OpenFile, lock: Lock) -> io::Result<bool> {
        let mut state = self.call("try_lock", &file.name(), &[EIO])?;
        let taken = state.disk_state.lock(file.handle, file.inode, lock);
        if !taken {
            state.note(self.process, "is refused the lock", "");
            state.nap();
        }
        Ok(taken)
    }

    fn read_at(&self, file: &OpenFile, offset: u64, octets: &mut [u8]) -> io::Result<usize> {
        let mut state = self.call("read_at", &file.name(), &[EIO])?;
        let there = state.disk_state.octets(file.inode);
        let rest = there.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
        let mut count = rest.len().min(octets.len());
        octets[..count].copy_from_slice(&rest[..count]);
        let many = state.rates.fault;
        if count > 1 && state.chance.one_in(many) {
            count = state.chance.between(1, count);
        }
        Ok(count)
    }

    fn write_at(&self, file: &OpenFile, offset: u64, octets: &[u8]) -> io::Result<usize> {
        let mut state = self.call("write_at", &file.name(), &[EIO, ENOSPC, EDQUOT])?;
        let (offset, now, many) = (usize::try_from(offset).unwrap(), state.now, state.rates.fault);
        if !state.disk_state.has_blocks(file.inode, offset + octets.len()) {
            self.want_block(&mut state, "write_at")?;
        }
        let mut count = octets.len();
        if count > 1 && state.chance.one_in(many) {
            count = state.chance.between(1, count);
            state.judge.trouble(self.process);
        }
        state.disk_state.write(file.inode, offset, &octets[..count], now);
        Ok(count)
    }

    fn truncate(&self, file: &OpenFile, size: u64) -> io::Result<()> {
        let mut state = self.call("truncate", &file.name(), &[EIO])?;
        state.disk_state.truncate(file.inode, usize::try_from(size).unwrap());
        Ok(())
    }

    fn preallocate(&self, file: &OpenFile, offset: u64, octets: u64) -> io::Result<()> {
        let mut state = self.call("preallocate", &file.name(), &[ENOSPC, EDQUOT])?;
        self.want_block(&mut state, "preallocate")?;
        state.disk_state.reserve(file.inode, usize::try_from(offset + octets).unwrap());
        Ok(())
    }

    fn note_modified(&self, file: &OpenFile, time: Timestamp) -> io::Result<()> {
        let mut state = self.call("note_modified", &file.name(), &[EIO])?;
        state.disk_state.note_modified(file.inode, time.as_millis());
        Ok(())
    }

    fn sync(&self, file: &OpenFile, extent: Extent) -> io::Result<()> {
        let mut state = self.call("sync", &file.name(), &[])?;
        let many = state.rates.fault;
        if state.chance.one_in(many) {
            self.note_failure(&mut state, "sync");
            state.fail_sync(file.inode);
        }
        let failures = state.disk_state.failures(file.inode);
        if file.told.swap(failures, Ordering::SeqCst) < failures {
            state.judge.trouble(self.process);
            return Err(errno(EIO));
        }
        state.disk_state.sync(file.inode);
        if state.covers_names && extent == Extent::All {
            state.disk_state.sync_names_of(file.inode);
        }
        Ok(())
    }
}
