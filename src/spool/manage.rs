//! What a person does with a spool: look for a message, check all of them, read one, move or remove it.
//!
//! Apart from [`Spool`], as neither the receiver nor the queue needs it. Whatever changes something holds the lock of the
//! file; whatever looks does not claim.

use std::io;

use super::error::SpoolError;
use super::folder::Folder;
use super::traits::{Claimed, Glance, Spool};
use crate::id::SpoolId;

/// A spool whose folders can be looked through and tidied.
pub trait Manage: Spool {
    /// A message that is being read without a claim.
    type Reading: Reading;

    /// In which folder a message is.
    ///
    /// # Errors
    /// When a folder cannot be read.
    fn locate(&self, id: SpoolId) -> Result<Option<Folder>, SpoolError>;

    /// The ids of the messages in a folder, oldest first, without a look at the files.
    ///
    /// # Errors
    /// When the folder cannot be read.
    fn ids(&self, folder: Folder) -> Result<Vec<SpoolId>, SpoolError>;

    /// Reads a message of one folder without claiming it, as [`Spool::peek`] does.
    ///
    /// # Errors
    /// As [`Spool::peek`].
    fn peek_at(&self, id: SpoolId, folder: Folder) -> Result<Option<Glance>, SpoolError>;

    /// Takes a message of any folder to work on it, as [`Spool::claim`] does for the queue: to record a receipt before
    /// [`crate::spool::Claim::set_aside`] moves it, for instance. What is torn or corrupt goes to `bad/`, or stays there.
    ///
    /// # Errors
    /// As [`Spool::claim`].
    fn claim_from(&self, id: SpoolId, folder: Folder) -> Result<Claimed<Self::Claim>, SpoolError>;

    /// Copies a message that is claimed to the same folder of another spool, with its history; when this answers `Ok`, the
    /// copy survives a power cut.
    ///
    /// # Errors
    /// [`crate::spool::SpoolErrorKind::Exists`] when that spool has a message of this id; [`crate::spool::SpoolErrorKind::Full`] when it has no room.
    fn copy_to(&self, claim: &Self::Claim, to: &Self) -> Result<(), SpoolError>;

    /// Moves a message between folders without reading it.
    ///
    /// # Errors
    /// [`crate::spool::SpoolErrorKind::Exists`] when its name is taken there; [`crate::spool::SpoolErrorKind::Foreign`] for what is no message.
    fn move_between(&self, id: SpoolId, from: Folder, to: Folder) -> Result<Handled, SpoolError>;

    /// Removes a message without reading it.
    ///
    /// # Errors
    /// When it cannot be removed; [`crate::spool::SpoolErrorKind::Foreign`] for what is no message.
    fn remove(&self, id: SpoolId, folder: Folder) -> Result<Handled, SpoolError>;

    /// Opens a message for reading, wherever it is. Its message octets are not verified.
    ///
    /// # Errors
    /// As [`Spool::peek`].
    fn read(&self, id: SpoolId) -> Result<Option<Self::Reading>, SpoolError>;

    /// Reads and checks everything in a folder; nothing is moved. What is still arriving is left out.
    ///
    /// # Errors
    /// When the folder cannot be read; what is wrong with a file is in its [`Finding`].
    fn verify(&self, folder: Folder) -> Result<Vec<Finding>, SpoolError>;
}

/// What came of handling a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handled {
    /// It was done.
    Done,
    /// Another process has it.
    Busy,
    /// It is not in that folder.
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

/// One file of a folder, checked.
#[derive(Debug)]
pub struct Finding {
    /// Its name, which is an id unless the file is foreign or was set aside under a name that was taken.
    pub name: String,
    /// Octets of the message, or what is wrong.
    pub size: Result<u64, SpoolError>,
}
