//! Removals: the sync of the folder after messages were removed, shared by many, while those who removed them go on.
//!
//! Who removes while nobody syncs does it, where the last sync was quick. Whoever comes meanwhile, or where flushes take time, need not
//! wait: a thread of its own syncs for all who came, and goes on so as long as more come. Between two of its syncs removals gather first,
//! the longer the slower the disk is, as each of these syncs keeps the disk from those that are waited for. What a power cut undoes is thus
//! never more than what leaves during two syncs and the gathering between them.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// See the module.
#[derive(Debug)]
pub(in crate::spool) struct Removals(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    settled: Condvar,
    /// How long a sync may take that one alone waits for.
    patience: Duration,
}

#[derive(Debug, Default)]
struct State {
    /// Whether something was removed since the sync under way began.
    unsynced: bool,
    /// Whether somebody syncs, or is about to.
    syncing: bool,
    /// How long the last sync took.
    last: Duration,
    /// Whether somebody waits until nobody does.
    awaited: bool,
}

/// How long removals gather between two syncs at least and at most.
const GATHERING: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(100));
/// They gather for four times as long as the last sync took: four fifths of the disk's time are left to others.
const GATHERING_PER_SYNC: u32 = 4;

impl Removals {
    /// With syncs that one alone waits for only while they take no longer than this.
    pub(in crate::spool) fn patient(patience: Duration) -> Self {
        Self(Arc::new(Shared { state: Mutex::default(), settled: Condvar::new(), patience }))
    }

    /// Sees to a sync that starts after this call: by this caller, or by whoever syncs just now.
    pub(in crate::spool) fn note(&self, sync: impl Fn() + Clone + Send + 'static) {
        let mut waits = {
            let mut state = self.0.lock();
            state.unsynced = true;
            state.last <= self.0.patience
        };
        while let Some(mut turn) = Turn::begin(&self.0) {
            if waits && turn.ends_after(&sync) {
                return;
            }
            let sync = sync.clone();
            let go_on = move || {
                thread::sleep(turn.gathering());
                while !turn.ends_after(&sync) {
                    thread::sleep(turn.gathering());
                }
            };
            // Where the system gives no thread, that turn is over and this caller takes the next.
            if thread::Builder::new().name("removals".into()).spawn(go_on).is_ok() {
                return;
            }
            waits = true;
        }
    }

    /// Returns once nobody syncs any more.
    pub(in crate::spool) fn settle(&self) {
        let mut state = self.0.lock();
        while state.syncing {
            state.awaited = true;
            state = self.0.settled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end_turn(&self, mut state: MutexGuard<'_, State>) {
        state.syncing = false;
        if std::mem::take(&mut state.awaited) {
            self.settled.notify_all();
        }
    }
}

/// Whoever syncs. Dropped before its end, as by a panic, it lets another.
struct Turn {
    shared: Arc<Shared>,
    over: bool,
}

impl Turn {
    /// A turn, unless somebody else has it, or nothing is left to do.
    fn begin(shared: &Arc<Shared>) -> Option<Self> {
        let mut state = shared.lock();
        let free = state.unsynced && !std::mem::replace(&mut state.syncing, true);
        free.then(|| Self { shared: Arc::clone(shared), over: false })
    }

    /// How long removals gather before the next sync.
    fn gathering(&self) -> Duration {
        (GATHERING_PER_SYNC * self.shared.lock().last).clamp(GATHERING.0, GATHERING.1)
    }

    /// Syncs for all who came before; the turn is over where nobody came meanwhile.
    fn ends_after(&mut self, sync: &impl Fn()) -> bool {
        self.shared.lock().unsynced = false;
        let begun = Instant::now();
        sync();
        let mut state = self.shared.lock();
        state.last = begun.elapsed();
        // In one step with finding that nothing is left: whoever comes later syncs.
        self.over = !state.unsynced;
        if self.over {
            self.shared.end_turn(state);
        }
        self.over
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.over {
            self.shared.end_turn(self.shared.lock());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn where_syncs_are_slow_one_alone_goes_on_and_the_sync_follows() {
        let (removals, syncs) = (Removals::patient(Duration::ZERO), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&syncs);
        removals.note(move || {
            counted.fetch_add(1, Ordering::SeqCst);
        });
        assert_eq!(syncs.load(Ordering::SeqCst), 1, "the first does not know yet");
        let (go_on, may_end) = channel::<()>();
        let (counted, may_end) = (Arc::clone(&syncs), Arc::new(Mutex::new(may_end)));
        removals.note(move || {
            may_end.lock().unwrap().recv().unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
        });
        assert_eq!(syncs.load(Ordering::SeqCst), 1, "the second waits for none");
        go_on.send(()).unwrap();
        removals.settle();
        assert_eq!(syncs.load(Ordering::SeqCst), 2);
        drop(go_on);
    }

    #[test]
    fn where_syncs_are_slow_removals_gather_for_longer_than_one_takes() {
        let (removals, syncs) = (Removals::patient(Duration::ZERO), Arc::new(AtomicUsize::new(0)));
        let slow = || {
            let counted = Arc::clone(&syncs);
            move || {
                thread::sleep(Duration::from_millis(25));
                counted.fetch_add(1, Ordering::SeqCst);
            }
        };
        let begun = Instant::now();
        for _ in 0..40 {
            removals.note(slow());
            thread::sleep(Duration::from_millis(5));
        }
        removals.settle();
        // The first two begin at once, and after 100 ms; from then on each takes 25 ms and gathers for 100 ms.
        let most = 2 + begun.elapsed().as_millis() / 125;
        assert!((2..=most).contains(&(syncs.load(Ordering::SeqCst) as u128)), "{syncs:?} of {most}");
    }

    #[test]
    fn one_alone_syncs_each_time_before_it_goes_on() {
        let (removals, syncs) = (Removals::patient(Duration::MAX), Arc::new(AtomicUsize::new(0)));
        for count in 1..20 {
            let syncs_here = Arc::clone(&syncs);
            removals.note(move || {
                syncs_here.fetch_add(1, Ordering::SeqCst);
            });
            assert_eq!(syncs.load(Ordering::SeqCst), count);
        }
    }

    #[test]
    fn who_comes_during_a_sync_goes_on_as_does_who_syncs_and_another_sync_follows() {
        let (removals, syncs) = (Arc::new(Removals::patient(Duration::MAX)), Arc::new(AtomicUsize::new(0)));
        let ((started, has_started), (go_on, may_end)) = (channel(), channel::<()>());
        let may_end = Arc::new(Mutex::new(may_end));
        let first = {
            let (removals, syncs) = (Arc::clone(&removals), Arc::clone(&syncs));
            let sync = move || {
                syncs.fetch_add(1, Ordering::SeqCst);
                started.send(thread::current().id()).unwrap();
                may_end.lock().unwrap().recv().unwrap();
            };
            thread::spawn(move || removals.note(sync))
        };
        let by = has_started.recv().unwrap();
        (0..5).for_each(|_| removals.note(|| unreachable!("another syncs")));
        assert_eq!(syncs.load(Ordering::SeqCst), 1);
        go_on.send(()).unwrap();
        first.join().unwrap();
        assert_ne!(has_started.recv().unwrap(), by, "the second sync keeps nobody");
        removals.note(|| unreachable!("the thread syncs"));
        go_on.send(()).unwrap();
        has_started.recv_timeout(Duration::from_secs(30)).expect("a third sync for who came during the second");
        go_on.send(()).unwrap();
        removals.settle();
        assert_eq!(syncs.load(Ordering::SeqCst), 3, "one for the first, one for the five, one for the last");
        drop(go_on);
    }

    #[test]
    fn in_a_crowd_everybody_gets_on_and_nothing_is_left_unsynced() {
        let removals = Removals::patient(Duration::MAX);
        let [removed, synced, syncs] = std::array::from_fn(|_| Arc::new(AtomicUsize::new(0)));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        removed.fetch_add(1, Ordering::SeqCst);
                        let (removed, synced, syncs) = (Arc::clone(&removed), Arc::clone(&synced), Arc::clone(&syncs));
                        removals.note(move || {
                            let before = removed.load(Ordering::SeqCst);
                            thread::sleep(Duration::from_micros(50));
                            synced.fetch_max(before, Ordering::SeqCst);
                            syncs.fetch_add(1, Ordering::SeqCst);
                        });
                    }
                });
            }
        });
        removals.settle();
        assert_eq!(synced.load(Ordering::SeqCst), 1_600);
        assert!(syncs.load(Ordering::SeqCst) <= 1_600);
    }

    #[test]
    fn a_panic_in_the_sync_leaves_nobody_waiting() {
        let (removals, syncs) = (Removals::patient(Duration::MAX), Arc::new(AtomicUsize::new(0)));
        let panicking = || removals.note(|| std::panic::resume_unwind(Box::new(())));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panicking)).is_err());
        removals.settle();
        let counted = Arc::clone(&syncs);
        removals.note(move || {
            counted.fetch_add(1, Ordering::SeqCst);
        });
        assert_eq!(syncs.load(Ordering::SeqCst), 1);
    }
}
