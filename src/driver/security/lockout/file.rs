//! The failures of all processes in one file, `routes/clients.failures`: a header and the buckets, at fixed places.
//!
//! It is changed under its `flock`, never synced, removed or replaced, and missing until somebody fails. A file that is not
//! understood or of another start of the host is emptied first: whatever is in it, it never stops mail. No link is followed, no
//! pipe waited for, and the wait for the lock ends. `docs/spool-format.md` has the form.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;

use super::slots::{BUCKET, BUCKETS, Bucket, Key, Seed};

const NAME: &str = "clients.failures";
const MAGIC: [u8; 8] = *b"LEAFFAIL";
/// Magic, the host's start, the seed; the rest is zeros.
const HEADER: usize = 64;
const SIZE: u64 = HEADER as u64 + BUCKETS as u64 * BUCKET as u64;
/// How long to wait for a process that holds the lock for a few system calls, before its failure counts for nothing.
const PATIENCE: Duration = Duration::from_millis(500);

/// The file, and the start of the host that it must be of.
#[derive(Debug)]
pub(super) struct FailureFile {
    path: PathBuf,
    boot: [u8; 16],
}

fn at(place: u16) -> u64 {
    HEADER as u64 + u64::from(place) * BUCKET as u64
}

impl FailureFile {
    pub(super) fn new(folder: &Path, boot: [u8; 16]) -> Self {
        Self { path: folder.join(NAME), boot }
    }

    /// Looks at the bucket of an address, without the lock: of a change under way it sees any part.
    ///
    /// # Errors
    /// When there is no such file, or it cannot be read.
    pub(super) fn read<T>(&self, key: Key, look: impl FnOnce(&Bucket) -> T) -> io::Result<T> {
        let file = self.open(OFlags::RDONLY)?;
        let seed = self.seed(&file)?.ok_or(io::ErrorKind::NotFound)?;
        Ok(look(&bucket(&file, seed.place(key))?))
    }

    /// Changes the bucket of an address, while no other process does.
    ///
    /// # Errors
    /// When the file cannot be locked, read or written.
    pub(super) fn change<T>(&self, key: Key, change: impl FnOnce(&Seed, &mut Bucket) -> T) -> io::Result<T> {
        let file = self.open(OFlags::RDWR | OFlags::CREATE)?;
        lock(&file)?;
        let seed = match self.seed(&file)? {
            Some(seed) => seed,
            None => self.begin(&file)?,
        };
        let place = seed.place(key);
        let mut bucket = bucket(&file, place)?;
        let changed = change(&seed, &mut bucket);
        file.write_all_at(&bucket.octets(), at(place))?;
        Ok(changed)
    }

    fn open(&self, flags: OFlags) -> io::Result<File> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(open(&self.path, flags, Mode::RUSR | Mode::WUSR)?);
        if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a regular file")) }
    }

    /// The seed, where the file is ours, whole and of this start of the host.
    fn seed(&self, file: &File) -> io::Result<Option<Seed>> {
        let mut header = [0; HEADER];
        if file.metadata()?.len() != SIZE {
            return Ok(None);
        }
        file.read_exact_at(&mut header, 0)?;
        let is_ours = header[..8] == MAGIC && header[8..24] == self.boot;
        Ok(header[24..40].try_into().ok().filter(|_| is_ours).map(Seed::of))
    }

    /// Replaces the content by an empty table; without its header it is not understood, in case of a kill meanwhile.
    fn begin(&self, file: &File) -> io::Result<Seed> {
        let mut seed = [0; 16];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        file.set_len(0)?;
        file.set_len(SIZE)?;
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(&MAGIC);
        header[8..24].copy_from_slice(&self.boot);
        header[24..40].copy_from_slice(&seed);
        file.write_all_at(&header, 0)?;
        Ok(Seed::of(seed))
    }
}

fn bucket(file: &File, place: u16) -> io::Result<Bucket> {
    let mut octets = [0; BUCKET];
    file.read_exact_at(&mut octets, at(place))?;
    Ok(Bucket::read(&octets))
}

/// The lock ends with the file.
fn lock(file: &File) -> io::Result<()> {
    let start = Instant::now();
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(Errno::WOULDBLOCK | Errno::INTR) if start.elapsed() < PATIENCE => {
                thread::sleep(Duration::from_micros(200));
            }
            Err(Errno::WOULDBLOCK) => {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "another process keeps the lock"));
            }
            Err(error) => return Err(error.into()),
        }
    }
}
