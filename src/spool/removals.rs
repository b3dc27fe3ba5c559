//! Removals: the sync of the folder after messages were removed, shared by many, while those who removed them go on.
//!
//! Who removes while nobody syncs does it, for all that were removed before. Who comes meanwhile need not wait: as long as
//! something is unsynced, somebody syncs, and where one sync follows another it lets removals gather first, as each keeps the disk from
//! those that are waited for. So that nobody has to do it for ever, after some rounds the next who comes waits for the end of the round
//! and takes over. What a power cut undoes is thus never more than what leaves during two syncs and the gathering between them.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Removals {
    state: Mutex<State>,
    relieved: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Whether something was removed since the sync under way began.
    unsynced: bool,
    /// How many rounds who syncs has done, with the one under way; 0: nobody does.
    rounds: u32,
    /// Somebody waits to take over.
    relief: bool,
}

/// How many rounds one does, before another is to take over.
const MOST: u32 = 4;
/// How long removals gather between two syncs.
const GATHERING: Duration = Duration::from_millis(5);

impl Removals {
    /// Sees to a sync that starts after this call: by this caller, or by whoever syncs just now.
    pub(super) fn note(&self, sync: impl Fn()) {
        let mut state = self.lock();
        state.unsynced = true;
        if state.rounds > 0 && (state.rounds < MOST || state.relief) {
            return;
        }
        if state.rounds > 0 {
            state.relief = true;
            while state.relief {
                state = self.relieved.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
        let _turn = Turn(self);
        loop {
            state.rounds += 1;
            if state.rounds > 1 {
                drop(state);
                thread::sleep(GATHERING);
                state = self.lock();
            }
            state.unsynced = false;
            drop(state);
            sync();
            state = self.lock();
            // In one step with finding that nothing is left: whoever comes later syncs.
            if state.relief || !state.unsynced {
                return self.end(state);
            }
        }
    }

    fn end(&self, mut state: MutexGuard<'_, State>) {
        // Who relieves has removed something itself, so it is not in vain.
        state.rounds = u32::from(state.relief);
        if std::mem::take(&mut state.relief) {
            self.relieved.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever syncs. After a panic another may.
struct Turn<'a>(&'a Removals);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.end(self.0.lock());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn one_alone_syncs_each_time_before_it_goes_on() {
        let (removals, syncs) = (Removals::default(), AtomicUsize::new(0));
        for count in 1..20 {
            removals.note(|| {
                syncs.fetch_add(1, Ordering::SeqCst);
            });
            assert_eq!(syncs.load(Ordering::SeqCst), count);
        }
    }

    #[test]
    fn who_comes_during_a_sync_goes_on_and_another_sync_follows() {
        let (removals, syncs) = (Removals::default(), AtomicUsize::new(0));
        let ((started, has_started), (go_on, may_end)) = (channel(), channel::<()>());
        thread::scope(|scope| {
            let (removals, syncs) = (&removals, &syncs);
            scope.spawn(move || {
                removals.note(|| {
                    if syncs.fetch_add(1, Ordering::SeqCst) == 0 {
                        started.send(()).unwrap();
                        may_end.recv().unwrap();
                    }
                });
            });
            has_started.recv().unwrap();
            (0..5).for_each(|_| removals.note(|| unreachable!("another syncs")));
            assert_eq!(syncs.load(Ordering::SeqCst), 1);
            go_on.send(()).unwrap();
        });
        assert_eq!(syncs.into_inner(), 2, "one for the first, one for the five");
    }

    #[test]
    fn in_a_crowd_everybody_gets_on_and_nothing_is_left_unsynced() {
        let removals = Removals::default();
        let (removed, synced, syncs) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        removed.fetch_add(1, Ordering::SeqCst);
                        removals.note(|| {
                            let before = removed.load(Ordering::SeqCst);
                            thread::sleep(Duration::from_micros(50));
                            synced.fetch_max(before, Ordering::SeqCst);
                            syncs.fetch_add(1, Ordering::SeqCst);
                        });
                    }
                });
            }
        });
        assert_eq!((synced.into_inner(), removals.lock().rounds), (1_600, 0));
        assert!(syncs.into_inner() <= 1_600);
    }

    #[test]
    fn a_panic_in_the_sync_leaves_nobody_waiting() {
        let (removals, syncs) = (Removals::default(), AtomicUsize::new(0));
        let panicking = || removals.note(|| std::panic::resume_unwind(Box::new(())));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panicking)).is_err());
        removals.note(|| {
            syncs.fetch_add(1, Ordering::SeqCst);
        });
        assert_eq!(syncs.into_inner(), 1);
    }
}
