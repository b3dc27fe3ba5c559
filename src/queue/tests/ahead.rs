//! Looking ahead: the next message is made ready while one is on its way, and nothing is lost, late or sent twice by it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::id::SpoolId;
use crate::queue::routes::pace::RateDecision;
use crate::queue::testing::{Answer, House, id};
use crate::queue::{ConnectionPermit, Route, RouteLimits, RouteState};
use crate::routing::Criteria;
use crate::spool::{Claimed, Spool};

fn house(messages: u16, connections: usize) -> House {
    let house = House::new();
    house.next_hop.connections.store(connections, Ordering::SeqCst);
    for number in 0..messages {
        house.put(number, "joe@x", &["amy@x", "bob@y"]);
    }
    house
}

fn announced(house: &House) -> Vec<(SpoolId, SpoolId)> {
    house.next_hop.announced.lock().unwrap().clone()
}

#[test]
fn what_is_announced_is_delivered_next_and_everything_once() {
    let house = house(40, 1);
    assert_eq!(house.flush().sent, 40);
    let taken: Vec<SpoolId> = house.next_hop.taken.lock().unwrap().iter().map(|taken| taken.id).collect();
    assert_eq!(taken.len(), 80);
    let pairs = announced(&house);
    assert!(pairs.len() >= 38, "{} of 39", pairs.len());
    for (message, next) in pairs {
        let at = taken.iter().rposition(|id| *id == message).unwrap();
        assert_eq!(taken[at + 1], next);
    }
}

#[test]
fn nobody_waits_behind_another_where_a_worker_is_free() {
    let house = house(4, 8);
    assert_eq!((house.flush().sent, announced(&house)), (4, vec![]));
}

#[test]
fn what_was_announced_goes_back_where_the_route_fails() {
    for answer in [Answer::Fault, Answer::LateFault, Answer::Exhausted] {
        let house = house(20, 1);
        house.next_hop.answers(move |_, _| answer);
        let summary = house.flush();
        assert_eq!((summary.sent, summary.remaining), (0, 20), "{answer:?}");
        let waiting: Vec<_> = (0..20).filter(|number| house.spool.receipts(id(*number)).is_empty()).collect();
        assert!(waiting.len() >= 19, "{answer:?}: {waiting:?}");
        for number in 0..20 {
            assert!(matches!(house.spool.claim(id(number)), Ok(Claimed::Ours(_))), "{answer:?}");
        }
    }
}

#[test]
fn what_was_announced_goes_back_when_it_is_time_to_leave() {
    let house = house(20, 1);
    let stop = Arc::clone(&house.stop);
    house.next_hop.answers_beside(move || stop.raise());
    let summary = house.flush();
    assert_eq!((summary.sent, summary.remaining, announced(&house).len()), (1, 19, 1));
    assert!((0..20).all(|number| !matches!(house.spool.claim(id(number)), Ok(Claimed::Busy))));
}

#[test]
fn an_internal_error_over_one_message_does_not_take_the_next_along() {
    let house = house(20, 1);
    house.next_hop.answers(|envelope, _| {
        if envelope.reverse_path.to_string().starts_with("eve") { Answer::Panic } else { Answer::Take }
    });
    house.put(100, "eve@x", &["amy@x"]);
    let summary = house.flush();
    assert_eq!((summary.sent, summary.troubles), (20, 1));
}

/// Lets everything through, at a pace.
struct Paced;

impl RouteLimits for Paced {
    fn permit(&self) -> Option<ConnectionPermit> {
        ().permit()
    }

    fn admit(&self) -> RateDecision {
        RateDecision::Now
    }

    fn is_paced(&self) -> bool {
        true
    }
}

#[test]
fn nothing_is_announced_where_it_may_not_go_or_goes_elsewhere() {
    let paced = house(20, 1);
    let mut runner = paced.runner();
    runner.routes = vec![Route { limits: Arc::new(Paced), ..paced.route("main", Criteria::default()) }];
    runner.flush(crate::queue::Selection::All, crate::queue::Urgency::Due).unwrap();
    assert!(announced(&paced).is_empty() && paced.queue_is_empty());
    let direct = house(20, 1);
    direct.next_hop.per_domain.store(true, Ordering::SeqCst);
    direct.flush();
    assert!(announced(&direct).is_empty() && direct.queue_is_empty());
    let probed = house(20, 1);
    let now = crate::clock::Clock::now(probed.clock.as_ref());
    let paused = RouteState::Open.after_fault(
        "main",
        &crate::queue::testing::reason(crate::receipt::ReceiptKind::Deferred),
        now,
    );
    crate::queue::RouteStore::save(probed.routes.as_ref(), "main", &paused).unwrap();
    probed.clock.advance(Duration::from_secs(60));
    probed.flush();
    let first = probed.next_hop.taken.lock().unwrap()[0].id;
    assert!(announced(&probed).iter().all(|(message, _)| *message != first), "the probe goes alone");
    assert!(probed.queue_is_empty());
}
