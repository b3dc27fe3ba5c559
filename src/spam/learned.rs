//! The file of what was learnt: a line for each message, with its key and its class. The oldest lines go when it is full.
//!
//! Whoever learns holds its lock from the look to the write, so that two who learn one message know of each other. Lines that
//! are damaged are dropped: the messages in them are learnt again as new ones.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError, read_to_string};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::settings::SpamClass;
use crate::small_file::{self, FileSync, Writers, beside};

/// The most messages that are remembered.
pub(super) const MOST: usize = 20_000;
/// How often it is looked whether the lock is free.
const LOOK: Duration = Duration::from_millis(20);

/// What a message is known again by.
pub(super) type Key = [u8; 16];

/// Where the file is.
#[derive(Debug)]
pub(super) struct LearnedFile {
    path: PathBuf,
}

/// The file while it is locked.
pub(super) struct Learned<'a> {
    path: &'a Path,
    /// The oldest first.
    messages: Vec<(Key, SpamClass)>,
    /// Locked until it is dropped.
    _lock: File,
}

impl LearnedFile {
    pub(super) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Locks the file and reads it.
    pub(super) fn open(&self, deadline: Instant) -> Result<Learned<'_>, String> {
        let lock_path = beside(&self.path, "lock");
        let failed = |error: &dyn std::fmt::Display| format!("what was learnt cannot be read: {error}");
        if let Some(folder) = self.path.parent().filter(|folder| !folder.is_dir()) {
            DirBuilder::new().mode(0o700).create(folder).map_err(|error| failed(&error))?;
        }
        let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(&lock_path);
        let lock = lock.map_err(|error| failed(&format!("{}: {error}", lock_path.display())))?;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(LOOK),
                Err(TryLockError::WouldBlock) => {
                    return Err("another process has been learning for too long".to_owned());
                }
                Err(TryLockError::Error(error)) => return Err(failed(&error)),
            }
        }
        let messages = match read_to_string(&self.path) {
            Ok(text) => text.lines().filter_map(parse).collect(),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) => Vec::new(),
            Err(error) => return Err(failed(&format!("{}: {error}", self.path.display()))),
        };
        Ok(Learned { path: &self.path, messages, _lock: lock })
    }
}

impl Learned<'_> {
    pub(super) fn class_of(&self, key: &Key) -> Option<SpamClass> {
        self.messages.iter().rfind(|(known, _)| known == key).map(|(_, class)| *class)
    }

    pub(super) fn keep(&mut self, key: Key, class: SpamClass) -> Result<(), String> {
        self.messages.retain(|(known, _)| *known != key);
        self.messages.push((key, class));
        let excess = self.messages.len().saturating_sub(MOST);
        self.messages.drain(..excess);
        let text: String = self.messages.iter().map(|(key, class)| line(key, *class)).collect();
        small_file::replace(self.path, text.as_bytes(), Writers::One, FileSync::Synced)
            .map_err(|error| format!("it is learnt, but {} cannot be written: {error}", self.path.display()))
    }
}

fn line(key: &Key, class: SpamClass) -> String {
    format!("{:032x} {}\n", u128::from_be_bytes(*key), class.word())
}

fn parse(line: &str) -> Option<(Key, SpamClass)> {
    let (key, class) = line.split_once(' ')?;
    let class = [SpamClass::Spam, SpamClass::Ham].into_iter().find(|known| known.word() == class)?;
    let valid = key.len() == 32 && key.bytes().all(|octet| octet.is_ascii_hexdigit());
    valid.then(|| u128::from_str_radix(key, 16).ok()).flatten().map(|key| (key.to_be_bytes(), class))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    #[test]
    fn what_was_learnt_is_kept_with_the_last_class_and_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let file = LearnedFile::at(folder.path().join("learned"));
        let key = |number: u128| number.to_be_bytes();
        file.open(soon()).unwrap().keep(key(1), SpamClass::Spam).unwrap();
        file.open(soon()).unwrap().keep(key(1), SpamClass::Ham).unwrap();
        assert_eq!(file.open(soon()).unwrap().class_of(&key(1)), Some(SpamClass::Ham));
        assert_eq!(file.open(soon()).unwrap().class_of(&key(2)), None);
        let full: String = (1..=MOST as u128).map(|number| line(&key(number), SpamClass::Spam)).collect();
        std::fs::write(&file.path, full).unwrap();
        file.open(soon()).unwrap().keep(key(0), SpamClass::Ham).unwrap();
        let kept = file.open(soon()).unwrap();
        assert_eq!(
            (kept.messages.len(), kept.class_of(&key(1)), kept.class_of(&key(2))),
            (MOST, None, Some(SpamClass::Spam))
        );
    }

    #[test]
    fn damaged_lines_are_dropped_and_a_lock_is_waited_for_up_to_a_deadline() {
        let folder = tempfile::tempdir().unwrap();
        let file = LearnedFile::at(folder.path().join("learned"));
        let whole = line(&[7; 16], SpamClass::Spam);
        std::fs::write(&file.path, format!("x\n{whole}+{} spam\n{}", "0".repeat(31), &whole[..20])).unwrap();
        let held = file.open(soon()).unwrap();
        assert_eq!(held.messages, [([7; 16], SpamClass::Spam)]);
        assert!(file.open(Instant::now()).is_err_and(|error| error.contains("another process")));
        drop(held);
        assert!(file.open(Instant::now()).is_ok());
    }
}
