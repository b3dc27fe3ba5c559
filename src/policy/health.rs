//! How another program is doing that is asked about mail: whether it is left alone for a while, and what is logged of it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Fallback;
use crate::session::Verdict;
use crate::smtp::{EnhancedCode, Reply};

/// After a program did not answer in time, it is left alone for this long, so that clients do not wait in a row.
const REST: Duration = Duration::from_secs(10);
/// Trouble with a program is logged once in this time.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The health of one program.
pub(super) struct Health {
    /// As it is logged, such as `milter unix:/run/x`.
    name: String,
    fallback: Fallback,
    trouble: Mutex<Trouble>,
}

/// What is wrong with it at present.
#[derive(Default)]
pub(super) struct Trouble {
    pub(super) rests_until: Option<Instant>,
    pub(super) logged: Option<Instant>,
    /// Questions without an answer since it last answered.
    pub(super) unanswered: u64,
}

impl Health {
    pub(super) fn new(name: String, fallback: Fallback) -> Self {
        Self { name, fallback, trouble: Mutex::default() }
    }

    /// The answer where the program gives none.
    pub(super) fn fallback(&self) -> Verdict {
        match self.fallback {
            Fallback::Accept => Verdict::Accept,
            // Postfix's words: 4.3.5 is "system incorrectly configured" (RFC 3463 3.4).
            Fallback::Defer => Verdict::Defer(Reply::new(
                451,
                EnhancedCode(4, 3, 5),
                "this relay could not check whether the mail is welcome; try again later",
            )),
        }
    }

    /// Whether it is left alone at present, and one more question unanswered.
    pub(super) fn rests(&self) -> bool {
        let mut trouble = self.trouble();
        let rests = trouble.rests_until.is_some_and(|until| Instant::now() < until);
        trouble.unanswered += u64::from(rests);
        rests
    }

    /// It exceeded its time.
    pub(super) fn exceeded(&self) {
        self.trouble().rests_until = Some(Instant::now() + REST);
    }

    pub(super) fn note_answer(&self) {
        let mut trouble = self.trouble();
        trouble.rests_until = None;
        // When something was last logged stays: an action that is not supported comes with an answer.
        let count = std::mem::take(&mut trouble.unanswered);
        if count > 0 {
            log::info!("{}: it answers again; {count} questions were not answered", self.name);
        }
    }

    pub(super) fn note_trouble(&self, error: &str) {
        let then = match self.fallback {
            Fallback::Defer => "clients are deferred with 451",
            Fallback::Accept => "clients are accepted without it",
        };
        self.trouble().unanswered += 1;
        self.warn(&format!("{error}; {then}"));
    }

    /// Logs a warning, once a minute.
    pub(super) fn warn(&self, text: &str) {
        let now = Instant::now();
        let mut trouble = self.trouble();
        if trouble.logged.is_none_or(|logged| now.duration_since(logged) >= LOG_INTERVAL) {
            trouble.logged = Some(now);
            log::warn!("{}: {text}", self.name);
        }
    }

    pub(super) fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
