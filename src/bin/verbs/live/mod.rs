//! `watch` on a terminal: a page that is drawn again each second, by threads that delivering never waits for.
//!
//! Whatever ends the program - a key, a signal, an error, a panic - the terminal is given back first.

mod bar;
mod diversion;
mod screen;

use std::io::{self, Write};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use leafmail::admin::Routes;
use leafmail::admin::live::{LiveObserver, QueueView, Survey, View, frame};
use leafmail::clock::Clock;
use leafmail::config::Config;
use leafmail::queue::{Runner, StopFlag};
use leafmail::routing::Criteria;
use leafmail::spool::DirSpool;
use leafmail::sys::SystemClock;
use rustix::event::Timespec;
use rustix::termios::Termios;

use super::listing::{states, throttles};
use crate::cli::{self, Logging};
pub(crate) use bar::Bar;
use screen::{Key, LiveScreen};

/// How often the page is drawn, and how long a survey rests at least.
const SECOND: Duration = Duration::from_secs(1);
/// How long a key or a new size waits to be seen.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
/// A survey rests this many times as long as it took: a long queue is looked at less often.
const REST: u32 = 20;
/// How long the end waits for a terminal that takes nothing.
const LAST_PAGE: Duration = Duration::from_secs(1);

/// The view while it is on; dropped, it gives the terminal back.
pub(crate) struct LiveView<'l> {
    logging: &'l Logging,
    shared: Arc<Shared>,
    before: Option<Termios>,
    /// Hangs up when the thread that draws has given the terminal back.
    drawn: Receiver<()>,
    /// Dropped to end the surveys.
    survey: Option<Sender<()>>,
}

struct Shared {
    live: Arc<LiveObserver>,
    stop: Arc<StopFlag>,
    over: AtomicBool,
    /// Whether the view explains itself.
    help: AtomicBool,
    /// What was found last: how the routes are, and what waits.
    found: Mutex<(Routes, Option<QueueView>)>,
    /// What panics had to say.
    panics: Mutex<Vec<String>>,
    place: String,
}

impl<'l> LiveView<'l> {
    /// Takes over the terminal, if there is a fit one, and makes the runner tell what happens to the view; without a log
    /// file, to the view alone. `None`: there is none, and nothing has changed.
    pub(crate) fn begin(config: &Config, logging: &'l Logging, runner: &mut Runner<DirSpool>) -> Option<Self> {
        let screen = LiveScreen::take()?;
        let names = runner.routes.iter().map(|route| route.name.clone());
        let live = Arc::new(LiveObserver::new(names, Arc::new(SystemClock)));
        let shared = Arc::new(Shared {
            live,
            stop: Arc::clone(&runner.stop),
            over: AtomicBool::new(false),
            help: AtomicBool::new(false),
            found: Mutex::default(),
            panics: Mutex::default(),
            place: format!("{}  {}", config.hostname, config.spool.display()),
        });
        let before = screen.before();
        let (survey, over) = channel();
        let (drawing, drawn) = channel();
        let view = Self { logging, shared: Arc::clone(&shared), before, drawn, survey: Some(survey) };
        let look = Look { routes: criteria(runner), spool: Arc::clone(&runner.spool), config: config.clone() };
        let aliases = Arc::clone(&runner.readdressing);
        let surveying = Arc::clone(&shared);
        let surveys = move || {
            let mut survey = Survey::default();
            let mut rest = Duration::ZERO;
            while let Err(RecvTimeoutError::Timeout) = over.recv_timeout(rest) {
                let start = Instant::now();
                let known = aliases.aliases.as_ref().map(|file| file.current());
                let routes = Routes::load(&look.routes, &states(&look.config)).with_aliases(known);
                let routes = routes.with_throttles(&throttles(&look.config));
                let queue = survey.look(&*look.spool, &routes, SystemClock.now());
                *surveying.found.lock().unwrap_or_else(PoisonError::into_inner) = (routes, queue.ok());
                rest = (start.elapsed() * REST).max(SECOND);
            }
        };
        // Where the system gives no thread, dropping what it was to own ends the view again.
        thread::Builder::new().name("survey".into()).spawn(surveys).ok()?;
        let draw = move || {
            let _told_when_dropped = drawing;
            shared.draw(screen);
        };
        thread::Builder::new().name("view".into()).spawn(draw).ok()?;
        view.take_over_what_is_said(config, runner);
        Some(view)
    }

    fn take_over_what_is_said(&self, config: &Config, runner: &mut Runner<DirSpool>) {
        let live = Arc::clone(&self.shared.live);
        if config.log.is_for_cron() {
            // What would be on standard error is among the events already.
            runner.observer = Arc::new(cli::wiring::beside(live, config));
            let others = Arc::clone(&self.shared);
            self.logging.divert(Some(Box::new(move |octets| others.note_log(octets))));
        } else {
            runner.observer = Arc::new(vec![Arc::clone(&runner.observer), live]);
        }
        let panicked = Arc::clone(&self.shared);
        panic::set_hook(Box::new(move |panic| panicked.note_panic(panic.to_string())));
    }

    /// Puts a line among the events.
    pub(crate) fn note(&self, text: &str) {
        self.shared.live.note(text);
    }
}

/// What a survey needs.
struct Look {
    routes: Vec<(String, Criteria)>,
    spool: Arc<DirSpool>,
    config: Config,
}

fn criteria(runner: &Runner<DirSpool>) -> Vec<(String, Criteria)> {
    runner.routes.iter().map(|route| (route.name.clone(), route.criteria.clone())).collect()
}

impl Shared {
    fn draw(&self, screen: LiveScreen) {
        let mut drawn: Option<((usize, usize), Instant)> = None;
        while !self.over.load(Ordering::SeqCst) {
            let size = screen.size();
            if drawn.is_none_or(|(before, at)| before != size || at.elapsed() >= SECOND) {
                screen.show(&self.page(size));
                drawn = Some((size, Instant::now()));
            }
            match screen.key(TICK) {
                Key::None => {}
                Key::Quit => {
                    self.stop.raise();
                    drawn = None;
                }
                Key::Help => {
                    self.help.fetch_xor(true, Ordering::SeqCst);
                    drawn = None;
                }
                // The terminal was closed: mail goes on, as it does without a view.
                Key::Gone => return,
            }
        }
    }

    fn page(&self, (width, height): (usize, usize)) -> Vec<leafmail::admin::live::FrameLine> {
        let (counts, lines) = (self.live.counts(), self.live.lines(height));
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let (routes, queue) = &*found;
        let view = View {
            place: &self.place,
            now: SystemClock.now(),
            started: self.live.started(),
            leaving: self.stop.is_raised(),
            help: self.help.load(Ordering::SeqCst),
            routes,
            queue: queue.as_ref(),
            counts: &counts,
            lines: &lines,
        };
        frame(&view, width, height)
    }

    /// Lines of the log that are no events; of their head, the view has its own.
    fn note_log(&self, octets: &[u8]) {
        for line in String::from_utf8_lossy(octets).lines() {
            self.live.note(line.split_once("]: ").map_or(line, |(_, said)| said));
        }
    }

    fn note_panic(&self, text: String) {
        self.live.note(&format!("error: {text}"));
        let mut panics = self.panics.lock().unwrap_or_else(PoisonError::into_inner);
        if panics.len() < 100 {
            panics.push(text);
        }
    }
}

impl Drop for LiveView<'_> {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        drop(self.survey.take());
        if let Err(RecvTimeoutError::Timeout) = self.drawn.recv_timeout(LAST_PAGE + SECOND)
            && let Some(before) = &self.before
        {
            screen::restore(before);
        }
        self.logging.divert(None);
        if !thread::panicking() {
            drop(panic::take_hook());
        }
        for text in self.shared.panics.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // What would have been said at once, were there no view.
            let _ = writeln!(io::stderr(), "{text}");
        }
    }
}
