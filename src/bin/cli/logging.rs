//! The log of both binaries: lines to standard error, a file or the system's logs, written by a thread of its own, so that a
//! reader that hangs never holds up mail. What does not fit the queue to that thread is counted and dropped.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, Thread};
use std::time::Duration;

use env_logger::{Builder, Target};
use leafmail::clock::Clock;
use leafmail::config::LogSection;
use leafmail::smtp::DIALOGUE;
use leafmail::sys::SystemClock;
use log::{Level, LevelFilter};

use super::screen::{Reader, SCREEN};
use super::sink::Sink;
use super::style::Style;

/// Lines that may wait to be written.
const QUEUE: usize = 16_384;
/// How long lines gather after some were written, so that not each wakes the thread that writes.
const GATHERING: Duration = Duration::from_millis(5);
/// How long the end of the program waits for the last lines.
const LAST_LINES: Duration = Duration::from_millis(500);

pub(crate) enum LogJob {
    Line(Vec<u8>),
    /// Changes where the lines after it go.
    Sink(Box<dyn FnOnce(&mut Sink) + Send>),
    /// Says when the lines before it are written.
    CatchUp(SyncSender<()>),
    Finish(SyncSender<()>),
}

/// The way to the thread that writes. It has a bound, but no room for that many lines beforehand.
#[derive(Clone)]
pub(crate) struct Jobs {
    way: Sender<LogJob>,
    waiting: Arc<AtomicUsize>,
}

impl Jobs {
    /// Hands it over, if there is room; whether there was.
    pub(crate) fn offer(&self, job: LogJob) -> bool {
        let room = self.waiting.fetch_add(1, Ordering::Relaxed) < QUEUE;
        if !room || self.way.send(job).is_err() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        true
    }
}

/// The running log; when dropped, the last lines are written.
pub(crate) struct Logging {
    pub(crate) jobs: Jobs,
    writer: Thread,
}

impl Logging {
    /// Starts the log of `program`, such as `smtpd`. To a person who reads it, a program says by other ways what is in order.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub(crate) fn start(program: &'static str, settings: &LogSection, reader: Reader) -> io::Result<Self> {
        let style = Arc::new(Style::new(program, settings, reader));
        let in_order = if reader == Reader::Person { settings.level.min(LevelFilter::Warn) } else { settings.level };
        let sink = Sink::open(settings, Arc::clone(&style))?;
        let (way, queue) = channel();
        let jobs = Jobs { way, waiting: Arc::default() };
        let waiting = Arc::clone(&jobs.waiting);
        let writer = thread::Builder::new().name("log".to_owned()).spawn(move || write_lines(queue, &waiting, sink))?;
        let writer = writer.thread().clone();
        let feeder =
            Feeder { jobs: jobs.clone(), dropped: AtomicU64::new(0), style: Arc::clone(&style), line: Vec::new() };
        Builder::new()
            .filter_level(LevelFilter::Off)
            .filter_module("leafmail", settings.level)
            .filter_module("leafmail::supervisor", in_order)
            .filter_module(program, in_order)
            .filter_module(SCREEN, LevelFilter::Info)
            // Only what somebody asked for comes here.
            .filter_module(DIALOGUE, settings.level.max(LevelFilter::Info))
            .format(move |out, record| out.write_all(&style.record(record, SystemClock.now())))
            .target(Target::Pipe(Box::new(feeder)))
            .init();
        Ok(Self { jobs, writer })
    }

    /// What opens the log file again, after it was renamed.
    pub(crate) fn reopener(&self) -> impl Fn() + Send + 'static {
        let jobs = self.jobs.clone();
        move || {
            // A queue that is full of lines is no place for it; the next HUP may find one.
            jobs.offer(LogJob::Sink(Box::new(Sink::reopen)));
        }
    }

    /// Returns once the lines so far are written, unless whoever takes them hangs.
    pub(crate) fn catch_up(&self) {
        let (done, caught_up) = sync_channel(1);
        if self.jobs.offer(LogJob::CatchUp(done)) {
            self.writer.unpark();
            let _ = caught_up.recv_timeout(LAST_LINES);
        }
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        let (done, finished) = sync_channel(1);
        if self.jobs.offer(LogJob::Finish(done)) {
            self.writer.unpark();
            let _ = finished.recv_timeout(LAST_LINES);
        }
    }
}

/// Takes lines from the logger, which flushes after each.
struct Feeder {
    jobs: Jobs,
    dropped: AtomicU64,
    style: Arc<Style>,
    line: Vec<u8>,
}

impl Write for Feeder {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.line.is_empty() {
            self.pass_on();
        }
        Ok(())
    }
}

impl Feeder {
    fn pass_on(&mut self) {
        let line = std::mem::take(&mut self.line);
        let dropped = self.dropped.load(Ordering::Relaxed);
        if dropped > 0 {
            let note = format!("{dropped} log lines were dropped, as nobody took them");
            if self.jobs.offer(LogJob::Line(self.style.line(Level::Warn, &note, SystemClock.now()))) {
                self.dropped.store(0, Ordering::Relaxed);
            }
        }
        if !self.jobs.offer(LogJob::Line(line)) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Lines that wait are written together.
fn write_lines(queue: Receiver<LogJob>, waiting: &AtomicUsize, mut sink: Sink) {
    const BATCH: usize = 32 * 1024;
    let (mut batch, mut octets) = (Vec::new(), 0);
    let mut next = queue.recv().ok();
    while let Some(job) = next.take() {
        let mut finished = None;
        waiting.fetch_sub(1, Ordering::Relaxed);
        match job {
            LogJob::Line(line) => {
                octets += line.len();
                batch.push(line);
            }
            LogJob::Sink(change) => {
                sink.write(&batch);
                batch.clear();
                octets = 0;
                change(&mut sink);
            }
            LogJob::CatchUp(done) => {
                sink.write(&batch);
                batch.clear();
                octets = 0;
                let _ = done.send(());
            }
            LogJob::Finish(done) => finished = Some(done),
        }
        next = queue.try_recv().ok();
        if next.is_none() || octets >= BATCH || finished.is_some() {
            sink.write(&batch);
            batch.clear();
            octets = 0;
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
