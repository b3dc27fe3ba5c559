//! A small text file that is read again when it changes, without a restart.
//!
//! Each [`WatchedFile`] was read successfully once. A version that cannot be read or is wrong is logged once, and the last good one
//! stays in use.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::OFlags;

/// Some twenty thousand lines.
const MAX_OCTETS: u64 = 1 << 20;

/// Makes a value of the text, or says what is wrong with it.
type Parse<T> = Box<dyn Fn(&str) -> Result<T, String> + Send + Sync>;

/// A file, and what its last good version means.
pub(crate) struct WatchedFile<T> {
    path: PathBuf,
    /// What is in it, such as `aliases`.
    what: &'static str,
    parse: Parse<T>,
    state: Mutex<State<T>>,
}

struct State<T> {
    /// What was there when it was last looked at, good or not.
    seen: Seen,
    good: Arc<T>,
}

/// By which a change is noticed: both times, the length and the identity of the file; or why it could not be read.
type Seen = Result<(i64, i64, i64, i64, u64, u64), io::ErrorKind>;

fn seen(metadata: &fs::Metadata) -> Seen {
    let (modified, changed) = ((metadata.mtime(), metadata.mtime_nsec()), (metadata.ctime(), metadata.ctime_nsec()));
    Ok((modified.0, modified.1, changed.0, changed.1, metadata.size(), metadata.ino()))
}

impl<T> WatchedFile<T> {
    /// Reads a file for the first time.
    ///
    /// # Errors
    /// In words without its path, when it cannot be read, is no regular file, longer than 1 MiB, not UTF-8, or `parse` refuses it.
    pub(crate) fn load(
        path: PathBuf,
        what: &'static str,
        parse: impl Fn(&str) -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<Self, String> {
        let (file, seen) = open(&path).map_err(|error| error.to_string())?;
        let text = read(file).map_err(|error| error.to_string())?;
        let state = Mutex::new(State { seen, good: Arc::new(parse(&text)?) });
        Ok(Self { path, what, parse: Box::new(parse), state })
    }

    /// What the last good version means; one `stat` where nothing changed. Never fails.
    pub(crate) fn current(&self) -> Arc<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (path, what) = (self.path.display(), self.what);
        let now = fs::metadata(&self.path).map_err(|error| error.kind()).and_then(|metadata| seen(&metadata));
        if now != state.seen {
            match self.read_anew(&mut state.seen) {
                Ok(value) => {
                    log::info!("read {what} anew from {path}");
                    state.good = Arc::new(value);
                }
                Err(reason) => log::error!(
                    "reading {what} from {path}: {reason}; the version before stays in force until the file is mended"
                ),
            }
        }
        Arc::clone(&state.good)
    }

    /// What was seen is what was read, not what a look before that found.
    fn read_anew(&self, last: &mut Seen) -> Result<T, String> {
        let (file, seen) = open(&self.path).map_err(|error| {
            *last = Err(error.kind());
            error.to_string()
        })?;
        *last = seen;
        let text = read(file).map_err(|error| error.to_string())?;
        // Between the truncating and the writing of an editor; without its content mail would go astray.
        if text.is_empty() {
            let what = self.what;
            return Err(format!("expected {what}, but the file is empty; a comment says that there are none"));
        }
        (self.parse)(&text)
    }
}

impl<T: fmt::Debug> fmt::Debug for WatchedFile<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchedFile").field("path", &self.path).finish_non_exhaustive()
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
    use super::*;

    fn lines(text: &str) -> Result<Vec<String>, String> {
        match text.contains('!') {
            true => Err("expected no exclamation mark".to_owned()),
            false => Ok(text.lines().map(str::to_owned).collect()),
        }
    }

    #[test]
    fn what_was_seen_of_a_broken_version_is_remembered_so_that_it_is_logged_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        fs::write(&path, "a\nb\n").unwrap();
        let file = WatchedFile::load(path.clone(), "lines", lines).unwrap();
        assert!(Arc::ptr_eq(&file.current(), &file.current()), "read anew without a change");
        for broken in [&b""[..], b"!", b"\xff", &vec![b'#'; (1 << 20) + 1]] {
            fs::write(&path, broken).unwrap();
            assert_eq!(file.current().len(), 2);
            let now = seen(&fs::metadata(&path).unwrap());
            assert_eq!(file.state.lock().unwrap().seen, now, "it would be logged again");
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(file.current().len(), 2);
        assert_eq!(file.state.lock().unwrap().seen, Err(io::ErrorKind::NotFound));
        fs::write(&path, "c").unwrap();
        assert_eq!(*file.current(), ["c"]);
    }
}
