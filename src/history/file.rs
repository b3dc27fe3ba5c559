//! Writing the history: lines are appended, each batch by one write, by any number of processes at once.
//!
//! A kill or a full disk may tear the last line; the next writer begins a new one. Links are not followed, and only
//! the owner can read the file.

use std::fs::{DirBuilder, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use serde::Serialize;

/// The file of this name that lines are added to.
pub(super) fn current(folder: &Path, name: &str) -> PathBuf {
    folder.join(name)
}

/// The file before it.
pub(super) fn previous(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.1"))
}

/// The history of what left.
pub(super) const HISTORY: &str = "history";

/// The history of what left a spool, or another record of its kind.
#[derive(Debug)]
pub struct HistoryFile {
    name: &'static str,
    folder: PathBuf,
    /// Octets of both files together.
    limit: u64,
    keep_open: bool,
    file: Mutex<Option<Open>>,
}

/// The file, and what tells it from others.
#[derive(Debug)]
struct Open {
    file: File,
    identity: (u64, u64),
}

impl HistoryFile {
    /// The history in this folder, of at most `limit` octets; 0: nothing is written. Nothing is opened yet.
    pub fn new(folder: impl AsRef<Path>, limit: u64) -> Self {
        Self { name: HISTORY, folder: folder.as_ref().to_owned(), limit, keep_open: true, file: Mutex::new(None) }
    }

    /// The same by another name, for a writer with long pauses: between two lines no file is open, which would keep the
    /// file system from being remounted for reading alone.
    pub(super) fn seldom_written(name: &'static str, folder: impl AsRef<Path>, limit: u64) -> Self {
        Self { name, keep_open: false, ..Self::new(folder, limit) }
    }

    /// Adds lines, by one write. Does not wait for the disk.
    ///
    /// # Errors
    /// When they cannot be written; the history then lacks them.
    pub fn append<T: Serialize>(&self, entries: &[T]) -> io::Result<()> {
        if self.limit == 0 || entries.is_empty() {
            return Ok(());
        }
        let mut lines = Vec::new();
        for entry in entries {
            serde_json::to_writer(&mut lines, entry)?;
            lines.push(b'\n');
        }
        let mut kept = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut open, length) = match kept.take() {
            Some(open) => match self.length_if_current(&open)? {
                Some(length) => (open, length),
                None => self.open()?,
            },
            None => self.open()?,
        };
        if length + lines.len() as u64 > self.limit / 2 {
            open = self.turn_over(open)?;
        }
        // A file whose last write was cut short is opened again, which mends its end.
        let written = open.file.write(&lines)?;
        if written < lines.len() {
            return Err(io::Error::new(ErrorKind::WriteZero, "the disk took a part of a line only"));
        }
        *kept = self.keep_open.then_some(open);
        Ok(())
    }

    /// How long the file is, if the name still leads to it: another process may have turned it over.
    fn length_if_current(&self, open: &Open) -> io::Result<Option<u64>> {
        match current(&self.folder, self.name).symlink_metadata() {
            Ok(named) => Ok(((named.dev(), named.ino()) == open.identity).then_some(named.len())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The file, and its length.
    fn open(&self) -> io::Result<(Open, u64)> {
        match DirBuilder::new().mode(0o700).create(&self.folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let mut file = open_file(&current(&self.folder, self.name), OFlags::RDWR | OFlags::APPEND | OFlags::CREATE)?;
        if file.seek(SeekFrom::End(0))? > 0 {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                file.write_all(b"\n")?;
            }
        }
        let status = file.metadata()?;
        Ok((Open { file, identity: (status.dev(), status.ino()) }, status.len()))
    }

    /// Begins a new file, unless another process has just done so.
    fn turn_over(&self, full: Open) -> io::Result<Open> {
        // The lock is that of the full file: who has it and still finds it under its name is alone. Whoever does not get it
        // leaves the turning to its owner and writes into the full file, which stays readable.
        if flock(&full.file, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(full);
        }
        if self.length_if_current(&full)?.is_some() {
            std::fs::rename(current(&self.folder, self.name), previous(&self.folder, self.name))?;
        }
        Ok(self.open()?.0)
    }
}

/// Opens a regular file without following links or waiting for a pipe.
pub(super) fn open_file(path: &Path, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(open(path, flags, Mode::RUSR | Mode::WUSR)?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("expected a regular file")) }
}
