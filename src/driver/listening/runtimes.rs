//! The threads that run sessions, each with a runtime of its own.
//!
//! A session stays on the thread that it was given to, so that no session wakes another thread but where it waits for the
//! disk. What waits for the disk runs on further threads, which belong to the runtime too.

use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// Threads of one runtime that may block: commits, pieces of large messages, passwords, names.
const BLOCKING: usize = 32;

/// The threads; when dropped, they end, and what blocks is waited for.
pub(super) struct Runtimes(Vec<Hand>);

/// One thread.
struct Hand {
    runtime: Handle,
    /// As many references as sessions, and one.
    sessions: Arc<()>,
    /// Dropped, it ends the thread.
    stay: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Runtimes {
    /// As many as the machine has cores.
    ///
    /// # Errors
    /// When the system gives no thread, or no descriptor.
    pub(super) fn start() -> io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        (0..cores).map(Hand::start).collect::<io::Result<_>>().map(Self)
    }

    /// Runs a session on the thread that has the fewest; dropping `sessions` breaks it off.
    pub(super) fn run(&self, sessions: &mut JoinSet<()>, session: impl Future<Output = ()> + Send + 'static) {
        let Some(hand) = self.0.iter().min_by_key(|hand| Arc::strong_count(&hand.sessions)) else { return };
        let counted = Arc::clone(&hand.sessions);
        // Boxed, or it would take its place twice: as what is captured and as what is waited for.
        let session = Box::pin(session);
        let run = async move {
            session.await;
            drop(counted);
        };
        sessions.spawn_on(run, &hand.runtime);
    }
}

impl Hand {
    fn start(number: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().max_blocking_threads(BLOCKING).build()?;
        let handle = runtime.handle().clone();
        let (stay, dropped) = oneshot::channel();
        let thread = thread::Builder::new().name(format!("sessions-{number}")).spawn(move || {
            let _ = runtime.block_on(dropped);
        })?;
        Ok(Self { runtime: handle, sessions: Arc::default(), stay: Some(stay), thread: Some(thread) })
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        drop(self.stay.take());
        // A thread that panicked has told of it already.
        let _ = self.thread.take().map(thread::JoinHandle::join);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[tokio::test]
    async fn sessions_are_spread_over_the_threads_and_broken_off_with_their_set() {
        let runtimes = Runtimes::start().unwrap();
        let mut sessions = JoinSet::new();
        let (told, threads) = channel();
        let held = Arc::new(());
        for _ in 0..2 * runtimes.0.len() {
            let (told, held) = (told.clone(), Arc::clone(&held));
            runtimes.run(&mut sessions, async move {
                told.send(thread::current().name().map(str::to_owned)).unwrap();
                std::future::pending::<()>().await;
                drop(held);
            });
        }
        let mut names: Vec<_> = threads.iter().take(2 * runtimes.0.len()).map(Option::unwrap).collect();
        names.sort();
        let expected: Vec<_> =
            (0..runtimes.0.len()).flat_map(|number| [number; 2]).map(|n| format!("sessions-{n}")).collect();
        assert_eq!(names.len(), expected.len());
        assert!(expected.iter().all(|name| names.contains(name)), "{names:?}");
        sessions.shutdown().await;
        drop(runtimes);
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
