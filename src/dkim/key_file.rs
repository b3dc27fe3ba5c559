//! A key on disk: read again when it changes, without a restart.
//!
//! A version that cannot be used is logged once, and the last good one stays in use. Without one there is an error each time.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use super::PrivateKey;

/// A key of 8192 bits has 6 KiB.
const MAX_OCTETS: u64 = 64 * 1024;

/// By which a change is noticed: both times, the length and the identity of the file; or why it could not be read.
type Seen = Result<(i64, i64, i64, i64, u64, u64), io::ErrorKind>;

/// A file with a private key.
#[derive(Debug)]
pub(super) struct KeyFile {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What was there when it was last read, good or not.
    seen: Option<Seen>,
    good: Option<Arc<PrivateKey>>,
    /// Why the version that was seen last is not good.
    trouble: Option<String>,
}

impl KeyFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, state: Mutex::default() }
    }

    /// The last good version of the key; one `stat` where nothing changed.
    pub(super) fn current(&self) -> Result<Arc<PrivateKey>, String> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = fs::metadata(&self.path).map_err(|error| error.kind()).and_then(|metadata| seen(&metadata));
        if state.seen.as_ref() != Some(&now) {
            match read(&self.path, &mut state.seen) {
                Ok(key) => {
                    if state.seen.is_some() && (state.good.is_some() || state.trouble.is_some()) {
                        log::info!("read the DKIM key anew from {}", self.path.display());
                    }
                    (state.good, state.trouble) = (Some(Arc::new(key)), None);
                }
                Err(reason) => {
                    if state.good.is_some() {
                        log::error!("{reason}; the key before stays in use until the file is mended");
                    }
                    state.trouble = Some(reason);
                }
            }
        }
        match (&state.good, &state.trouble) {
            (Some(key), _) => Ok(Arc::clone(key)),
            (None, trouble) => Err(trouble.clone().unwrap_or_else(|| "the DKIM key was not read".to_owned())),
        }
    }
}

impl PrivateKey {
    /// Reads a file.
    ///
    /// # Errors
    /// In words, with the path: it cannot be read, or holds no key that can be used.
    pub fn read(path: &Path) -> Result<Self, String> {
        read(path, &mut None)
    }
}

fn seen(metadata: &fs::Metadata) -> Seen {
    let (modified, changed) = ((metadata.mtime(), metadata.mtime_nsec()), (metadata.ctime(), metadata.ctime_nsec()));
    Ok((modified.0, modified.1, changed.0, changed.1, metadata.size(), metadata.ino()))
}

/// What was seen is what was read, not what a look before that found.
fn read(path: &Path, last: &mut Option<Seen>) -> Result<PrivateKey, String> {
    let place = || format!("DKIM key {}", path.display());
    let opened = open(path);
    *last = Some(opened.as_ref().map_err(io::Error::kind).and_then(|(_, metadata)| seen(metadata)));
    let (file, metadata) = opened.map_err(|error| format!("reading {}: {error}", place()))?;
    if !metadata.is_file() {
        return Err(format!("{}: expected a regular file", place()));
    }
    let mut octets = Zeroizing::new(Vec::new());
    file.take(MAX_OCTETS).read_to_end(&mut octets).map_err(|error| format!("reading {}: {error}", place()))?;
    PrivateKey::parse(&octets).map_err(|reason| format!("{}: {reason}", place()))
}

fn open(path: &Path) -> io::Result<(File, fs::Metadata)> {
    // Without waiting, as a named pipe would make it wait for ever.
    let flags = i32::from_ne_bytes(OFlags::NONBLOCK.bits().to_ne_bytes());
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    Ok((file, metadata))
}
