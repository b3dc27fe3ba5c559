//! The aliases file on disk, with the aliases of the configuration's own table.
//!
//! Every [`AliasFile`] was read successfully once. A version that cannot be read or is wrong is logged once, and the
//! last good one stays in use.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::{AliasError, Aliases, LocalDomains};
use crate::watched_file::WatchedFile;

/// A file of aliases, with those of the configuration's own table.
#[derive(Debug)]
pub struct AliasFile(Source);

#[derive(Debug)]
enum Source {
    /// The table is all there is.
    Table(Arc<Aliases>),
    File(WatchedFile<Aliases>),
}

/// Why a file of aliases cannot be used; the reason names the line, if it is one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("reading aliases from {}: {reason}", path.display())]
pub struct AliasFileError {
    path: PathBuf,
    reason: String,
}

impl AliasFile {
    /// Reads a file for the first time.
    ///
    /// # Errors
    /// When it cannot be read, is no regular file, longer than 1 MiB, not UTF-8, or a line of it or the table is wrong.
    pub fn load(
        path: PathBuf,
        table: BTreeMap<String, Vec<String>>,
        local: LocalDomains,
    ) -> Result<Self, AliasFileError> {
        let parse = move |text: &str| Aliases::new(text, &table, local.clone()).map_err(|error| error.to_string());
        let loaded = WatchedFile::load(path.clone(), "aliases", parse);
        loaded.map(|file| Self(Source::File(file))).map_err(|reason| AliasFileError { path, reason })
    }

    /// A table alone, which stays what it is.
    ///
    /// # Errors
    /// When an entry is wrong.
    pub fn without_file(table: BTreeMap<String, Vec<String>>, local: LocalDomains) -> Result<Self, AliasError> {
        Ok(Self(Source::Table(Arc::new(Aliases::new("", &table, local)?))))
    }

    /// The aliases of the last good version; one `stat` where nothing changed. Never fails.
    pub fn current(&self) -> Arc<Aliases> {
        match &self.0 {
            Source::Table(aliases) => Arc::clone(aliases),
            Source::File(file) => file.current(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::routing::Target;

    fn local() -> LocalDomains {
        LocalDomains { domains: vec!["lan".parse().unwrap()], default: "lan".parse().unwrap() }
    }

    fn root_of(aliases: &Aliases) -> String {
        match aliases.target(&"root@lan".parse().unwrap()) {
            Target::One(mailbox) => mailbox.to_string(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_change_is_seen_and_a_broken_version_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("aliases");
        fs::write(&path, "root: a@x\n").unwrap();
        let file = AliasFile::load(path.clone(), BTreeMap::new(), local()).unwrap();
        assert_eq!(root_of(&file.current()), "a@x");
        assert!(Arc::ptr_eq(&file.current(), &file.current()), "read anew without a change");
        fs::write(&path, "root: ab@x\n").unwrap();
        assert_eq!(root_of(&file.current()), "ab@x");
        for broken in [&b""[..], b"root\n", b"root: |cmd\n", b"root: \xff@x\n", &vec![b'#'; (1 << 20) + 1]] {
            fs::write(&path, broken).unwrap();
            assert_eq!(root_of(&file.current()), "ab@x");
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(root_of(&file.current()), "ab@x");
        fs::create_dir(&path).unwrap();
        assert_eq!(root_of(&file.current()), "ab@x");
        fs::remove_dir(&path).unwrap();
        fs::write(&path, "# none\n").unwrap();
        assert_eq!(root_of(&file.current()), "Unchanged");
    }

    #[test]
    fn a_file_of_the_same_length_that_took_its_place_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("aliases");
        fs::write(&path, "root: a@x\n").unwrap();
        let file = AliasFile::load(path.clone(), BTreeMap::new(), local()).unwrap();
        let new = folder.path().join("new");
        fs::write(&new, "root: b@x\n").unwrap();
        fs::rename(&new, &path).unwrap();
        assert_eq!(root_of(&file.current()), "b@x");
    }

    #[test]
    fn the_table_is_there_with_each_version_of_the_file_and_without_one() {
        let table = BTreeMap::from([("root".to_owned(), vec!["joe".to_owned()])]);
        let alone = AliasFile::without_file(table.clone(), local()).unwrap();
        assert_eq!(root_of(&alone.current()), "joe@lan");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("aliases");
        fs::write(&path, "joe: a@x\n").unwrap();
        let file = AliasFile::load(path.clone(), table, local()).unwrap();
        assert_eq!(root_of(&file.current()), "a@x");
        fs::write(&path, "joe: ab@x\n").unwrap();
        assert_eq!(root_of(&file.current()), "ab@x");
        fs::write(&path, "root: is there already\n").unwrap();
        assert_eq!(root_of(&file.current()), "ab@x");
    }

    #[test]
    fn the_first_version_must_be_good() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("aliases");
        let fault = || AliasFile::load(path.clone(), BTreeMap::new(), local()).unwrap_err().to_string();
        assert!(fault().contains("reading aliases from ") && fault().contains("No such file"), "{}", fault());
        fs::write(&path, "a: b@x\nroot: /dev/null\n").unwrap();
        assert!(fault().contains("line 2: leafmail only relays"), "{}", fault());
        fs::remove_file(&path).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(fault().contains("expected a regular file"), "{}", fault());
    }
}
