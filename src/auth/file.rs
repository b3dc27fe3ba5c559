//! The users' file on disk: read again when it changes, and changed by replacing it as a whole.
//!
//! It is used only if nobody except its owner can read it: a reader could try passwords offline, or would have them.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{FlockOperation, flock};

use super::users::is_name;
use super::{Users, Verifier};
use crate::small_file::{self, FileSync, Writers};

/// Longer than a file of many thousand users.
const MAX_OCTETS: u64 = 16 << 20;

/// A file of users.
#[derive(Debug)]
pub struct UserFile {
    path: PathBuf,
    read: Mutex<Option<(Stamp, Arc<Users>)>>,
}

/// By which a change of the file is noticed: its modification time, and its identity.
type Stamp = (i64, i64, u64, u64, u32);

fn stamp(metadata: &fs::Metadata) -> Stamp {
    (metadata.mtime(), metadata.mtime_nsec(), metadata.ino(), metadata.size(), metadata.mode())
}

impl UserFile {
    /// The file of this path, which is not read yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path, read: Mutex::default() }
    }

    /// The users, read again if the file has changed.
    ///
    /// # Errors
    /// In words, when it cannot be read, others than its owner can read it, or a line is wrong. Never with its content.
    pub fn users(&self) -> Result<Arc<Users>, String> {
        let failed = |error: &dyn std::fmt::Display| format!("reading users from {}: {error}", self.path.display());
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let now = stamp(&fs::metadata(&self.path).map_err(|error| failed(&error))?);
        if let Some((then, users)) = &*read
            && *then == now
        {
            return Ok(Arc::clone(users));
        }
        let (text, stamp) = read_private(&self.path).map_err(|error| failed(&error))?;
        let users = Arc::new(Users::parse(&text).map_err(|error| failed(&error))?);
        *read = Some((stamp, Arc::clone(&users)));
        Ok(users)
    }

    /// Stores a user's password, or with `None` removes the user. `false`: there was none to remove. The file is made
    /// where it is missing, and replaced as a whole, so that a reader sees it before or after, never in between.
    ///
    /// # Errors
    /// When the name cannot be in a line, or the file cannot be read or replaced.
    pub fn store(&self, user: &str, verifier: Option<&Verifier>) -> io::Result<bool> {
        if !is_name(user) {
            return Err(io::Error::other("expected a user without a colon, control characters, or # at the start"));
        }
        let folder = match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        // Held until the end: two who change the file at once would lose one of the changes.
        let folder = File::open(folder)?;
        flock(&folder, FlockOperation::LockExclusive)?;
        let text = match read_private(&self.path) {
            Ok((text, _)) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let is_users = |line: &&str| line.split_once(':').is_some_and(|(name, _)| name == user);
        let mut lines: Vec<String> = text.lines().filter(|line| !is_users(line)).map(str::to_owned).collect();
        let was_there = lines.len() < text.lines().count();
        match verifier {
            None if !was_there => return Ok(false),
            None => {}
            Some(verifier) => lines.push(format!("{user}:{verifier}")),
        }
        let text = lines.join("\n") + "\n";
        small_file::replace(&self.path, text.as_bytes(), Writers::One, FileSync::Synced)?;
        folder.sync_all()?;
        Ok(true)
    }
}

fn read_private(path: &Path) -> io::Result<(String, Stamp)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.mode() & 0o077 != 0 {
        let found =
            format!("expected a file of mode 0600, but found {:04o}; chmod 600 mends it", metadata.mode() & 0o7777);
        return Err(io::Error::other(found));
    }
    let mut text = String::new();
    // The error of a file that is not UTF-8 does not quote it.
    file.take(MAX_OCTETS).read_to_string(&mut text)?;
    Ok((text, stamp(&metadata)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::auth::{Form, SALT, WorkMemory};
    use crate::smtp::Secret;

    fn verifier(password: &str) -> Verifier {
        Verifier::new(password, Form::Cram, [0; SALT]).unwrap()
    }

    #[test]
    fn what_is_stored_is_read_at_once_and_by_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = UserFile::new(folder.path().join("users"));
        assert!(file.users().unwrap_err().contains("reading users from "));
        assert!(file.store("joe", Some(&verifier("one"))).unwrap());
        let check = |user: &str, password: &str| {
            file.users().unwrap().check(user, &Secret::new(password), &mut WorkMemory::default())
        };
        assert!(check("joe", "one"));
        file.store("ann", Some(&verifier("two"))).unwrap();
        file.store("joe", Some(&verifier("three"))).unwrap();
        assert!(check("ann", "two") && check("joe", "three"));
        assert!(!check("joe", "one"));
        assert!(file.store("joe", None).unwrap() && !file.store("joe", None).unwrap());
        assert!(!file.users().unwrap().contains("joe"));
        assert!(file.store("a:b", None).is_err());

        let path = folder.path().join("users");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = file.users().unwrap_err();
        assert!(error.contains("mode 0600") && !error.contains("two"), "{error}");
    }

    #[test]
    fn a_store_that_was_cut_short_leaves_no_trace() {
        let folder = tempfile::tempdir().unwrap();
        let file = UserFile::new(folder.path().join("users"));
        fs::write(folder.path().join("users.new"), "half").unwrap();
        file.store("joe", Some(&verifier("one"))).unwrap();
        assert!(file.users().unwrap().contains("joe"));
        assert!(!folder.path().join("users.new").exists());
    }
}
