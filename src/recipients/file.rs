//! A file with an address a line, read again when it changes. The last good version stays in use.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::existence::Existence;
use crate::address::{Domain, Mailbox};

/// Some half a million addresses.
const MAX_OCTETS: u64 = 1 << 24;

/// The addresses of a file.
#[derive(Debug)]
pub struct RecipientFile {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By which a change is noticed: times, length and identity; `None` where it could not be read.
    seen: Option<[i64; 6]>,
    looked: bool,
    good: Option<Arc<Entries>>,
    /// Why there is no newer version.
    trouble: String,
}

/// What a version says: of mailboxes, and of whole domains.
#[derive(Debug, Default)]
struct Entries {
    mailboxes: HashMap<String, Existence>,
    domains: HashMap<Domain, Existence>,
}

impl RecipientFile {
    /// The file at this path.
    pub fn at(path: PathBuf) -> Self {
        Self { path, state: Mutex::default() }
    }

    /// What the file says of a mailbox; one `stat` where nothing changed.
    ///
    /// # Errors
    /// Where no version of it could be read yet.
    pub fn existence(&self, recipient: &Mailbox) -> Result<Existence, String> {
        let entries = self.current()?;
        let known = entries.mailboxes.get(&recipient.to_string().to_lowercase());
        Ok(known.or_else(|| entries.domains.get(recipient.domain())).copied().unwrap_or(Existence::No))
    }

    /// How many entries the file has.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn check(path: &Path) -> Result<usize, String> {
        let (entries, _) = read(path)?;
        Ok(entries.mailboxes.len() + entries.domains.len())
    }

    fn current(&self) -> Result<Arc<Entries>, String> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = std::fs::metadata(&self.path).ok().map(|metadata| identity(&metadata));
        if !state.looked || now != state.seen {
            (state.looked, state.seen) = (true, now);
            match read(&self.path) {
                Ok((entries, seen)) => {
                    state.seen = Some(seen);
                    state.good = Some(Arc::new(entries));
                    log::info!("read recipients anew from {}", self.path.display());
                }
                Err(error) => {
                    let then = if state.good.is_some() { "; the version before stays in use" } else { "" };
                    log::error!("{error}{then}");
                    state.trouble = error;
                }
            }
        }
        state.good.clone().ok_or_else(|| state.trouble.clone())
    }
}

fn identity(metadata: &std::fs::Metadata) -> [i64; 6] {
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let (size, inode) = (number(metadata.size()), number(metadata.ino()));
    [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec(), size, inode]
}

/// Reads a version of it, and by what it is known.
fn read(path: &Path) -> Result<(Entries, [i64; 6]), String> {
    let failed = |reason: &dyn std::fmt::Display| format!("reading recipients from {}: {reason}", path.display());
    // No pipe is waited for.
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = File::options().read(true).custom_flags(flags).open(path).map_err(|error| failed(&error))?;
    let metadata = file.metadata().map_err(|error| failed(&error))?;
    if !metadata.is_file() {
        return Err(failed(&"it is no regular file"));
    }
    let mut octets = Vec::new();
    file.take(MAX_OCTETS + 1).read_to_end(&mut octets).map_err(|error| failed(&error))?;
    if octets.len() as u64 > MAX_OCTETS {
        return Err(failed(&"it is larger than 16 MiB"));
    }
    // Between the truncating and the writing of an editor nobody would exist.
    if octets.is_empty() {
        return Err(failed(&"expected addresses, but the file is empty; a comment says that there are none"));
    }
    let text = String::from_utf8(octets).map_err(|_| failed(&"expected UTF-8"))?;
    let mut entries = Entries::default();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (entry, existence) = match line.strip_prefix('-') {
            Some(entry) => (entry.trim_start(), Existence::No),
            None => (line, Existence::Yes),
        };
        let wrong = || failed(&format!("line {}: expected an address or @ and a domain", index + 1));
        match entry.strip_prefix('@') {
            Some(domain) => drop(entries.domains.insert(domain.parse().map_err(|_| wrong())?, existence)),
            None => {
                let mailbox: Mailbox = entry.parse().map_err(|_| wrong())?;
                entries.mailboxes.insert(mailbox.to_string().to_lowercase(), existence);
            }
        }
    }
    Ok((entries, identity(&metadata)))
}
