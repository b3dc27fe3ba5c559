//! Looking at files that are there: opening them with suspicion, with the lock or without, and reading without claiming.
//!
//! What the spool would not have made (a link, a second name, another's file, no regular file) is foreign: it is
//! reported, and neither followed nor touched.

use std::cell::RefCell;
use std::io;
use std::time::Duration;

use rustix::io::Errno;

use super::contents::Contents;
use super::inner::Inner;
use crate::id::SpoolId;
use crate::spool::disk::{Access, Disk, Kind, Lock, Status};
use crate::spool::error::{SpoolError, SpoolErrorKind};
use crate::spool::folder::Folder;
use crate::spool::frozen;
use crate::spool::frozen::{Depth, Octets};
use crate::spool::traits::{Claimed, Glance};

/// An open file as something to thaw from.
pub(in crate::spool) struct InFile<'a, D: Disk> {
    pub(in crate::spool) disk: &'a D,
    pub(in crate::spool) file: &'a D::File,
}

impl<D: Disk> Octets for InFile<'_, D> {
    fn read_at(&self, offset: u64, octets: &mut [u8]) -> io::Result<usize> {
        self.disk.read_at(self.file, offset, octets)
    }
}

/// An open file of which a piece around the last place that was read is in memory: what a look needs of a small message costs
/// one system call, and of a large one two.
struct Windowed<'a, D: Disk> {
    file: InFile<'a, D>,
    window: RefCell<Window>,
}

/// Octets of a file, and where they begin.
struct Window {
    at: u64,
    octets: Vec<u8>,
}

/// Octets of a window.
const WINDOW: usize = 4096;

impl<D: Disk> Octets for Windowed<'_, D> {
    fn read_at(&self, offset: u64, octets: &mut [u8]) -> io::Result<usize> {
        if octets.len() >= WINDOW {
            return self.file.read_at(offset, octets);
        }
        let mut window = self.window.borrow_mut();
        let within = |window: &Window| offset >= window.at && offset < window.at + window.octets.len() as u64;
        if !within(&window) {
            let Window { at, octets } = &mut *window;
            *at = offset;
            octets.resize(WINDOW, 0);
            let count = self.file.read_at(offset, octets).inspect_err(|_| octets.clear())?;
            octets.truncate(count);
        }
        window.octets[..].read_at(offset - window.at, octets)
    }
}

/// How long an empty file may be one that is about to be locked by who created it.
const NEWBORN: Duration = Duration::from_secs(60);

/// Opens a file if it is there and could be ours.
pub(in crate::spool) fn open<D: Disk>(
    inner: &Inner<D>,
    folder: Folder,
    name: &str,
    access: Access,
) -> Result<Option<(D::File, Status)>, SpoolError> {
    let failed = |trouble| inner.error("opening", folder, name, trouble);
    let Some(file) = open_unchecked(inner, folder, name, access)? else { return Ok(None) };
    let status = inner.disk.status(&file).map_err(|error| failed(error.into()))?;
    check(inner, &status).map_err(failed)?;
    Ok((status.links > 0).then_some((file, status)))
}

fn open_unchecked<D: Disk>(
    inner: &Inner<D>,
    folder: Folder,
    name: &str,
    access: Access,
) -> Result<Option<D::File>, SpoolError> {
    match inner.disk.open(inner.folder(folder), name, access) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(inner.error("opening", folder, name, foreign(&error).unwrap_or(SpoolErrorKind::Io(error)))),
    }
}

/// Opens and locks a file, and makes sure that its name still leads to it: it may have been removed or moved between
/// the two, and the name may have been given to another.
pub(in crate::spool) fn open_locked<D: Disk>(
    inner: &Inner<D>,
    folder: Folder,
    name: &str,
) -> Result<Claimed<(D::File, Status)>, SpoolError> {
    let failed = |trouble| inner.error("locking", folder, name, trouble);
    // What it is is asked once, under the lock: that of a file which is not ours does no harm.
    let Some(file) = open_unchecked(inner, folder, name, Access::ReadWrite)? else {
        return Ok(Claimed::Gone);
    };
    if !inner.disk.try_lock(&file, Lock::Exclusive).map_err(|error| failed(error.into()))? {
        return Ok(Claimed::Busy);
    }
    let status = inner.disk.status(&file).map_err(|error| failed(error.into()))?;
    check(inner, &status).map_err(failed)?;
    match inner.disk.status_at(inner.folder(folder), name) {
        Ok(named) if named.identity == status.identity && !is_newborn(inner, &status) => {
            Ok(Claimed::Ours((file, status)))
        }
        Ok(_) => Ok(Claimed::Busy),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Claimed::Gone),
        Err(error) => Err(failed(error.into())),
    }
}

fn check<D: Disk>(inner: &Inner<D>, status: &Status) -> Result<(), SpoolErrorKind> {
    match status {
        Status { kind: Kind::Regular, .. } if status.owner != inner.owner => {
            Err(SpoolErrorKind::Foreign("it is another user's file"))
        }
        Status { kind: Kind::Regular, .. } if status.links > 1 => Err(SpoolErrorKind::Foreign("it has a second name")),
        Status { kind: Kind::Regular, .. } => Ok(()),
        Status { kind: Kind::Folder, .. } => Err(SpoolErrorKind::Foreign("it is a folder")),
        Status { kind: Kind::Link, .. } => Err(SpoolErrorKind::Foreign("it is a symbolic link")),
        Status { kind: Kind::Other, .. } => Err(SpoolErrorKind::Foreign("it is no regular file")),
    }
}

/// What an error of `openat` says about the kind of a file.
fn foreign(error: &io::Error) -> Option<SpoolErrorKind> {
    match Errno::from_io_error(error)? {
        Errno::LOOP => Some(SpoolErrorKind::Foreign("it is a symbolic link")),
        Errno::ISDIR => Some(SpoolErrorKind::Foreign("it is a folder")),
        Errno::NXIO => Some(SpoolErrorKind::Foreign("it is no regular file")),
        _ => None,
    }
}

/// Where files are created under their names, there is a moment between creation and lock.
fn is_newborn<D: Disk>(inner: &Inner<D>, status: &Status) -> bool {
    status.size == 0 && inner.clock.now().since(status.modified) < NEWBORN
}

/// Whether a name is in a folder, whatever it leads to.
pub(in crate::spool) fn is_there<D: Disk>(inner: &Inner<D>, folder: Folder, name: &str) -> Result<bool, SpoolError> {
    match inner.disk.status_at(inner.folder(folder), name) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(inner.error("looking for", folder, name, error)),
    }
}

/// A message that was looked at, not claimed.
pub(in crate::spool) struct PeekedMessage<D: Disk> {
    pub(in crate::spool) file: D::File,
    pub(in crate::spool) contents: Contents,
    pub(in crate::spool) glance: Glance,
}

/// What a look at a message of a folder tells, with few system calls; `None` where it is not there, or not yet.
pub(in crate::spool) fn peek<D: Disk>(
    inner: &Inner<D>,
    folder: Folder,
    id: SpoolId,
) -> Result<Option<Glance>, SpoolError> {
    let name = id.to_string();
    let Some((file, status)) = open(inner, folder, &name, Access::Read)? else { return Ok(None) };
    let window = RefCell::new(Window { at: 0, octets: Vec::new() });
    let source = Windowed { file: InFile { disk: &inner.disk, file: &file }, window };
    match frozen::thaw(&source, status.size, Depth::WithoutMessage) {
        Ok(thawed) => {
            // Whoever claims it before the file is closed, which is at once, gets `Busy` and tries again.
            let free = inner.disk.try_lock(&file, Lock::Shared);
            let busy = !free.map_err(|error| inner.error("locking", folder, &name, error))?;
            let frozen::Thawed { envelope, seal, receipts, size, .. } = thawed;
            Ok(Some(Glance { folder, envelope, seal, size, receipts, busy }))
        }
        // It may have been arriving: only who asks for the lock first, and reads then, knows.
        Err(_) => {
            drop(file);
            Ok(glance(inner, folder, id)?.map(|found| found.glance))
        }
    }
}

/// The same, whichever of these folders it is in.
pub(in crate::spool) fn peek_on<D: Disk>(
    inner: &Inner<D>,
    folders: &[Folder],
    id: SpoolId,
) -> Result<Option<Glance>, SpoolError> {
    // Twice, as it may move from a folder not yet seen to one that was.
    for folder in folders.iter().chain(folders) {
        if let Some(found) = peek(inner, *folder, id)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// A message whichever of these folders it is in.
pub(in crate::spool) fn find<D: Disk>(
    inner: &Inner<D>,
    folders: &[Folder],
    id: SpoolId,
) -> Result<Option<PeekedMessage<D>>, SpoolError> {
    // Twice, as it may move from a folder not yet seen to one that was.
    for folder in folders.iter().chain(folders) {
        if let Some(found) = glance(inner, *folder, id)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn glance<D: Disk>(inner: &Inner<D>, folder: Folder, id: SpoolId) -> Result<Option<PeekedMessage<D>>, SpoolError> {
    let name = id.to_string();
    let busy = is_busy(inner, folder, &name)?;
    let Some((file, status)) = open(inner, folder, &name, Access::Read)? else {
        return Ok(None);
    };
    let source = InFile { disk: &inner.disk, file: &file };
    let thawed = match frozen::thaw(&source, status.size, Depth::WithoutMessage) {
        Ok(thawed) => thawed,
        // Still arriving, so not there yet.
        Err(SpoolErrorKind::Torn(_)) if busy || is_newborn(inner, &status) => return Ok(None),
        Err(trouble) => return Err(inner.error("thawing", folder, &name, trouble)),
    };
    let contents = Contents::of(&source, &thawed).map_err(|error| inner.error("reading", folder, &name, error))?;
    let frozen::Thawed { envelope, seal, receipts, size, .. } = thawed;
    let glance = Glance { folder, envelope, seal, size, receipts, busy };
    Ok(Some(PeekedMessage { file, contents, glance }))
}

/// Whether somebody has the lock. Asking takes it for a moment, shared, on a descriptor of its own: a claimer that comes in
/// that moment gets `Busy` and tries again, as it does for any locked file; who creates a file tries again too.
pub(in crate::spool) fn is_busy<D: Disk>(inner: &Inner<D>, folder: Folder, name: &str) -> Result<bool, SpoolError> {
    match open(inner, folder, name, Access::Read)? {
        None => Ok(false),
        Some((file, _)) => {
            let free = inner.disk.try_lock(&file, Lock::Shared);
            free.map(|free| !free).map_err(|error| inner.error("locking", folder, name, error))
        }
    }
}

/// What is wrong with a file, read completely, if anything; `None` when it is gone or still arriving.
pub(in crate::spool) fn verify<D: Disk>(
    inner: &Inner<D>,
    folder: Folder,
    name: &str,
) -> Option<Result<u64, SpoolError>> {
    let checked = || {
        let busy = is_busy(inner, folder, name)?;
        let Some((file, status)) = open(inner, folder, name, Access::Read)? else {
            return Ok(None);
        };
        match frozen::thaw(&InFile { disk: &inner.disk, file: &file }, status.size, Depth::Whole) {
            Ok(thawed) => Ok(Some(thawed.size)),
            Err(SpoolErrorKind::Torn(_)) if busy || is_newborn(inner, &status) => Ok(None),
            Err(trouble) => Err(inner.error("thawing", folder, name, trouble)),
        }
    };
    checked().transpose()
}
