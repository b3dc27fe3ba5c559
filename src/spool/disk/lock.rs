//! Locks on spool files: flock, through fs2, and only here.
//!
//! A lock belongs to the open file description: it excludes other processes and other threads alike, as each opens the
//! file for itself, and the kernel drops it when the description is closed, however the process ends. Calls are fully
//! qualified, as the standard library's methods of the same names would win over fs2's silently.

use std::fs::File;
use std::io;

use crate::mutant::{Mutant, planted};

/// What a lock excludes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// Everybody else.
    Exclusive,
    /// Those who want it exclusively.
    Shared,
}

/// Takes the lock if it is free; never waits. `false` when somebody else has it.
pub(in crate::spool) fn try_lock(file: &File, lock: Lock) -> io::Result<bool> {
    if planted(Mutant::LockSkipped) {
        return Ok(true);
    }
    let result = match lock {
        Lock::Exclusive => fs2::FileExt::try_lock_exclusive(file),
        Lock::Shared => fs2::FileExt::try_lock_shared(file),
    };
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == fs2::lock_contended_error().raw_os_error() => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_cannot_be_asked_for_is_an_error_and_not_somebody_elses() {
        let path_alone = rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC;
        let opened = rustix::fs::open("/", path_alone, rustix::fs::Mode::empty()).unwrap();
        let asked = try_lock(&opened.into(), Lock::Exclusive);
        assert_eq!(asked.unwrap_err().raw_os_error(), Some(9), "EBADF");
    }
}
