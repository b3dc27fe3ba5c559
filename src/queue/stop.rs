//! The stop flag: everything that waits finishes what is under way, and returns.
//!
//! Raised once and never lowered. It has a descriptor that becomes readable, so that a wait for files ends at once.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};

use crate::transport::Leaving;

/// Raised when it is time to stop.
#[derive(Debug)]
pub struct StopFlag {
    raised: AtomicBool,
    signal: OwnedFd,
    leaving: Leaving,
}

impl StopFlag {
    /// A flag that is not raised.
    ///
    /// # Errors
    /// When the system has no descriptor left.
    pub fn new() -> io::Result<Self> {
        Self::with_patience(Leaving::PATIENCE)
    }

    /// One that lets transports wait this long for the answer to a message that was handed over.
    ///
    /// # Errors
    /// When the system has no descriptor left.
    pub fn with_patience(patience: Duration) -> io::Result<Self> {
        let signal = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { raised: AtomicBool::new(false), signal, leaving: Leaving::with_patience(patience) })
    }

    /// Raises it, for the transports too.
    pub fn raise(&self) {
        self.raised.store(true, Ordering::SeqCst);
        // It fails only when the counter is full, and then the descriptor is readable already.
        let _readable_anyway = rustix::io::write(&self.signal, &1_u64.to_ne_bytes());
        self.leaving.raise();
    }

    /// The same call for the transports of a route.
    pub fn leaving(&self) -> Leaving {
        self.leaving.clone()
    }

    /// Whether it was raised.
    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::SeqCst)
    }
}

/// Readable once the flag was raised.
impl AsFd for StopFlag {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.signal.as_fd()
    }
}
