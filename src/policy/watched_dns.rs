//! Whether the DNS gives answers at all: each question to it is noted, and trouble reported where many in a row had none.
//!
//! One domain whose name servers are broken is no trouble of this site, so a few questions without an answer are not reported.
//! It is to be put beneath what remembers answers, so that only fresh ones count. It changes no answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::health::{HealthObserver, Unanswered};
use crate::address::Domain;
use crate::dns::{Dns, DnsAnswer, DnsError, RecordKind};

/// This number of questions in a row without an answer is trouble.
const IN_A_ROW: u64 = 10;
/// Trouble is reported once in this time.
const INTERVAL: Duration = Duration::from_secs(60);

/// A `Dns` of which an observer learns whether it answers.
pub struct WatchedDns {
    dns: Arc<dyn Dns>,
    observer: Arc<dyn HealthObserver>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Questions without an answer since the last answer, and how many of them were reported.
    unanswered: u64,
    reported: u64,
    /// When trouble was last reported.
    last: Option<Instant>,
    /// Whether it was reported that it answers.
    is_well: bool,
}

impl WatchedDns {
    /// What alarms and `stats` call it.
    pub const NAME: &'static str = "dns";

    /// This one, as the observer learns of it.
    pub fn new(dns: Arc<dyn Dns>, observer: Arc<dyn HealthObserver>) -> Self {
        Self { dns, observer, state: Mutex::default() }
    }

    fn note(&self, error: Option<&str>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(error) = error else {
            let was_well = state.is_well;
            *state = State { is_well: true, ..State::default() };
            drop(state);
            if !was_well {
                self.observer.answered(Self::NAME);
            }
            return;
        };
        state.unanswered += 1;
        let now = Instant::now();
        let is_due = state.last.is_none_or(|last| now.duration_since(last) >= INTERVAL);
        if state.unanswered < IN_A_ROW || !is_due {
            return;
        }
        let questions = state.unanswered - state.reported;
        (state.reported, state.last, state.is_well) = (state.unanswered, Some(now), false);
        drop(state);
        let meanwhile = "clients that a check could refuse are deferred with 451";
        self.observer.unanswered(Self::NAME, &Unanswered { error, meanwhile, questions });
    }
}

/// A question that is open. Whoever gives it up had no answer.
struct Open<'a>(Option<&'a WatchedDns>);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if let Some(watched) = self.0 {
            watched.note(Some("it did not answer in time"));
        }
    }
}

#[async_trait]
impl Dns for WatchedDns {
    async fn lookup(&self, name: &Domain, kind: RecordKind) -> Result<DnsAnswer, DnsError> {
        let mut open = Open(Some(self));
        let answer = self.dns.lookup(name, kind).await;
        open.0 = None;
        let error = answer.as_ref().err().map(ToString::to_string);
        self.note(error.as_deref());
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

    use super::*;

    /// Answers, fails, or hangs.
    #[derive(Default)]
    struct Switched(AtomicU8);

    #[async_trait]
    impl Dns for Switched {
        async fn lookup(&self, _: &Domain, _: RecordKind) -> Result<DnsAnswer, DnsError> {
            match self.0.load(Relaxed) {
                0 => Ok(DnsAnswer::NoRecords),
                1 => Err(DnsError::new(&"a.example", "refused")),
                _ => std::future::pending().await,
            }
        }
    }

    #[derive(Default)]
    struct Told(Mutex<Vec<String>>);

    impl HealthObserver for Told {
        fn answered(&self, program: &str) {
            self.0.lock().unwrap().push(format!("{program} answers"));
        }

        fn unanswered(&self, program: &str, trouble: &Unanswered<'_>) {
            self.0.lock().unwrap().push(format!("{program}: {}", trouble.questions));
        }
    }

    #[tokio::test]
    async fn many_questions_in_a_row_without_an_answer_are_reported_and_the_next_answer() {
        let (dns, told) = (Arc::new(Switched::default()), Arc::new(Told::default()));
        let watched = WatchedDns::new(dns.clone(), told.clone());
        let name: Domain = "a.example".parse().unwrap();
        let take = || std::mem::take(&mut *told.0.lock().unwrap());
        let ask = async |way: u8, times: u64| {
            dns.0.store(way, Relaxed);
            for _ in 0..times {
                let asked = watched.lookup(&name, RecordKind::A);
                let answer =
                    tokio::time::timeout(Duration::from_millis(if way == 2 { 1 } else { 60_000 }), asked).await;
                assert_eq!(matches!(answer, Ok(Ok(_))), way == 0);
            }
        };
        ask(0, 2).await;
        assert_eq!(take(), ["dns answers"]);
        // A domain whose servers are broken, among others.
        for _ in 0..5 {
            ask(1, IN_A_ROW - 1).await;
            ask(0, 1).await;
        }
        assert!(take().is_empty());
        ask(1, IN_A_ROW - 2).await;
        ask(2, 2).await;
        assert_eq!(take(), [format!("dns: {IN_A_ROW}")]);
        ask(1, 50).await;
        assert!(take().is_empty(), "once a minute");
        ask(0, 1).await;
        assert_eq!(take(), ["dns answers"]);
    }
}
