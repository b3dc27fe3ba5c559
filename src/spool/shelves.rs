//! What a person does with a spool: look for a message, check all of them, read one, move or remove it.
//!
//! Apart from [`Spool`], as neither the receiver nor the queue needs it. Whatever changes something holds the lock of the
//! file; whatever looks does not claim.

use std::io;
use std::sync::Arc;

use super::claim;
use super::dir::{DirSpool, Inner};
use super::disk::{Disk, HostDisk};
use super::look::{self, Found, InFile};
use super::{Claimed, Glance, Shelf, Spool, SpoolError, Trouble};
use crate::id::SpoolId;

/// A spool whose shelves can be looked through and tidied.
pub trait Shelves: Spool {
    /// A message that is being read without a claim.
    type Reading: Reading;

    /// On which shelf a message lies.
    ///
    /// # Errors
    /// When a folder cannot be read.
    fn locate(&self, id: SpoolId) -> Result<Option<Shelf>, SpoolError>;

    /// The ids of the messages on a shelf, oldest first, without a look at the files.
    ///
    /// # Errors
    /// When the folder cannot be read.
    fn ids(&self, shelf: Shelf) -> Result<Vec<SpoolId>, SpoolError>;

    /// Reads a message of one shelf without claiming it, as [`Spool::peek`] does.
    ///
    /// # Errors
    /// As [`Spool::peek`].
    fn peek_at(&self, id: SpoolId, shelf: Shelf) -> Result<Option<Glance>, SpoolError>;

    /// Takes a message of any shelf to work on it, as [`Spool::claim`] does for the queue: to record a receipt before
    /// [`super::Claim::set_aside`] moves it, for instance. What is torn or corrupt goes to `bad/`, or stays there.
    ///
    /// # Errors
    /// As [`Spool::claim`].
    fn claim_from(&self, id: SpoolId, shelf: Shelf) -> Result<Claimed<Self::Claim>, SpoolError>;

    /// Copies a message that is claimed to the same shelf of another spool, with its history; when this answers `Ok`, the
    /// copy survives a power cut.
    ///
    /// # Errors
    /// [`Trouble::Exists`] when that spool has a message of this id; [`Trouble::Full`] when it has no room.
    fn copy_to(&self, claim: &Self::Claim, to: &Self) -> Result<(), SpoolError>;

    /// Moves a message between shelves without reading it.
    ///
    /// # Errors
    /// [`Trouble::Exists`] when its name is taken there; [`Trouble::Foreign`] for what is no message.
    fn move_between(&self, id: SpoolId, from: Shelf, to: Shelf) -> Result<Handled, SpoolError>;

    /// Removes a message without reading it.
    ///
    /// # Errors
    /// When it cannot be removed; [`Trouble::Foreign`] for what is no message.
    fn remove(&self, id: SpoolId, shelf: Shelf) -> Result<Handled, SpoolError>;

    /// Opens a message for reading, wherever it lies. Its message octets are not verified.
    ///
    /// # Errors
    /// As [`Spool::peek`].
    fn read(&self, id: SpoolId) -> Result<Option<Self::Reading>, SpoolError>;

    /// Reads and checks everything on a shelf; nothing is moved. What is still arriving is left out.
    ///
    /// # Errors
    /// When the folder cannot be read; what is wrong with a file is in its [`Finding`].
    fn verify(&self, shelf: Shelf) -> Result<Vec<Finding>, SpoolError>;
}

/// What came of handling a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handled {
    /// It was done.
    Done,
    /// Another process has it.
    Busy,
    /// It is not on that shelf.
    Gone,
}

/// A message that is being read; it may be removed meanwhile, and can be read to its end all the same.
pub trait Reading: Send {
    /// What is known of it.
    fn glance(&self) -> &Glance;

    /// Reads message octets from `offset`; 0 octets at the end.
    ///
    /// # Errors
    /// When the file cannot be read.
    fn read_at(&self, offset: u64, octets: &mut [u8]) -> io::Result<usize>;
}

/// One file of a shelf, checked.
#[derive(Debug)]
pub struct Finding {
    /// Its name, which is an id unless the file is foreign or was set aside under a name that was taken.
    pub name: String,
    /// Octets of the message, or what is wrong.
    pub size: Result<u64, SpoolError>,
}

/// A message of the directory spool that is being read.
pub struct DirReading<D: Disk = HostDisk> {
    inner: Arc<Inner<D>>,
    found: Found<D>,
}

impl<D: Disk> Reading for DirReading<D> {
    fn glance(&self) -> &Glance {
        &self.found.glance
    }

    fn read_at(&self, offset: u64, octets: &mut [u8]) -> io::Result<usize> {
        let file = InFile { disk: &self.inner.disk, file: &self.found.file };
        claim::read_message(&file, self.found.message_at, self.found.glance.size, offset, octets)
    }
}

impl<D: Disk> Shelves for DirSpool<D> {
    type Reading = DirReading<D>;

    fn locate(&self, id: SpoolId) -> Result<Option<Shelf>, SpoolError> {
        for shelf in Shelf::ALL.into_iter().chain(Shelf::ALL) {
            if look::is_there(&self.inner, shelf, &id.to_string())? {
                return Ok(Some(shelf));
            }
        }
        Ok(None)
    }

    fn ids(&self, shelf: Shelf) -> Result<Vec<SpoolId>, SpoolError> {
        let mut ids: Vec<SpoolId> = Vec::new();
        let listed =
            self.inner.disk.each_name(self.inner.folder(shelf), &mut |name| ids.extend(name.parse::<SpoolId>().ok()));
        listed.map_err(|error| SpoolError::new("listing", shelf.folder(), error))?;
        ids.sort_unstable();
        Ok(ids)
    }

    fn peek_at(&self, id: SpoolId, shelf: Shelf) -> Result<Option<Glance>, SpoolError> {
        look::peek(&self.inner, shelf, id)
    }

    fn claim_from(&self, id: SpoolId, shelf: Shelf) -> Result<Claimed<Self::Claim>, SpoolError> {
        claim::claim_in(&self.inner, shelf, id)
    }

    fn copy_to(&self, claim: &Self::Claim, to: &Self) -> Result<(), SpoolError> {
        claim.copy_to(&to.inner)
    }

    fn move_between(&self, id: SpoolId, from: Shelf, to: Shelf) -> Result<Handled, SpoolError> {
        self.handle(id, from, |name| if from == to { Ok(()) } else { self.inner.move_file(name, from, to) })
    }

    fn remove(&self, id: SpoolId, shelf: Shelf) -> Result<Handled, SpoolError> {
        self.handle(id, shelf, |name| {
            let removed = self.inner.disk.unlink(self.inner.folder(shelf), name);
            removed
                .and_then(|()| self.inner.sync_shelf(shelf))
                .map_err(|error| self.inner.error("removing", shelf, name, error))
        })
    }

    fn read(&self, id: SpoolId) -> Result<Option<DirReading<D>>, SpoolError> {
        let found = look::find(&self.inner, &Shelf::ALL, id)?;
        Ok(found.map(|found| DirReading { inner: Arc::clone(&self.inner), found }))
    }

    fn verify(&self, shelf: Shelf) -> Result<Vec<Finding>, SpoolError> {
        let listed = self.inner.disk.list(self.inner.folder(shelf));
        let mut names = listed.map_err(|error| SpoolError::new("listing", shelf.folder(), error))?;
        names.sort_unstable();
        Ok(names.into_iter().filter_map(|name| self.check(shelf, name)).collect())
    }
}

impl<D: Disk> DirSpool<D> {
    /// Does something with a file under its lock.
    fn handle(
        &self,
        id: SpoolId,
        shelf: Shelf,
        act: impl FnOnce(&str) -> Result<(), SpoolError>,
    ) -> Result<Handled, SpoolError> {
        let name = id.to_string();
        match look::open_locked(&self.inner, shelf, &name)? {
            Claimed::Ours(_locked) => act(&name).map(|()| Handled::Done),
            Claimed::Busy => Ok(Handled::Busy),
            Claimed::Gone => Ok(Handled::Gone),
        }
    }

    fn check(&self, shelf: Shelf, name: String) -> Option<Finding> {
        let size = if shelf == Shelf::Bad || name.parse::<SpoolId>().is_ok() {
            look::verify(&self.inner, shelf, &name)?
        } else {
            Err(self.inner.error("verifying", shelf, &name, Trouble::Foreign("its name is no message id")))
        };
        Some(Finding { name, size })
    }
}
