//! Fail-over between scripted hops, by a watch that the tests move.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::address::ReversePath;
use crate::clock::Timestamp;
use crate::envelope::{Envelope, Origin, Protocol, Recipient, Recipients};
use crate::id::SpoolId;
use crate::receipt::Outcome;
use crate::transport::Dsn;
use crate::transport::memory::HopRecord;

/// What a hop does next.
#[derive(Clone, Copy, PartialEq)]
enum Act {
    Take,
    Fault,
    /// Takes octets, then fails.
    LateFault,
    /// Takes all, hands over, then fails.
    FaultAfterHandOver,
    Quota,
}

#[derive(Clone)]
struct Scripted {
    name: &'static str,
    act: Arc<Mutex<Act>>,
    tried: Arc<AtomicU64>,
    leaving: Option<Leaving>,
}

impl Scripted {
    fn new(name: &'static str, act: Act) -> Self {
        Self { name, act: Arc::new(Mutex::new(act)), tried: Arc::default(), leaving: None }
    }

    fn now(&self, act: Act) {
        *self.act.lock().unwrap() = act;
    }

    fn tried(&self) -> u64 {
        self.tried.load(Ordering::SeqCst)
    }
}

impl Dispatch for Scripted {
    fn transport(&self) -> Box<dyn Transport> {
        Box::new(self.clone())
    }

    fn connections(&self) -> usize {
        self.name.len()
    }
}

impl Transport for Scripted {
    fn deliver(&mut self, _: &DeliveryRequest<'_>, body: &mut dyn Body) -> Result<Delivery, RouteFailure> {
        self.tried.fetch_add(1, Ordering::SeqCst);
        if let Some(leaving) = &self.leaving {
            leaving.raise();
        }
        let act = *self.act.lock().unwrap();
        if act != Act::Fault {
            let mut octets = Vec::new();
            body.next_piece(&mut octets).unwrap();
            assert_eq!(octets, b"all of it", "{}", self.name);
        }
        if act == Act::FaultAfterHandOver {
            body.hand_over();
        }
        let reason = Reason::new(EnhancedCode(4, 4, 1), "no answer");
        let (outcome, route_trouble) = match act {
            Act::Take => (Outcome::Delivered(reason), None),
            Act::Quota => (Outcome::Deferred(reason.clone()), Some(reason)),
            _ => return Err(RouteFailure::new(reason, self.name.to_owned())),
        };
        let (relay, connecting) = (self.name.to_owned(), Duration::ZERO);
        Ok(Delivery { outcomes: vec![outcome], relay, connecting, dsn: Dsn::Final, route_trouble })
    }
}

struct Octets {
    ended: bool,
    rewinds: bool,
}

impl Body for Octets {
    fn next_piece(&mut self, piece: &mut Vec<u8>) -> std::io::Result<bool> {
        let fresh = !std::mem::replace(&mut self.ended, true);
        *piece = if fresh { b"all of it".to_vec() } else { Vec::new() };
        Ok(fresh)
    }

    fn hand_over(&mut self) {}

    fn rewind(&mut self) -> bool {
        self.ended &= !self.rewinds;
        self.rewinds
    }
}

struct Route {
    dispatch: FailoverDispatch,
    seconds: Arc<AtomicU64>,
}

fn route(hops: &[&Scripted], leaving: Leaving) -> Route {
    let hop = |hop: &&Scripted| Hop {
        name: hop.name.to_owned(),
        dispatch: Arc::new((*hop).clone()),
        record: HopRecord::forgetful(),
    };
    let hops = hops.iter().map(hop).collect();
    let (start, seconds) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let passed = Arc::clone(&seconds);
    let watch = Box::new(move || start + Duration::from_secs(passed.load(Ordering::SeqCst)));
    Route { dispatch: FailoverDispatch::new("r".to_owned(), hops, leaving, watch), seconds }
}

fn send(transport: &mut dyn Transport, rewinds: bool) -> Result<String, RouteFailure> {
    let envelope = Envelope::new(
        ReversePath::parse("", None).unwrap(),
        Recipients::new(vec![Recipient::from("a@x.example".parse::<crate::address::Mailbox>().unwrap())]).unwrap(),
        Origin::local(Protocol::SMTP),
        Timestamp::from_millis(1),
    );
    let id = SpoolId::new(envelope.received_at, 1, 2);
    let request = DeliveryRequest { id, envelope: &envelope, recipients: &[0], size: 9, eight_bit: false };
    transport.deliver(&request, &mut Octets { ended: false, rewinds }).map(|delivery| delivery.relay)
}

#[test]
fn the_second_hop_takes_over_and_the_first_is_left_alone_for_a_while() {
    let (a, b) = (Scripted::new("a", Act::Fault), Scripted::new("bb", Act::Take));
    let route = route(&[&a, &b], Leaving::default());
    assert_eq!(route.dispatch.connections(), 1);
    let (mut one, mut other) = (route.dispatch.transport(), route.dispatch.transport());
    for transport in [&mut one, &mut other] {
        assert_eq!(send(&mut **transport, true).unwrap(), "bb");
    }
    assert_eq!((a.tried(), b.tried()), (1, 2));
    // Then it is tried first again, and left alone for longer.
    for (seconds, tried) in [(121, 2), (121 + 239, 2), (121 + 241, 3), (121 + 241 + 479, 3)] {
        route.seconds.store(seconds, Ordering::SeqCst);
        assert_eq!(send(&mut *one, true).unwrap(), "bb");
        assert_eq!(a.tried(), tried, "{seconds}");
    }
    a.now(Act::Take);
    route.seconds.store(10_000, Ordering::SeqCst);
    for transport in [&mut one, &mut other] {
        assert_eq!(send(&mut **transport, true).unwrap(), "a");
    }
}

#[test]
fn a_rest_never_grows_beyond_half_an_hour() {
    assert_eq!(rest_after(1), FIRST_REST);
    assert_eq!(rest_after(u32::MAX), LONGEST_REST);
}

#[test]
fn when_all_fail_the_fault_tells_of_each() {
    let (a, b) = (Scripted::new("a", Act::Fault), Scripted::new("b", Act::Fault));
    let route = route(&[&a, &b], Leaving::default());
    let mut transport = route.dispatch.transport();
    for _ in 0..2 {
        // Resting hops are tried too where there is no other.
        let fault = send(&mut *transport, true).unwrap_err();
        assert_eq!(fault.reason.text, "a: no answer; b: no answer");
        assert_eq!(fault.reason.status, EnhancedCode(4, 4, 1));
    }
    assert_eq!((a.tried(), b.tried()), (2, 2));
}

#[test]
fn octets_that_were_taken_are_read_again_or_the_message_waits() {
    let (a, b) = (Scripted::new("a", Act::LateFault), Scripted::new("b", Act::Take));
    let route = route(&[&a, &b], Leaving::default());
    let mut transport = route.dispatch.transport();
    assert_eq!(send(&mut *transport, false).unwrap_err().relay, "a");
    assert_eq!(b.tried(), 0);
    // The next attempt finds the first hop resting.
    assert_eq!(send(&mut *transport, false).unwrap(), "b");
    route.seconds.store(1000, Ordering::SeqCst);
    assert_eq!(send(&mut *transport, true).unwrap(), "b");
    assert_eq!(a.tried(), 2);
}

#[test]
fn what_was_handed_over_goes_to_no_other_hop() {
    let (a, b) = (Scripted::new("a", Act::FaultAfterHandOver), Scripted::new("b", Act::Take));
    let route = route(&[&a, &b], Leaving::default());
    assert_eq!(send(&mut *route.dispatch.transport(), true).unwrap_err().relay, "a");
    assert_eq!(b.tried(), 0);
}

#[test]
fn a_hop_whose_account_is_exhausted_is_left_alone() {
    let (a, b) = (Scripted::new("a", Act::Quota), Scripted::new("b", Act::Take));
    let route = route(&[&a, &b], Leaving::default());
    let mut transport = route.dispatch.transport();
    assert_eq!(send(&mut *transport, true).unwrap(), "a");
    assert_eq!(send(&mut *transport, true).unwrap(), "b");
}

#[test]
fn when_it_is_time_to_leave_no_further_hop_is_tried_nor_blamed() {
    let leaving = Leaving::default();
    let a = Scripted { leaving: Some(leaving.clone()), ..Scripted::new("a", Act::Fault) };
    let b = Scripted::new("b", Act::Take);
    let route = route(&[&a, &b], leaving);
    let mut transport = route.dispatch.transport();
    for _ in 0..2 {
        assert_eq!(send(&mut *transport, true).unwrap_err().relay, "a");
    }
    assert_eq!((a.tried(), b.tried()), (2, 0));
}
