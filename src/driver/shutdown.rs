//! The shutdown signal: raised once, seen by all sessions and listeners.

use std::sync::Arc;

use tokio::sync::watch;

/// A call to leave that may be raised from anywhere.
#[derive(Debug, Clone)]
pub struct Shutdown(Arc<watch::Sender<Stage>>);

/// How urgent it is; it only ever rises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Serving,
    Retiring,
    Leaving,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Stage::Serving)))
    }
}

impl Shutdown {
    /// Raises it: no new session begins, and those under way finish their transaction.
    pub fn raise(&self) {
        self.0.send_replace(Stage::Leaving);
    }

    /// No new session begins, as somebody else takes the connections from now on; those under way go on as ever.
    pub fn retire(&self) {
        self.0.send_if_modified(|stage| std::mem::replace(stage, (*stage).max(Stage::Retiring)) == Stage::Serving);
    }

    /// Whether it was raised.
    pub fn is_raised(&self) -> bool {
        *self.0.borrow() == Stage::Leaving
    }

    /// Returns once it was raised.
    pub async fn raised(&self) {
        self.reached(Stage::Leaving).await;
    }

    /// Returns once no new session is to begin.
    pub(super) async fn retired(&self) {
        self.reached(Stage::Retiring).await;
    }

    async fn reached(&self, stage: Stage) {
        let mut receiver = self.0.subscribe();
        // The sender lives in self, so the wait cannot fail.
        let _reached = receiver.wait_for(|now| *now >= stage).await;
    }
}
