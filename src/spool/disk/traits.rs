//! The operations of the spool on a disk.
//!
//! A call is one step in which a crash can come between, so none does two things that a reader could see apart. Names are always
//! single names in an open folder, never paths, and the last one is never followed when it is a symbolic link.

use std::io;
use std::path::Path;

use super::file_system::FileSystem;
use super::lock::Lock;
use crate::clock::Timestamp;

/// The operations that the spool is built of.
pub trait Disk: Send + Sync + 'static {
    /// An open folder.
    type Folder: Send + Sync + 'static;
    /// An open file; closed, and its lock released, when dropped.
    type File: Send + Sync + 'static;

    /// Opens the folder that everything else is in; makes it, with mode 0700, where it is missing.
    ///
    /// # Errors
    /// When it is missing and cannot be made, or is no folder.
    fn root(&self, path: &Path) -> io::Result<Self::Folder>;
    /// Opens a folder in a folder; makes it, with mode 0700, where it is missing.
    ///
    /// # Errors
    /// As [`Disk::root`], or when it is a symbolic link.
    fn folder(&self, within: &Self::Folder, name: &str) -> io::Result<Self::Folder>;
    /// What an open folder is.
    ///
    /// # Errors
    /// As `fstat`.
    fn status_of_folder(&self, folder: &Self::Folder) -> io::Result<Status>;
    /// The names in a folder, those outside UTF-8 left out.
    ///
    /// # Errors
    /// When it cannot be read.
    fn list(&self, folder: &Self::Folder) -> io::Result<Vec<String>>;
    /// Hands out the same names one by one, so that those of a very long queue are never in memory together.
    ///
    /// # Errors
    /// As [`Disk::list`]; names may have been handed out before.
    fn each_name(&self, folder: &Self::Folder, each: &mut dyn FnMut(&str)) -> io::Result<()> {
        self.list(folder)?.iter().for_each(|name| each(name));
        Ok(())
    }
    /// Makes the folder's names durable.
    ///
    /// # Errors
    /// As `fsync`. What was written before is then in doubt for ever.
    fn sync_folder(&self, folder: &Self::Folder) -> io::Result<()>;
    /// How much fits on the file system of a folder.
    ///
    /// # Errors
    /// As `fstatvfs`.
    fn room(&self, folder: &Self::Folder) -> io::Result<Room>;

    /// Which file system a folder is on. What is not known is one that keeps no promise which is not in the manual.
    fn file_system(&self, _folder: &Self::Folder) -> FileSystem {
        FileSystem::Other(0)
    }

    /// A new file without a name, of mode 0600, on the file system of a folder.
    ///
    /// # Errors
    /// `EOPNOTSUPP`, `EISDIR`, `ENOENT` or `EINVAL` where the system knows no such files.
    fn create_anonymous(&self, folder: &Self::Folder) -> io::Result<Self::File>;
    /// A new file of mode 0600 with a name.
    ///
    /// # Errors
    /// When the name is taken, or the file cannot be made.
    fn create_named(&self, folder: &Self::Folder, name: &str) -> io::Result<Self::File>;
    /// Opens a file that is there. Never waits, and never follows a symbolic link (`ELOOP`).
    ///
    /// # Errors
    /// As `openat`.
    fn open(&self, folder: &Self::Folder, name: &str, access: Access) -> io::Result<Self::File>;
    /// Gives a name to a file that was created without one.
    ///
    /// # Errors
    /// When the name is taken, or cannot be made.
    fn link(&self, file: &Self::File, folder: &Self::Folder, name: &str) -> io::Result<()>;
    /// Removes a name: exactly one system call.
    ///
    /// # Errors
    /// As `unlinkat`.
    fn unlink(&self, folder: &Self::Folder, name: &str) -> io::Result<()>;
    /// Moves a file to another name; a name that is taken is never replaced.
    ///
    /// # Errors
    /// When the name is taken, or the move fails.
    fn rename(&self, from: (&Self::Folder, &str), to: (&Self::Folder, &str)) -> io::Result<()>;
    /// What a name leads to; a symbolic link is not followed.
    ///
    /// # Errors
    /// As `fstatat`.
    fn status_at(&self, folder: &Self::Folder, name: &str) -> io::Result<Status>;

    /// What an open file is.
    ///
    /// # Errors
    /// As `fstat`.
    fn status(&self, file: &Self::File) -> io::Result<Status>;
    /// Takes the lock if it is free; never waits. `false` when another has it.
    ///
    /// # Errors
    /// As `flock`.
    fn try_lock(&self, file: &Self::File, lock: Lock) -> io::Result<bool>;
    /// Reads at a place; 0 octets at the end.
    ///
    /// # Errors
    /// As `pread`.
    fn read_at(&self, file: &Self::File, offset: u64, octets: &mut [u8]) -> io::Result<usize>;
    /// Writes at a place; answers how many octets, which may be fewer than given.
    ///
    /// # Errors
    /// As `pwrite`.
    fn write_at(&self, file: &Self::File, offset: u64, octets: &[u8]) -> io::Result<usize>;
    /// Cuts the file.
    ///
    /// # Errors
    /// As `ftruncate`.
    fn truncate(&self, file: &Self::File, size: u64) -> io::Result<()>;
    /// Reserves blocks without changing the size. Does nothing where the file system cannot.
    ///
    /// # Errors
    /// As `fallocate`, but for `EOPNOTSUPP` and `ENOSYS`.
    fn preallocate(&self, file: &Self::File, offset: u64, octets: u64) -> io::Result<()>;
    /// Sets the time of modification.
    ///
    /// # Errors
    /// As `futimens`.
    fn note_modified(&self, file: &Self::File, time: Timestamp) -> io::Result<()>;
    /// Writes the octets of a file out. Nothing is promised of them, but the sync that follows finds less to do.
    ///
    /// # Errors
    /// When a write was lost; a later sync does not tell of it again.
    fn write_out(&self, _file: &Self::File) -> io::Result<()> {
        Ok(())
    }
    /// Makes the file durable.
    ///
    /// # Errors
    /// As `fsync`. What was written before is then in doubt for ever.
    fn sync(&self, file: &Self::File, extent: Extent) -> io::Result<()>;
}

/// For what a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading.
    Read,
    /// Reading and writing.
    ReadWrite,
}

/// How much of a file a sync is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Octets and all that is known of the file.
    All,
    /// Octets, and what is needed to read them.
    Data,
}

/// What a file or folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Its kind.
    pub kind: Kind,
    /// The user that it belongs to.
    pub owner: u32,
    /// The permission bits.
    pub mode: u32,
    /// How many names it has.
    pub links: u64,
    /// Device and inode: two names with the same lead to the same file.
    pub identity: (u64, u64),
    /// Octets.
    pub size: u64,
    /// When it was last modified, as far as anybody said.
    pub modified: Timestamp,
}

/// Kinds of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    Regular,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A FIFO, a socket or a device.
    Other,
}

/// How much fits on a file system, for this user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// All octets of the file system.
    pub octets: u64,
    /// Free octets.
    pub free_octets: u64,
    /// All inodes; 0 where the file system does not count them.
    pub inodes: u64,
    /// Free inodes.
    pub free_inodes: u64,
}
