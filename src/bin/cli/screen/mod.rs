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
fn paper() -> Paper {
    Paper { columns: columns(), colour: is_smart() && wants_colour() }
}

/// A record of the log as a line for a person.
pub(super) fn record(level: Level, text: &str, now: Timestamp) -> String {
    let (tone, word) = match level {
        Level::Error => (Tone::Bad, "error"),
        Level::Warn => (Tone::Waits, "warning"),
        _ => (Tone::Plain, "note"),
    };
    paper().compose(&StoryLine::new(tone, word, text), &now.time_of_day())
}

enum Job {
    Event(Box<Event>),
    Say(String),
    End,
    Finish(SyncSender<()>),
}

/// The screen, as long as something is shown on it.
pub(crate) struct Screen {
    way: SyncSender<Job>,
    sessions: Arc<AtomicUsize>,
    dropped: Arc<AtomicU64>,
}

#[allow(dead_code, reason = "spoolrun begins, observes and ends only")]
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

    /// The block at the start, as it is composed for the paper.
    pub(crate) fn begin_with(&self, compose: impl FnOnce(Paper) -> String) {
        self.say(compose(paper()));
    }

    /// A line between those of messages.
    pub(crate) fn note(&self, text: &str) {
        self.say(record(Level::Info, text, SystemClock.now()));
    }

    /// What is expected of a person who types the client's part.
    pub(crate) fn invite(&self) {
        let text = "You are the client. Type SMTP commands, such as EHLO me; QUIT or Ctrl-D ends.\n";
        self.say(text.to_owned());
    }

    /// What is said at Ctrl-C, where clients are still served; it covers what the terminal showed of the key.
    pub(crate) fn stopping(&self) -> impl Fn() + Send + use<> {
        let (way, sessions) = (self.way.clone(), Arc::clone(&self.sessions));
        move || {
            let sessions = sessions.load(Ordering::Relaxed);
            if sessions > 0 {
                let clients = if sessions == 1 { "1 client" } else { &format!("{sessions} clients") };
                let _ =
                    way.try_send(Job::Say(format!("\rstopping: {clients} may finish a message that is being sent\n")));
            }
        }
    }

    /// The last line: how many messages remain.
    pub(crate) fn remaining(&self, remaining: usize, place: &str) {
        let what = match remaining {
            0 => "the queue is empty".to_owned(),
            1 => format!("1 message remains in {place}"),
            count => format!("{count} messages remain in {place}"),
        };
        // What is still gathered comes first.
        let _ = self.way.try_send(Job::End);
        self.say(format!("\rstopped; {}\n", paper::one_line(&what)));
    }

    /// Returns once all lines are on their way to the log's thread.
    pub(crate) fn end(self) {
        let (done, finished) = sync_channel(1);
        if self.way.try_send(Job::Finish(done)).is_ok() {
            let _ = finished.recv_timeout(LAST_LINES);
        }
    }

    fn say(&self, text: String) {
        let _ = self.way.try_send(Job::Say(text));
    }
}

/// Passes events on to the thread that tells them.
struct Teller {
    way: SyncSender<Job>,
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
        if is_told && self.way.try_send(Job::Event(Box::new(event.clone()))).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn tell(jobs: &Receiver<Job>, mut story: Story, dropped: &AtomicU64) {
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
            Ok(Job::Event(event)) => write(story.tell(&event, Instant::now(), paper())),
            Ok(Job::Say(text)) => pass_on(&text),
            Ok(Job::End) => write(story.end(paper())),
            Ok(Job::Finish(done)) => {
                write(story.end(paper()));
                let _ = done.send(());
                return;
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
