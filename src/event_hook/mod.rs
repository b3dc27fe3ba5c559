//! Event hooks: commands and URLs that learn what happens to messages, in batches.
//!
//! An [`EventHook`] is an observer with a thread. What it is to report waits in memory, up to a bound; what finds no room is
//! counted, and the count is reported with the next batch. So a hook that hangs, fails or is gone never slows mail, and
//! never fills the memory. A batch whose report failed is reported again, so that a receiver may see an event twice.

mod kind;
mod settings;
mod target;
mod waiting;

pub use kind::EventKind;
pub use settings::{EventHookSettings, EventTarget};

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::clock::Clock;
use crate::event::{Event, Observer, json};
use waiting::{Batch, Waiting};

/// Attempts at a batch before it is given up: with [`pause`], some five minutes.
const MOST_ATTEMPTS: u32 = 10;
/// The longest pause between two of them.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Trouble with a hook is logged once in this time.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The pause after this number of attempts.
fn pause(attempts: u32) -> Duration {
    Duration::from_secs(1 << attempts.min(6)).min(LONGEST_PAUSE)
}

/// One hook.
pub struct EventHook {
    settings: EventHookSettings,
    clock: Arc<dyn Clock>,
    /// What tells this process from others and from an earlier one of the same number.
    process: String,
    numbers: AtomicU64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Waiting,
    /// Events of the batch that is being reported.
    under_way: usize,
    /// From then on nothing is reported any more.
    ends_at: Option<Instant>,
    is_over: bool,
    logged: Option<Instant>,
    failed: bool,
}

/// What follows a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    GoOn,
    /// Nothing: the program ends, and the last attempt failed.
    End,
}

impl Observer for EventHook {
    fn observe(&self, event: &Event) {
        let Some(kind) = EventKind::of(event).filter(|kind| self.settings.wants(*kind, event)) else { return };
        let mut object = json(event);
        object["event"] = Value::from(kind.word());
        object["time"] = Value::from(self.clock.now().rfc3339());
        object["number"] = Value::from(self.numbers.fetch_add(1, Ordering::Relaxed));
        self.state().waiting.add(object.to_string(), self.settings.queue);
        self.changed.notify_all();
    }
}

impl EventHook {
    /// A hook, and the thread that reports what it observes. To be called inside of the sandbox.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(settings: EventHookSettings, clock: Arc<dyn Clock>) -> std::io::Result<Arc<Self>> {
        let process = format!("{:x}.{:x}", clock.now().as_millis(), std::process::id());
        let (numbers, state, changed) = (AtomicU64::new(1), Mutex::default(), Condvar::new());
        let hook = Arc::new(Self { settings, clock, process, numbers, state, changed });
        let reporting = Arc::clone(&hook);
        thread::Builder::new().name("event hook".to_owned()).spawn(move || reporting.report_all())?;
        Ok(hook)
    }

    /// Reports a batch without an event, as `doctor` does.
    ///
    /// # Errors
    /// What went wrong, in words.
    pub fn probe(settings: &EventHookSettings) -> Result<(), String> {
        let body = Batch::default().body(&settings.host, "doctor");
        settings.target.report(body, settings.timeout)
    }

    /// The program ends: an attempt that begins from now on is the last of its batch.
    pub fn end(&self, deadline: Instant) {
        self.state().ends_at = Some(deadline);
        self.changed.notify_all();
    }

    /// Waits for that, up to the deadline. What is lost is logged.
    pub fn ended(&self) {
        let mut state = self.state();
        while let (false, Some(deadline)) = (state.is_over, state.ends_at) {
            let Some(rest) = deadline.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero()) else {
                break;
            };
            state = self.changed.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0;
        }
        let lost = state.waiting.lost(state.under_way);
        state.waiting = Waiting::default();
        state.under_way = 0;
        if lost > 0 {
            log::warn!("{}: {lost} events were not reported, as the program ends", self.settings.name);
        }
    }

    fn report_all(&self) {
        while let Some(batch) = self.next_batch() {
            if self.report(&batch) == Then::End {
                break;
            }
        }
        self.state().is_over = true;
        self.changed.notify_all();
    }

    /// What is to be reported next, once it is time; `None` at the end.
    fn next_batch(&self) -> Option<Batch> {
        let mut state = self.state();
        loop {
            let ends = state.ends_at.is_some();
            state = match state.waiting.due_in(Instant::now(), self.settings.batch, self.settings.gather) {
                None if ends => return None,
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(rest) if !ends && !rest.is_zero() => {
                    self.changed.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0
                }
                Some(_) => {
                    let batch = state.waiting.take(self.settings.batch);
                    state.under_way = batch.len();
                    return Some(batch);
                }
            };
        }
    }

    /// Reports it, again and again if need be.
    fn report(&self, batch: &Batch) -> Then {
        let body = batch.body(&self.settings.host, &self.process);
        for attempt in 0..MOST_ATTEMPTS {
            let is_last = self.state().ends_at.is_some();
            match self.settings.target.report(body.clone(), self.patience()) {
                Ok(()) => {
                    self.note_success();
                    return Then::GoOn;
                }
                Err(error) => self.note_failure(&error, batch.len()),
            }
            if is_last {
                return Then::End;
            }
            if attempt + 1 < MOST_ATTEMPTS {
                self.rest(pause(attempt));
            }
        }
        let mut state = self.state();
        state.under_way = 0;
        state.waiting.drop_batch(batch);
        drop(state);
        let events = batch.len();
        log::warn!("{}: {events} events were given up after {MOST_ATTEMPTS} attempts", self.settings.name);
        Then::GoOn
    }

    fn patience(&self) -> Duration {
        let rest = self.state().ends_at.map(|end| end.saturating_duration_since(Instant::now()));
        rest.map_or(self.settings.timeout, |rest| rest.min(self.settings.timeout)).max(Duration::from_millis(100))
    }

    /// Waits before another attempt, but no longer than until the program ends.
    fn rest(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut state = self.state();
        while state.ends_at.is_none() {
            let rest = until.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                break;
            }
            state = self.changed.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn note_success(&self) {
        let mut state = self.state();
        state.under_way = 0;
        if std::mem::take(&mut state.failed) {
            state.logged = None;
            log::info!("{}: events are reported again", self.settings.name);
        }
    }

    fn note_failure(&self, error: &str, events: usize) {
        let now = Instant::now();
        let mut state = self.state();
        state.failed = true;
        if state.logged.is_none_or(|logged| now.duration_since(logged) >= LOG_INTERVAL) {
            state.logged = Some(now);
            let waiting = state.waiting.len() + events;
            log::warn!("{}: reporting {events} events: {error}; {waiting} wait", self.settings.name);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
