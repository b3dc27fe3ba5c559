//! How many workers of a route work at once: which are parked, which is woken, and how many are of use.
//!
//! The worker that was parked last is woken first, because its connection is most likely still open. A next hop that answers
//! at once is kept busy by a few workers. The longer its answers take, the more workers are woken, up to all of them. All of
//! this changes only under the lock of the pool, so no wake-up is lost: a worker looks at the pool before it parks.

use std::sync::{Arc, Condvar};
use std::time::{Duration, Instant};

/// The workers of one route, as the pool counts them.
#[derive(Debug)]
pub(super) struct Concurrency {
    /// The signals of the parked workers, the last parked at the end.
    parked: Vec<Arc<Condvar>>,
    /// How many workers are working.
    busy: usize,
    /// One of the workers that are held back watches whether the others make progress.
    watched: bool,
    /// When a worker last began or finished a message.
    moved: Instant,
    pace: Pace,
}

/// This number of workers is never held back.
const FEW: usize = 4;
/// About what one message costs this host. More workers than a delivery has such shares would only wait for each other.
const SHARE: Duration = Duration::from_micros(200);
/// At least this long must pass without a finished message before one more worker may work.
const STANDSTILL: Duration = Duration::from_millis(10);

impl Default for Concurrency {
    fn default() -> Self {
        Self { parked: Vec::new(), busy: 0, watched: false, moved: Instant::now(), pace: Pace::default() }
    }
}

impl Concurrency {
    pub(super) fn park(&mut self, signal: &Arc<Condvar>) {
        self.parked.push(Arc::clone(signal));
    }

    /// Whether or not it was woken by another.
    pub(super) fn unpark(&mut self, signal: &Arc<Condvar>) {
        if let Some(at) = self.parked.iter().rposition(|parked| Arc::ptr_eq(parked, signal)) {
            self.parked.remove(at);
        }
    }

    pub(super) fn wake_one(&mut self) {
        if let Some(signal) = self.parked.pop() {
            signal.notify_one();
        }
    }

    pub(super) fn wake_all(&mut self) {
        self.parked.drain(..).for_each(|signal| signal.notify_one());
    }

    /// Wakes another worker where it is of use, or where one has to watch whether it will be.
    pub(super) fn wake_more(&mut self) {
        if !self.watched || self.held_back(Instant::now()).is_none() {
            self.wake_one();
        }
    }

    pub(super) fn begin(&mut self) {
        if self.busy == 0 {
            self.moved = Instant::now();
        }
        self.busy += 1;
    }

    /// A worker has finished; `took` is how long its delivery took, if it was one.
    pub(super) fn end(&mut self, took: Option<Duration>) {
        self.busy = self.busy.saturating_sub(1);
        self.moved = Instant::now();
        if let Some(took) = took {
            self.pace.note(took);
        }
    }

    pub(super) fn is_busy(&self) -> bool {
        self.busy > 0
    }

    /// How long another worker would be of no use; after that without progress, the others are stuck.
    fn held_back(&self, now: Instant) -> Option<Duration> {
        let standstill = STANDSTILL.max(self.usual() * 4);
        let left = standstill.saturating_sub(now.saturating_duration_since(self.moved));
        (self.busy >= self.useful() && !left.is_zero()).then_some(left)
    }

    fn usual(&self) -> Duration {
        self.pace.shortest.unwrap_or(Duration::ZERO)
    }

    /// How many workers are of use.
    pub(super) fn useful(&self) -> usize {
        usize::try_from(self.usual().as_micros() / SHARE.as_micros()).unwrap_or(usize::MAX).max(FEW)
    }

    /// Whether one of the working ones should rest once it has finished.
    pub(super) fn is_crowded(&self) -> bool {
        self.pace.shortest.is_some() && self.busy > self.useful()
    }

    /// Whether a worker that could work has to rest first: until it is woken, or, as the one that watches, until it is clear
    /// whether the others make progress.
    pub(super) fn rest(&mut self) -> Option<Rest> {
        let left = self.held_back(Instant::now())?;
        Some(if std::mem::replace(&mut self.watched, true) { Rest::UntilCalled } else { Rest::Watch(left) })
    }

    /// The worker that watched is awake.
    pub(super) fn unwatch(&mut self) {
        self.watched = false;
    }
}

/// How a worker rests that is of no use at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// For this long, watching whether the others make progress.
    Watch(Duration),
    UntilCalled,
}

/// How long the shortest of the last deliveries took. The rest of a longer one may be caused by this host.
#[derive(Debug, Default)]
struct Pace {
    shortest: Option<Duration>,
    /// The shortest of the group that is being measured, and how many are in it.
    current: Option<Duration>,
    count: u32,
}

impl Pace {
    /// Deliveries that are measured as one group.
    const TOGETHER: u32 = 16;

    fn note(&mut self, took: Duration) {
        let current = self.current.map_or(took, |current| current.min(took));
        (self.current, self.count) = (Some(current), self.count + 1);
        self.shortest = Some(self.shortest.map_or(took, |shortest| shortest.min(took)));
        if self.count >= Self::TOGETHER {
            (self.shortest, self.current, self.count) = (Some(current), None, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_lay_down_last_is_called_first_and_each_once() {
        let signals = [(); 3].map(|()| Arc::new(Condvar::new()));
        let mut concurrency = Concurrency::default();
        signals.iter().for_each(|signal| concurrency.park(signal));
        concurrency.wake_one();
        assert!(concurrency.parked.len() == 2 && Arc::ptr_eq(&concurrency.parked[1], &signals[1]));
        // Its time was over before another woke it.
        concurrency.unpark(&signals[0]);
        concurrency.unpark(&signals[2]);
        assert!(concurrency.parked.len() == 1 && Arc::ptr_eq(&concurrency.parked[0], &signals[1]));
        concurrency.wake_all();
        concurrency.wake_one();
        assert!(concurrency.parked.is_empty());
    }

    #[test]
    fn the_longer_deliveries_take_the_more_are_of_use() {
        for (millis, useful) in [(0, FEW), (1, 5), (20, 100), (1_000, 5_000)] {
            let mut concurrency = Concurrency::default();
            (0..useful).for_each(|_| concurrency.begin());
            concurrency.end(Some(Duration::from_millis(millis)));
            assert_eq!(concurrency.rest(), None, "{millis}");
            concurrency.begin();
            assert!(!concurrency.is_crowded());
            assert!(matches!(concurrency.rest(), Some(Rest::Watch(_))), "{millis}");
            assert_eq!(concurrency.rest(), Some(Rest::UntilCalled), "one watches for all");
            concurrency.moved = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
            assert_eq!(concurrency.rest(), None, "they are stuck");
            concurrency.begin();
            assert!(concurrency.is_crowded(), "{millis}");
        }
    }

    #[test]
    fn a_next_hop_that_has_become_slow_is_known_after_a_while() {
        let mut pace = Pace::default();
        (0..20).for_each(|_| pace.note(Duration::from_micros(100)));
        (0..2 * Pace::TOGETHER).for_each(|_| pace.note(Duration::from_millis(30)));
        assert_eq!(pace.shortest, Some(Duration::from_millis(30)));
        pace.note(Duration::from_micros(90));
        assert_eq!(pace.shortest, Some(Duration::from_micros(90)));
    }
}
