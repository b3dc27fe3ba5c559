//! The same work on many messages, by several threads, with the results in the order of the messages.
//!
//! Threads that wait for the disk at the same time share its syncs; threads that read at the same time use all cores.
//! A worker is at most `ahead` results before the consumer, so memory, and acts that are done but not yet reported,
//! are bounded.

use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

/// As many workers as there are cores, but not many: for what does not wait.
pub(super) fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get).min(4)
}

/// Does `work` on each item and hands the results to `take`, in the order of the items, until that fails.
///
/// # Errors
/// Those of `take`. A few items may have been worked on whose results nobody took.
pub(super) fn in_order<T: Sync, R: Send, E>(
    items: &[T],
    (workers, ahead): (usize, usize),
    work: impl Fn(&T) -> R + Sync,
    mut take: impl FnMut(&T, R) -> Result<(), E>,
) -> Result<(), E> {
    let workers = workers.min(items.len());
    if workers < 2 {
        return items.iter().try_for_each(|item| take(item, work(item)));
    }
    let work = &work;
    thread::scope(|scope| {
        // Worker n has each item whose place leaves the remainder n. Where the system gives no thread, who takes works too.
        let hire = |number: usize| -> Option<Receiver<R>> {
            let (sender, results) = sync_channel(ahead);
            let mut own = items.iter().skip(number).step_by(workers);
            let labour = move || while own.next().is_some_and(|item| sender.send(work(item)).is_ok()) {};
            thread::Builder::new().name("crowd".into()).spawn_scoped(scope, labour).ok().map(|_| results)
        };
        let hired: Vec<Option<Receiver<R>>> = (0..workers).map(hire).collect();
        for (place, item) in items.iter().enumerate() {
            let result = match &hired[place % workers] {
                None => work(item),
                // It panicked; the scope passes that on.
                Some(results) => match results.recv() {
                    Ok(result) => result,
                    Err(_) => break,
                },
            };
            take(item, result)?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items_whoever_was_first() {
        let items: Vec<u64> = (0..200).collect();
        for workers in [1, 3, 16, 500] {
            let mut taken = Vec::new();
            let work = |item: &u64| {
                thread::sleep(std::time::Duration::from_micros(item * 7919 % 300));
                item * 2
            };
            let done = in_order(&items, (workers, 0), work, |item, double| {
                taken.push((*item, double));
                Ok::<_, ()>(())
            });
            assert_eq!(done, Ok(()));
            assert!(taken.iter().copied().eq((0..200).map(|item| (item, item * 2))), "{workers}: {taken:?}");
        }
    }

    #[test]
    fn who_takes_no_more_ends_the_work_soon() {
        let (items, worked): (Vec<usize>, _) = ((0..10_000).collect(), AtomicUsize::new(0));
        let work = |item: &usize| {
            worked.fetch_add(1, Ordering::SeqCst);
            *item
        };
        let done = in_order(&items, (4, 2), work, |_, item| if item < 10 { Ok(()) } else { Err(item) });
        assert_eq!(done, Err(10));
        assert!(worked.into_inner() <= 11 + 4 * 4, "nobody runs far ahead");
    }

    #[test]
    fn a_panic_over_one_is_passed_on() {
        let work = |item: &u8| if *item == 3 { std::panic::resume_unwind(Box::new(())) } else { *item };
        let run = || in_order(&[0, 1, 2, 3, 4, 5], (2, 0), work, |_, _| Ok::<_, ()>(()));
        assert!(std::panic::catch_unwind(run).is_err());
    }
}
