//! How another program is doing that is asked about mail: whether it is left alone for a while, what is logged of it, and
//! who else learns of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Fallback;
use crate::address::printable;
use crate::session::Verdict;
use crate::smtp::{EnhancedCode, Reply};

/// After a program did not answer in time, it is left alone for this long, so that clients do not wait in a row.
const REST: Duration = Duration::from_secs(10);
/// Trouble with a program is logged once in this time, and reported.
const LOG_INTERVAL: Duration = Duration::from_secs(60);
/// The longest text of a warning, in characters.
const MOST_TEXT: usize = 500;

/// Learns whether the programs give answers that are asked about mail. It must not wait: sessions call it.
pub trait HealthObserver: Send + Sync {
    /// The program gave an answer: its first one, or the first one after trouble.
    fn answered(&self, program: &str);

    /// It gave none. The first time this is reported at once, then once a minute.
    fn unanswered(&self, program: &str, trouble: &Unanswered<'_>);
}

/// Questions that a program did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unanswered<'a> {
    /// What is wrong; may contain text of the program.
    pub error: &'a str,
    /// What happens to mail meanwhile.
    pub meanwhile: &'static str,
    /// How many questions, since this was last reported.
    pub questions: u64,
}

/// The health of one program.
pub(crate) struct Health {
    /// As it is logged, such as `milter unix:/run/x`.
    name: String,
    fallback: Fallback,
    meanwhile: &'static str,
    observer: Option<Arc<dyn HealthObserver>>,
    trouble: Mutex<Trouble>,
}

/// What is wrong with it at present.
#[derive(Default)]
pub(crate) struct Trouble {
    pub(super) rests_until: Option<Instant>,
    pub(super) logged: Option<Instant>,
    /// Questions without an answer since it last answered.
    pub(super) unanswered: u64,
    /// How many of them were reported, and when last.
    reported: (u64, Option<Instant>),
    /// Whether it was reported that it answers.
    is_well: bool,
}

impl Health {
    pub(crate) fn new(name: String, fallback: Fallback) -> Self {
        let meanwhile = match fallback {
            Fallback::Defer => "clients are deferred with 451",
            Fallback::Accept => "clients are accepted without it",
        };
        Self { name, fallback, meanwhile, observer: None, trouble: Mutex::default() }
    }

    /// The same, for one whose missing answer means something else.
    pub(crate) fn meanwhile(self, meanwhile: &'static str) -> Self {
        Self { meanwhile, ..self }
    }

    /// From now on it is reported to this observer.
    pub(crate) fn report_to(&mut self, observer: Arc<dyn HealthObserver>) {
        self.observer = Some(observer);
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

    pub(crate) fn note_answer(&self) {
        let mut trouble = self.trouble();
        trouble.rests_until = None;
        trouble.reported = (0, None);
        let was_well = std::mem::replace(&mut trouble.is_well, true);
        // When something was last logged stays: an action that is not supported comes with an answer.
        let count = std::mem::take(&mut trouble.unanswered);
        drop(trouble);
        if let Some(observer) = self.observer.as_ref().filter(|_| !was_well) {
            observer.answered(&self.name);
        }
        if count > 0 {
            log::info!("{}: it answers again; {count} questions were not answered", self.name);
        }
    }

    pub(crate) fn note_trouble(&self, error: &str) {
        let mut trouble = self.trouble();
        trouble.unanswered += 1;
        trouble.is_well = false;
        let (now, (reported, last)) = (Instant::now(), trouble.reported);
        let is_due = last.is_none_or(|last| now.duration_since(last) >= LOG_INTERVAL);
        let questions = trouble.unanswered - reported;
        if is_due {
            trouble.reported = (trouble.unanswered, Some(now));
        }
        drop(trouble);
        if let Some(observer) = self.observer.as_ref().filter(|_| is_due) {
            observer.unanswered(&self.name, &Unanswered { error, meanwhile: self.meanwhile, questions });
        }
        self.warn(&format!("{error}; {}", self.meanwhile));
    }

    /// Logs a warning, once a minute.
    pub(crate) fn warn(&self, text: &str) {
        let now = Instant::now();
        let mut trouble = self.trouble();
        if trouble.logged.is_none_or(|logged| now.duration_since(logged) >= LOG_INTERVAL) {
            trouble.logged = Some(now);
            // It may have text of the program in it.
            let text: String = printable(text).chars().take(MOST_TEXT).collect();
            log::warn!("{}: {text}", self.name);
        }
    }

    pub(crate) fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Told(Mutex<Vec<String>>);

    impl HealthObserver for Told {
        fn answered(&self, program: &str) {
            self.0.lock().unwrap().push(format!("{program} answers"));
        }

        fn unanswered(&self, program: &str, trouble: &Unanswered<'_>) {
            let Unanswered { error, meanwhile, questions } = trouble;
            self.0.lock().unwrap().push(format!("{program}: {error}; {meanwhile}; {questions}"));
        }
    }

    #[test]
    fn the_first_answer_is_reported_and_trouble_at_once_and_once_a_minute() {
        let told = Arc::new(Told::default());
        let mut health = Health::new("milter x".to_owned(), Fallback::Defer);
        health.report_to(told.clone());
        let take = || std::mem::take(&mut *told.0.lock().unwrap());
        health.note_answer();
        health.note_answer();
        assert_eq!(take(), ["milter x answers"]);
        (0..3).for_each(|_| health.note_trouble("refused"));
        assert_eq!(take(), ["milter x: refused; clients are deferred with 451; 1"]);
        let earlier = Instant::now().checked_sub(LOG_INTERVAL);
        health.trouble().reported.1 = earlier;
        health.note_trouble("late");
        // A host that started less than a minute ago has no such time.
        assert_eq!(take().len(), 1);
        assert_eq!(health.trouble().unanswered, 4);
        health.note_answer();
        health.note_trouble("refused");
        assert_eq!(take(), ["milter x answers", "milter x: refused; clients are deferred with 451; 1"]);
    }
}
