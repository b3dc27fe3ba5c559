//! A next hop that follows a script, and writes down what it took.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::spool::MemorySpool;
use super::{SimulatedClock, reason};
use crate::clock::{Clock, Timestamp};
use crate::envelope::{Envelope, Notify, Recipient};
use crate::id::SpoolId;
use crate::receipt::{Outcome, Reason, ReceiptKind};
use crate::smtp::EnhancedCode;
use crate::transport::{Body, Delivery, DeliveryRequest, Dispatch, Dsn, RouteFailure, Transport};

/// What the next hop does with a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Take,
    Later,
    Never,
    /// Takes the message, but its answer gets lost.
    Vanish,
    /// Refuses us rather than the mail.
    Fault,
    /// Refuses us after the message was handed over.
    LateFault,
    /// Says that our account has sent enough for today.
    Exhausted,
    /// Takes no more recipients in this transaction.
    NextTime,
    /// Ends the dialogue at the commands of the message.
    HangUp,
    Panic,
}

type Script = Box<dyn Fn(&Envelope, &Recipient) -> Answer + Send + Sync>;

/// What was taken.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    pub(crate) id: SpoolId,
    pub(crate) to: String,
    pub(crate) sender: String,
    pub(crate) notify: Option<Notify>,
    pub(crate) octets: Arc<Vec<u8>>,
}

pub(crate) struct NextHop {
    pub(crate) script: Mutex<Script>,
    /// What goes on during a delivery.
    pub(crate) meanwhile: Mutex<Arc<dyn Fn() + Send + Sync>>,
    pub(crate) taken: Mutex<Vec<Taken>>,
    pub(crate) attempts: Mutex<Vec<(SpoolId, String, Timestamp)>>,
    /// Which message was known to follow which, when that was handed over.
    pub(crate) announced: Mutex<Vec<(SpoolId, SpoolId)>>,
    /// How often a connection was ended.
    pub(crate) partings: Mutex<u32>,
    /// How many connections each route to it has.
    pub(crate) connections: AtomicUsize,
    /// Whether it wants each domain's recipients apart.
    pub(crate) per_domain: AtomicBool,
    /// How many recipients it takes in one transaction; 0: any number.
    pub(crate) most_recipients: AtomicUsize,
    /// Whether it does DSN.
    pub(crate) passes_dsn_on: AtomicBool,
    pub(crate) clock: Arc<SimulatedClock>,
    /// A process that has stopped hands nothing over.
    pub(crate) spool: MemorySpool,
}

impl NextHop {
    pub(crate) fn answers(&self, script: impl Fn(&Envelope, &Recipient) -> Answer + Send + Sync + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
    }

    pub(crate) fn answers_beside(&self, meanwhile: impl Fn() + Send + Sync + 'static) {
        *self.meanwhile.lock().unwrap() = Arc::new(meanwhile);
    }

    pub(crate) fn taken_by(&self, to: &str) -> usize {
        self.taken.lock().unwrap().iter().filter(|taken| taken.to == to).count()
    }
}

pub(crate) struct Door(pub(crate) Arc<NextHop>);

impl Dispatch for Door {
    fn transport(&self) -> Box<dyn Transport> {
        Box::new(Line(Arc::clone(&self.0)))
    }

    fn connections(&self) -> usize {
        self.0.connections.load(Ordering::SeqCst)
    }

    fn per_domain(&self) -> bool {
        self.0.per_domain.load(Ordering::SeqCst)
    }

    fn most_recipients(&self) -> Option<usize> {
        Some(self.0.most_recipients.load(Ordering::SeqCst)).filter(|most| *most > 0)
    }
}

struct Line(Arc<NextHop>);

const RELAY: &str = "mx.example[192.0.2.1]:25";

impl Line {
    fn fault() -> RouteFailure {
        RouteFailure::new(Reason::new(EnhancedCode(4, 4, 1), "connection refused"), RELAY.into())
    }
}

impl Transport for Line {
    fn deliver(&mut self, request: &DeliveryRequest<'_>, body: &mut dyn Body) -> Result<Delivery, RouteFailure> {
        let answer =
            |recipient| (self.0.script.lock().unwrap_or_else(|lock| lock.into_inner()))(request.envelope, recipient);
        let meanwhile = Arc::clone(&self.0.meanwhile.lock().unwrap());
        meanwhile();
        let answers: Vec<_> = request.recipients().map(answer).collect();
        for recipient in request.recipients() {
            let attempt = (request.id, recipient.mailbox.to_string(), self.0.clock.now());
            self.0.attempts.lock().unwrap().push(attempt);
        }
        assert!(!answers.contains(&Answer::Panic), "the script says so");
        if answers.contains(&Answer::Fault) {
            return Err(Self::fault());
        }
        if answers.contains(&Answer::HangUp) {
            return Err(Self::fault().in_transaction());
        }
        if answers.iter().any(|answer| !matches!(answer, Answer::Never)) {
            let (mut octets, mut piece) = (Vec::new(), Vec::new());
            while body.next_piece(&mut piece).unwrap() {
                octets.extend_from_slice(&piece);
            }
            assert_eq!(octets.len() as u64, request.size);
            body.hand_over();
            if let Some(next) = body.next() {
                assert!(!next.recipients.is_empty());
                self.0.announced.lock().unwrap().push((request.id, next.id));
            }
            if self.0.spool.has_stopped() || answers.contains(&Answer::LateFault) {
                return Err(Self::fault());
            }
            let octets = Arc::new(octets);
            let sender = request.envelope.reverse_path.to_string();
            for (recipient, _) in request.recipients().zip(&answers).filter(|(_, answer)| **answer == Answer::Take) {
                let (to, octets) = (recipient.mailbox.to_string(), Arc::clone(&octets));
                self.0.taken.lock().unwrap().push(Taken {
                    id: request.id,
                    to,
                    sender: sender.clone(),
                    notify: recipient.notify,
                    octets,
                });
            }
        }
        let outcomes = answers.iter().map(|answer| match answer {
            Answer::Take => Outcome::Delivered(reason(ReceiptKind::Delivered)),
            Answer::Never => Outcome::Failed(reason(ReceiptKind::Failed)),
            Answer::NextTime => Outcome::Postponed(reason(ReceiptKind::Deferred)),
            Answer::Vanish => Outcome::InDoubt(reason(ReceiptKind::InDoubt)),
            _ => Outcome::Deferred(reason(ReceiptKind::Deferred)),
        });
        let dsn = if self.0.passes_dsn_on.load(Ordering::SeqCst) { Dsn::PassedOn } else { Dsn::NotPassedOn };
        let (outcomes, connecting) = (outcomes.collect(), Duration::ZERO);
        let exhausted = answers.contains(&Answer::Exhausted);
        let route_trouble = exhausted.then(|| Reason::new(EnhancedCode(4, 7, 28), "daily quota exceeded"));
        Ok(Delivery { outcomes, relay: RELAY.into(), connecting, dsn, route_trouble })
    }

    fn looks_ahead(&self) -> bool {
        true
    }

    fn idle_limit(&self) -> Duration {
        Duration::from_millis(50)
    }

    fn disconnect(&mut self) {
        *self.0.partings.lock().unwrap() += 1;
    }
}
