//! Mail from the spool to an application: delivered at least once, and again later if the application cannot take it now.
//!
//! Where [`Handler::received`](super::Handler::received) is asked before the client gets its answer, a consumer gets what has
//! been safe on disk since then.

use std::sync::Arc;
use std::time::Duration;

use crate::envelope::Envelope;
use crate::id::SpoolId;
use crate::receipt::{Cause, Outcome, Reason};
use crate::smtp::EnhancedCode;
use crate::transport::{Body, Delivery, DeliveryRequest, Dispatch, Dsn, RouteFailure, Transport};

/// What became of a message.
///
/// ```
/// use leafmail::server::Delivered;
///
/// let answer = Delivered::Later("the database is being copied".to_owned());
/// assert_ne!(answer, Delivered::Taken);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivered {
    /// It is the application's now.
    Taken,
    /// Not now; in words. It is delivered again later.
    Later(String),
    /// Never; in words. Its sender is notified.
    Refused(String),
}

/// An application that takes mail out of a spool. The same message may come twice, with the same id: after a crash nobody knows
/// whether it was taken.
///
/// ```
/// use std::sync::{Arc, Mutex};
///
/// use leafmail::envelope::Envelope;
/// use leafmail::id::SpoolId;
/// use leafmail::server::{Consumer, ConsumerDispatch, Delivered};
///
/// struct Archive(Mutex<std::collections::BTreeMap<String, Vec<u8>>>);
///
/// impl Consumer for Archive {
///     fn deliver(&self, id: SpoolId, _: &Envelope, octets: &[u8]) -> Delivered {
///         self.0.lock().unwrap().insert(id.to_string(), octets.to_vec()); // the second time changes nothing
///         Delivered::Taken
///     }
/// }
///
/// // The `dispatch` of a `leafmail::queue::Route`.
/// let dispatch = ConsumerDispatch::new("archive", Arc::new(Archive(Mutex::default())), 1 << 20);
/// ```
pub trait Consumer: Send + Sync + 'static {
    /// Takes a message for all recipients of its envelope that are still to be delivered to. Called by one thread at a time.
    fn deliver(&self, id: SpoolId, envelope: &Envelope, octets: &[u8]) -> Delivered;
}

/// The way of a route to a [`Consumer`].
///
/// ```
/// use std::sync::Arc;
///
/// use leafmail::server::{Consumer, ConsumerDispatch};
/// use leafmail::transport::Dispatch;
///
/// fn dispatch(consumer: Arc<dyn Consumer>) -> Arc<dyn Dispatch> {
///     Arc::new(ConsumerDispatch::new("archive", consumer, 10_000_000))
/// }
/// ```
pub struct ConsumerDispatch {
    name: String,
    consumer: Arc<dyn Consumer>,
    max_size: u64,
}

impl ConsumerDispatch {
    /// To this consumer, which logs name so. Messages of more than `max_size` octets, which are in memory meanwhile, are refused.
    pub fn new(name: &str, consumer: Arc<dyn Consumer>, max_size: u64) -> Self {
        Self { name: name.to_owned(), consumer, max_size }
    }
}

impl Dispatch for ConsumerDispatch {
    fn transport(&self) -> Box<dyn Transport> {
        let Self { name, consumer, max_size } = self;
        Box::new(ConsumerTransport { name: name.clone(), consumer: Arc::clone(consumer), max_size: *max_size })
    }

    fn connections(&self) -> usize {
        1
    }
}

struct ConsumerTransport {
    name: String,
    consumer: Arc<dyn Consumer>,
    max_size: u64,
}

impl ConsumerTransport {
    fn outcome(&self, request: &DeliveryRequest<'_>, body: &mut dyn Body) -> Outcome {
        let reason = |code, text: String| Reason::new(code, text);
        if request.size > self.max_size {
            let text = format!("the message has {} octets, the route takes {} at most", request.size, self.max_size);
            return Outcome::Failed(reason(EnhancedCode(5, 3, 4), text).because(Cause::TooLargeForRoute));
        }
        let (mut octets, mut piece) = (Vec::new(), Vec::new());
        loop {
            match body.next_piece(&mut piece) {
                Ok(true) => octets.extend_from_slice(&piece),
                Ok(false) => break,
                Err(error) => {
                    let text = format!("reading the message failed: {error}");
                    return Outcome::Deferred(reason(EnhancedCode(4, 3, 0), text).because(Cause::Resources));
                }
            }
        }
        body.hand_over();
        match self.consumer.deliver(request.id, request.envelope, &octets) {
            Delivered::Taken => Outcome::Delivered(reason(EnhancedCode(2, 0, 0), format!("taken by {}", self.name))),
            Delivered::Later(text) => Outcome::Deferred(reason(EnhancedCode(4, 3, 0), text)),
            Delivered::Refused(text) => Outcome::Failed(reason(EnhancedCode(5, 7, 1), text)),
        }
    }
}

impl Transport for ConsumerTransport {
    fn deliver(&mut self, request: &DeliveryRequest<'_>, body: &mut dyn Body) -> Result<Delivery, RouteFailure> {
        let outcome = self.outcome(request, body);
        let outcomes = request.recipients().map(|_| outcome.clone()).collect();
        let relay = self.name.clone();
        Ok(Delivery { outcomes, relay, connecting: Duration::ZERO, dsn: Dsn::Final, route_trouble: None })
    }
}
