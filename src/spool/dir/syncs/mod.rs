//! Who shares which sync with whom: of folders ([`GroupCommit`], [`Finishing`]), after removals ([`Removals`]), and of new files
//! ([`Gathering`]). Invariant: a sync serves only those who came before it began.

mod finishing;
mod gathering;
mod group_commit;
mod removals;

pub(in crate::spool) use finishing::{Finishing, Waiter};
pub(in crate::spool) use gathering::Gathering;
pub(in crate::spool) use group_commit::GroupCommit;
pub(in crate::spool) use removals::Removals;
