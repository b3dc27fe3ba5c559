//! The disk of the host: each operation is a system call or two, relative to an open folder.
//!
//! Everything is opened close-on-exec (a child would keep the lock) and without following links; modes do not depend on
//! the umask. Calls that a signal interrupted are made again, but for syncs, which nobody may repeat.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{
    AtFlags, CWD, Dir, FallocateFlags, FileType, Mode, OFlags, RawMode, RenameFlags, Stat, Timespec, Timestamps,
    UTIME_OMIT,
};
use rustix::io::{Errno, retry_on_intr};

use super::file_system::FileSystem;
use super::lock;
use super::lock::Lock;
use super::traits::{Access, Disk, Extent, Kind, Room, Status};
use crate::clock::Timestamp;
use crate::mutant::{Mutant, planted};
use crate::sys;

/// The disk of the host.
#[derive(Debug, Clone, Copy, Default)]
pub struct HostDisk;

/// An open file of the host.
#[derive(Debug)]
pub struct HostFile(File);

const FILE_MODE: Mode = Mode::from_raw_mode(0o600);
const FOLDER_MODE: Mode = Mode::from_raw_mode(0o700);
/// O_NONBLOCK: opening a FIFO must not wait for its other end.
const OPEN: OFlags = OFlags::CLOEXEC.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);
const FOLDER: OFlags = OFlags::CLOEXEC.union(OFlags::DIRECTORY).union(OFlags::RDONLY);

impl Disk for HostDisk {
    type Folder = OwnedFd;
    type File = HostFile;

    fn root(&self, path: &Path) -> io::Result<OwnedFd> {
        if make_folder(CWD, path)? {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            rustix::fs::fsync(rustix::fs::open(parent, FOLDER, Mode::empty())?)?;
        }
        Ok(rustix::fs::open(path, FOLDER, Mode::empty())?)
    }

    fn folder(&self, within: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
        make_folder(within, Path::new(name))?;
        Ok(rustix::fs::openat(within, name, FOLDER | OFlags::NOFOLLOW, Mode::empty())?)
    }

    fn status_of_folder(&self, folder: &OwnedFd) -> io::Result<Status> {
        Ok(status(&rustix::fs::fstat(folder)?))
    }

    fn list(&self, folder: &OwnedFd) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        self.each_name(folder, &mut |name| names.push(name.to_owned()))?;
        Ok(names)
    }

    fn each_name(&self, folder: &OwnedFd, each: &mut dyn FnMut(&str)) -> io::Result<()> {
        for entry in Dir::read_from(folder)? {
            match entry?.file_name().to_str() {
                Ok("." | "..") | Err(_) => {}
                Ok(name) => each(name),
            }
        }
        Ok(())
    }

    fn sync_folder(&self, folder: &OwnedFd) -> io::Result<()> {
        if planted(Mutant::NoDirectorySync) {
            return Ok(());
        }
        Ok(rustix::fs::fsync(folder)?)
    }

    fn room(&self, folder: &OwnedFd) -> io::Result<Room> {
        Ok(room_of(&rustix::fs::fstatvfs(folder)?))
    }

    fn file_system(&self, folder: &OwnedFd) -> FileSystem {
        FileSystem::of(folder).unwrap_or(FileSystem::Other(0))
    }

    fn create_anonymous(&self, folder: &OwnedFd) -> io::Result<HostFile> {
        create(folder, ".", OFlags::TMPFILE)
    }

    fn create_named(&self, folder: &OwnedFd, name: &str) -> io::Result<HostFile> {
        create(folder, name, OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW)
    }

    fn open(&self, folder: &OwnedFd, name: &str, access: Access) -> io::Result<HostFile> {
        let access = match access {
            Access::Read => OFlags::RDONLY,
            Access::ReadWrite => OFlags::RDWR,
        };
        Ok(HostFile(retry_on_intr(|| rustix::fs::openat(folder, name, OPEN | access, Mode::empty()))?.into()))
    }

    fn link(&self, file: &HostFile, folder: &OwnedFd, name: &str) -> io::Result<()> {
        /// Set where the short way does not work: it needs a capability before kernel 6.10.
        static BY_PROC: AtomicBool = AtomicBool::new(false);
        let by_proc = || {
            let path = format!("/proc/self/fd/{}", file.0.as_raw_fd());
            rustix::fs::linkat(CWD, path, folder, name, AtFlags::SYMLINK_FOLLOW)
        };
        let directly = || rustix::fs::linkat(&file.0, "", folder, name, AtFlags::EMPTY_PATH);
        if BY_PROC.load(Ordering::Relaxed) {
            return Ok(by_proc()?);
        }
        match directly() {
            Err(Errno::NOENT) => {
                by_proc()?;
                BY_PROC.store(true, Ordering::Relaxed);
                Ok(())
            }
            result => Ok(result?),
        }
    }

    fn unlink(&self, folder: &OwnedFd, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(folder, name, AtFlags::empty())?)
    }

    fn rename(&self, from: (&OwnedFd, &str), to: (&OwnedFd, &str)) -> io::Result<()> {
        match rustix::fs::renameat_with(from.0, from.1, to.0, to.1, RenameFlags::NOREPLACE) {
            // A file system that knows no such flag: a link does not replace anything either.
            Err(Errno::INVAL | Errno::NOSYS) => {
                rustix::fs::linkat(from.0, from.1, to.0, to.1, AtFlags::empty())?;
                self.unlink(from.0, from.1)
            }
            result => Ok(result?),
        }
    }

    fn status_at(&self, folder: &OwnedFd, name: &str) -> io::Result<Status> {
        Ok(status(&rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?))
    }

    fn status(&self, file: &HostFile) -> io::Result<Status> {
        Ok(status(&rustix::fs::fstat(&file.0)?))
    }

    fn try_lock(&self, file: &HostFile, lock: Lock) -> io::Result<bool> {
        lock::try_lock(&file.0, lock)
    }

    fn read_at(&self, file: &HostFile, offset: u64, octets: &mut [u8]) -> io::Result<usize> {
        Ok(retry_on_intr(|| rustix::io::pread(&file.0, &mut *octets, offset))?)
    }

    fn write_at(&self, file: &HostFile, offset: u64, octets: &[u8]) -> io::Result<usize> {
        Ok(retry_on_intr(|| rustix::io::pwrite(&file.0, octets, offset))?)
    }

    fn truncate(&self, file: &HostFile, size: u64) -> io::Result<()> {
        Ok(retry_on_intr(|| rustix::fs::ftruncate(&file.0, size))?)
    }

    fn preallocate(&self, file: &HostFile, offset: u64, octets: u64) -> io::Result<()> {
        match retry_on_intr(|| rustix::fs::fallocate(&file.0, FallocateFlags::KEEP_SIZE, offset, octets)) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            result => Ok(result?),
        }
    }

    fn note_modified(&self, file: &HostFile, time: Timestamp) -> io::Result<()> {
        let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let last_modification = Timespec { tv_sec: millis / 1000, tv_nsec: millis % 1000 * 1_000_000 };
        let last_access = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        Ok(rustix::fs::futimens(&file.0, &Timestamps { last_access, last_modification })?)
    }

    fn write_out(&self, file: &HostFile) -> io::Result<()> {
        sys::write_out(&file.0)
    }

    fn sync(&self, file: &HostFile, extent: Extent) -> io::Result<()> {
        if planted(Mutant::NoFileSync) {
            return Ok(());
        }
        let synced = match extent {
            Extent::All => rustix::fs::fsync(&file.0),
            Extent::Data => rustix::fs::fdatasync(&file.0),
        };
        Ok(synced?)
    }
}

/// Whether there was none yet. The mode is set again where the umask cut it: a new folder of ours can be nobody else's.
fn make_folder(within: impl std::os::fd::AsFd, path: &Path) -> io::Result<bool> {
    match rustix::fs::mkdirat(&within, path, FOLDER_MODE) {
        Ok(()) => Ok(rustix::fs::chmodat(&within, path, FOLDER_MODE, AtFlags::empty()).map(|()| true)?),
        Err(Errno::EXIST) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether the process's mask leaves the mode of new files as it should be; the first one tells for all.
fn mask_keeps_file_mode(first: &OwnedFd) -> bool {
    static KEEPS: OnceLock<bool> = OnceLock::new();
    let mode = |stat: Stat| Mode::from_raw_mode(stat.st_mode);
    *KEEPS.get_or_init(|| rustix::fs::fstat(first).is_ok_and(|stat| mode(stat) == FILE_MODE))
}

fn create(folder: &OwnedFd, name: &str, how: OFlags) -> io::Result<HostFile> {
    let flags = how | OFlags::RDWR | OFlags::CLOEXEC;
    let file = retry_on_intr(|| rustix::fs::openat(folder, name, flags, FILE_MODE))?;
    if !mask_keeps_file_mode(&file) {
        rustix::fs::fchmod(&file, FILE_MODE)?;
    }
    Ok(HostFile(file.into()))
}

/// The types of these fields differ between architectures.
#[allow(clippy::unnecessary_cast, trivial_numeric_casts)]
fn status(stat: &Stat) -> Status {
    let kind = match FileType::from_raw_mode(stat.st_mode as RawMode) {
        FileType::RegularFile => Kind::Regular,
        FileType::Directory => Kind::Folder,
        FileType::Symlink => Kind::Link,
        _ => Kind::Other,
    };
    let seconds = u64::try_from(stat.st_mtime as i64).unwrap_or(0);
    let millis = seconds.saturating_mul(1000).saturating_add(stat.st_mtime_nsec as u64 / 1_000_000);
    Status {
        kind,
        owner: stat.st_uid,
        mode: stat.st_mode & 0o7777,
        links: stat.st_nlink as u64,
        identity: (stat.st_dev as u64, stat.st_ino as u64),
        size: u64::try_from(stat.st_size).unwrap_or(0),
        modified: Timestamp::from_millis(millis),
    }
}

/// The room of the disk that a folder is on.
pub(in crate::spool) fn room_at(folder: &Path) -> io::Result<Room> {
    Ok(room_of(&rustix::fs::statvfs(folder)?))
}

fn room_of(disk: &rustix::fs::StatVfs) -> Room {
    Room {
        octets: disk.f_blocks.saturating_mul(disk.f_frsize),
        free_octets: disk.f_bavail.saturating_mul(disk.f_frsize),
        inodes: disk.f_files,
        free_inodes: disk.f_favail,
    }
}
