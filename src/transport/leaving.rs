//! The call to leave, as transports hear it: what is not handed over yet breaks off, what is handed over waits but a while.
//!
//! Raised once and never lowered, by a thread or by async code; the waits of the wire end with it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::watch;

/// Says to all transports of a route that the program is to end.
#[derive(Debug, Clone)]
pub struct Leaving {
    raised: Arc<watch::Sender<bool>>,
    patience: Duration,
}

/// How long the answer to a message is waited for once it is time to leave: long enough for a smarthost that scans what it
/// takes, and below the 10 s after which container managers kill (systemd: 90 s).
const PATIENCE: Duration = Duration::from_secs(8);

impl Leaving {
    /// Unless the configuration says otherwise.
    pub const PATIENCE: Duration = PATIENCE;
}

impl Default for Leaving {
    fn default() -> Self {
        Self::with_patience(PATIENCE)
    }
}

impl Leaving {
    /// One that is not raised, with another limit than 8 s for the answer to a message that was handed over.
    pub fn with_patience(patience: Duration) -> Self {
        Self { raised: Arc::new(watch::Sender::new(false)), patience }
    }

    /// Raises it.
    pub fn raise(&self) {
        self.raised.send_replace(true);
    }

    /// Whether it was raised.
    pub(super) fn is_raised(&self) -> bool {
        *self.raised.borrow()
    }

    /// How long the answer to a message that was handed over is still waited for.
    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    /// Ends once it was raised.
    pub(super) fn raised(&self) -> Raised {
        let mut receiver = self.raised.subscribe();
        // Without a sender nobody can raise it any more, and whoever waits has other things to wait for.
        let wait = async move {
            if receiver.wait_for(|raised| *raised).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        Raised { wait: Some(Box::pin(wait)) }
    }
}

/// The wait for the call; once it came it may be asked again.
pub(super) struct Raised {
    wait: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
}

impl Future for Raised {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let over = self.wait.as_mut().is_none_or(|wait| wait.as_mut().poll(cx).is_ready());
        if !over {
            return Poll::Pending;
        }
        self.wait = None;
        Poll::Ready(())
    }
}

impl fmt::Debug for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Raised").field("over", &self.wait.is_none()).finish()
    }
}
