//! The log of both binaries: lines to standard error or a file, written by a thread of its own, so that a reader that
//! hangs never holds up mail. What does not fit the queue to that thread is counted and dropped.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Thread};
use std::time::Duration;

use env_logger::{Builder, Target};
use leafmail::clock::Clock;
use leafmail::sys::SystemClock;
use log::LevelFilter;

/// Lines that may wait to be written.
const QUEUE: usize = 16_384;
/// How long lines gather after some were written, so that not each wakes the thread that writes.
const GATHERING: Duration = Duration::from_millis(5);
/// How long the end of the program waits for the last lines.
const LAST_LINES: Duration = Duration::from_millis(500);

enum Job {
    Line(Vec<u8>),
    Reopen,
    Finish(SyncSender<()>),
}

/// The running log; when dropped, the last lines are written.
pub(crate) struct Logging {
    jobs: SyncSender<Job>,
    writer: Thread,
}

impl Logging {
    /// Starts the log of `program`, such as `smtpd`.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub(crate) fn start(program: &'static str, level: LevelFilter, file: Option<&Path>) -> io::Result<Self> {
        let sink = Sink::open(file)?;
        let (jobs, queue) = sync_channel(QUEUE);
        let writer = thread::Builder::new().name("log".to_owned()).spawn(move || write_lines(queue, sink))?;
        let writer = writer.thread().clone();
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let pid = std::process::id();
        let feeder = Feeder { jobs: jobs.clone(), dropped: Arc::default(), line: Vec::new() };
        Builder::new()
            .filter_level(LevelFilter::Off)
            .filter_module("leafmail", level)
            .filter_module(program, level)
            .format(move |out, record| {
                writeln!(out, "{} {host} leafmail/{program}[{pid}]: {}", SystemClock.now(), record.args())
            })
            .target(Target::Pipe(Box::new(feeder)))
            .init();
        Ok(Self { jobs, writer })
    }

    /// What opens the log file anew, after it was renamed.
    pub(crate) fn reopener(&self) -> impl Fn() + Send + 'static {
        let jobs = self.jobs.clone();
        move || {
            // A queue that is full of lines is no place for it; the next HUP may find one.
            let _ = jobs.try_send(Job::Reopen);
        }
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        let (done, finished) = sync_channel(1);
        if self.jobs.try_send(Job::Finish(done)).is_ok() {
            self.writer.unpark();
            let _ = finished.recv_timeout(LAST_LINES);
        }
    }
}

/// Takes lines from the logger.
struct Feeder {
    jobs: SyncSender<Job>,
    dropped: Arc<AtomicU64>,
    line: Vec<u8>,
}

impl Write for Feeder {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(octets);
        if self.line.ends_with(b"\n") {
            self.pass_on();
        }
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Feeder {
    fn pass_on(&mut self) {
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            let note = format!("leafmail: {dropped} log lines were dropped, as nobody took them\n");
            self.line.splice(0..0, note.into_bytes());
        }
        if self.jobs.try_send(Job::Line(std::mem::take(&mut self.line))).is_err() {
            self.dropped.fetch_add(dropped + 1, Ordering::Relaxed);
        }
    }
}

/// Where lines go.
enum Sink {
    Stderr,
    File(PathBuf, File),
}

impl Sink {
    fn open(file: Option<&Path>) -> io::Result<Self> {
        let Some(path) = file else { return Ok(Self::Stderr) };
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        Ok(Self::File(path.to_owned(), file))
    }

    fn write(&mut self, octets: &[u8]) {
        // A log that cannot be written must not stop mail, and there is no other place to say so.
        let _ = match self {
            Self::Stderr => io::stderr().write_all(octets),
            Self::File(_, file) => file.write_all(octets),
        };
    }

    fn reopen(&mut self) {
        if let Self::File(path, file) = self
            && let Ok(Self::File(_, new)) = Self::open(Some(path))
        {
            *file = new;
        }
    }
}

/// Lines that wait are written together.
fn write_lines(queue: Receiver<Job>, mut sink: Sink) {
    const BATCH: usize = 32 * 1024;
    let mut batch = Vec::new();
    let mut next = queue.recv().ok();
    while let Some(job) = next.take() {
        let mut finished = None;
        match job {
            Job::Line(line) => batch.extend_from_slice(&line),
            Job::Reopen => sink.reopen(),
            Job::Finish(done) => finished = Some(done),
        }
        next = queue.try_recv().ok();
        if next.is_none() || batch.len() >= BATCH || finished.is_some() {
            sink.write(&batch);
            batch.clear();
        }
        if let Some(done) = finished {
            let _ = done.send(());
            return;
        }
        if next.is_none() {
            thread::park_timeout(GATHERING);
            next = queue.recv().ok();
        }
    }
}
