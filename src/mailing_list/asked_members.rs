//! Members that somebody else knows, such as a database: asked when they are needed, and kept for a moment.
//!
//! One asks at a time; whoever comes meanwhile gets the same answer. Without an answer nobody is a member, and nobody is refused: the
//! list waits.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::refusal::MembersUnknown;
use crate::address::{Mailbox, escaped, is_unprintable};

/// The most members of a list.
pub(super) const MOST: usize = 10_000;

/// How long an answer counts.
const KNOWN: Duration = Duration::from_secs(30);
/// How long it counts that there was none, so that whoever is in trouble is not asked at once again.
const UNKNOWN: Duration = Duration::from_secs(10);
/// How often trouble is logged.
const LOGGED: Duration = Duration::from_secs(60);

type Answer = Result<Arc<Vec<Mailbox>>, MembersUnknown>;

/// See the head of this file.
pub(super) struct AskedMembers {
    list: String,
    ask: Box<dyn Fn() -> Result<Vec<String>, String> + Send + Sync>,
    turn: Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    answer: Option<(Answer, Instant)>,
    logged: Option<Instant>,
}

impl AskedMembers {
    pub(super) fn new(list: &Mailbox, ask: Box<dyn Fn() -> Result<Vec<String>, String> + Send + Sync>) -> Self {
        Self { list: list.to_string(), ask, turn: Mutex::default(), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last answer.
    pub(super) fn known(&self) -> Answer {
        self.state()
            .answer
            .as_ref()
            .map_or_else(|| Err(MembersUnknown::new("nobody was asked yet")), |(it, _)| it.clone())
    }

    /// An answer that still counts.
    pub(super) fn current(&self) -> Answer {
        let fresh = || {
            let state = self.state();
            let (answer, at) = state.answer.as_ref()?;
            (at.elapsed() < if answer.is_ok() { KNOWN } else { UNKNOWN }).then(|| answer.clone())
        };
        if let Some(answer) = fresh() {
            return answer;
        }
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = fresh() {
            return answer;
        }
        let answer = (self.ask)()
            .map_err(|error| escaped(&error.replace(is_unprintable, " ")).into_owned())
            .and_then(|texts| self.members(&texts));
        let answer = answer.map(Arc::new).map_err(|reason| {
            self.log(&format!("{reason}; its mail is deferred"));
            MembersUnknown::new(&reason)
        });
        self.state().answer = Some((answer.clone(), Instant::now()));
        answer
    }

    /// What is no address is left out: one wrong row must not keep the mail from all others.
    fn members(&self, texts: &[String]) -> Result<Vec<Mailbox>, String> {
        let (mut members, mut known, mut wrong) = (Vec::new(), HashSet::new(), None);
        for text in texts {
            match text.trim().parse::<Mailbox>() {
                Ok(member) if known.insert(member.clone()) => members.push(member),
                Ok(_) => {}
                Err(_) => wrong = wrong.or(Some(text)),
            }
        }
        if let Some(text) = wrong {
            let shown = text.replace(is_unprintable, " ").chars().take(60).collect::<String>();
            self.log(&format!("\"{}\" is no address, and gets no copy", escaped(&shown)));
        }
        match members.len() {
            0 => Err("the answer has no member".to_owned()),
            1..=MOST => Ok(members),
            found => Err(format!("expected at most {MOST} members, but found {found}")),
        }
    }

    fn log(&self, what: &str) {
        let mut state = self.state();
        if state.logged.is_none_or(|at| at.elapsed() >= LOGGED) {
            state.logged = Some(Instant::now());
            log::error!("asking for the members of the list {}: {what}", self.list);
        }
    }
}

impl fmt::Debug for AskedMembers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AskedMembers").field("list", &self.list).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn asked(answer: Result<Vec<&str>, &str>) -> (AskedMembers, Arc<AtomicUsize>) {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let answer =
            answer.map(|texts| texts.into_iter().map(str::to_owned).collect::<Vec<_>>()).map_err(ToOwned::to_owned);
        let ask = move || {
            counted.fetch_add(1, Ordering::Relaxed);
            answer.clone()
        };
        (AskedMembers::new(&"staff@example.lan".parse().unwrap(), Box::new(ask)), count)
    }

    #[test]
    fn an_answer_counts_for_a_while_and_a_wrong_row_is_left_out() {
        let (members, count) =
            asked(Ok(vec!["ann@example.com", "no address\r\n", " bob@example.com", "ann@example.com"]));
        assert_eq!(members.known().unwrap_err(), MembersUnknown::new("nobody was asked yet"));
        for _ in 0..3 {
            let found: Vec<_> = members.current().unwrap().iter().map(ToString::to_string).collect();
            assert_eq!(found, ["ann@example.com", "bob@example.com"]);
        }
        assert_eq!((members.known().unwrap().len(), count.load(Ordering::Relaxed)), (2, 1));
    }

    #[test]
    fn no_answer_and_no_member_are_unknown_and_not_asked_for_at_once_again() {
        for (answer, expected) in [
            (Err("down\r\n"), MembersUnknown::new("down  ")),
            (Ok(vec![]), MembersUnknown::new("the answer has no member")),
            (Ok(vec!["nobody"]), MembersUnknown::new("the answer has no member")),
        ] {
            let (members, count) = asked(answer);
            for _ in 0..2 {
                assert_eq!(members.current().unwrap_err(), expected);
            }
            assert_eq!(count.load(Ordering::Relaxed), 1);
        }
    }
}
