//! Transports: what hands a message to the next hop, with one outcome per recipient.
//!
//! A transport judges recipients; it does not know of the spool, of receipts, or of when to try again. What it says about
//! *no* recipient, because the next hop could not be reached or refused us rather than the mail, is a [`Fault`].

mod classify;
mod credential;
mod failover;
mod flight;
mod header_first;
mod leaving;
mod login;
mod maildir;
mod manner;
mod mx;
mod next_hop;
#[cfg(feature = "oauth2")]
mod oauth2;
mod origin;
mod parameters;
mod pieces;
mod pin;
mod probe;
mod replay;
mod sasl;
mod secret;
mod smarthost;
mod token;
mod transaction;
mod url;
mod wire;

pub use classify::{Meaning, Place, meaning};
pub use leaving::Leaving;
pub use maildir::{MaildirDispatch, MaildirTransport};
pub use mx::{MxDispatch, MxTransport};
pub use next_hop::{AuthMethod, ClientIdentity, DirectMx, EightBit, Extensions, NextHop, Roots, RouteSettings};
pub use next_hop::{Secret, Smarthost};
pub use next_hop::{Timeouts, TlsPolicy, TlsSettings, TokenGrant, TokenSource};
pub use pin::{Pin, PinError};
pub use probe::{Inquiry, Step, Verdict, own_certificate, probe};
pub use smarthost::{SmarthostDispatch, SmarthostTransport};
pub use url::NextHopError;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use failover::{FailoverDispatch, Hop};

use crate::envelope::{Envelope, Recipient};
use crate::id::SpoolId;
use crate::receipt::{Outcome, Reason};

/// One message on its way to some of its recipients.
#[derive(Debug, Clone, Copy)]
pub struct Consignment<'a> {
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

impl<'a> Consignment<'a> {
    /// The recipients of this attempt.
    pub fn recipients(&self) -> impl Iterator<Item = &'a Recipient> {
        self.recipients.iter().filter_map(|index| self.envelope.recipients.get(usize::from(*index)))
    }
}

/// The message's octets, with CRLF line ends, in pieces.
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

    /// Called once all octets were taken, immediately before what makes the next hop responsible (the final dot) is sent:
    /// from now until the answer, the message is *in doubt*.
    fn hand_over(&mut self);

    /// The message that will be delivered next over the same transport, where one is known. It may be announced in the flight
    /// that ends this one (RFC 2920 3.1), and is then the one that is expected next: any other costs the connection.
    fn next(&self) -> Option<Consignment<'_>> {
        None
    }
}

/// What came of one delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// One outcome per recipient, in the order of [`Consignment::recipients`].
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
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{relay}: {}", reason.text)]
pub struct Fault {
    /// What was being done and what failed, or the next hop's own words.
    pub reason: Reason,
    /// The next hop, as far as it is known.
    pub relay: String,
}

/// A way to the next hop, used by one delivering thread.
pub trait Transport: Send {
    /// Hands a message over, reusing an open connection where there is one.
    ///
    /// # Errors
    /// A [`Fault`] when no recipient was judged.
    fn deliver(&mut self, consignment: &Consignment<'_>, body: &mut dyn Body) -> Result<Delivery, Fault>;

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
pub trait Dispatch: Send + Sync {
    /// A new transport without a connection.
    fn transport(&self) -> Box<dyn Transport>;

    /// How many deliveries may run side by side, at least 1.
    fn connections(&self) -> usize;

    /// Whether all recipients of a consignment must be of one domain, since each domain has a next hop of its own.
    fn per_domain(&self) -> bool {
        false
    }
}

/// The settings of a route contradict each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("route {route}: {what}")]
pub struct ConfigError {
    route: String,
    what: String,
}

/// The dispatch for a route's next hops, each with settings of its own: where one does not work, the next is tried at once.
/// Nothing is read or opened before the first delivery. Once `leaving` is raised, a delivery that waits for a next hop ends with
/// a [`Fault`] if the message was not handed over yet, and soon if it was.
///
/// # Errors
/// When there is no next hop, or settings contradict each other.
pub fn dispatch(hops: &[RouteSettings], leaving: Leaving) -> Result<Arc<dyn Dispatch>, ConfigError> {
    let [first, others @ ..] = hops else {
        return Err(ConfigError { route: "without a name".to_owned(), what: "expected a next hop".to_owned() });
    };
    if others.is_empty() {
        return single(first, leaving);
    }
    let hop = |settings: &RouteSettings| {
        let (name, dispatch) = (settings.next_hop.to_string(), single(settings, leaving.clone())?);
        Ok(Hop { name, dispatch })
    };
    let hops = hops.iter().map(hop).collect::<Result<_, _>>()?;
    Ok(Arc::new(FailoverDispatch::new(first.name.clone(), hops, leaving, Box::new(Instant::now))))
}

fn single(settings: &RouteSettings, leaving: Leaving) -> Result<Arc<dyn Dispatch>, ConfigError> {
    Ok(match &settings.next_hop {
        NextHop::Smarthost(_) => Arc::new(SmarthostDispatch::new(settings, leaving)?),
        NextHop::Mx(_) => direct(settings, leaving)?,
        NextHop::Maildir(path) => {
            if settings.source.is_some() {
                let what = "expected no source address, as the next hop is a folder".to_owned();
                return Err(ConfigError { route: settings.name.clone(), what });
            }
            Arc::new(MaildirDispatch::new(path.clone(), settings.connections, settings.max_size))
        }
    })
}

#[cfg(feature = "mx")]
fn direct(settings: &RouteSettings, leaving: Leaving) -> Result<Arc<dyn Dispatch>, ConfigError> {
    let dns = Arc::new(crate::dns::DnsExchangers::default());
    Ok(Arc::new(MxDispatch::new(settings, dns, leaving)?))
}

#[cfg(not(feature = "mx"))]
fn direct(settings: &RouteSettings, _: Leaving) -> Result<Arc<dyn Dispatch>, ConfigError> {
    let what = "this leafmail was built without the feature mx, which looks mail exchangers up: build it with \
                --features mx, or name a smarthost";
    Err(ConfigError { route: settings.name.clone(), what: what.to_owned() })
}
