//! Events: what happened, reported to observers.
//!
//! An [`Observer`] sees every event and returns nothing. It cannot change a reply, and it must not block.

mod json;
mod log;
mod once;
#[cfg(test)]
pub(crate) mod testing;

pub use self::json::{JSON_TARGET, JsonObserver, json};
pub use self::log::{LogObserver, QUEUE, lines};
pub use self::once::OncePerMinute;

use std::sync::Arc;
use std::time::Duration;

use crate::address::{Mailbox, ReversePath};
use crate::envelope::{Peer, Recipients};
use crate::id::SpoolId;
use crate::receipt::Outcome;
use crate::smtp::{Mechanism, Refuser, Reply};

/// Something that happened to a client, a message or a route.
///
/// ```
/// use leafmail::event::{Event, Observer};
///
/// /// Prints the id of each message that was accepted.
/// struct Printer;
///
/// impl Observer for Printer {
///     fn observe(&self, event: &Event) {
///         if let Event::Accepted { id, .. } = event {
///             println!("{id}");
///         }
///     }
/// }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A client's connection was taken.
    Connected {
        /// The client.
        client: Client,
    },
    /// A client's connection is over.
    Disconnected {
        /// The client.
        client: Client,
        /// Why, where it was not by QUIT; in words.
        cause: Option<String>,
    },
    /// A command or a message was refused.
    Rejected {
        /// The client.
        client: Client,
        /// At which point: a verb such as `RCPT`, `END-OF-MESSAGE`, `UNKNOWN` or `CONNECT`.
        stage: &'static str,
        /// Whose rules it is against.
        by: Refuser,
        /// What was answered.
        reply: Reply,
        /// The sender, where MAIL was accepted.
        sender: Option<ReversePath>,
        /// The recipient in question.
        recipient: Option<Mailbox>,
        /// What the client called itself.
        helo: Option<String>,
    },
    /// Events were held back, as they were of the same kind as one a minute before.
    Repeated {
        /// That one; `None`: refusals of several kinds.
        event: Option<Box<Event>>,
        /// How many.
        times: u64,
    },
    /// A client logged in.
    LoggedIn {
        /// The client.
        client: Client,
        /// As whom.
        user: String,
        /// How.
        mechanism: Mechanism,
    },
    /// A client could not log in.
    LoginFailed {
        /// The client.
        client: Client,
        /// As whom, where there is such a user: anything else may be a password in the wrong place.
        user: Option<String>,
        /// How.
        mechanism: Mechanism,
    },
    /// A client did something odd that was tolerated, such as pipelining that was not offered.
    Remarked {
        /// The client.
        client: Client,
        /// In words.
        remark: String,
    },
    /// More sessions are in use than the receiver has time and errors for.
    Overloaded {
        /// How many.
        sessions: usize,
        /// How many there may be.
        limit: usize,
    },
    /// That is over.
    Relieved {
        /// How many are in use.
        sessions: usize,
        /// How many there may be.
        limit: usize,
    },
    /// A message was accepted: it is on disk.
    Accepted {
        /// Its id.
        id: SpoolId,
        /// The client; `None` for what leafmail wrote itself.
        client: Option<Client>,
        /// The sender.
        sender: ReversePath,
        /// Octets of the message as it is stored.
        size: u64,
        /// The recipients.
        recipients: Recipients,
        /// Its Message-ID.
        message_id: Option<String>,
        /// The earlier hop, as a trusted host named it (XFORWARD), such as `orig_client=name[address]`.
        origin_client: Option<String>,
        /// From the end of its data until it was on disk; zero for what leafmail wrote itself.
        synced_in: Duration,
    },
    /// A message was accepted, and not kept, as a policy wants it that may do so.
    Discarded {
        /// The id that it would have had.
        id: SpoolId,
        /// The client.
        client: Client,
        /// Why.
        text: String,
    },
    /// One recipient was tried.
    Attempted {
        /// The message.
        id: SpoolId,
        /// Its sender.
        sender: ReversePath,
        /// Its Message-ID.
        message_id: Option<String>,
        /// The recipient, as the next hop knows it.
        recipient: Mailbox,
        /// The address that was written, where an alias means another.
        written: Option<Mailbox>,
        /// The route, by name.
        route: String,
        /// The next hop as `host[address]:port`, or `none`.
        relay: String,
        /// Since acceptance: in all, before the queue, in the queue, connecting, transmitting.
        delays: Delays,
        /// What came of it.
        outcome: Outcome,
    },
    /// A recipient was given up: its time is over.
    Expired {
        /// The message.
        id: SpoolId,
        /// The recipient.
        recipient: Mailbox,
        /// The route that was used last, by name; empty where none was.
        route: String,
        /// The last reason.
        text: String,
    },
    /// A notification to the sender was written.
    Notified {
        /// The message.
        id: SpoolId,
        /// The notification's own id.
        notice: SpoolId,
    },
    /// A notification to the sender was written: that the message was relayed, as it wanted to know (RFC 3461).
    Reported {
        /// The message.
        id: SpoolId,
        /// The notification's own id.
        notice: SpoolId,
    },
    /// An alias means several: they get a message of their own.
    Expanded {
        /// The message.
        id: SpoolId,
        /// The message that was made of it.
        into: SpoolId,
    },
    /// A notification to the sender was written: that the message is delayed.
    DelayNotified {
        /// The message.
        id: SpoolId,
        /// The notification's own id.
        notice: SpoolId,
    },
    /// The administrator gets a notification of a failure.
    CopiedToAdmin {
        /// The message.
        id: SpoolId,
        /// The notification's own id.
        notice: SpoolId,
    },
    /// The sender is not notified, although it might be.
    NotNotified {
        /// The message.
        id: SpoolId,
        /// Why.
        text: String,
    },
    /// Failures of a whole hour of which no sender was notified.
    Withheld {
        /// How many messages.
        withheld: u64,
        /// The digest to the administrator, where there is one.
        digest: Option<SpoolId>,
    },
    /// A message left the queue, all recipients being settled.
    Removed {
        /// The message.
        id: SpoolId,
    },
    /// A message was set aside for a person to decide.
    SetAside {
        /// The message, or the name of a file that is none.
        name: String,
        /// The folder: `bad`, `failed` or `hold`.
        folder: &'static str,
        /// Why.
        text: String,
    },
    /// A person did something to a message.
    ByHand {
        /// The message.
        id: SpoolId,
        /// What: `held`, `released`, `requeued`, `expired`, `removed`, `exported` or `imported`.
        what: &'static str,
        /// The user's number.
        uid: u32,
    },
    /// A person paused a route, or resumed it.
    RouteByHand {
        /// The route.
        route: String,
        /// Why it was paused, or empty where nobody said why; `None`: it was resumed.
        paused: Option<String>,
        /// The user's number.
        uid: u32,
    },
    /// A route cannot be used; its messages wait.
    RoutePaused {
        /// The route.
        route: String,
        /// Why.
        text: String,
        /// Until the next probe.
        retry_in: Duration,
    },
    /// A paused route was tried again, and does not work yet.
    RouteStillPaused {
        /// The route.
        route: String,
        /// Why.
        text: String,
        /// Until the next probe.
        retry_in: Duration,
    },
    /// A paused route works again.
    RouteResumed {
        /// The route.
        route: String,
    },
    /// Something needs a person, and mail may not be the way to say so.
    Alarm {
        /// Which condition, such as `route_paused:relay`.
        condition: String,
        /// In words.
        text: String,
    },
    /// It does not need one any more.
    AllClear {
        /// Which condition.
        condition: String,
        /// In words.
        text: String,
    },
    /// Trouble of our own: the spool, the configuration, the host.
    Trouble {
        /// What was being done, to what, and what failed.
        text: String,
    },
}

/// A client as logs name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its address.
    pub peer: Peer,
    /// Its verified name.
    pub name: Option<String>,
}

/// Where the time since acceptance went, as Postfix's `delays=a/b/c/d`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delays {
    /// Receiving the message.
    pub receiving: Duration,
    /// Waiting in the queue.
    pub queued: Duration,
    /// Setting up the connection.
    pub connecting: Duration,
    /// Handing the message over.
    pub transmitting: Duration,
}

impl Delays {
    /// All of it.
    pub fn total(&self) -> Duration {
        self.receiving + self.queued + self.connecting + self.transmitting
    }
}

/// Sees every event; must not block.
///
/// ```
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// use leafmail::event::{Event, Observer};
///
/// #[derive(Default)]
/// struct Counter(AtomicUsize);
///
/// impl Observer for Counter {
///     fn observe(&self, _: &Event) {
///         self.0.fetch_add(1, Ordering::Relaxed);
///     }
/// }
/// ```
pub trait Observer: Send + Sync {
    /// Takes note of an event.
    fn observe(&self, event: &Event);
}

/// Watches nothing.
impl Observer for () {
    fn observe(&self, _event: &Event) {}
}

/// Several observers, told in order.
impl Observer for Vec<Arc<dyn Observer>> {
    fn observe(&self, event: &Event) {
        for observer in self {
            observer.observe(event);
        }
    }
}
