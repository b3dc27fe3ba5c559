//! Route states as small files: `spool/routes/NAME.json`, one per paused route.
//!
//! A file is replaced by an atomic rename, never changed in place, so that a reader sees the old state or the new one. It is
//! not synced: what a power cut loses is a pause, and the first fault brings it back. No file means open.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::{Errno, retry_on_intr};

use super::route::{RouteState, RouteStore};
use super::shared_file::change_shared;
use super::size_file::SizeFile;
use super::tally::Tally;

/// The folder with the states of all routes.
#[derive(Debug)]
pub struct RouteFolder {
    folder: PathBuf,
}

/// Longer ones are not ours.
const MAX_FILE: u64 = 64 * 1024;

impl RouteFolder {
    /// The states in `folder`, which must exist by the time that one is saved.
    pub fn new(folder: impl AsRef<Path>) -> Self {
        Self { folder: folder.as_ref().to_owned() }
    }

    /// A route's name comes from the configuration, but must not lead out of the folder.
    fn file(&self, route: &str) -> PathBuf {
        self.folder.join(format!("{}.json", file_name(route)))
    }
}

/// A route's name as that of a file.
pub(super) fn file_name(route: &str) -> String {
    let safe = |c: char| if c.is_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' };
    route.chars().map(safe).collect()
}

impl RouteStore for RouteFolder {
    /// A file that cannot be understood counts as open: it must not stop mail.
    fn load(&self, route: &str) -> io::Result<Option<RouteState>> {
        let octets = read_own(&self.file(route), MAX_FILE)?;
        let paused = octets.and_then(|octets| serde_json::from_slice(&octets).ok());
        Ok(Some(paused.map_or(RouteState::Open, RouteState::Paused)))
    }

    fn save(&self, route: &str, state: &RouteState) -> io::Result<()> {
        let path = self.file(route);
        let RouteState::Paused(pause) = state else {
            return match fs::remove_file(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                result => result,
            };
        };
        // Unique among all writers, also of containers that share the folder: two must not write into one file.
        let fresh = path.with_extension(format!("{:016x}.new", getrandom::u64()?));
        let written = write_new(&fresh, &serde_json::to_vec(pause)?).and_then(|()| fs::rename(&fresh, &path));
        if written.is_err() {
            let _already_failing = fs::remove_file(&fresh);
        }
        written
    }

    fn note_largest_message(&self, route: &str, octets: u64) -> io::Result<()> {
        SizeFile::new(&self.folder, route).note(octets)
    }

    fn tally(&self, change: &mut dyn FnMut(&mut Tally)) -> io::Result<()> {
        change_shared(&self.folder, "notices", change)
    }
}

pub(super) fn write_new(path: &Path, octets: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(octets)
}

/// The octets of a file that our programs write here; `None` where there is none, where it is longer than `most`, or where it is
/// nothing that they would write: links are not followed, and no pipe is waited for.
pub(super) fn read_own(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    let Some(file) = open_own(path)? else { return Ok(None) };
    let mut octets = Vec::new();
    file.take(most + 1).read_to_end(&mut octets)?;
    Ok((octets.len() as u64 <= most).then_some(octets))
}

/// Such a file, open for reading.
pub(super) fn open_own(path: &Path) -> io::Result<Option<fs::File>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match open(path, flags, Mode::empty()) {
        Ok(file) => fs::File::from(file),
        // ENXIO: a socket.
        Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Ok(file.metadata()?.is_file().then_some(file))
}

/// A file that several processes use under its lock, made where it is not there. It is never removed or replaced, or two
/// would lock two files.
pub(super) fn open_shared(path: &Path) -> io::Result<fs::File> {
    // Neither a link nor a pipe may lead astray or block.
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = fs::File::from(open(path, flags, Mode::RUSR | Mode::WUSR)?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a regular file")) }
}

/// How long a lock is waited for that others keep for the time of a few system calls. Whoever has it longer was stopped, or
/// its container was.
const PATIENCE: Duration = Duration::from_secs(2);

/// Waits for the lock. It ends with the file.
///
/// # Errors
/// When another process keeps it, as one that was stopped must not hold up everybody's mail.
pub(super) fn lock(file: &fs::File) -> io::Result<()> {
    let start = Instant::now();
    let mut pause = Duration::from_micros(100);
    while !try_lock(file)? {
        if start.elapsed() > PATIENCE {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "another process keeps the lock"));
        }
        thread::sleep(pause);
        pause = (2 * pause).min(Duration::from_millis(5));
    }
    Ok(())
}

/// Takes the lock if it is free.
pub(super) fn try_lock(file: &fs::File) -> io::Result<bool> {
    match retry_on_intr(|| flock(file, FlockOperation::NonBlockingLockExclusive)) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::testing::at;
    use crate::receipt::Reason;
    use crate::smtp::EnhancedCode;

    #[test]
    fn a_pause_is_seen_by_another_process_and_gone_once_the_route_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let (ours, theirs) = (RouteFolder::new(folder.path()), RouteFolder::new(folder.path()));
        assert_eq!(theirs.load("main").unwrap(), Some(RouteState::Open));
        let reason = Reason::new(EnhancedCode(4, 7, 0), "535 bad password");
        let paused = RouteState::Open.after_fault("main", &reason, at(5));
        ours.save("main", &paused).unwrap();
        assert_eq!(theirs.load("main").unwrap(), Some(paused));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
        theirs.save("main", &RouteState::Open).unwrap();
        theirs.save("main", &RouteState::Open).unwrap();
        assert_eq!(ours.load("main").unwrap(), Some(RouteState::Open));
    }

    #[test]
    fn neither_a_name_nor_a_broken_file_does_harm() {
        let folder = tempfile::tempdir().unwrap();
        let store = RouteFolder::new(folder.path());
        assert_eq!(store.file("../../etc/x"), folder.path().join("______etc_x.json"));
        fs::write(store.file("main"), b"{\"since\":").unwrap();
        assert_eq!(store.load("main").unwrap(), Some(RouteState::Open));
    }

    #[test]
    fn what_nobody_of_us_wrote_there_counts_as_nothing_and_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let outside = folder.path().join("outside");
        fs::write(&outside, b"{\"since\":1}").unwrap();
        let at = |name: &str| folder.path().join(name);
        std::os::unix::fs::symlink(&outside, at("link")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, at("pipe"), Mode::RUSR | Mode::WUSR).unwrap();
        fs::create_dir(at("folder")).unwrap();
        std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        for name in ["link", "pipe", "folder", "socket", "missing"] {
            assert_eq!(read_own(&at(name), 100).unwrap(), None, "{name}");
        }
        assert_eq!(read_own(&outside, 11).unwrap().unwrap().len(), 11);
        assert_eq!(read_own(&outside, 10).unwrap(), None, "longer than ours");
    }
}
