//! Who goes first, and how many at once: lanes, connections and the pace of a route, in simulated time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::clock::Clock;
use crate::queue::routes::pace::RateDecision;
use crate::queue::testing::{Answer, House, at, envelope, id};
use crate::queue::{ConnectionPermit, Route, RouteLimits, Runner, Selection, SharedRouteLimits, Urgency};
use crate::routing::Criteria;
use crate::spool::Folder;
use crate::sys::SystemClock;

use super::routes::pass;

#[test]
fn an_alert_does_not_wait_for_a_flood() {
    let house = House::new();
    house.next_hop.connections.store(1, Ordering::SeqCst);
    let arrived = house.clock.now().as_millis() / 1000;
    for number in 0..3_000 {
        house.put(number, "flood@x", &["amy@a"]);
        house.spool.set_due(id(number), at(arrived - 5_000 + u64::from(number)));
    }
    house.put(3_000, "ups@x", &["ann@a"]);
    house.put(3_001, "scan@x", &["eve@a"]);
    pass(&house.runner(), Urgency::Due);
    let taken = house.next_hop.taken.lock().unwrap();
    for alert in ["ann@a", "eve@a"] {
        let place = taken.iter().position(|taken| taken.to == alert).unwrap();
        assert!(place < 10, "{place} messages went before {alert}");
    }
    assert_eq!(taken.len(), 3_002);
}

#[test]
fn an_alert_waits_for_one_large_scan_at_most() {
    let house = House::new();
    house.next_hop.connections.store(1, Ordering::SeqCst);
    for number in 0..6 {
        house.spool.put(id(number), envelope("scan@x", &["eve@a"]), &vec![b'x'; 30 << 20]);
    }
    house.put(6, "ups@x", &["ann@a"]);
    pass(&house.runner(), Urgency::Due);
    let order: Vec<_> = house.next_hop.taken.lock().unwrap().iter().map(|taken| taken.to.clone()).collect();
    assert!(order[..2].contains(&"ann@a".to_owned()), "{order:?}");
    assert_eq!(order.len(), 7);
}

#[test]
fn large_messages_leave_a_connection_free() {
    let house = House::new();
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, highest) = (Arc::clone(&now), Arc::clone(&most));
    house.next_hop.answers_beside(move || {
        highest.fetch_max(counted.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(5));
        counted.fetch_sub(1, Ordering::SeqCst);
    });
    for number in 0..12 {
        house.spool.put(id(number), envelope("scan@x", &["eve@a"]), &vec![b'x'; 2 << 20]);
    }
    assert_eq!(pass(&house.runner(), Urgency::Due).sent, 12);
    assert!((2..=3).contains(&most.load(Ordering::SeqCst)), "{most:?} of 4 connections");
}

#[test]
fn who_has_a_connection_goes_on_while_others_of_the_pass_find_none() {
    let (house, folder) = (House::new(), tempfile::tempdir().unwrap());
    house.next_hop.connections.store(3, Ordering::SeqCst);
    // As if another process had the other two.
    let limits = Arc::new(SharedRouteLimits::new(folder.path(), "main", 1, None, Arc::new(SystemClock)));
    let runner =
        Runner { routes: vec![Route { limits, ..house.route("main", Criteria::default()) }], ..house.runner() };
    house.next_hop.answers_beside(|| std::thread::sleep(Duration::from_millis(3)));
    for number in 0..20 {
        house.put(number, "joe@x", &["amy@a"]);
    }
    let summary = pass(&runner, Urgency::Due);
    assert_eq!((summary.sent, summary.remaining), (20, 0));
}

/// Lets this many messages through, and one connection; then none for a minute.
#[derive(Default)]
struct Narrow {
    passed: AtomicUsize,
    crowded: bool,
}

impl RouteLimits for Narrow {
    fn permit(&self) -> Option<ConnectionPermit> {
        if self.crowded { None } else { RouteLimits::permit(&()) }
    }

    fn admit(&self) -> RateDecision {
        let passed = self.passed.fetch_add(1, Ordering::SeqCst);
        if passed % 4 < 3 { RateDecision::Now } else { RateDecision::Wait(Duration::from_secs(60)) }
    }
}

#[test]
fn a_pass_keeps_the_pace_and_leaves_where_others_have_the_connections() {
    let house = House::new();
    house.next_hop.connections.store(1, Ordering::SeqCst);
    let narrow = |crowded| {
        let limits = Arc::new(Narrow { passed: AtomicUsize::new(0), crowded });
        Runner { routes: vec![Route { limits, ..house.route("main", Criteria::default()) }], ..house.runner() }
    };
    for number in 0..10 {
        house.put(number, "joe@x", &["amy@a"]);
    }
    assert_eq!(pass(&narrow(true), Urgency::Due).remaining, 10);
    assert_eq!(house.next_hop.attempts.lock().unwrap().len(), 0);
    // The clock does not move: somebody has to move it while the pass waits.
    std::thread::scope(|scope| {
        let passing = scope.spawn(|| pass(&narrow(false), Urgency::Due));
        let mut minutes = 0;
        while !passing.is_finished() {
            if house.next_hop.taken_by("amy@a") == 3 * (minutes + 1) {
                std::thread::sleep(Duration::from_millis(20));
                house.clock.advance(Duration::from_secs(61));
                minutes += 1;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!((minutes, passing.join().unwrap().sent), (3, 10));
    });
}

#[test]
fn a_pass_that_waits_for_the_pace_leaves_when_it_is_told_to() {
    let house = House::new();
    house.next_hop.connections.store(1, Ordering::SeqCst);
    let narrow = Arc::new(Narrow { passed: AtomicUsize::new(0), crowded: false });
    let runner =
        Runner { routes: vec![Route { limits: narrow, ..house.route("main", Criteria::default()) }], ..house.runner() };
    for number in 0..10 {
        house.put(number, "joe@x", &["amy@a"]);
    }
    std::thread::scope(|scope| {
        let passing = scope.spawn(|| pass(&runner, Urgency::Due));
        let mut looks = 0..2_000;
        let mut look_until = |done: &dyn Fn() -> bool| {
            looks.any(|_| {
                std::thread::sleep(Duration::from_millis(5));
                done()
            })
        };
        // Once it has hung up, nothing but the pace is waited for.
        assert!(look_until(&|| *house.next_hop.partings.lock().unwrap() == 1));
        std::thread::sleep(Duration::from_millis(20));
        house.stop.raise();
        assert!(look_until(&|| passing.is_finished()), "it waits for the pace");
    });
    assert_eq!(house.next_hop.taken_by("amy@a"), 3);
}

#[test]
fn one_message_can_be_flushed_alone_and_before_its_time() {
    let house = House::new();
    house.next_hop.answers(|_, _| Answer::Later);
    house.put(1, "joe@x", &["amy@x"]);
    house.put(2, "joe@x", &["amy@x"]);
    house.flush();
    house.next_hop.answers(|_, _| Answer::Take);
    let runner = house.runner();
    assert_eq!(runner.flush(Selection::One(id(2)), Urgency::Due).unwrap().deferred, 1);
    let summary = runner.flush(Selection::One(id(2)), Urgency::Now).unwrap();
    assert_eq!((summary.sent, summary.remaining), (1, 0));
    assert_eq!(house.spool.on(Folder::Queue), [id(1)]);
    assert_eq!(runner.flush(Selection::One(id(2)), Urgency::Now).unwrap().gone, 1);
}
