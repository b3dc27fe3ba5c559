//! How long to wait before a dead worker is replaced: a tenth of a second, then twice as long each time.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);

/// The pauses; pure.
#[derive(Debug, Clone)]
pub struct BackOff {
    at_most: Duration,
    healthy_after: Duration,
    next: Duration,
}

impl BackOff {
    /// Pauses of `at_most` this long, which begin again once a worker lived for `healthy_after`.
    pub fn new(at_most: Duration, healthy_after: Duration) -> Self {
        Self { at_most, healthy_after, next: FIRST.min(at_most) }
    }

    /// The pause after a worker that lived so long.
    pub fn after(&mut self, lived: Duration) -> Duration {
        if lived >= self.healthy_after {
            self.next = FIRST.min(self.at_most);
        }
        let pause = self.next;
        self.next = (pause * 2).min(self.at_most);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_anew_after_a_healthy_life() {
        let mut back_off = BackOff::new(Duration::from_secs(30), Duration::from_secs(60));
        let pauses: Vec<u128> = (0..11).map(|_| back_off.after(Duration::from_secs(59)).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000]);
        assert_eq!(back_off.after(Duration::from_secs(60)).as_millis(), 100);
        assert_eq!(back_off.after(Duration::ZERO).as_millis(), 200);
    }
}
