//! Many trials, some at the same time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// How many at the same time: mostly they wait for the disk.
const WORKERS: usize = 3;

/// Does each of these, some at the same time; the first panic is the caller's.
pub(crate) fn in_parallel<T: Sync, W>(work: &[T], worker: impl Fn() -> W + Sync, trial: impl Fn(&W, &T) + Sync) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..WORKERS.min(work.len()) {
            scope.spawn(|| {
                let own = worker();
                while let Some(item) = work.get(next.fetch_add(1, Ordering::SeqCst)) {
                    trial(&own, item);
                }
            });
        }
    });
}
