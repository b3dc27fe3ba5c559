//! Reading the history from its end, newest first, in bounded memory.
//!
//! A line that cannot be parsed is ignored: it may be torn, or from a later version.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::OFlags;
use serde::de::DeserializeOwned;

use super::entry::HistoryEntry;
use super::file::{HISTORY, current, open_file, previous};

/// Octets that are read at once.
const BLOCK: usize = 64 * 1024;
/// Longer lines are none of ours.
const MOST_LINE: usize = 64 * 1024;

/// What is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Search {
    /// The message of this id.
    Id(String),
    /// Messages of this envelope sender; empty for the null reverse-path. Case does not count.
    Sender(String),
    /// Messages to this recipient, also where an alias stood for it. Case does not count.
    Recipient(String),
    /// Messages with this Message-ID, with or without its angle brackets.
    MessageId(String),
}

impl Search {
    /// Whether an entry is meant.
    pub fn fits(&self, entry: &HistoryEntry) -> bool {
        let alike = |found: Option<&String>, text: &str| found.is_some_and(|found| found.eq_ignore_ascii_case(text));
        match self {
            Self::Id(id) => entry.id == *id,
            Self::Sender(sender) => alike(entry.sender.as_ref(), sender),
            Self::Recipient(to) => alike(entry.recipient.as_ref(), to) || alike(entry.written.as_ref(), to),
            Self::MessageId(id) => {
                let inner = |text: &str| text.trim_matches(['<', '>']).to_owned();
                entry.message_id.as_deref().is_some_and(|found| inner(found) == inner(id))
            }
        }
    }
}

/// The newest `most` entries for which `wanted` holds, newest first; none where there is no history.
///
/// # Errors
/// When a file is there but cannot be read.
pub fn search(folder: &Path, wanted: impl Fn(&HistoryEntry) -> bool, most: usize) -> io::Result<Vec<HistoryEntry>> {
    newest(folder, HISTORY, wanted, most)
}

/// The same, in the record of this name.
pub(super) fn newest<T: DeserializeOwned>(
    folder: &Path,
    name: &str,
    wanted: impl Fn(&T) -> bool,
    most: usize,
) -> io::Result<Vec<T>> {
    let mut found = Vec::new();
    for path in [current(folder, name), previous(folder, name)] {
        let file = match open_file(&path, OFlags::RDONLY) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        backwards(&file, &mut |line| {
            if let Ok(entry) = serde_json::from_slice::<T>(line)
                && wanted(&entry)
            {
                found.push(entry);
            }
            found.len() < most
        })?;
    }
    found.truncate(most);
    Ok(found)
}

/// Hands out the lines of a file, the last first, until `take` has enough.
fn backwards(file: &File, take: &mut dyn FnMut(&[u8]) -> bool) -> io::Result<()> {
    let mut end = file.metadata()?.len();
    // The beginning of a line whose rest was read already.
    let mut rest: Vec<u8> = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(BLOCK as u64);
        let mut block = vec![0; usize::try_from(end - start).unwrap_or(BLOCK)];
        file.read_exact_at(&mut block, start)?;
        block.extend_from_slice(&rest);
        let mut lines = block.split(|octet| *octet == b'\n').rev().peekable();
        while let Some(line) = lines.next() {
            let is_first = lines.peek().is_none();
            if is_first && start > 0 {
                rest = if line.len() <= MOST_LINE { line.to_vec() } else { Vec::new() };
            } else if !line.is_empty() && !take(line) {
                return Ok(());
            }
        }
        end = start;
    }
    Ok(())
}
