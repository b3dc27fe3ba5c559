//! How a program that policies ask is doing: what it says and what it does not, in the log once a minute, and the answer in
//! its place.

use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Fallback;
use crate::session::Verdict;
use crate::smtp::{EnhancedCode, Reply};

/// After a program did not answer in time, it is left alone for this long, so that clients do not wait in a row.
const REST: Duration = Duration::from_secs(10);
/// Trouble with a program is logged once in this time.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// How one program is doing.
pub(super) struct Outage {
    /// What the log calls it.
    name: String,
    fallback: Fallback,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    rests_until: Option<Instant>,
    logged: Option<Instant>,
    /// Questions without an answer since it last answered.
    unanswered: u64,
}

impl Outage {
    pub(super) fn new(name: String, fallback: Fallback) -> Self {
        Self { name, fallback, state: Mutex::default() }
    }

    /// The answer in its place.
    pub(super) fn fallback(&self) -> Verdict {
        match self.fallback {
            Fallback::Accept => Verdict::Accept,
            Fallback::Defer => Verdict::Defer(unavailable()),
        }
    }

    /// Whether it is left alone at present.
    pub(super) fn rests(&self) -> bool {
        let mut state = self.state();
        let rests = state.rests_until.is_some_and(|until| Instant::now() < until);
        state.unanswered += u64::from(rests);
        rests
    }

    /// It did not answer in time.
    pub(super) fn let_rest(&self) {
        self.state().rests_until = Some(Instant::now() + REST);
    }

    /// It answered.
    pub(super) fn note_answer(&self) {
        let mut state = self.state();
        state.rests_until = None;
        // When something was last logged stays: what it wants in vain comes with an answer.
        let count = std::mem::take(&mut state.unanswered);
        if count > 0 {
            log::info!("{}: it answers again; {count} questions were not answered", self.name);
        }
    }

    /// It gave no answer, for this reason.
    pub(super) fn note_trouble(&self, error: &dyn Display) {
        let then = match self.fallback {
            Fallback::Defer => "clients are deferred with 451",
            Fallback::Accept => "clients are accepted without it",
        };
        self.state().unanswered += 1;
        self.warn(&format_args!("{error}; {then}"));
    }

    /// Once a minute.
    pub(super) fn warn(&self, text: &dyn Display) {
        let now = Instant::now();
        let mut state = self.state();
        if state.logged.is_none_or(|logged| now.duration_since(logged) >= LOG_INTERVAL) {
            state.logged = Some(now);
            log::warn!("{}: {text}", self.name);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Postfix's words: 451 4.3.5 is "system incorrectly configured" (RFC 3463 3.4).
fn unavailable() -> Reply {
    Reply::new(451, EnhancedCode(4, 3, 5), "this relay could not check whether the mail is welcome; try again later")
}
