//! The lock of an mbox: the file `PATH.lock`, as liblockfile, procmail and mail readers make it, and fcntl on the mailbox itself.
//!
//! The lock file has the process that holds it, and then where the message that it appends begins. Invariant: what is taken back is
//! one message, which no other process can have added to: whatever is behind it leaves it alone.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags, fcntl_lock};
use rustix::process::{Pid, test_kill_process};

use crate::receipt::Reason;
use crate::smtp::EnhancedCode;
use crate::transport::agents::store::{NO_REGULAR_FILE, StoreError};
use crate::transport::agents::template::LOCK;
use crate::transport::leaving::Leaving;

/// How long a lock of others is waited for; then the message is deferred.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(100);
/// A lock file without a process in it is left alone for so long (liblockfile).
const NAMELESS: Duration = Duration::from_secs(5 * 60);

/// No program appends for longer: the number in the lock file is another process's by now.
const LONGEST: Duration = Duration::from_secs(60 * 60);
/// The lock files of this process.
static HELD: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn held() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A mailbox that is ours until this is dropped.
pub(super) struct Locked {
    pub(super) file: File,
    dot: PathBuf,
    /// Where the message begins that is being appended.
    begun: Option<u64>,
    /// Whether the lock file was removed: it is another process's from then on.
    is_over: bool,
}

/// Opens the mailbox, making it where it is not there, and locks it.
pub(super) fn lock(path: &Path, leaving: &Leaving) -> Result<Locked, StoreError> {
    let mut dot = path.as_os_str().to_owned();
    dot.push(LOCK);
    let dot = PathBuf::from(dot);
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(locked) = attempt(path, &dot)? {
            return Ok(locked);
        }
        if Instant::now() >= deadline || leaving.is_raised() {
            // RFC 3463 X.2.0: other mailbox status.
            let text = format!("the mailbox {} is locked by another program", path.display());
            return Err(StoreError::Mailbox(Reason::new(EnhancedCode(4, 2, 0), text)));
        }
        thread::sleep(LOOK);
    }
}

/// `None`: another program has it.
fn attempt(path: &Path, dot: &Path) -> Result<Option<Locked>, StoreError> {
    let opening = |error| StoreError::at("opening", path)(error);
    let mut options = OpenOptions::new();
    // A link could lead anywhere, and in a folder of mailboxes other people may make one.
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.custom_flags(i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0));
    let mut file = options.open(path).map_err(opening)?;
    if !file.metadata().map_err(opening)?.is_file() {
        return Err(opening(io::Error::new(NO_REGULAR_FILE, "expected a regular file")));
    }
    if fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(None);
    }
    let making = |error| StoreError::at("making", dot)(error);
    let made = OpenOptions::new().write(true).create_new(true).mode(0o644).open(dot);
    let mut made = match made {
        Ok(made) => {
            held().insert(dot.to_owned());
            made
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // As long as we have the lock of fcntl, no other leafmail looks at the lock file.
            if let Some(left) = left_behind(dot) {
                left.repair(&mut file).map_err(opening)?;
                fs::remove_file(dot).map_err(making)?;
            }
            return Ok(None);
        }
        Err(error) => return Err(making(error)),
    };
    let locked = Locked { file, dot: dot.to_owned(), begun: None, is_over: false };
    made.write_all(format!("{}\n", std::process::id()).as_bytes()).map_err(making)?;
    Ok(Some(locked))
}

/// What a process that died left in its lock file.
struct LeftBehind {
    begun: Option<u64>,
}

/// `None` as long as the process is alive, or may be.
fn left_behind(dot: &Path) -> Option<LeftBehind> {
    let mut text = String::new();
    File::open(dot).ok()?.take(64).read_to_string(&mut text).ok()?;
    let mut lines = text.lines();
    let process = lines.next().and_then(|line| line.trim().parse().ok()).and_then(Pid::from_raw);
    let age = dot.metadata().and_then(|about| about.modified()).ok()?.elapsed().unwrap_or_default();
    let is_over = match process {
        // In a container, the process that died may have had the same number.
        Some(process) if process == rustix::process::getpid() => !held().contains(dot),
        Some(process) => age > LONGEST || test_kill_process(process) == Err(rustix::io::Errno::SRCH),
        None => age > NAMELESS,
    };
    let begun = lines.next().and_then(|line| line.parse().ok());
    is_over.then_some(LeftBehind { begun })
}

impl LeftBehind {
    /// Takes the message back that was being appended, unless somebody appended another to it.
    fn repair(&self, file: &mut File) -> io::Result<()> {
        let Some(begun) = self.begun.filter(|begun| file.metadata().is_ok_and(|about| about.len() > *begun)) else {
            return Ok(());
        };
        file.seek(SeekFrom::Start(begun))?;
        let mut tail = Vec::new();
        file.take(MOST_TAKEN_BACK).read_to_end(&mut tail)?;
        // Empty lines separate it from the message before.
        let message = tail.iter().position(|octet| *octet != b'\n').map_or(&[][..], |at| &tail[at..]);
        let is_ours = message.is_empty() || b"From ".starts_with(&message[..message.len().min(5)]);
        let is_alone = !message.windows(6).any(|octets| octets == b"\nFrom ");
        if is_ours && is_alone && (tail.len() as u64) < MOST_TAKEN_BACK {
            file.set_len(begun)?;
            file.sync_all()?;
        }
        Ok(())
    }
}

/// More than any message has; it is held in memory while it is looked at.
const MOST_TAKEN_BACK: u64 = 256 * 1024 * 1024;

impl Locked {
    /// Notes where the message begins, so that it can be taken back should this process die.
    pub(super) fn begin(&mut self) -> io::Result<u64> {
        let size = self.file.metadata()?.len();
        let mut note = OpenOptions::new().append(true).open(&self.dot)?;
        note.write_all(format!("{size}\n").as_bytes())?;
        note.sync_all()?;
        self.begun = Some(size);
        Ok(size)
    }

    /// Takes back what was appended.
    pub(super) fn take_back(&mut self) -> io::Result<()> {
        if let Some(begun) = self.begun {
            self.file.set_len(begun)?;
            self.begun = None;
        }
        Ok(())
    }

    /// Makes what was appended durable: from now on it stays. That goes for the end of the lock, too: a power cut that brought its
    /// file back would lead to the message being taken back.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        self.begun = None;
        self.unlock()?;
        let folder = self.dot.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }

    fn unlock(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.is_over, true) {
            return Ok(());
        }
        match fs::remove_file(&self.dot) {
            // Somebody took it for stale.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

impl Drop for Locked {
    /// What could not be taken back stays locked, until another process finds that this one ended.
    fn drop(&mut self) {
        if self.begun.is_none() {
            let _ = self.unlock();
        }
        held().remove(&self.dot);
    }
}
