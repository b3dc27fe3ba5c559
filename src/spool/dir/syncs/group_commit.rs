//! Group commit: one sync of the directory serves all who wait for one.
//!
//! A sync that is under way may have passed over what a newcomer just did, so a waiter joins only a sync that *starts*
//! after its arrival. The first waiter of a round leads it; the others follow. An error fails every waiter of the
//! round, and those of the next one who arrived before the error: the kernel tells of a failed write once, so a second
//! sync that succeeds proves nothing about what was written before it.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

/// The syncs of one directory.
#[derive(Debug, Default)]
pub(in crate::spool) struct GroupCommit {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    running: bool,
    /// How many wait for the round under way to end: nobody is woken where nobody waits.
    waiting: usize,
    /// The round that starts next: whoever arrives now joins it.
    next: Arc<Round>,
}

/// The outcome of one sync, as an error number where there is one, for `io::Error` cannot be copied.
#[derive(Debug, Default)]
struct Round(OnceLock<Result<(), SyncFailure>>);

/// An error that can be returned several times.
#[derive(Debug, Clone, Copy)]
pub(in crate::spool) enum SyncFailure {
    Os(i32),
    Other(io::ErrorKind),
}

impl GroupCommit {
    /// Returns after a sync that started after this call; `sync` is run by one waiter of each round.
    ///
    /// # Errors
    /// When the sync failed, or one that was under way when this call came.
    pub(in crate::spool) fn sync(&self, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let mut state = self.lock();
        let round = Arc::clone(&state.next);
        loop {
            if let Some(outcome) = round.0.get() {
                return outcome.map_err(io::Error::from);
            }
            if !state.running {
                // No round between ours and now can have started, so ours is still the next.
                state.running = true;
                state.next = Arc::default();
                drop(state);
                return self.lead(&round, sync);
            }
            state.waiting += 1;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
    }

    fn lead(&self, round: &Round, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let mut lead = Lead { group: self, round, outcome: Err(SyncFailure::Other(io::ErrorKind::Other)) };
        let result = sync();
        lead.outcome = match &result {
            Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        };
        result
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the round even if the sync panics, or its followers would wait for ever.
struct Lead<'a> {
    group: &'a GroupCommit,
    round: &'a Round,
    outcome: Result<(), SyncFailure>,
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        let mut state = self.group.lock();
        state.running = false;
        // A round has one leader, so its outcome is set once; the next round has none yet.
        let _ = self.round.0.set(self.outcome);
        if self.outcome.is_err() {
            let _ = std::mem::take(&mut state.next).0.set(self.outcome);
        }
        if state.waiting > 0 {
            self.group.changed.notify_all();
        }
    }
}

impl From<&io::Error> for SyncFailure {
    fn from(error: &io::Error) -> Self {
        error.raw_os_error().map_or_else(|| Self::Other(error.kind()), Self::Os)
    }
}

impl From<SyncFailure> for io::Error {
    fn from(failure: SyncFailure) -> Self {
        match failure {
            SyncFailure::Os(number) => Self::from_raw_os_error(number),
            SyncFailure::Other(kind) => Self::from(kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// A first sync that runs until told to end; answers what its own caller and three who came meanwhile got, and how
    /// many syncs ran.
    fn four_waiters(first_ends: io::Result<()>) -> (io::Result<()>, Vec<io::Result<()>>, usize) {
        let group = GroupCommit::default();
        let syncs = AtomicUsize::new(0);
        let (started, first_started) = mpsc::channel();
        let (go_on, may_end) = mpsc::channel::<()>();
        thread::scope(|scope| {
            let (group, syncs) = (&group, &syncs);
            let leader = scope.spawn(move || {
                group.sync(|| {
                    syncs.fetch_add(1, Ordering::SeqCst);
                    started.send(()).unwrap();
                    may_end.recv().unwrap();
                    first_ends
                })
            });
            first_started.recv().unwrap();
            let late: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(move || {
                        group.sync(|| {
                            syncs.fetch_add(1, Ordering::SeqCst);
                            Ok(())
                        })
                    })
                })
                .collect();
            // The state lock shows how many hold the next round: itself and three waiters.
            while Arc::strong_count(&group.lock().next) < 4 {
                thread::sleep(Duration::from_millis(1));
            }
            assert_eq!(syncs.load(Ordering::SeqCst), 1, "none of the late ones is served by the sync under way");
            assert!(late.iter().all(|waiter| !waiter.is_finished()));
            go_on.send(()).unwrap();
            let late = late.into_iter().map(|waiter| waiter.join().unwrap()).collect();
            (leader.join().unwrap(), late, syncs.load(Ordering::SeqCst))
        })
    }

    #[test]
    fn a_waiter_joins_only_a_sync_that_starts_after_it_came() {
        let (first, late, syncs) = four_waiters(Ok(()));
        assert!(first.is_ok() && late.iter().all(Result::is_ok));
        assert_eq!(syncs, 2, "the three late ones share one sync of their own");
    }

    #[test]
    fn an_error_fails_the_round_and_all_who_came_before_it_was_known() {
        let (first, late, syncs) = four_waiters(Err(io::Error::from_raw_os_error(5)));
        for result in late.into_iter().chain([first]) {
            assert_eq!(result.unwrap_err().raw_os_error(), Some(5));
        }
        assert_eq!(syncs, 1, "a failed sync is not tried again for those who waited");
    }

    #[test]
    fn one_alone_syncs_at_once_and_again_after_an_error() {
        let group = GroupCommit::default();
        assert!(group.sync(|| Ok(())).is_ok());
        assert!(group.sync(|| Err(io::Error::other("no"))).is_err());
        assert!(group.sync(|| Ok(())).is_ok());
    }

    #[test]
    fn a_panic_in_the_sync_leaves_nobody_waiting() {
        let group = GroupCommit::default();
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            group.sync(|| std::panic::resume_unwind(Box::new(())))
        }));
        assert!(result.is_err());
        assert!(group.sync(|| Ok(())).is_ok());
    }
}
