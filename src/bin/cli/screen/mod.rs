//! What a person sees where standard error is a terminal and nobody asked for the log: a block at the start, one short line a
//! message, and what is left at the end.
//!
//! Events go to a thread that tells them, and its lines to the thread that writes the log: a terminal that hangs holds up no
//! mail. What does not fit on the way is counted and dropped. Where there is no such terminal, nothing of this runs.

pub(crate) mod paper;
mod story;
pub(crate) mod terminal;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use leafmail::clock::{Clock, Timestamp};
use leafmail::config::{LogFormat, LogSection};
use leafmail::event::{Event, Observer, OncePerMinute};
use leafmail::sys::SystemClock;
use log::{Level, LevelFilter};
use paper::{Paper, StoryLine, Tone};
use story::Story;
use terminal::{columns, is_smart, wants_colour};

/// The target of log records that are lines for the screen already.
pub(super) const SCREEN: &str = "screen";
/// Events that may wait to be shown.
const QUEUE: usize = 10_000;
/// How long the end waits for the last lines.
const LAST_LINES: Duration = Duration::from_millis(500);

/// Who reads what is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    /// Programs, and people who asked for the log.
    Log,
    /// A person at a terminal.
    Person,
}

impl Reader {
    /// Who reads a log with these settings, where this program runs in the foreground.
    pub(crate) fn of(log: &LogSection) -> Self {
        let is_usual = log.level == LevelFilter::Info && log.format == LogFormat::Postfix;
        let is_traced = !log.trace_clients.is_empty() || !log.trace_routes.is_empty();
        if log.is_for_cron() && is_usual && !is_traced && terminal::is_there() { Self::Person } else { Self::Log }
    }
}

/// The paper as it is now.
pub(crate) fn paper() -> Paper {
    Paper { columns: columns(), colour: is_smart() && wants_colour() }
}

/// A record of the log as a line for a person.
pub(crate) fn record(level: Level, text: &str, now: Timestamp) -> String {
    let (tone, word) = match level {
        Level::Error => (Tone::Bad, "error"),
        Level::Warn => (Tone::Waits, "warning"),
        _ => (Tone::Plain, "note"),
    };
    paper().compose(&StoryLine::new(tone, word, text), &now.time_of_day())
}

pub(crate) enum ScreenJob {
    Event(Box<Event>),
    Say(Saying),
}

/// What a program says besides the lines of events.
#[derive(Default)]
pub(crate) struct Saying {
    /// With its line end; empty for nothing.
    pub(crate) text: String,
    /// Whether the lines that are still gathered come before it.
    pub(crate) gathered_first: bool,
    /// Notified once all of it is on its way; the screen ends then.
    pub(crate) done: Option<SyncSender<()>>,
}

/// The screen, as long as something is shown on it.
pub(crate) struct Screen {
    pub(crate) way: SyncSender<ScreenJob>,
    /// Those under way.
    pub(crate) sessions: Arc<AtomicUsize>,
    dropped: Arc<AtomicU64>,
}

impl Screen {
    /// Begins to tell what a program does that delivers by these routes, or by none; some may be paused. `None` where the
    /// system gives no thread.
    pub(crate) fn begin(delivers: bool, routes: usize, paused: BTreeMap<String, String>) -> Option<Self> {
        let (way, jobs) = sync_channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let (story, lost) = (Story::new(delivers, routes, paused), Arc::clone(&dropped));
        thread::Builder::new().name("screen".to_owned()).spawn(move || tell(&jobs, story, &lost)).ok()?;
        Some(Self { way, sessions: Arc::default(), dropped })
    }

    /// What is shown of events.
    pub(crate) fn observer(&self) -> Arc<dyn Observer> {
        let (way, sessions, dropped) = (self.way.clone(), Arc::clone(&self.sessions), Arc::clone(&self.dropped));
        Arc::new(OncePerMinute::new(Arc::new(Teller { way, sessions, dropped })))
    }

    /// Returns once all lines are on their way to the log's thread.
    pub(crate) fn end(self) {
        let (done, finished) = sync_channel(1);
        let last = Saying { gathered_first: true, done: Some(done), ..Saying::default() };
        if self.way.try_send(ScreenJob::Say(last)).is_ok() {
            let _ = finished.recv_timeout(LAST_LINES);
        }
    }
}

/// Passes events on to the thread that tells them.
struct Teller {
    way: SyncSender<ScreenJob>,
    sessions: Arc<AtomicUsize>,
    dropped: Arc<AtomicU64>,
}

impl Observer for Teller {
    fn observe(&self, event: &Event) {
        match event {
            Event::Connected { .. } => {
                self.sessions.fetch_add(1, Ordering::Relaxed);
            }
            Event::Disconnected { .. } => {
                let less = |sessions: usize| Some(sessions.saturating_sub(1));
                let _ = self.sessions.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
            }
            _ => {}
        }
        let is_told = !matches!(event, Event::Connected { .. } | Event::Disconnected { cause: None, .. });
        if is_told && self.way.try_send(ScreenJob::Event(Box::new(event.clone()))).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn tell(jobs: &Receiver<ScreenJob>, mut story: Story, dropped: &AtomicU64) {
    let write = |lines: Vec<StoryLine>| {
        let time = SystemClock.now().time_of_day();
        lines.iter().for_each(|line| pass_on(&paper().compose(line, &time)));
    };
    loop {
        let job = match story.next() {
            Some(due) => jobs.recv_timeout(due.saturating_duration_since(Instant::now())),
            None => jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match job {
            Ok(ScreenJob::Event(event)) => write(story.tell(&event, Instant::now(), paper())),
            Ok(ScreenJob::Say(Saying { text, gathered_first, done })) => {
                if gathered_first {
                    write(story.end(paper()));
                }
                if !text.is_empty() {
                    pass_on(&text);
                }
                if let Some(done) = done {
                    let _ = done.send(());
                    return;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        write(story.go_on(Instant::now(), paper()));
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            write(vec![StoryLine::new(Tone::Waits, "warning", format!("{lost} events were too many to be shown"))]);
        }
    }
}

/// To the thread that writes the log.
fn pass_on(text: &str) {
    log::info!(target: SCREEN, "{text}");
}
