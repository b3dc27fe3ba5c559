//! How our programs open and lock the small files that they share.
//!
//! No link is followed and no pipe is waited for, whatever is in the folder, and no wait for a lock is endless.

use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::{Errno, retry_on_intr};

/// A route's name as that of a file.
pub(in crate::queue) fn file_name(route: &str) -> String {
    let safe = |c: char| if c.is_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' };
    route.chars().map(safe).collect()
}

/// The octets of a file that our programs write here; `None` if there is none, if it is longer than `most`, or if it is not a
/// regular file.
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

/// A file that several processes use under its lock; it is created if missing. It is never removed or replaced, because two
/// processes would then lock two files.
pub(in crate::queue) fn open_shared(path: &Path) -> io::Result<fs::File> {
    // Neither a link nor a pipe may lead astray or block.
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = fs::File::from(open(path, flags, Mode::RUSR | Mode::WUSR)?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a regular file")) }
}

/// How long to wait for a lock that others hold for a few system calls. A process that holds it longer was stopped, or its
/// container was.
const PATIENCE: Duration = Duration::from_secs(2);

/// Waits for the lock. It ends with the file.
///
/// # Errors
/// When another process keeps it: a stopped process must not delay all mail.
pub(in crate::queue) fn lock(file: &fs::File) -> io::Result<()> {
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
pub(in crate::queue) fn try_lock(file: &fs::File) -> io::Result<bool> {
    match retry_on_intr(|| flock(file, FlockOperation::NonBlockingLockExclusive)) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
