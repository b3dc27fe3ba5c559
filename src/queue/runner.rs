//! What forwarding needs: the spool, the routes, the schedule, and the rest of a runner's settings.
//!
//! Any number of runners, in any number of processes, may work on one spool: the claim keeps them apart, never the memory of a
//! runner.

use std::sync::Arc;

use super::dsn::NoticeSettings;
use super::plan::schedule::Schedule;
use super::routes::limits::RouteLimits;
use super::routes::state::RouteStore;
use super::stop::StopFlag;
use crate::address::{Domain, Mailbox};
use crate::clock::{Clock, Timestamp, longest_varied};
use crate::envelope::Envelope;
use crate::event::{Event, Observer};
use crate::id::SpoolId;
use crate::routing::Readdressing;
use crate::routing::{self, Criteria};
use crate::spool::{Folder, QueueEntry, Spool, SpoolError};
use crate::transport::Dispatch;

/// All that forwarding needs.
///
/// ```
/// use leafmail::queue::{Runner, Selection, Summary, Urgency};
/// use leafmail::spool::{Spool, SpoolError};
///
/// fn try_everything<S: Spool>(runner: &Runner<S>) -> Result<Summary, SpoolError> {
///     runner.flush(Selection::All, Urgency::Now)
/// }
/// ```
pub struct Runner<S: Spool> {
    /// Where the messages are.
    pub spool: Arc<S>,
    /// The routes, at least one. A message takes the first whose criteria fit, and the last where none does.
    pub routes: Vec<Route>,
    /// The addresses with which messages go on.
    pub readdressing: Arc<Readdressing>,
    /// When to try again.
    pub schedule: Schedule,
    /// Where the states of the routes are shared with other processes.
    pub states: Arc<dyn RouteStore>,
    /// Receives the events.
    pub observer: Arc<dyn Observer>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// This host, as notices name it.
    pub hostname: Domain,
    /// Octets of the largest message that a notice returns whole, if its sender asked for that (RET=FULL).
    pub return_full: u64,
    /// How many notices are written, and what the administrator receives.
    pub notices: NoticeSettings,
    /// Raised to end: what was handed over is finished; other deliveries are broken off where they have to wait.
    pub stop: Arc<StopFlag>,
}

/// A long queue is handed on in pieces of this number of messages.
const PIECE: usize = 1_000;

/// A route: a next hop, and the messages that it is for.
///
/// ```
/// use std::sync::Arc;
///
/// use leafmail::queue::Route;
/// use leafmail::routing::Criteria;
/// use leafmail::transport::MaildirDispatch;
///
/// let dispatch = Arc::new(MaildirDispatch::new("/var/mail/all".into(), 1, None));
/// let route = Route { name: "relay".to_owned(), criteria: Criteria::default(), dispatch, limits: Arc::new(()) };
/// assert_eq!(route.dispatch.connections(), 1);
/// ```
#[derive(Clone)]
pub struct Route {
    /// Its name, in receipts and events.
    pub name: String,
    /// Which messages it is for.
    pub criteria: Criteria,
    /// What makes its transports.
    pub dispatch: Arc<dyn Dispatch>,
    /// How many connections, and how many messages in a certain time, over all processes.
    pub limits: Arc<dyn RouteLimits>,
}

/// Which messages a pass works on.
///
/// ```
/// use leafmail::queue::Selection;
///
/// let id = "01M7XXG7GK0000700000000001".parse().unwrap();
/// assert_ne!(Selection::One(id), Selection::All);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// The whole queue.
    All,
    /// One message.
    One(SpoolId),
}

/// What a pass did, in messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Removed, as every recipient is settled.
    pub sent: usize,
    /// Looked at, and due again later.
    pub deferred: usize,
    /// Notices written to senders.
    pub bounced: usize,
    /// Set aside in `failed/` for a person to decide.
    pub set_aside: usize,
    /// Set aside in `bad/`, as they are torn or corrupt.
    pub damaged: usize,
    /// Another process has them.
    pub busy: usize,
    /// Not in the queue any more, though asked for or listed.
    pub gone: usize,
    /// Not delivered since the route failed.
    pub faults: usize,
    /// Not worked on because of trouble of our own.
    pub troubles: usize,
    /// Still in the queue, as far as this pass knows.
    pub remaining: usize,
}

impl<S: Spool> Runner<S> {
    /// The queue, with hints that are plausible. Of a long one, `early` gets each piece when it is found, as the rest takes a while.
    pub(super) fn entries(&self, now: Timestamp, early: impl Fn(&[QueueEntry])) -> Result<Vec<QueueEntry>, SpoolError> {
        // A hint that is further off than any interval, and a margin, is from another clock or from another schedule.
        let longest = self.schedule.longest();
        let furthest = now + longest_varied(longest) + longest / 20;
        let mut entries = Vec::new();
        self.spool.scan(Folder::Queue, &mut |QueueEntry { id, due }| {
            entries.push(QueueEntry { id, due: if due > furthest { now } else { due } });
            if entries.len().is_multiple_of(PIECE) {
                early(&entries[entries.len() - PIECE..]);
            }
        })?;
        Ok(entries)
    }

    /// The route to a recipient: the one that an alias stands for, if `written` is one.
    pub(super) fn route_to(&self, envelope: &Envelope, written: &Mailbox, recipient: &Mailbox) -> usize {
        let routes = self.routes.iter().map(|route| (route.name.as_str(), &route.criteria));
        routing::choose(routes, envelope, written, recipient).unwrap_or(0)
    }

    pub(super) fn emit(&self, event: &Event) {
        self.observer.observe(event);
    }
}
