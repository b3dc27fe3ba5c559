//! What every transport takes, gives and promises.
//!
//! Invariant: a transport judges recipients, one outcome each, or none of them. What it says about no recipient, because the
//! next hop could not be reached or refused us rather than the mail, is a [`RouteFailure`].

use std::io;
use std::time::Duration;

use crate::envelope::{Envelope, Recipient};
use crate::id::SpoolId;
use crate::receipt::{Outcome, Reason};

/// One message on its way to some of its recipients.
///
/// ```
/// use leafmail::transport::DeliveryRequest;
///
/// fn addresses(request: &DeliveryRequest<'_>) -> Vec<String> {
///     request.recipients().map(|recipient| recipient.mailbox.to_string()).collect()
/// }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct DeliveryRequest<'a> {
    /// The message's id.
    pub id: SpoolId,
    /// Its envelope, whole.
    pub envelope: &'a Envelope,
    /// The recipients of this attempt, by index in the envelope; never empty.
    pub recipients: &'a [u16],
    /// Octets of the message.
    pub size: u64,
    /// Whether an octet above 127 is in it.
    pub eight_bit: bool,
}

impl<'a> DeliveryRequest<'a> {
    /// The recipients of this attempt.
    pub fn recipients(&self) -> impl Iterator<Item = &'a Recipient> {
        self.recipients.iter().filter_map(|index| self.envelope.recipients.get(usize::from(*index)))
    }

    /// Those for whom a recipient of this attempt gets the message: itself, and for the copy of an archive all others.
    pub(super) fn meant_by(&self, index: u16) -> Vec<&'a Recipient> {
        let index = usize::from(index);
        let others = self.envelope.archive() == Some(index) && self.envelope.recipients.len() > 1;
        let is_meant = |place: usize| if others { place != index } else { place == index };
        let all = self.envelope.recipients.iter().enumerate();
        all.filter(|(place, _)| is_meant(*place)).map(|(_, recipient)| recipient).collect()
    }
}

/// The message's octets, with CRLF line ends, in pieces.
///
/// ```
/// use leafmail::transport::Body;
///
/// fn octets(body: &mut dyn Body) -> std::io::Result<Vec<u8>> {
///     let (mut octets, mut piece) = (Vec::new(), Vec::new());
///     while body.next_piece(&mut piece)? {
///         octets.extend_from_slice(&piece);
///     }
///     Ok(octets)
/// }
/// ```
pub trait Body {
    /// Replaces `piece` by the next octets; `false` at the end.
    ///
    /// # Errors
    /// When the spool cannot be read: the transport must then break off, so that no end mark is ever sent.
    fn next_piece(&mut self, piece: &mut Vec<u8>) -> io::Result<bool>;

    /// Begins again at the first octet, for another next hop; `false` where that cannot be done.
    fn rewind(&mut self) -> bool {
        false
    }

    /// Whether the message may have been handed over before without the answer having been noted.
    fn may_be_repeated(&self) -> bool {
        true
    }

    /// Called once all octets were taken, immediately before what makes the next hop responsible (the final dot) is sent:
    /// from now until the answer, the message is *in doubt*.
    fn hand_over(&mut self);

    /// The answer does not come: the message that was announced behind this one need not wait for it any longer, and may go another way.
    fn release_next(&mut self) {}

    /// The message that will be delivered next over the same transport, where one is known. It may be announced in the group
    /// that ends this one (RFC 2920 3.1), and is then the one that is expected next: any other costs the connection.
    fn next(&self) -> Option<DeliveryRequest<'_>> {
        None
    }
}

/// What came of one delivery.
///
/// ```
/// use leafmail::receipt::Outcome;
/// use leafmail::transport::Delivery;
///
/// fn all_arrived(delivery: &Delivery) -> bool {
///     delivery.outcomes.iter().all(|outcome| matches!(outcome, Outcome::Delivered(_)))
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// One outcome per recipient, in the order of [`DeliveryRequest::recipients`].
    pub outcomes: Vec<Outcome>,
    /// The next hop as `host[address]:port`, or what names it otherwise.
    pub relay: String,
    /// How long it took to set the connection up; zero where it was open.
    pub connecting: Duration,
    /// Who tells a sender of success that wants to hear of it.
    pub dsn: Dsn,
    /// Set where the next hop refused the message because of our login or account, or their limits (RFC 5321 has no word for
    /// that): the recipients are deferred, but neither they nor the message are to blame. No attempt should be counted, and
    /// the route should pause.
    pub route_trouble: Option<Reason>,
}

/// What became of the senders' wishes for notifications (RFC 3461).
///
/// ```
/// use leafmail::transport::Dsn;
///
/// fn reports_itself(dsn: Dsn) -> bool {
///     dsn == Dsn::PassedOn // then the next hop reports success to the sender
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dsn {
    /// They went along, so the next hop will tell of success (RFC 3461 5.2.1).
    PassedOn,
    /// The next hop does no DSN: the message was relayed, and nobody after us will tell (RFC 3461 5.2.2).
    NotPassedOn,
    /// There is nobody after us: this was the delivery (RFC 3461 5.2.3).
    Final,
}

/// No recipient was judged: the route does not work now. The sender is not to blame, and no message pays for it.
///
/// ```
/// use leafmail::receipt::Reason;
/// use leafmail::smtp::EnhancedCode;
/// use leafmail::transport::RouteFailure;
///
/// let failure = RouteFailure::new(Reason::new(EnhancedCode(4, 4, 1), "connection refused"), "mx.example.org".to_owned());
/// assert_eq!(failure.to_string(), "mx.example.org: connection refused");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", told(relay, &reason.text))]
pub struct RouteFailure {
    /// What was being done and what failed, or the next hop's own words.
    pub reason: Reason,
    /// The next hop, as far as it is known.
    pub relay: String,
    /// Whether it came in answer to the commands of a message, so that this message may be why.
    pub in_transaction: bool,
    /// How long the next hop wants to be left alone, where it says so.
    pub again_after: Option<Duration>,
}

impl RouteFailure {
    /// A failure that no message can be the reason of.
    pub fn new(reason: Reason, relay: String) -> Self {
        Self { reason, relay, in_transaction: false, again_after: None }
    }

    /// The same from a next hop that says when to ask again.
    #[must_use]
    pub fn again_after(self, again_after: Option<Duration>) -> Self {
        Self { again_after, ..self }
    }

    /// The same in answer to the commands of a message.
    #[must_use]
    pub fn in_transaction(self) -> Self {
        Self { in_transaction: true, ..self }
    }
}

/// The next hop and what it failed at; it is not named twice.
fn told(relay: &str, text: &str) -> String {
    let is_named = text.split([' ', ',', ';']).any(|word| word == relay);
    if is_named { text.to_owned() } else { format!("{relay}: {text}") }
}

/// A way to the next hop, used by one delivering thread.
///
/// ```
/// use std::time::Duration;
///
/// use leafmail::receipt::{Outcome, Reason};
/// use leafmail::smtp::EnhancedCode;
/// use leafmail::transport::{Body, Delivery, DeliveryRequest, Dsn, RouteFailure, Transport};
///
/// struct Nowhere;
///
/// impl Transport for Nowhere {
///     fn deliver(&mut self, request: &DeliveryRequest<'_>, _: &mut dyn Body) -> Result<Delivery, RouteFailure> {
///         let outcome = Outcome::Delivered(Reason::new(EnhancedCode(2, 0, 0), "thrown away"));
///         let outcomes = request.recipients().map(|_| outcome.clone()).collect();
///         let (relay, connecting) = ("nowhere".to_owned(), Duration::ZERO);
///         Ok(Delivery { outcomes, relay, connecting, dsn: Dsn::Final, route_trouble: None })
///     }
/// }
/// ```
pub trait Transport: Send {
    /// Hands a message over, reusing an open connection where there is one.
    ///
    /// # Errors
    /// A [`RouteFailure`] when no recipient was judged.
    fn deliver(&mut self, request: &DeliveryRequest<'_>, body: &mut dyn Body) -> Result<Delivery, RouteFailure>;

    /// Ends an open connection politely; the next delivery opens a new one.
    fn disconnect(&mut self) {}

    /// The largest message in octets that the next hop takes, as it said when it last greeted this route (RFC 1870); 0 where
    /// it named no limit, `None` as long as nothing is known.
    fn largest_message(&self) -> Option<u64> {
        None
    }

    /// Whether it is of use to know [what follows](Body::next).
    fn looks_ahead(&self) -> bool {
        false
    }

    /// How long an unused connection may stay open.
    fn idle_limit(&self) -> Duration {
        Duration::from_secs(5)
    }
}

/// Makes a transport for each delivering thread of a route.
///
/// ```
/// use std::sync::Arc;
///
/// use leafmail::transport::{Dispatch, MaildirDispatch};
///
/// let dispatch: Arc<dyn Dispatch> = Arc::new(MaildirDispatch::new("/var/mail/all".into(), 4, None));
/// assert_eq!((dispatch.connections(), dispatch.per_domain()), (4, false));
/// ```
pub trait Dispatch: Send + Sync {
    /// A new transport without a connection.
    fn transport(&self) -> Box<dyn Transport>;

    /// How many deliveries may run side by side, at least 1.
    fn connections(&self) -> usize;

    /// A mark of what it logs in with and where: the settings, and the state of the files of passwords and tokens, without their
    /// content. Another one than at the last failure is a reason to try again at once. 0: it has none.
    fn mark(&self) -> u64 {
        0
    }

    /// Whether all recipients of a request must be of one domain, since each domain has a next hop of its own.
    fn per_domain(&self) -> bool {
        false
    }

    /// Whether mail is held instead of delivered, until a person has it sent by another way. A transport cannot do that: it would judge
    /// recipients.
    fn holds(&self) -> bool {
        false
    }

    /// How many recipients a request should have at most, as far as is known: the next hop takes no more in one transaction.
    fn most_recipients(&self) -> Option<usize> {
        None
    }
}

/// The settings of a route contradict each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("route {route}: {what}")]
pub struct SettingsError {
    pub(super) route: String,
    pub(super) what: String,
}
