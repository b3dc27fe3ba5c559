//! How fast a message comes. A client is not slow because something of this host makes it wait.

use std::time::Duration;

use tokio::time::Instant;

/// A body slower than the limit is broken off only after this long.
const SLOW_START: Duration = Duration::from_secs(60);

/// How fast a message comes.
pub(super) struct BodyPace {
    since: Instant,
    octets: u64,
}

impl BodyPace {
    /// Of a message that begins now.
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), octets: 0 }
    }

    /// Takes octets that came; whether they come more slowly than `slowest`, in octets per second.
    pub(super) fn is_too_slow(&mut self, slowest: u64, octets: usize) -> bool {
        self.octets += octets as u64;
        is_slower(slowest, self.octets, self.since.elapsed())
    }

    /// The client had to wait for this host.
    pub(super) fn forgive(&mut self, waited: Duration) {
        self.since += waited;
    }
}

fn is_slower(slowest: u64, octets: u64, elapsed: Duration) -> bool {
    elapsed > SLOW_START && octets < slowest.saturating_mul(elapsed.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_too_slow_only_after_a_while_and_below_the_limit() {
        let seconds = Duration::from_secs;
        assert!(!is_slower(100, 0, SLOW_START), "it has just begun");
        assert!(is_slower(100, 6_099, seconds(61)) && !is_slower(100, 6_100, seconds(61)));
        assert!(is_slower(u64::MAX, 1 << 40, seconds(3_600)), "the product has no end");
        assert!(!is_slower(0, 0, seconds(3_600)), "no limit");
    }

    #[test]
    fn a_client_is_not_slow_because_it_was_made_to_wait() {
        let since = Instant::now().checked_sub(Duration::from_secs(100)).unwrap();
        let mut pace = BodyPace { since, octets: 0 };
        assert!(pace.is_too_slow(100, 1));
        pace.forgive(Duration::from_secs(90));
        assert!(!pace.is_too_slow(100, 1));
    }
}
