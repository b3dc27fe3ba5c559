//! A worker's line to the next hop: its transport, kept for many messages and hung up after it was idle for long enough.

use std::time::{Duration, Instant};

use crate::transport::{Dispatch, Transport};

/// A transport that is made when it is first needed.
#[derive(Default)]
pub(super) struct Line {
    transport: Option<Box<dyn Transport>>,
    /// When it was last used; `None` while there is no connection to end.
    used: Option<Instant>,
    /// The size that was told last, over this connection.
    told: Option<u64>,
}

impl Line {
    /// The transport, for use.
    pub(super) fn transport(&mut self, dispatch: &dyn Dispatch) -> &mut dyn Transport {
        self.used = Some(Instant::now());
        self.transport.get_or_insert_with(|| dispatch.transport()).as_mut()
    }

    /// Notes that the use is over.
    pub(super) fn release(&mut self) {
        self.used = self.used.map(|_| Instant::now());
    }

    /// How large a message the next hop takes, when that was not told yet.
    pub(super) fn news_of_size(&mut self) -> Option<u64> {
        let largest = self.transport.as_ref()?.largest_message().filter(|largest| self.told != Some(*largest));
        self.told = largest.or(self.told);
        largest
    }

    /// How long the connection may stay unused from now on; `None` where there is none.
    pub(super) fn patience(&self) -> Option<Duration> {
        let limit = self.transport.as_ref()?.idle_limit();
        Some(limit.saturating_sub(self.used?.elapsed()))
    }

    /// Ends the connection, if there is one.
    pub(super) fn hang_up(&mut self) {
        if let (Some(transport), Some(_)) = (&mut self.transport, self.used.take()) {
            transport.disconnect();
            // The next greeting is told even if it says the same: a limit that nobody confirms is forgotten.
            self.told = None;
        }
    }

    /// Gives the transport up without a word: it failed in the middle of something.
    pub(super) fn abandon(&mut self) {
        *self = Self::default();
    }
}
