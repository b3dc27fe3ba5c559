//! Tables of what clients did: buckets of a fixed size at fixed places, in this process or in a file that all processes share.
//!
//! What is kept is bounded. Which bucket belongs to whom depends on a secret seed, so that nobody chooses whose entries are
//! forgotten. A bucket is read from a file, so that any octets are one.

mod bucket;
mod file;
mod seed;

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::clock::BootClock;
use crate::sys::SystemClock;
pub(super) use bucket::{TableBucket, TableForm};
use file::TableFile;
pub(super) use seed::Seed;

/// Buckets, each of which is changed as a whole.
pub(super) struct Table<B> {
    kept: Kept<B>,
}

enum Kept<B> {
    /// By this process, for itself.
    Here(Seed, Mutex<HashMap<u16, B>>),
    /// In a file that all processes share.
    Shared(TableFile<B>),
}

impl<B: TableBucket> Table<B> {
    /// For this process alone.
    pub(super) fn of_process() -> Self {
        let state = RandomState::new();
        let seed = [state.hash_one(0).to_le_bytes(), state.hash_one(1).to_le_bytes()].concat();
        Self { kept: Kept::Here(Seed::of(seed.try_into().unwrap_or_default()), Mutex::default()) }
    }

    /// For all processes with this folder.
    pub(super) fn shared(folder: &Path) -> Self {
        Self { kept: Kept::Shared(TableFile::new(folder, SystemClock.boot_id())) }
    }

    /// Whether buckets can be kept.
    ///
    /// # Errors
    /// When there is a file that cannot be opened or locked.
    pub(super) fn probe(&self) -> io::Result<()> {
        match &self.kept {
            Kept::Here(..) => Ok(()),
            Kept::Shared(file) => file.probe(),
        }
    }

    /// Looks at the bucket of `key`; `None` where there is none, or it cannot be read. Nothing is locked: of a change of
    /// another process under way it sees any part.
    pub(super) fn read<T>(&self, key: &[u8], look: impl FnOnce(&Seed, &B) -> T) -> Option<T> {
        match &self.kept {
            Kept::Here(seed, buckets) => {
                let buckets = buckets.lock().unwrap_or_else(PoisonError::into_inner);
                buckets.get(&seed.place(key, B::FORM.buckets)).map(|bucket| look(seed, bucket))
            }
            Kept::Shared(file) => file.read(key, look).ok(),
        }
    }

    /// Changes the bucket of `key`, while nobody else does.
    ///
    /// # Errors
    /// When the file cannot be locked, read or written.
    pub(super) fn change<T>(&self, key: &[u8], change: impl FnOnce(&Seed, &mut B) -> T) -> io::Result<T> {
        match &self.kept {
            Kept::Here(seed, buckets) => {
                let mut buckets = buckets.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(change(seed, buckets.entry(seed.place(key, B::FORM.buckets)).or_default()))
            }
            Kept::Shared(file) => file.change(key, change),
        }
    }
}

/// Nanoseconds since the host's start, by the clock that all processes share.
pub(super) fn now() -> u64 {
    u64::try_from(SystemClock.since_boot().as_nanos()).unwrap_or(u64::MAX)
}
