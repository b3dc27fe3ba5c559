//! How many recipients a next hop takes in one transaction: what the route says, what the next hop announced (RFC 9422), and
//! what was learned from its refusals. Shared by all connections of a route.
//!
//! What was learned counts for a day, as the next hop may change its mind.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a refusal is remembered.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct RecipientLimit {
    configured: Option<usize>,
    said: Mutex<Said>,
}

/// What the next hop said.
#[derive(Debug, Default)]
struct Said {
    announced: Option<usize>,
    learned: Option<(usize, Instant)>,
}

impl RecipientLimit {
    /// What the route says.
    pub(super) fn of(configured: Option<usize>) -> Self {
        Self { configured, said: Mutex::default() }
    }

    /// What the next hop announced when it last greeted us.
    pub(super) fn announce(&self, announced: Option<usize>) {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).announced = announced;
    }

    /// A message with more recipients than this was refused.
    pub(super) fn learn(&self, most: usize) {
        log::info!("the next hop takes {most} recipients in one transaction at most: messages with more are split");
        self.said.lock().unwrap_or_else(PoisonError::into_inner).learned = Some((most, Instant::now()));
    }

    /// The least of them.
    pub(super) fn most(&self) -> Option<usize> {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let learned = said.learned.filter(|(_, at)| at.elapsed() < REMEMBERED).map(|(most, _)| most);
        [self.configured, said.announced, learned].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_of_what_is_known_counts() {
        let limit = RecipientLimit::of(None);
        assert_eq!(limit.most(), None);
        limit.learn(50);
        limit.announce(Some(100));
        assert_eq!(limit.most(), Some(50));
        limit.announce(Some(20));
        assert_eq!(limit.most(), Some(20));
        limit.announce(None);
        assert_eq!(limit.most(), Some(50));
        assert_eq!(RecipientLimit::of(Some(7)).most(), Some(7));
    }
}
