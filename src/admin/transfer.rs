//! Moving messages to another host: from this spool into one in another folder, which is carried there, and back.
//!
//! The folder is itself a spool, so every verb can read it. A message is durable there before it is removed here:
//! after a crash in between it is in both, never in none.

use super::act::{Act, Acted, would_act};
use crate::id::SpoolId;
use crate::spool::{Claim, Claimed, Folder, Manage, SpoolError};

/// Whether a message stays where it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Original {
    /// It is removed once its copy is durable.
    Removed,
    /// It stays: if both are delivered, there are two.
    Kept,
}

/// Moves or copies a message, with its history, to the same folder of another spool.
///
/// # Errors
/// [`crate::spool::SpoolErrorKind::Exists`] when that spool has it; otherwise when it cannot be read or written.
pub fn transfer<S: Manage>(from: &S, to: &S, id: SpoolId, original: Original) -> Result<Acted, SpoolError> {
    let Some(folder) = from.locate(id)? else { return Ok(Acted::NotThere) };
    if folder == Folder::Bad {
        return Ok(Acted::Refused(DAMAGED));
    }
    match from.claim_from(id, folder)? {
        Claimed::Ours(mut claim) => {
            from.copy_to(&claim, to)?;
            if original == Original::Removed {
                claim.remove()?;
            }
            Ok(Acted::Done(folder))
        }
        Claimed::Busy => Ok(Acted::Busy),
        Claimed::Gone => Ok(Acted::NotThere),
    }
}

const DAMAGED: &str = "it is damaged";

/// What [`transfer`] would do as far as the first spool is concerned; nothing is changed.
///
/// # Errors
/// When it cannot be read.
pub fn would_transfer<S: Manage>(from: &S, id: SpoolId) -> Result<Acted, SpoolError> {
    // What a removal asks of a message is all that this asks of it, but for one that is damaged.
    Ok(match would_act(from, id, Act::Remove)? {
        Acted::Done(Folder::Bad) => Acted::Refused(DAMAGED),
        other => other,
    })
}
