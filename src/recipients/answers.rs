//! What was answered lately, in bounded memory.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::existence::Existence;

/// How long yes and no are kept.
const KNOWN: Duration = Duration::from_secs(5 * 60);
/// How long it is kept that there was no answer, so that a source in trouble is not asked at once again.
const UNKNOWN: Duration = Duration::from_secs(10);
/// Mailboxes that are remembered.
pub(super) const MOST: usize = 10_000;

/// Answers by mailbox, each with when it came.
#[derive(Debug, Default)]
pub(super) struct Answers(HashMap<String, (Result<Existence, String>, Instant)>);

fn is_fresh((answer, at): &(Result<Existence, String>, Instant), now: Instant) -> bool {
    now.duration_since(*at) < if answer.is_ok() { KNOWN } else { UNKNOWN }
}

impl Answers {
    pub(super) fn get(&self, key: &str, now: Instant) -> Option<Result<Existence, String>> {
        self.0.get(key).filter(|kept| is_fresh(kept, now)).map(|(answer, _)| answer.clone())
    }

    /// In a full memory what is old goes first, then all: nobody can choose whose answers stay.
    pub(super) fn keep(&mut self, key: String, answer: Result<Existence, String>, now: Instant) {
        if self.0.len() >= MOST {
            self.0.retain(|_, kept| is_fresh(kept, now));
        }
        if self.0.len() >= MOST {
            self.0.clear();
        }
        self.0.insert(key, (answer, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_kept_for_a_while_and_in_bounded_memory() {
        let (mut answers, start) = (Answers::default(), Instant::now());
        answers.keep("a".to_owned(), Ok(Existence::No), start);
        answers.keep("b".to_owned(), Err("trouble".to_owned()), start);
        assert_eq!(answers.get("a", start + KNOWN / 2), Some(Ok(Existence::No)));
        assert_eq!((answers.get("a", start + KNOWN), answers.get("b", start + UNKNOWN)), (None, None));
        for number in 0..3 * MOST {
            answers.keep(number.to_string(), Ok(Existence::Yes), start);
            assert!(answers.0.len() <= MOST);
        }
    }
}
