//! Gathering: where a flush of the disk takes its time, the syncs of new files begin together, in waves.
//!
//! A sync commits what the journal has when it begins, and whoever comes later needs another commit. So while a wave is under way
//! nobody begins; those who come write their octets out meanwhile, as octets that are written out during a commit need the next one.
//! After a wave its members' clients are given a moment to come back, unless they did not come in time before. Everybody syncs their own
//! file: a wave changes when, not what.

use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The most waves in a row that are not waited for after one that did not grow.
const MOST_HASTE: u32 = 16;
/// The part of a flush for which a wave is waited to be as large as the one before.
const PART: u32 = 4;

/// The syncs of new files.
#[derive(Debug)]
pub(in crate::spool) struct Gathering {
    state: Mutex<State>,
    /// A wave begins, or the one under way is over and somebody has to begin the next.
    turn: Condvar,
    /// As many wait as are expected.
    complete: Condvar,
    /// From when on a flush is slow.
    slow: Duration,
}

#[derive(Debug)]
struct State {
    /// How long a flush takes, smoothed.
    flush: Duration,
    /// Which wave begins next.
    next: u64,
    /// Those who wait for it.
    waiting: usize,
    /// Whether one of them waits for the others to come, and will begin it.
    led: bool,
    /// How many will come, as far as the last wave tells.
    expected: usize,
    /// How many waves are not waited for yet, and how many there were of these.
    haste: u32,
    last_haste: u32,
    /// Members of the wave under way, and those of them who still sync.
    members: usize,
    syncing: usize,
    /// When the wave under way began, and when the last one was over.
    begun: Instant,
    over: Instant,
}

impl Gathering {
    /// Gathers where a flush takes this long.
    pub(in crate::spool) fn slower_than(slow: Duration) -> Self {
        let now = Instant::now();
        let state = State {
            flush: Duration::ZERO,
            next: 0,
            waiting: 0,
            led: false,
            expected: 1,
            haste: 0,
            last_haste: 0,
            members: 0,
            syncing: 0,
            begun: now,
            over: now,
        };
        Self { state: Mutex::new(state), turn: Condvar::new(), complete: Condvar::new(), slow }
    }

    /// Syncs at once where that is quick; else writes out and syncs with the next wave.
    ///
    /// # Errors
    /// Those of the two. After the first nothing is synced: it has taken the kernel's only report of a lost write.
    pub(in crate::spool) fn sync(
        &self,
        write_out: impl FnOnce() -> io::Result<()>,
        sync: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        if self.lock().flush < self.slow {
            let begun = Instant::now();
            let synced = sync();
            self.lock().note(begun.elapsed());
            return synced;
        }
        write_out()?;
        let _member = self.join();
        sync()
    }

    /// Returns when the wave begins.
    fn join(&self) -> Member<'_> {
        let mut state = self.lock();
        state.waiting += 1;
        let ours = state.next;
        if state.led && state.waiting >= state.expected {
            self.complete.notify_one();
        }
        while state.next == ours {
            state = if state.syncing > 0 || state.led {
                self.turn.wait(state).unwrap_or_else(PoisonError::into_inner)
            } else {
                self.lead(state)
            };
        }
        Member(self)
    }

    /// Begins the wave once it is as large as the one before, or after a part of a flush.
    fn lead<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        state.led = true;
        let end = state.over + state.flush / PART;
        let waits = state.haste == 0;
        while waits && state.waiting < state.expected {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.complete.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.led = false;
        state.learn(waits);
        state.begin(Instant::now());
        self.turn.notify_all();
        state
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn note(&mut self, flush: Duration) {
        self.flush = (self.flush * 7 + flush) / 8;
    }

    /// After a wait that was in vain the next waves are not waited for: where many clients share few processors, they do not come
    /// back in time.
    fn learn(&mut self, waited: bool) {
        if self.waiting >= self.expected {
            (self.haste, self.last_haste) = (0, 0);
        } else if waited {
            self.last_haste = (2 * self.last_haste).clamp(1, MOST_HASTE);
            self.haste = self.last_haste;
        } else {
            self.haste -= 1;
        }
    }

    fn begin(&mut self, now: Instant) {
        self.next += 1;
        self.members = std::mem::take(&mut self.waiting);
        self.syncing = self.members;
        self.begun = now;
    }

    fn end_one(&mut self, now: Instant) {
        // The first who ends tells best how long a flush takes: the others waited for their turn on a processor, too.
        if self.syncing == self.members {
            self.note(now.saturating_duration_since(self.begun));
        }
        self.syncing -= 1;
        if self.syncing == 0 {
            self.expected = self.members + self.waiting;
            self.over = now;
        }
    }
}

/// One of a wave. Dropped when it has synced, or failed to, by a panic too.
struct Member<'a>(&'a Gathering);

impl Drop for Member<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.end_one(Instant::now());
        if state.syncing == 0 && state.waiting > 0 {
            self.0.turn.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    #[test]
    fn a_quick_disk_is_synced_at_once_and_nothing_is_written_out_before() {
        let gathering = Gathering::slower_than(Duration::MAX);
        assert!(gathering.sync(|| unreachable!("it is quick"), || Ok(())).is_ok());
        let failed = gathering.sync(|| Ok(()), || Err(io::Error::from_raw_os_error(5)));
        assert_eq!(failed.unwrap_err().raw_os_error(), Some(5));
    }

    #[test]
    fn one_alone_waits_for_nobody_and_an_error_of_its_own_stays_its_own() {
        let (gathering, syncs) = (Gathering::slower_than(Duration::ZERO), AtomicUsize::new(0));
        let sync = || {
            syncs.fetch_add(1, Ordering::SeqCst);
            Ok(())
        };
        (0..3).for_each(|_| gathering.sync(|| Ok(()), sync).unwrap());
        let failed = gathering.sync(|| Err(io::Error::from_raw_os_error(5)), sync);
        assert_eq!(failed.unwrap_err().raw_os_error(), Some(5));
        assert_eq!(syncs.load(Ordering::SeqCst), 3, "what could not be written out is not synced");
        assert!(gathering.sync(|| Ok(()), || Err(io::Error::other("no"))).is_err());
        assert!(gathering.sync(|| Ok(()), sync).is_ok());
    }

    #[test]
    fn who_comes_during_a_wave_writes_out_and_begins_with_all_others_of_the_next() {
        const LATE: usize = 3;
        let gathering = Gathering::slower_than(Duration::ZERO);
        let (together, syncing) = (Barrier::new(LATE), AtomicUsize::new(0));
        let ((started, has_started), (go_on, may_end)) = (channel(), channel::<()>());
        let (written, was_written) = channel();
        thread::scope(|scope| {
            let (gathering, together, syncing) = (&gathering, &together, &syncing);
            scope.spawn(move || {
                let sync = || {
                    started.send(()).unwrap();
                    may_end.recv().unwrap();
                    Ok(())
                };
                gathering.sync(|| Ok(()), sync).unwrap();
            });
            has_started.recv().unwrap();
            for _ in 0..LATE {
                let written = written.clone();
                scope.spawn(move || {
                    let sync = || {
                        syncing.fetch_add(1, Ordering::SeqCst);
                        // Passes only where all of them sync at the same time.
                        together.wait();
                        Ok(())
                    };
                    gathering.sync(|| written.send(()).map_err(io::Error::other), sync).unwrap();
                });
            }
            (0..LATE).for_each(|_| was_written.recv().unwrap());
            while gathering.lock().waiting < LATE {
                thread::sleep(Duration::from_millis(1));
            }
            assert_eq!(syncing.load(Ordering::SeqCst), 0, "none begins while a wave is under way");
            go_on.send(()).unwrap();
        });
    }

    #[test]
    fn a_wave_waits_no_longer_than_a_part_of_a_flush_for_those_who_do_not_come_back() {
        let gathering = Gathering::slower_than(Duration::ZERO);
        gathering.lock().expected = 100;
        gathering.lock().note(Duration::from_millis(8));
        assert!(gathering.sync(|| Ok(()), || Ok(())).is_ok());
        assert_eq!(gathering.lock().expected, 1);
    }

    #[test]
    fn after_a_wait_in_vain_more_and_more_waves_begin_without_one() {
        let gathering = Gathering::slower_than(Duration::ZERO);
        let mut hastes = Vec::new();
        for _ in 0..8 {
            gathering.lock().expected = 2;
            gathering.sync(|| Ok(()), || Ok(())).unwrap();
            hastes.push(gathering.lock().haste);
        }
        assert_eq!(hastes, [1, 0, 2, 1, 0, 4, 3, 2]);
        gathering.sync(|| Ok(()), || Ok(())).unwrap();
        assert_eq!(gathering.lock().haste, 0, "all came who were expected");
    }

    #[test]
    fn the_length_of_a_flush_is_that_of_the_first_of_each_wave_smoothed() {
        let gathering = Gathering::slower_than(Duration::ZERO);
        let (mut state, begun) = (gathering.lock(), Instant::now());
        let after = |millis| begun + Duration::from_millis(millis);
        state.waiting = 2;
        state.begin(begun);
        state.end_one(after(8));
        assert_eq!(state.flush, Duration::from_millis(1), "an eighth of it");
        state.waiting = 3;
        state.end_one(after(800));
        assert_eq!(state.flush, Duration::from_millis(1), "the second waited for a processor, too");
        assert_eq!((state.expected, state.over), (5, after(800)));
        state.begin(begun);
        state.end_one(after(1));
        assert_eq!(state.flush, Duration::from_millis(1), "seven eighths of what was known");
    }

    #[test]
    fn a_panic_in_a_sync_leaves_nobody_waiting() {
        let gathering = Gathering::slower_than(Duration::ZERO);
        let panicking = || gathering.sync(|| Ok(()), || std::panic::resume_unwind(Box::new(())));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panicking)).is_err());
        assert!(gathering.sync(|| Ok(()), || Ok(())).is_ok());
    }
}
