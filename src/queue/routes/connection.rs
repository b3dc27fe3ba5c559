//! A worker's connection to the next hop: its transport, which is kept for many messages and closed after an idle time, and the
//! connection permit, which all processes share.

use std::time::{Duration, Instant};

use super::limits::{ConnectionPermit, RouteLimits};
use super::pace::{Obstacle, RateDecision};
use crate::event::Event;
use crate::transport::{Dispatch, Transport};

/// A transport that is made when it is first needed.
#[derive(Default)]
pub(in crate::queue) struct RouteConnection {
    transport: Option<Box<dyn Transport>>,
    /// When it was last used; `None` while there is no connection to end.
    used: Option<Instant>,
    /// The size limit that was passed on last, over this connection.
    told: Option<u64>,
    /// The permit, while there may be a connection.
    permit: Option<ConnectionPermit>,
}

impl RouteConnection {
    /// Lets one message through, if the limits of connections and pace allow it. Trouble with sharing them is emitted.
    pub(in crate::queue) fn pass(
        &mut self,
        limits: &dyn RouteLimits,
        route: &str,
        tell: impl Fn(Event),
    ) -> Result<(), Obstacle> {
        if self.permit.is_none() {
            self.permit = limits.permit();
        }
        if let Some(error) = limits.trouble() {
            let text = format!("sharing the limits of route {route} with other processes: {error}");
            tell(Event::Trouble { text });
        }
        if self.permit.is_none() {
            return Err(Obstacle::Crowded);
        }
        self.used = Some(Instant::now());
        match limits.admit() {
            RateDecision::Now => Ok(()),
            RateDecision::Wait(wait) => Err(Obstacle::Pace(wait)),
        }
    }

    /// Whether it holds a connection permit.
    pub(in crate::queue) fn is_connected(&self) -> bool {
        self.permit.is_some()
    }

    /// The transport, for use.
    pub(in crate::queue) fn transport(&mut self, dispatch: &dyn Dispatch) -> &mut dyn Transport {
        self.used = Some(Instant::now());
        self.transport.get_or_insert_with(|| dispatch.transport()).as_mut()
    }

    /// Notes that the use is over.
    pub(in crate::queue) fn release(&mut self) {
        self.used = self.used.map(|_| Instant::now());
    }

    /// The size limit of the next hop, if it was not passed on yet.
    pub(in crate::queue) fn newly_announced_size(&mut self) -> Option<u64> {
        let largest = self.transport.as_ref()?.largest_message().filter(|largest| self.told != Some(*largest));
        self.told = largest.or(self.told);
        largest
    }

    /// How long the connection may stay unused from now on; `None` where there is none.
    pub(in crate::queue) fn time_left(&self) -> Option<Duration> {
        // A permit that was never used is given back soon.
        let limit = self.transport.as_ref().map_or(Duration::from_secs(1), |transport| transport.idle_limit());
        Some(limit.saturating_sub(self.used?.elapsed()))
    }

    /// Ends the connection, if there is one.
    pub(in crate::queue) fn close(&mut self) {
        if let (Some(transport), Some(_)) = (&mut self.transport, self.used.take()) {
            transport.disconnect();
            // The next greeting is passed on even if it says the same: a limit without confirmation is forgotten.
            self.told = None;
        }
        self.permit = None;
    }

    /// Drops the transport without closing the dialogue: it failed in the middle of something.
    pub(in crate::queue) fn abandon(&mut self) {
        *self = Self::default();
    }
}
