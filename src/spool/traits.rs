//! What the receiver and the queue know of a spool.
//!
//! A message comes in as a [`Draft`], which leaves no trace unless it is committed; it is worked on through a [`Claim`], which at
//! any moment one process at most holds. Calls block on the disk; none waits for another process.

use std::io;

use super::error::SpoolError;
use super::folder::Folder;
use crate::clock::Timestamp;
use crate::envelope::{Envelope, Seal};
use crate::id::SpoolId;
use crate::receipt::Receipt;

/// A place where messages are safe.
///
/// ```
/// use leafmail::spool::{Folder, Spool, SpoolError};
///
/// fn length<S: Spool>(spool: &S) -> Result<usize, SpoolError> {
///     Ok(spool.entries(Folder::Queue)?.len())
/// }
/// ```
pub trait Spool: Send + Sync + 'static {
    /// A message that is arriving.
    type Draft: Draft;
    /// A message that is being worked on.
    type Claim: Claim;

    /// Whether a message of `size` octets fits beside what is already arriving, with the reserve left over.
    ///
    /// # Errors
    /// [`crate::spool::SpoolErrorKind::Full`] when it does not.
    fn has_room(&self, size: u64) -> Result<(), SpoolError>;

    /// Whether the disk can be trusted. Once it cannot, it stays so, and whoever works on the spool should leave.
    fn is_sound(&self) -> bool {
        true
    }

    /// Begins a message under a new id.
    ///
    /// # Errors
    /// When the spool is full or out of order.
    fn open(&self, envelope: &Envelope) -> Result<Self::Draft, SpoolError>;

    /// Begins a message under an id that was derived from another's.
    ///
    /// # Errors
    /// As [`Spool::open`].
    fn open_as(&self, id: SpoolId, envelope: &Envelope) -> Result<Self::Draft, SpoolError>;

    /// The messages in a folder, in the order of their ids. Files that are no messages are left out.
    ///
    /// # Errors
    /// When the folder cannot be read.
    fn entries(&self, folder: Folder) -> Result<Vec<QueueEntry>, SpoolError>;

    /// Hands out the same one by one, in no order, as they are found.
    ///
    /// # Errors
    /// As [`Spool::entries`]; some may have been handed out before.
    fn scan(&self, folder: Folder, each: &mut dyn FnMut(QueueEntry)) -> Result<(), SpoolError> {
        self.entries(folder)?.into_iter().for_each(each);
        Ok(())
    }

    /// Takes a message of the queue to work on it. What is torn or corrupt goes to `bad/` and is an error.
    ///
    /// # Errors
    /// [`crate::spool::SpoolErrorKind::Torn`] or [`crate::spool::SpoolErrorKind::Corrupt`] after the file was set aside; [`crate::spool::SpoolErrorKind::Io`] when it could not be read.
    fn claim(&self, id: SpoolId) -> Result<Claimed<Self::Claim>, SpoolError>;

    /// Reads a message without claiming it, wherever it is. Its message octets are not verified.
    ///
    /// # Errors
    /// As [`Spool::claim`], but nothing is set aside.
    fn peek(&self, id: SpoolId) -> Result<Option<Glance>, SpoolError>;
}

/// Where the receiver puts messages: a spool, or whoever else becomes responsible for them.
///
/// ```
/// use leafmail::envelope::{Envelope, Seal};
/// use leafmail::spool::{Committed, Draft, Intake, SpoolError};
///
/// fn take<I: Intake>(intake: &I, envelope: &Envelope, octets: &[u8], seal: &Seal) -> Result<Committed, SpoolError> {
///     let mut draft = intake.open_for(0, envelope)?;
///     draft.append(octets)?;
///     draft.commit(seal)
/// }
/// ```
pub trait Intake: Send + Sync + 'static {
    /// A message that is arriving.
    type Draft: Draft;

    /// Whether a message of `size` octets fits.
    ///
    /// # Errors
    /// [`crate::spool::SpoolErrorKind::Full`] when it does not.
    fn has_room_for(&self, size: u64) -> Result<(), SpoolError>;

    /// Whether what it stores is safe. Once it is not, it stays so.
    fn is_safe(&self) -> bool;

    /// Begins a message of the session of this number, under a new id.
    ///
    /// # Errors
    /// When it cannot take one.
    fn open_for(&self, session: u64, envelope: &Envelope) -> Result<Self::Draft, SpoolError>;
}

impl<S: Spool> Intake for S {
    type Draft = S::Draft;

    fn has_room_for(&self, size: u64) -> Result<(), SpoolError> {
        self.has_room(size)
    }

    fn is_safe(&self) -> bool {
        self.is_sound()
    }

    fn open_for(&self, _session: u64, envelope: &Envelope) -> Result<S::Draft, SpoolError> {
        self.open(envelope)
    }
}

/// A message's name, and a hint of when it is next due.
///
/// ```
/// use leafmail::clock::Timestamp;
/// use leafmail::spool::QueueEntry;
///
/// fn due(entries: &[QueueEntry], now: Timestamp) -> impl Iterator<Item = &QueueEntry> {
///     entries.iter().filter(move |entry| entry.due <= now)
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueEntry {
    /// The id.
    pub id: SpoolId,
    /// When it is due, as far as the folder tells; the receipts decide.
    pub due: Timestamp,
}

/// A message that is arriving. Dropped without [`Draft::commit`], it leaves nothing behind.
///
/// ```
/// use leafmail::envelope::Seal;
/// use leafmail::id::SpoolId;
/// use leafmail::spool::{Draft, SpoolError};
///
/// fn store<D: Draft>(mut draft: D, message: &[u8], seal: &Seal) -> Result<SpoolId, SpoolError> {
///     draft.append(message)?;
///     Ok(draft.commit(seal)?.id) // it now survives a power cut
/// }
/// ```
pub trait Draft: Send + 'static {
    /// The id under which it will be in the queue.
    fn id(&self) -> SpoolId;

    /// Adds message octets.
    ///
    /// # Errors
    /// When they cannot be written; the draft is then good for nothing but dropping.
    fn append(&mut self, octets: &[u8]) -> Result<(), SpoolError>;

    /// Makes the message durable under its id. When this answers `Ok`, it survives a power cut.
    ///
    /// # Errors
    /// [`crate::spool::SpoolErrorKind::Exists`] when a message of this id is there already; otherwise nothing was accepted, and no file is left.
    fn commit(self, seal: &Seal) -> Result<Committed, SpoolError>;

    /// The same for many at once: `then` gets the outcome, from this thread or from another that syncs for several, which
    /// `then` must not hold up.
    fn commit_then(self, seal: &Seal, then: impl FnOnce(Result<Committed, SpoolError>) + Send + 'static)
    where
        Self: Sized,
    {
        then(self.commit(seal));
    }
}

/// What was made durable.
///
/// ```
/// use leafmail::spool::Committed;
///
/// fn told(committed: &Committed) -> String {
///     format!("250 2.0.0 {} octets as {}", committed.size, committed.id)
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// The message's id.
    pub id: SpoolId,
    /// Octets of the message.
    pub size: u64,
}

/// What came of an attempt to claim.
///
/// ```
/// use leafmail::id::SpoolId;
/// use leafmail::spool::{Claimed, Spool, SpoolError};
///
/// fn remove<S: Spool>(spool: &S, id: SpoolId) -> Result<bool, SpoolError> {
///     use leafmail::spool::Claim;
///
///     match spool.claim(id)? {
///         Claimed::Ours(mut claim) => claim.remove().map(|()| true),
///         Claimed::Busy | Claimed::Gone => Ok(false),
///     }
/// }
/// ```
#[derive(Debug)]
pub enum Claimed<C> {
    /// It is ours until dropped.
    Ours(C),
    /// Another process has it, or it is still arriving.
    Busy,
    /// It is not in the queue any more.
    Gone,
}

/// Sole possession of a message, until dropped or removed.
///
/// ```
/// use leafmail::spool::Claim;
///
/// fn message(claim: &impl Claim) -> std::io::Result<Vec<u8>> {
///     let (mut octets, mut piece) = (Vec::new(), [0; 4096]);
///     loop {
///         match claim.read_at(octets.len() as u64, &mut piece)? {
///             0 => return Ok(octets),
///             read => octets.extend_from_slice(&piece[..read]),
///         }
///     }
/// }
/// ```
pub trait Claim: Send {
    /// Its id.
    fn id(&self) -> SpoolId;
    /// Its envelope.
    fn envelope(&self) -> &Envelope;
    /// What was known at its end.
    fn seal(&self) -> &Seal;
    /// Octets of the message.
    fn size(&self) -> u64;
    /// Its history so far, including what this claim recorded.
    fn receipts(&self) -> &[Receipt];

    /// Reads message octets from `offset`; 0 octets at the end. The checksum was verified when the message was claimed.
    ///
    /// # Errors
    /// When the file cannot be read.
    fn read_at(&self, offset: u64, octets: &mut [u8]) -> io::Result<usize>;

    /// Appends a receipt.
    ///
    /// # Errors
    /// When it cannot be written; the history is then as before.
    fn record(&mut self, receipt: Receipt, durability: Durability) -> Result<(), SpoolError>;

    /// Notes in the folder when the message is next due, so that a scan need not open it before.
    fn note_due(&self, due: Timestamp);

    /// Removes the message: everybody is settled. The first thing it does is the unlink. Afterwards the claim is good for
    /// nothing but dropping.
    ///
    /// # Errors
    /// When the name cannot be removed; the claim stays, so that what was delivered can still be recorded.
    fn remove(&mut self) -> Result<(), SpoolError>;

    /// Moves the message to another folder.
    ///
    /// # Errors
    /// When it cannot be moved.
    fn set_aside(self, folder: Folder) -> Result<(), SpoolError>;
}

/// Whether a receipt must survive a power cut or only a kill.
///
/// ```
/// use leafmail::receipt::Receipt;
/// use leafmail::spool::{Claim, Durability, SpoolError};
///
/// fn delivered(claim: &mut impl Claim, receipt: Receipt) -> Result<(), SpoolError> {
///     claim.record(receipt, Durability::Synced) // what was delivered is not delivered again after a power cut
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// On disk when the call returns.
    Synced,
    /// With the host.
    Buffered,
}

/// A message as seen without claiming it.
///
/// ```
/// use leafmail::id::SpoolId;
/// use leafmail::spool::{Spool, SpoolError};
///
/// fn size<S: Spool>(spool: &S, id: SpoolId) -> Result<Option<u64>, SpoolError> {
///     Ok(spool.peek(id)?.map(|glance| glance.size))
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glance {
    /// Where it is.
    pub folder: Folder,
    /// Its envelope.
    pub envelope: Envelope,
    /// What was known at its end.
    pub seal: Seal,
    /// Octets of the message.
    pub size: u64,
    /// Its history.
    pub receipts: Vec<Receipt>,
    /// Whether somebody works on it.
    pub busy: bool,
}
