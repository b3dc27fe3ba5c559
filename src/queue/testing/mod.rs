//! Doubles for the tests of the queue: short ways to write envelopes and receipts, a clock that does not move until it is set,
//! a spool in memory that models claims, durability and crashes, and a transport that follows a script.

mod next_hop;
mod readdressed;
mod spool;

pub(crate) use next_hop::{Answer, Door, NextHop};
pub(crate) use readdressed::{aliases, crash_at_each_step, envelopes_seen, pass_often};
pub(crate) use spool::{Crash, MemorySpool, Moment};

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::dsn::tally::Tally;
use super::{NoticeSettings, Route, RouteState, RouteStore, Runner, Schedule, Selection, StopFlag, Summary, Urgency};
use crate::address::{Mailbox, ReversePath};
use crate::clock::{Clock, Timestamp};
use crate::envelope::{Envelope, Origin, Protocol, Recipient, Recipients, Seal};
use crate::event::{Event, Observer};
use crate::id::SpoolId;
use crate::receipt::{Reason, Receipt, ReceiptKind};
use crate::routing::Criteria;
use crate::smtp::EnhancedCode;
use crate::spool::Folder;

pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

pub(crate) fn id(number: u16) -> SpoolId {
    SpoolId::new(at(1_795_000_000), number, u64::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

pub(crate) fn envelope(sender: &str, recipients: &[&str]) -> Envelope {
    let recipients = recipients.iter().map(|text| Recipient::from(text.parse::<Mailbox>().unwrap()));
    Envelope::new(
        ReversePath::parse(sender, None).unwrap(),
        Recipients::new(recipients.collect()).unwrap(),
        Origin::local(Protocol::SMTP),
        at(1_795_000_000),
    )
}

pub(crate) fn reason(what: ReceiptKind) -> Reason {
    let (code, text) = match what {
        ReceiptKind::Delivered => (250, "250 2.0.0 ok"),
        ReceiptKind::Failed => (550, "550 5.1.1 no such user"),
        _ => (451, "451 4.3.0 later"),
    };
    Reason { status: EnhancedCode(code / 100, 0, 0), reply_code: Some(code), text: text.into(), cause: None }
}

pub(crate) fn receipt(at: Timestamp, what: ReceiptKind, recipients: &[u16]) -> Receipt {
    Receipt::new(at, what, recipients.to_vec(), reason(what))
}

pub(crate) fn mark(at: Timestamp, recipients: &[u16]) -> Receipt {
    let mut mark = receipt(at, ReceiptKind::InDoubt, recipients);
    mark.annotations.push((crate::annotation::HANDED_OVER.into(), String::new()));
    mark
}

pub(crate) fn seal() -> Seal {
    Seal {
        completed_at: at(1_795_000_001),
        eight_bit: false,
        hops: 0,
        message_id: Some("<1@x>".into()),
        annotations: Vec::new(),
    }
}

/// A clock that does not move until it is set.
pub(crate) struct SimulatedClock(AtomicU64);

impl SimulatedClock {
    pub(crate) fn set(&self, time: Timestamp) {
        self.0.store(time.as_millis(), Ordering::SeqCst);
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.set(self.now() + by);
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// Remembers all events.
#[derive(Default)]
pub(crate) struct EventLog(Mutex<Vec<Event>>);

impl EventLog {
    pub(crate) fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.0.lock().unwrap().iter().filter(|event| wanted(event)).count()
    }
}

impl Observer for EventLog {
    fn observe(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

/// Keeps the states of routes in memory.
#[derive(Default)]
pub(crate) struct RouteMemory(Mutex<HashMap<String, RouteState>>, pub(crate) Mutex<Tally>);

impl RouteStore for RouteMemory {
    fn load(&self, route: &str) -> io::Result<Option<RouteState>> {
        Ok(Some(self.0.lock().unwrap().get(route).cloned().unwrap_or_default()))
    }

    fn save(&self, route: &str, state: &RouteState) -> io::Result<()> {
        self.0.lock().unwrap().insert(route.to_owned(), state.clone());
        Ok(())
    }

    fn tally(&self, change: &mut dyn FnMut(&mut Tally)) -> io::Result<()> {
        change(&mut self.1.lock().unwrap());
        Ok(())
    }
}

/// A spool, a next hop that takes everything, and what a runner needs beside them.
pub(crate) struct House {
    pub(crate) spool: MemorySpool,
    pub(crate) clock: Arc<SimulatedClock>,
    pub(crate) next_hop: Arc<NextHop>,
    pub(crate) events: Arc<EventLog>,
    pub(crate) routes: Arc<RouteMemory>,
    pub(crate) stop: Arc<StopFlag>,
    pub(crate) notices: NoticeSettings,
}

impl House {
    pub(crate) fn new() -> Self {
        let spool = MemorySpool::default();
        let clock = Arc::new(SimulatedClock(AtomicU64::new(at(1_795_000_010).as_millis())));
        let next_hop = NextHop {
            script: Mutex::new(Box::new(|_, _| Answer::Take)),
            meanwhile: Mutex::new(Arc::new(|| ())),
            taken: Mutex::default(),
            attempts: Mutex::default(),
            announced: Mutex::default(),
            partings: Mutex::default(),
            connections: AtomicUsize::new(4),
            per_domain: AtomicBool::default(),
            most_recipients: AtomicUsize::new(0),
            passes_dsn_on: AtomicBool::default(),
            clock: Arc::clone(&clock),
            spool: spool.clone(),
        };
        Self {
            spool,
            clock,
            next_hop: Arc::new(next_hop),
            events: Arc::default(),
            routes: Arc::default(),
            stop: Arc::new(StopFlag::new().unwrap()),
            notices: NoticeSettings::default(),
        }
    }

    /// A route to the one next hop.
    pub(crate) fn route(&self, name: &str, criteria: Criteria) -> Route {
        Route {
            name: name.into(),
            criteria,
            dispatch: Arc::new(Door(Arc::clone(&self.next_hop))),
            limits: Arc::new(()),
        }
    }

    /// What another process would have.
    pub(crate) fn runner(&self) -> Runner<MemorySpool> {
        Runner {
            spool: Arc::new(self.spool.clone()),
            routes: vec![self.route("main", Criteria::default())],
            readdressing: Arc::default(),
            schedule: Schedule::default(),
            states: Arc::clone(&self.routes) as Arc<dyn RouteStore>,
            observer: Arc::clone(&self.events) as Arc<dyn Observer>,
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            hostname: "relay.example".parse().unwrap(),
            return_full: 1_000,
            notices: self.notices.clone(),
            stop: Arc::clone(&self.stop),
        }
    }

    pub(crate) fn put(&self, number: u16, sender: &str, recipients: &[&str]) -> SpoolId {
        self.spool.put(id(number), envelope(sender, recipients), b"Subject: hi\r\n\r\nhello\r\n");
        id(number)
    }

    pub(crate) fn flush(&self) -> Summary {
        self.runner().flush(Selection::All, Urgency::Due).unwrap()
    }

    /// Flushes whenever something is due, as long as `days` last and the queue is not empty.
    pub(crate) fn live(&self, days: u64) {
        let end = self.clock.now() + Duration::from_secs(days * 86_400);
        while self.clock.now() < end {
            self.flush();
            let Some(due) = self.spool.next_due() else { return };
            self.clock.set(due.max(self.clock.now() + Duration::from_secs(1)));
        }
    }

    pub(crate) fn queue_is_empty(&self) -> bool {
        self.spool.on(Folder::Queue).is_empty()
    }
}
