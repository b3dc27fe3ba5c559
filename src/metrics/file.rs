//! The files of the counters in `log/` of the spool: one for each process that counts, and `counters`, the sum of those that
//! ended.
//!
//! A process holds a lock on its own file as long as it lives, so that whoever gets the lock knows that it ended; process ids
//! would say nothing between containers. Ended files are added to the sum under the lock of `counters.lock`, whose wait
//! is bounded. The sum names the files that are in it, and is replaced as a whole before they are removed: a kill in
//! between counts nothing twice. What is read may be torn by a power cut, or damaged: then it counts for nothing.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags, flock};

use super::observer::Counters;
use super::readings::{Process, Readings};
use crate::small_file::{self, FileSync, Writers};

const TOTALS: &str = "counters";
const LOCK: &str = "counters.lock";
const OF_PROCESS: &str = "counters-";
const HEAD: &str = "leafmail counters 1";
/// Longer than any that we write.
const MAX_OCTETS: u64 = 4 * 1024 * 1024;
/// Files of processes that are looked at.
const MOST_FILES: usize = 10_000;
/// From one writing to the next.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long anybody waits for the lock of the folder.
const PATIENCE: Duration = Duration::from_secs(1);

/// The file of this process's counters, written by a thread until [`CounterFile::end`].
pub struct CounterFile {
    folder: PathBuf,
    name: String,
    counters: Arc<Counters>,
    /// The file, and what was written last; `None` once it ended.
    file: Mutex<Option<(File, Vec<u64>)>>,
    failing: AtomicBool,
}

impl CounterFile {
    /// Begins the file in this folder, and adds to the sum what processes left that were killed.
    ///
    /// # Errors
    /// When the file cannot be created, or there is no thread for it; nothing is written then.
    pub fn begin(folder: &Path, counters: Arc<Counters>) -> io::Result<Arc<Self>> {
        match DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let name = format!("{OF_PROCESS}{:016x}", getrandom::u64()?);
        let lock = lock(folder, FlockOperation::NonBlockingLockExclusive)?;
        let file = open(&folder.join(&name), OpenOptions::new().read(true).write(true).create_new(true))?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        drop(lock);
        let values = counters.cells().values();
        file.write_all_at(&image(counters.cells().keys(), &values), 0)?;
        let (folder, file) = (folder.to_owned(), Mutex::new(Some((file, values))));
        let begun = Arc::new(Self { folder, name, counters, file, failing: AtomicBool::new(false) });
        begun.fold(None);
        let kept = Arc::clone(&begun);
        thread::Builder::new().name("counters".to_owned()).spawn(move || kept.keep())?;
        Ok(begun)
    }

    fn keep(&self) {
        loop {
            thread::sleep(INTERVAL);
            match self.write() {
                Ok(true) => self.failing.store(false, Ordering::Relaxed),
                Ok(false) => return,
                Err(error) if !self.failing.swap(true, Ordering::Relaxed) => {
                    log::warn!("writing the counters: {error}; mail goes on without it");
                }
                Err(_) => {}
            }
        }
    }

    /// Writes what changed; whether there is still a file.
    fn write(&self) -> io::Result<bool> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((file, written)) = &mut *file else { return Ok(false) };
        let values = self.counters.cells().values();
        if values != *written {
            file.write_all_at(&octets(&values), head(self.counters.cells().keys()).len() as u64)?;
            *written = values;
        }
        Ok(true)
    }

    /// Writes the last values, and adds them to the sum. Whatever fails is left for the next process.
    pub fn end(&self) {
        let _ = self.write();
        let own = self.file.lock().unwrap_or_else(PoisonError::into_inner).take();
        if own.is_some() {
            self.fold(Some(&self.name));
        }
        drop(own);
    }

    /// Adds to the sum what ended processes left, and this one's own file.
    fn fold(&self, own: Option<&str>) {
        let folded =
            lock(&self.folder, FlockOperation::NonBlockingLockExclusive).and_then(|_lock| fold(&self.folder, own));
        if let Err(error) = folded {
            log::debug!("adding up the counters: {error}; the next process does it");
        }
    }
}

/// What all processes of a spool counted, from the files in this folder. Where there are none, nothing was counted.
///
/// # Errors
/// When the folder, or the sum in it, cannot be read.
pub fn read_counters(folder: &Path) -> io::Result<Readings> {
    // Where this may not open the lock, the sum may lack what a process adds at this moment.
    let _lock = lock_to_read(folder);
    let (mut readings, known) = totals(folder)?;
    for name in names(folder)? {
        if !known.contains(&name)
            && let Ok(file) = open(&folder.join(&name), OpenOptions::new().read(true))
        {
            let process = if has_ended(&file) { Process::Ended } else { Process::Living };
            add(&mut readings, &file, process);
        }
    }
    Ok(readings)
}

/// See the module; under the lock.
fn fold(folder: &Path, own: Option<&str>) -> io::Result<()> {
    let (mut readings, known) = totals(folder)?;
    let (mut folded, mut is_changed) = (Vec::new(), false);
    for name in names(folder)? {
        let Ok(file) = open(&folder.join(&name), OpenOptions::new().read(true)) else { continue };
        if own != Some(&name) && !has_ended(&file) {
            continue;
        }
        if !known.contains(&name) {
            add(&mut readings, &file, Process::Ended);
            is_changed = true;
        }
        folded.push(name);
    }
    if is_changed {
        let mut text = format!("{HEAD}\n");
        folded.iter().for_each(|name| text.push_str(&format!("folded {name}\n")));
        readings.0.iter().for_each(|(key, value)| text.push_str(&format!("{value} {key}\n")));
        small_file::replace(&folder.join(TOTALS), text.as_bytes(), Writers::One, FileSync::Unsynced)?;
    }
    folded.iter().for_each(|name| drop(fs::remove_file(folder.join(name))));
    Ok(())
}

/// The sum, and the names of the files that are in it.
fn totals(folder: &Path) -> io::Result<(Readings, BTreeSet<String>)> {
    let (mut readings, mut known) = (Readings::default(), BTreeSet::new());
    let file = match open(&folder.join(TOTALS), OpenOptions::new().read(true)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok((readings, known)),
        file => file?,
    };
    let octets = bounded(&file)?;
    let text = String::from_utf8_lossy(&octets);
    let mut lines = text.lines();
    if lines.next() == Some(HEAD) {
        for line in lines {
            match line.split_once(' ') {
                Some(("folded", name)) => drop(known.insert(name.to_owned())),
                Some((value, key)) => {
                    value.parse().into_iter().for_each(|value| readings.merge(key, value, Process::Ended));
                }
                None => {}
            }
        }
    }
    Ok((readings, known))
}

/// The files of processes.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let name = |entry: io::Result<fs::DirEntry>| entry.ok()?.file_name().into_string().ok();
    Ok(entries.filter_map(name).filter(|name| name.starts_with(OF_PROCESS)).take(MOST_FILES).collect())
}

/// Adds the values of a process's file, if it is whole.
fn add(readings: &mut Readings, file: &File, process: Process) {
    let Ok(octets) = bounded(file) else { return };
    let Some(end) = octets.windows(2).position(|two| two == b"\n\n") else { return };
    let Ok(text) = std::str::from_utf8(&octets[..end]) else { return };
    let mut lines = text.lines();
    if lines.next() != Some(HEAD) {
        return;
    }
    let keys: Vec<&str> = lines.collect();
    let Some(start) = octets.len().checked_sub(keys.len() * 8).filter(|start| *start >= end) else { return };
    for (key, value) in keys.iter().zip(octets[start..].chunks_exact(8)) {
        let value = value.try_into().map(u64::from_le_bytes).unwrap_or_default();
        if value > 0 || process == Process::Living {
            readings.merge(key, value, process);
        }
    }
}

/// What a process's file begins with: the keys, up to a multiple of eight octets.
fn head(keys: &[String]) -> Vec<u8> {
    let mut text = format!("{HEAD}\n{}\n\n", keys.join("\n"));
    while !text.len().is_multiple_of(8) {
        text.push('\n');
    }
    text.into_bytes()
}

fn octets(values: &[u64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn image(keys: &[String], values: &[u64]) -> Vec<u8> {
    [head(keys), octets(values)].concat()
}

/// Whether nobody holds the lock of a process's file any more.
fn has_ended(file: &File) -> bool {
    let is_free = flock(file, FlockOperation::NonBlockingLockShared).is_ok();
    if is_free {
        let _ = flock(file, FlockOperation::Unlock);
    }
    is_free
}

/// The lock of the folder; an error after a second.
fn lock(folder: &Path, operation: FlockOperation) -> io::Result<File> {
    let file = open(&folder.join(LOCK), OpenOptions::new().read(true).write(true).create(true))?;
    held(file, operation)
}

fn lock_to_read(folder: &Path) -> Option<File> {
    let file = open(&folder.join(LOCK), OpenOptions::new().read(true)).ok()?;
    held(file, FlockOperation::NonBlockingLockShared).ok()
}

fn held(file: File, operation: FlockOperation) -> io::Result<File> {
    let begun = Instant::now();
    loop {
        match flock(&file, operation) {
            Ok(()) => return Ok(file),
            Err(error) if begun.elapsed() >= PATIENCE => return Err(error.into()),
            Err(_) => thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// Follows no link, waits for no pipe.
fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = options.mode(0o600).custom_flags(flags.bits().cast_signed()).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("expected a regular file")) }
}

fn bounded(file: &File) -> io::Result<Vec<u8>> {
    if file.metadata()?.size() > MAX_OCTETS {
        return Err(io::Error::other("the file is too large"));
    }
    let mut octets = Vec::new();
    file.take(MAX_OCTETS).read_to_end(&mut octets)?;
    Ok(octets)
}

#[cfg(test)]
mod tests;
