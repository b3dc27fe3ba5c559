//! The call to leave: raised once, seen by all sessions and listeners.

use std::sync::Arc;

use tokio::sync::watch;

/// A call to leave that may be raised from anywhere.
#[derive(Debug, Clone)]
pub struct Shutdown(Arc<watch::Sender<bool>>);

impl Default for Shutdown {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}

impl Shutdown {
    /// Raises it: no new session begins, and those under way finish their transaction.
    pub fn raise(&self) {
        self.0.send_replace(true);
    }

    /// Whether it was raised.
    pub fn is_raised(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns once it was raised.
    pub async fn raised(&self) {
        let mut receiver = self.0.subscribe();
        // The sender lives in self, so the wait cannot fail.
        let _raised = receiver.wait_for(|raised| *raised).await;
    }
}
