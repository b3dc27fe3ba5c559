//! What can go wrong with the spool.

use std::io;
use std::path::{Path, PathBuf};

use crate::address::printable;
use crate::smtp::Reply;

/// What was being done, to which file, and what failed.
#[derive(Debug, thiserror::Error)]
#[error("{doing} {}: {kind}", shown(path))]
pub struct SpoolError {
    /// In words, such as `thawing`.
    pub doing: &'static str,
    /// The file or folder, relative to the spool where it is in it.
    pub path: PathBuf,
    /// What failed. It is in the text of this error, so it is not its source as well.
    pub kind: SpoolErrorKind,
}

/// Anybody who may write to the folder names a file as they like, and errors go to terminals and logs.
fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy()).into_owned()
}

impl SpoolError {
    /// An error with its context.
    pub fn new(doing: &'static str, path: impl AsRef<Path>, kind: impl Into<SpoolErrorKind>) -> Self {
        Self { doing, path: path.as_ref().to_owned(), kind: kind.into() }
    }
}

/// The kind of failure, which decides what is done about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolErrorKind {
    /// The file ends before it is complete: it was never acknowledged.
    #[error("torn: {0}")]
    Torn(&'static str),
    /// The file is complete, but not as it was written.
    #[error("corrupt: {0}")]
    Corrupt(&'static str),
    /// Written by a later leafmail.
    #[error("format version {0} is not known to this version")]
    Newer(u16),
    /// Not a file that the spool would have made: a link, another owner, not regular.
    #[error("{0}")]
    Foreign(&'static str),
    /// The spool belongs to the user with this uid, and not to who runs this.
    #[error("it belongs to the user with uid {0}: run this as that user")]
    OtherOwner(u32),
    /// Space or inodes have reached the reserve.
    #[error("full: {0}")]
    Full(String),
    /// A message of this id is there already.
    #[error("it exists already")]
    Exists,
    /// The disk failed to sync before: what it says cannot be trusted until a restart.
    #[error("the disk has failed to sync; restart once it is mended")]
    Poisoned,
    /// Whoever takes the message does not want it; the client gets this reply.
    #[error("refused: {0}")]
    Refused(Reply),
    /// The operating system says no.
    #[error(transparent)]
    Io(#[from] io::Error),
}
