//! Finishing: drafts whose file is on the disk wait here for the sync of the folder, without a thread that waits.
//!
//! Whoever comes while nobody syncs does it for all who are there, then for those who came meanwhile, until none is left. A
//! sync that is under way serves nobody who came after it began, as in [`super::group_commit`]; an error fails all who
//! are there when it is known, as the kernel tells of a failed write once.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::group_commit::SyncFailure;

/// What is to be done after the sync, with its outcome.
pub(in crate::spool) type Waiter = Box<dyn FnOnce(io::Result<()>) + Send>;

/// Those who wait for a sync of one folder.
#[derive(Default)]
pub(in crate::spool) struct Finishing(Mutex<State>);

#[derive(Default)]
struct State {
    syncing: bool,
    waiting: Vec<Waiter>,
}

impl Finishing {
    /// Calls `waiter` after a sync that started after this call: before this returns, or by whoever syncs just now.
    pub(in crate::spool) fn join(&self, waiter: Waiter, sync: impl Fn() -> io::Result<()>) {
        let mut state = self.lock();
        state.waiting.push(waiter);
        if std::mem::replace(&mut state.syncing, true) {
            return;
        }
        drop(state);
        let _turn = Turn(self);
        while let Some(mut round) = self.next_round() {
            let outcome = sync().map_err(|error| SyncFailure::from(&error));
            if outcome.is_err() {
                round.append(&mut self.lock().waiting);
            }
            for waiter in round {
                waiter(outcome.map_err(io::Error::from));
            }
        }
    }

    /// All who wait; `None` ends the turn, in one step with finding nobody.
    fn next_round(&self) -> Option<Vec<Waiter>> {
        let mut state = self.lock();
        state.syncing = !state.waiting.is_empty();
        state.syncing.then(|| std::mem::take(&mut state.waiting))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever syncs. After a panic those who wait are dropped, which breaks their promises instead of keeping them waiting.
struct Turn<'a>(&'a Finishing);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut state = self.0.lock();
            state.syncing = false;
            let abandoned = std::mem::take(&mut state.waiting);
            drop(state);
            drop(abandoned);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::{Sender, channel};
    use std::thread;

    use super::*;

    fn waiter(told: &Sender<Option<i32>>) -> Waiter {
        let told = told.clone();
        Box::new(move |synced| told.send(synced.err().and_then(|error| error.raw_os_error())).unwrap())
    }

    /// A first sync that runs until two more have come; answers what all three were told, and how many syncs ran.
    fn three_waiters(first_ends: fn() -> io::Result<()>) -> (Vec<Option<i32>>, usize) {
        let (finishing, syncs) = (Finishing::default(), AtomicUsize::new(0));
        let (told, outcomes) = channel();
        let (started, first_started) = channel();
        let (go_on, may_end) = channel::<()>();
        thread::scope(|scope| {
            let (finishing, syncs, first) = (&finishing, &syncs, waiter(&told));
            scope.spawn(move || {
                finishing.join(first, || {
                    if syncs.fetch_add(1, Ordering::SeqCst) > 0 {
                        return Ok(());
                    }
                    started.send(()).unwrap();
                    may_end.recv().unwrap();
                    first_ends()
                })
            });
            first_started.recv().unwrap();
            for _ in 0..2 {
                finishing.join(waiter(&told), || unreachable!("another syncs"));
            }
            assert!(outcomes.try_recv().is_err(), "none is served by the sync under way");
            go_on.send(()).unwrap();
        });
        drop(told);
        (outcomes.iter().collect(), syncs.into_inner())
    }

    #[test]
    fn who_comes_during_a_sync_is_served_by_the_next_and_waits_in_no_thread() {
        assert_eq!(three_waiters(|| Ok(())), (vec![None; 3], 2), "the two late ones share one sync");
    }

    #[test]
    fn an_error_fails_all_who_came_before_it_was_known() {
        assert_eq!(three_waiters(|| Err(io::Error::from_raw_os_error(5))), (vec![Some(5); 3], 1));
    }

    #[test]
    fn a_panic_in_the_sync_leaves_nobody_waiting() {
        let finishing = Finishing::default();
        let (told, outcomes) = channel();
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            finishing.join(waiter(&told), || std::panic::resume_unwind(Box::new(())))
        }));
        assert!(result.is_err());
        finishing.join(waiter(&told), || Ok(()));
        drop(told);
        assert_eq!(outcomes.iter().collect::<Vec<_>>(), [None]);
    }
}
