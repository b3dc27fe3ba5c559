//! How a small file is replaced: a new file beside it is written, and renamed over it.
//!
//! A reader sees the old content or the new one, never a part. The new file is for its owner alone (mode 0600), and follows
//! no link. Whether it is synced, and what it is called until the rename, is the caller's to say.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What must be true of the new file after a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileSync {
    /// Nothing: what it says is learnt again.
    Unsynced,
    /// It is whole once it has the name: it is synced before the rename. The folder is not.
    Synced,
}

/// Who else may replace the same file at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writers {
    /// Nobody: the caller holds a lock, or the file is its own. The new file is `NAME.new`, and what a killed process left
    /// there is removed.
    One,
    /// Any process, also in a container that shares the folder: the new file has a random name.
    Many,
}

/// Replaces the file at `path`, or creates it.
///
/// # Errors
/// When the new file cannot be created, written, synced or renamed. It is removed then, and the old file is unchanged.
pub(crate) fn replace(path: &Path, octets: &[u8], writers: Writers, durability: FileSync) -> io::Result<()> {
    let new = match writers {
        Writers::One => beside(path, "new"),
        Writers::Many => path.with_extension(format!("{:016x}.new", getrandom::u64()?)),
    };
    let create = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new);
    let mut file = match create() {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && writers == Writers::One => {
            fs::remove_file(&new)?;
            create()?
        }
        created => created?,
    };
    let written = file
        .write_all(octets)
        .and_then(|()| if durability == FileSync::Synced { file.sync_all() } else { Ok(()) })
        .and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        let _already_failing = fs::remove_file(&new);
    }
    written
}

/// The path with `.SUFFIX` behind it.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    const BOTH: [Writers; 2] = [Writers::One, Writers::Many];

    #[test]
    fn a_small_file_is_replaced_as_a_whole_and_is_its_owners_alone() {
        for writers in BOTH {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("state.json");
            for text in ["first", "2"] {
                replace(&path, text.as_bytes(), writers, FileSync::Synced).unwrap();
                assert_eq!(fs::read_to_string(&path).unwrap(), text);
            }
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
        }
    }

    #[test]
    fn a_small_file_that_cannot_be_replaced_is_unchanged_and_leaves_nothing() {
        for writers in BOTH {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("state.json");
            // A folder with a file in it is never replaced by a rename.
            fs::create_dir(&path).unwrap();
            fs::write(path.join("inside"), "").unwrap();
            replace(&path, b"new", writers, FileSync::Unsynced).unwrap_err();
            assert!(path.join("inside").exists());
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
        }
    }

    #[test]
    fn a_link_in_the_place_of_the_new_file_is_removed_instead_of_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, victim) = (folder.path().join("users"), folder.path().join("victim"));
        fs::write(&victim, "untouched").unwrap();
        symlink(&victim, folder.path().join("users.new")).unwrap();
        replace(&path, b"ours", Writers::One, FileSync::Unsynced).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
        assert!(!folder.path().join("users.new").exists());
    }
}
