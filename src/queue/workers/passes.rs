//! The two ways to forward: one pass over the queue, or a continuous watch. Both start the workers and wait for them.

use std::thread;

use super::pool::{Mode, WorkerPool};
use super::wakeup::Wakeups;
use crate::event::Event;
use crate::id::SpoolId;
use crate::queue::plan::schedule::Urgency;
use crate::queue::runner::{Route, Runner, Selection, Summary};
use crate::spool::{QueueEntry, Spool, SpoolError};

impl<S: Spool> WorkerPool<'_, S> {
    /// A worker of a pass.
    fn pass(&self, route: usize) {
        self.run_worker(route);
        self.dismiss(route, 1);
    }
}

impl<S: Spool> Runner<S> {
    /// Works once on what is due, or with [`Urgency::Now`] on all that is pending, and returns. A fault of a route ends the pass
    /// over it: messages that were not tried keep their place, and nothing is recorded about them.
    ///
    /// # Errors
    /// When the queue cannot be listed.
    pub fn flush(&self, which: Selection, urgency: Urgency) -> Result<Summary, SpoolError> {
        let started = self.clock.now();
        self.send_digest(started);
        let entries = match which {
            Selection::All => self.entries(started, |_| {})?,
            Selection::One(id) => vec![QueueEntry { id, due: started }],
        };
        Ok(self.work_through(entries, urgency))
    }

    /// Works once on these messages, as [`Runner::flush`] does on one.
    pub fn flush_these(&self, ids: &[SpoolId], urgency: Urgency) -> Summary {
        let due = self.clock.now();
        self.work_through(ids.iter().map(|id| QueueEntry { id: *id, due }).collect(), urgency)
    }

    fn work_through(&self, entries: Vec<QueueEntry>, urgency: Urgency) -> Summary {
        // A message with an implausible hint is due since it was listed.
        let now = self.clock.now();
        let pool = WorkerPool::new(self, Mode::Pass, urgency);
        let later = pool.enlist(entries, now);
        pool.report_pauses(now);
        let waiting = pool.waiting();
        let mut wanted: Vec<_> = self.routes.iter().map(|route| route.dispatch.connections().min(waiting)).collect();
        // This thread is a worker of the first route.
        wanted[0] = wanted[0].max(1);
        pool.hire(&wanted);
        thread::scope(|scope| {
            let pool = &pool;
            // Where the system gives no thread, this one does the work.
            let mut without_threads = vec![0];
            for (route, wanted) in wanted.iter().enumerate() {
                let threads = wanted - usize::from(route == 0);
                let spawn =
                    || thread::Builder::new().name("delivery".into()).spawn_scoped(scope, move || pool.pass(route));
                let spawned = (0..threads).filter(|_| spawn().is_ok()).count();
                if route > 0 && spawned == 0 && threads > 0 {
                    without_threads.push(route);
                }
                pool.dismiss(route, threads - spawned);
            }
            without_threads.into_iter().for_each(|route| pool.pass(route));
        });
        let mut summary = pool.close();
        summary.remaining += later;
        summary
    }

    /// Works until the stop flag is raised. Before it returns, the deliveries under way have ended and are recorded, and their
    /// connections are closed.
    pub fn watch(&self, mut wakeups: impl Wakeups) {
        let pool = WorkerPool::new(self, Mode::Watch, Urgency::Due);
        thread::scope(|scope| {
            let mut workers = 0;
            for (route, Route { dispatch, .. }) in self.routes.iter().enumerate() {
                for _ in 0..dispatch.connections().max(1) {
                    let pool = &pool;
                    let worker = thread::Builder::new()
                        .name("delivery".into())
                        .spawn_scoped(scope, move || pool.run_worker(route));
                    workers += usize::from(worker.is_ok());
                }
            }
            if workers == 0 {
                self.emit(&Event::Trouble { text: "starting to deliver: the system gives no thread".into() });
                return;
            }
            pool.attend(&mut wakeups);
        });
        pool.close();
    }
}
