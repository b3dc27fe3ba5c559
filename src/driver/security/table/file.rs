//! A table in one file: a header and the buckets, at fixed places.
//!
//! It is changed under its `flock`, never synced, removed or replaced, and missing until there is something to keep. A file that is
//! not understood or of another start of the host is emptied first: whatever is in it, it never stops mail. No link is followed,
//! no pipe waited for, and the wait for the lock ends. `docs/spool-format.md` has the form.

use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;

use super::bucket::TableBucket;
use super::seed::Seed;

/// Magic, the host's start, the seed; the rest is zeros.
const HEADER: usize = 64;
/// How long to wait for a process that holds the lock for a few system calls, before what there is to keep is lost.
const PATIENCE: Duration = Duration::from_millis(500);

/// The file, and the start of the host that it must be of.
#[derive(Debug)]
pub(super) struct TableFile<B> {
    path: PathBuf,
    boot: [u8; 16],
    of: PhantomData<fn() -> B>,
}

impl<B: TableBucket> TableFile<B> {
    const SIZE: u64 = Self::at(B::FORM.buckets);

    const fn at(place: u16) -> u64 {
        HEADER as u64 + place as u64 * B::FORM.bucket as u64
    }

    pub(super) fn new(folder: &Path, boot: [u8; 16]) -> Self {
        Self { path: folder.join(B::FORM.name), boot, of: PhantomData }
    }

    /// Looks at the bucket of a key, without the lock: of a change under way it sees any part.
    ///
    /// # Errors
    /// When there is no such file, or it cannot be read.
    pub(super) fn read<T>(&self, key: &[u8], look: impl FnOnce(&Seed, &B) -> T) -> io::Result<T> {
        let file = self.open(OFlags::RDONLY)?;
        let seed = self.seed(&file)?.ok_or(io::ErrorKind::NotFound)?;
        Ok(look(&seed, &Self::bucket(&file, seed.place(key, B::FORM.buckets))?))
    }

    /// Changes the bucket of a key, while no other process does.
    ///
    /// # Errors
    /// When the file cannot be locked, read or written.
    pub(super) fn change<T>(&self, key: &[u8], change: impl FnOnce(&Seed, &mut B) -> T) -> io::Result<T> {
        let file = self.open(OFlags::RDWR | OFlags::CREATE)?;
        lock(&file)?;
        let seed = match self.seed(&file)? {
            Some(seed) => seed,
            None => self.begin(&file)?,
        };
        let place = seed.place(key, B::FORM.buckets);
        let mut bucket = Self::bucket(&file, place)?;
        let changed = change(&seed, &mut bucket);
        file.write_all_at(&bucket.octets(), Self::at(place))?;
        Ok(changed)
    }

    /// Whether the file can be used. It may be missing.
    ///
    /// # Errors
    /// When it is there, but cannot be opened or locked.
    pub(super) fn probe(&self) -> io::Result<()> {
        match self.open(OFlags::RDWR) {
            Ok(file) => lock(&file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn open(&self, flags: OFlags) -> io::Result<File> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(open(&self.path, flags, Mode::RUSR | Mode::WUSR)?);
        if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a regular file")) }
    }

    /// The seed, where the file is ours, whole and of this start of the host.
    fn seed(&self, file: &File) -> io::Result<Option<Seed>> {
        let mut header = [0; HEADER];
        if file.metadata()?.len() != Self::SIZE {
            return Ok(None);
        }
        file.read_exact_at(&mut header, 0)?;
        let is_ours = header[..8] == B::FORM.magic && header[8..24] == self.boot;
        Ok(header[24..40].try_into().ok().filter(|_| is_ours).map(Seed::of))
    }

    /// Replaces the content by an empty table; without its header it is not understood, in case of a kill meanwhile.
    fn begin(&self, file: &File) -> io::Result<Seed> {
        let mut seed = [0; 16];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        file.set_len(0)?;
        file.set_len(Self::SIZE)?;
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(&B::FORM.magic);
        header[8..24].copy_from_slice(&self.boot);
        header[24..40].copy_from_slice(&seed);
        file.write_all_at(&header, 0)?;
        Ok(Seed::of(seed))
    }

    fn bucket(file: &File, place: u16) -> io::Result<B> {
        let mut octets = vec![0; B::FORM.bucket];
        file.read_exact_at(&mut octets, Self::at(place))?;
        Ok(B::read(&octets))
    }
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
