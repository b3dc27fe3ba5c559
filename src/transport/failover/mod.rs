//! Several next hops of one route, in order: where one does not work, the next is tried at once with the same message.
//!
//! A hop that failed is left alone for a while, by all transports of the route, and is then tried first again. Invariant: a
//! message that was handed over to one hop is never offered to another.

mod replay;
#[cfg(test)]
mod tests;

pub(super) use replay::Replay;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::receipt::Reason;
use crate::smtp::EnhancedCode;
use crate::transport::delivery::{Body, Delivery, DeliveryRequest, Dispatch, RouteFailure, Transport};
use crate::transport::leaving::Leaving;
use crate::transport::memory::HopRecord;

/// A hop that failed once is left alone for so long; each further failure doubles it, up to the longest.
const FIRST_REST: Duration = Duration::from_secs(2 * 60);
const LONGEST_REST: Duration = Duration::from_secs(30 * 60);

/// What tells the time; monotonic.
pub(super) type Watch = dyn Fn() -> Instant + Send + Sync;

/// One of the next hops.
pub(super) struct Hop {
    /// Its URL, for the log.
    pub(super) name: String,
    pub(super) dispatch: Arc<dyn Dispatch>,
    /// How it does, over all processes.
    pub(super) record: HopRecord,
}

/// Makes transports that know all next hops of a route.
pub(super) struct FailoverDispatch {
    shared: Arc<Shared>,
}

struct Shared {
    route: String,
    hops: Vec<Hop>,
    rests: Mutex<Vec<Rest>>,
    leaving: Leaving,
    watch: Box<Watch>,
}

/// How a hop does.
#[derive(Debug, Clone, Copy, Default)]
struct Rest {
    /// Failures since it last worked.
    failures: u32,
    /// Until when it is left alone.
    until: Option<Instant>,
}

impl FailoverDispatch {
    /// Over `hops`, two at least.
    pub(super) fn new(route: String, hops: Vec<Hop>, leaving: Leaving, watch: Box<Watch>) -> Self {
        let rests = Mutex::new(vec![Rest::default(); hops.len()]);
        Self { shared: Arc::new(Shared { route, hops, rests, leaving, watch }) }
    }
}

impl Dispatch for FailoverDispatch {
    fn transport(&self) -> Box<dyn Transport> {
        let transports = self.shared.hops.iter().map(|hop| hop.dispatch.transport()).collect();
        Box::new(FailoverTransport { shared: Arc::clone(&self.shared), transports, last: 0 })
    }

    fn connections(&self) -> usize {
        self.shared.hops.first().map_or(1, |hop| hop.dispatch.connections())
    }

    fn mark(&self) -> u64 {
        self.shared.hops.iter().fold(0, |mark, hop| mark.rotate_left(7) ^ hop.dispatch.mark())
    }

    fn per_domain(&self) -> bool {
        self.shared.hops.iter().any(|hop| hop.dispatch.per_domain())
    }

    fn most_recipients(&self) -> Option<usize> {
        self.shared.hops.iter().filter_map(|hop| hop.dispatch.most_recipients()).min()
    }
}

struct FailoverTransport {
    shared: Arc<Shared>,
    /// One per hop.
    transports: Vec<Box<dyn Transport>>,
    /// The hop that was used last.
    last: usize,
}

impl Transport for FailoverTransport {
    fn deliver(&mut self, request: &DeliveryRequest<'_>, body: &mut dyn Body) -> Result<Delivery, RouteFailure> {
        let mut body = Replay::new(body);
        let mut faults: Vec<RouteFailure> = Vec::new();
        for at in self.shared.order() {
            self.last = at;
            match self.transports[at].deliver(request, &mut body) {
                Ok(delivery) => {
                    match &delivery.route_trouble {
                        None => self.shared.works(at),
                        Some(reason) => self.shared.fails(at, &reason.text),
                    }
                    return Ok(delivery);
                }
                // It says nothing about the hop, and there is no time for another.
                Err(fault) if self.shared.leaving.is_raised() => return Err(fault),
                Err(fault) => {
                    self.shared.fails(at, &fault.to_string());
                    self.transports[at].disconnect();
                    faults.push(fault);
                }
            }
            if !body.begin_again() {
                break;
            }
        }
        Err(joined(faults))
    }

    fn disconnect(&mut self) {
        for transport in &mut self.transports {
            transport.disconnect();
        }
    }

    /// That of the hop in use: what it finds too large comes back, whatever the others take.
    fn largest_message(&self) -> Option<u64> {
        self.transports[self.last].largest_message()
    }

    fn looks_ahead(&self) -> bool {
        self.transports[self.last].looks_ahead()
    }

    fn idle_limit(&self) -> Duration {
        self.transports[self.last].idle_limit()
    }
}

/// One fault that tells of each hop; the status is the first one's, whose hop is the one that should work.
pub(super) fn joined(mut faults: Vec<RouteFailure>) -> RouteFailure {
    if faults.len() == 1 {
        return faults.remove(0);
    }
    let text = faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let relay = format!("{} next hops", faults.len());
    let first = faults.first().map(|fault| &fault.reason);
    let status = first.map_or(EnhancedCode(4, 4, 1), |first| first.status);
    let (reply_code, cause) = first.map_or((None, None), |first| (first.reply_code, first.cause));
    let in_transaction = faults.iter().all(|fault| fault.in_transaction);
    // One that says nothing may work at any time.
    let again_after = faults.iter().map(|fault| fault.again_after).min().flatten();
    RouteFailure {
        reason: Reason { reply_code, cause, ..Reason::new(status, text) },
        relay,
        in_transaction,
        again_after,
    }
}

impl Shared {
    fn rests(&self) -> MutexGuard<'_, Vec<Rest>> {
        // Every change is one assignment, so a panic elsewhere leaves nothing half done.
        self.rests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// In which order the hops are tried: those that work, then those that rest, as the message has nowhere else to go. Who
    /// is the first to try one whose rest is over keeps the others from it meanwhile.
    fn order(&self) -> Vec<usize> {
        let now = (self.watch)();
        let mut rests = self.rests();
        for (hop, rest) in self.hops.iter().zip(rests.iter_mut()).filter(|(_, rest)| rest.until.is_none()) {
            // Another process found out that it does not work.
            if let Some((failures, left)) = hop.record.rest(LONGEST_REST) {
                *rest = Rest { failures, until: Some(now + left) };
            }
        }
        let (mut working, mut resting) = (Vec::new(), Vec::new());
        for (at, rest) in rests.iter_mut().enumerate() {
            match rest.until {
                Some(until) if until > now => resting.push(at),
                Some(_) => {
                    // Only the first in line is tried for certain.
                    if working.is_empty() {
                        rest.until = Some(now + rest_after(rest.failures));
                    }
                    working.push(at);
                }
                None => working.push(at),
            }
        }
        working.append(&mut resting);
        working
    }

    fn works(&self, at: usize) {
        let before = std::mem::take(&mut self.rests()[at]);
        if before.failures > 0 {
            self.hops[at].record.end_rest();
            log::info!("route {}: {} works again", self.route, self.hops[at].name);
        }
    }

    fn fails(&self, at: usize, why: &str) {
        let now = (self.watch)();
        let rest = {
            let mut rests = self.rests();
            let failures = rests[at].failures.saturating_add(1);
            let rest = rest_after(failures);
            rests[at] = Rest { failures, until: Some(now + rest) };
            self.hops[at].record.set_rest(failures, rest);
            rest
        };
        let (route, name, seconds) = (&self.route, &self.hops[at].name, rest.as_secs());
        log::warn!("route {route}: {name} does not work and is left alone for {seconds} s: {why}");
    }
}

fn rest_after(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    (FIRST_REST * 2_u32.pow(doublings)).min(LONGEST_REST)
}
