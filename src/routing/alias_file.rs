//! The aliases file on disk: read again when it changes, without a restart.
//!
//! Every [`AliasFile`] was read successfully once. A version that cannot be read or is wrong is logged once, and the
//! last good one stays in use.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::OFlags;

use super::{AliasError, Aliases, LocalDomains};

/// Some twenty thousand lines.
const MAX_OCTETS: u64 = 1 << 20;

/// A file of aliases, with those of the configuration's own table.
#[derive(Debug)]
pub struct AliasFile {
    /// `None`: the table is all there is.
    path: Option<PathBuf>,
    table: BTreeMap<String, Vec<String>>,
    local: LocalDomains,
    state: Mutex<State>,
}

/// Why a file of aliases cannot be used; the reason names the line, if it is one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("reading aliases from {}: {reason}", path.display())]
pub struct AliasFileError {
    path: PathBuf,
    reason: String,
}

#[derive(Debug)]
struct State {
    /// What was there when it was last looked at, good or not.
    seen: Seen,
    good: Arc<Aliases>,
}

/// By which a change is noticed: both times, the length and the identity of the file; or why it could not be read.
type Seen = Result<(i64, i64, i64, i64, u64, u64), io::ErrorKind>;

fn seen(metadata: &fs::Metadata) -> Seen {
    let (modified, changed) = ((metadata.mtime(), metadata.mtime_nsec()), (metadata.ctime(), metadata.ctime_nsec()));
    Ok((modified.0, modified.1, changed.0, changed.1, metadata.size(), metadata.ino()))
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
        let read = open(&path).and_then(|(file, seen)| Ok((read(file)?, seen)));
        let loaded = read.map_err(|error| error.to_string()).and_then(|(text, seen)| {
            let good = Aliases::new(&text, &table, local.clone()).map_err(|error| error.to_string())?;
            Ok(State { seen, good: Arc::new(good) })
        });
        match loaded {
            Ok(state) => Ok(Self { path: Some(path), table, local, state: Mutex::new(state) }),
            Err(reason) => Err(AliasFileError { path, reason }),
        }
    }

    /// A table alone, which stays what it is.
    ///
    /// # Errors
    /// When an entry is wrong.
    pub fn without_file(table: BTreeMap<String, Vec<String>>, local: LocalDomains) -> Result<Self, AliasError> {
        let good = Arc::new(Aliases::new("", &table, local.clone())?);
        let seen = Err(io::ErrorKind::NotFound);
        Ok(Self { path: None, table, local, state: Mutex::new(State { seen, good }) })
    }

    /// The aliases of the last good version; one `stat` where nothing changed. Never fails.
    pub fn current(&self) -> Arc<Aliases> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(path) = &self.path else { return Arc::clone(&state.good) };
        let now = fs::metadata(path).map_err(|error| error.kind()).and_then(|metadata| seen(&metadata));
        if now != state.seen {
            match self.read_anew(path, &mut state.seen) {
                Ok(aliases) => {
                    log::info!("read aliases anew from {}", path.display());
                    state.good = Arc::new(aliases);
                }
                Err(reason) => log::error!(
                    "reading aliases from {}: {reason}; the version before stays in force until the file is mended",
                    path.display()
                ),
            }
        }
        Arc::clone(&state.good)
    }

    /// What was seen is what was read, not what a look before that found.
    fn read_anew(&self, path: &Path, last: &mut Seen) -> Result<Aliases, String> {
        let (file, seen) = open(path).map_err(|error| {
            *last = Err(error.kind());
            error.to_string()
        })?;
        *last = seen;
        let text = read(file).map_err(|error| error.to_string())?;
        // Between the truncating and the writing of an editor; no aliases at all would send mail for root astray.
        if text.is_empty() {
            return Err("expected aliases, but the file is empty; a comment says that there are none".into());
        }
        Aliases::new(&text, &self.table, self.local.clone()).map_err(|error| error.to_string())
    }
}

fn open(path: &Path) -> io::Result<(File, Seen)> {
    // Without waiting, as a named pipe would make it wait for ever.
    let flags = i32::from_ne_bytes(OFlags::NONBLOCK.bits().to_ne_bytes());
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let seen = seen(&file.metadata()?);
    Ok((file, seen))
}

fn read(file: File) -> io::Result<String> {
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("expected a regular file"));
    }
    let mut octets = Vec::new();
    file.take(MAX_OCTETS + 1).read_to_end(&mut octets)?;
    if octets.len() as u64 > MAX_OCTETS {
        return Err(io::Error::other("expected at most 1 MiB"));
    }
    String::from_utf8(octets).map_err(|_| io::Error::other("expected text in UTF-8"))
}

#[cfg(test)]
mod tests {
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
            let now = seen(&fs::metadata(&path).unwrap());
            assert_eq!(file.state.lock().unwrap().seen, now, "it would be told again");
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(root_of(&file.current()), "ab@x");
        assert_eq!(file.state.lock().unwrap().seen, Err(io::ErrorKind::NotFound));
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
