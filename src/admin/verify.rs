//! Checking a spool, and reading a message.

use std::io::{self, Write};

use crate::id::SpoolId;
use crate::spool::{Finding, Folder, Manage, Reading, SpoolError};

/// A spool that was read through.
#[derive(Debug, Default)]
pub struct Checked {
    /// Messages in order, in all folders but `bad`.
    pub sound: usize,
    /// What is not in order, with its folder.
    pub unsound: Vec<(Folder, Finding)>,
    /// What is in `bad/` already.
    pub set_aside: usize,
}

/// Reads and checks every message; changes nothing.
///
/// # Errors
/// When a folder cannot be read.
pub fn check<S: Manage>(spool: &S) -> Result<Checked, SpoolError> {
    let mut checked = Checked::default();
    for folder in [Folder::Queue, Folder::Hold, Folder::Failed] {
        for finding in spool.verify(folder)? {
            match finding.size {
                Ok(_) => checked.sound += 1,
                Err(_) => checked.unsound.push((folder, finding)),
            }
        }
    }
    checked.set_aside = spool.verify(Folder::Bad)?.len();
    Ok(checked)
}

/// Writes the octets of a message; `false` where there is none of this id.
///
/// # Errors
/// When it cannot be read, or `out` fails.
pub fn copy_message<S: Manage>(spool: &S, id: SpoolId, out: &mut impl Write) -> Result<bool, CopyError> {
    let Some(reading) = spool.read(id)? else { return Ok(false) };
    let mut octets = vec![0; 64 * 1024];
    let mut offset = 0;
    loop {
        match reading.read_at(offset, &mut octets)? {
            0 => return Ok(true),
            count => {
                out.write_all(&octets[..count])?;
                offset += count as u64;
            }
        }
    }
}

/// Why a message could not be copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The spool could not be read.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The octets could not be read or written.
    #[error("copying the message")]
    Io(#[from] io::Error),
}
