//! A runner that watches: workers are threads, time is simulated.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::clock::{Clock, Timestamp};
use crate::event::Event;
use crate::queue::testing::{Answer, House, RouteMemory, SimulatedClock, id};
use crate::queue::{RouteState, RouteStore, Runner, Selection, StopFlag, Urgency, Wakeup, Wakeups};
use crate::receipt::ReceiptKind;

/// Lets the workers come to rest, then lets time pass, until the queue is empty or the days are over.
struct Passing<'a> {
    house: &'a House,
    end: Timestamp,
    /// How often it looks whether they have come to rest: where what is due cannot be delivered, they never do.
    looks: u32,
}

impl Wakeups for Passing<'_> {
    fn wait(&mut self, at_most: Duration) -> Vec<Wakeup> {
        let now = self.house.clock.now();
        for _ in 0..self.looks {
            if self.house.spool.next_due().is_none_or(|due| due > now) {
                break;
            }
            std::thread::sleep(Duration::from_micros(100));
        }
        if self.house.queue_is_empty() || now >= self.end {
            self.house.stop.raise();
        }
        self.house.clock.advance(at_most);
        Vec::new()
    }
}

#[test]
fn a_watch_delivers_retries_probes_and_leaves_when_it_is_told_to() {
    let house = House::new();
    let attempts = AtomicU32::new(0);
    house.next_hop.answers(move |_, _| match attempts.fetch_add(1, Ordering::SeqCst) {
        0..3 => Answer::Fault,
        3..10 => Answer::Later,
        10 => Answer::Panic,
        _ => Answer::Take,
    });
    for number in 0..5 {
        house.put(number, "joe@x", &["amy@x"]);
    }
    let end = house.clock.now() + Duration::from_secs(86_400);
    house.runner().watch(Passing { house: &house, end, looks: 500 });
    assert!(house.queue_is_empty());
    assert_eq!(house.next_hop.taken_by("amy@x"), 5);
    assert!(*house.next_hop.partings.lock().unwrap() >= 1, "connections are ended politely");
    assert_eq!(house.events.count(|event| matches!(event, Event::RouteResumed { .. })), 1);
}

#[test]
fn a_watch_takes_what_it_is_told_of_and_keeps_what_it_could_not_record() {
    struct Told<'a>(&'a House, u32);
    impl Wakeups for Told<'_> {
        fn wait(&mut self, _at_most: Duration) -> Vec<Wakeup> {
            self.1 += 1;
            match self.1 {
                1 => {
                    self.0.put(7, "joe@x", &["amy@x", "bob@x"]);
                    return vec![Wakeup::Id(id(7))];
                }
                2..400 if self.0.next_hop.taken_by("amy@x") == 0 => std::thread::sleep(Duration::from_millis(1)),
                // Nobody delivers it again while the claim is kept.
                2..450 => return vec![Wakeup::Id(id(7)), Wakeup::Something],
                _ => {
                    self.0.spool.fail_records(None);
                    self.0.stop.raise();
                }
            }
            Vec::new()
        }
    }
    let house = House::new();
    house
        .next_hop
        .answers(|_, recipient| if recipient.mailbox.local() == "bob" { Answer::Later } else { Answer::Take });
    house.spool.fail_records(Some(ReceiptKind::Delivered));
    house.runner().watch(Told(&house, 0));
    assert_eq!(house.next_hop.taken_by("amy@x"), 1);
    house.next_hop.answers(|_, _| Answer::Take);
    let next = Runner { stop: Arc::new(StopFlag::new().unwrap()), ..house.runner() };
    next.flush(Selection::All, Urgency::Now).unwrap();
    assert_eq!((house.next_hop.taken_by("amy@x"), house.next_hop.taken_by("bob@x")), (1, 1));
}

/// A disk that is full to the last octet, and runs from cron every few minutes.
#[test]
fn what_a_pass_could_not_record_is_not_sent_again_by_each_of_the_next() {
    let house = House::new();
    house
        .next_hop
        .answers(|_, recipient| if recipient.mailbox.local() == "bob" { Answer::Later } else { Answer::Take });
    house.put(7, "joe@x", &["amy@x", "bob@x"]);
    house.spool.fail_records(Some(ReceiptKind::Delivered));
    for _ in 0..20 {
        house.runner().flush(Selection::All, Urgency::Due).unwrap();
        house.clock.advance(Duration::from_secs(300));
    }
    assert_eq!(house.next_hop.taken_by("amy@x"), 1, "within the longest interval");
    house.spool.fail_records(None);
    house.clock.advance(Duration::from_secs(7200));
    house.next_hop.answers(|_, _| Answer::Take);
    house.runner().flush(Selection::All, Urgency::Due).unwrap();
    assert_eq!(house.next_hop.taken_by("bob@x"), 1, "it goes on by itself");
}

#[test]
fn a_watch_leaves_by_itself_once_the_disk_cannot_be_trusted() {
    struct Patient<'a>(&'a House, u32);
    impl Wakeups for Patient<'_> {
        fn wait(&mut self, _at_most: Duration) -> Vec<Wakeup> {
            self.1 += 1;
            std::thread::sleep(Duration::from_millis(1));
            if self.1 == 2_000 {
                self.0.stop.raise();
            }
            Vec::new()
        }
    }
    let house = House::new();
    house.put(1, "joe@x", &["amy@x"]);
    house.spool.lose_trust();
    let mut patient = Patient(&house, 0);
    house.runner().watch(&mut patient);
    assert!(patient.1 < 2_000, "nobody had to tell it");
}

#[test]
fn a_pause_that_cannot_be_kept_on_a_full_disk_is_one_pause_all_the_same() {
    /// Keeps nothing until an hour has passed.
    struct FullDisk(Arc<SimulatedClock>, Timestamp, Arc<RouteMemory>);
    impl RouteStore for FullDisk {
        fn load(&self, route: &str) -> io::Result<Option<RouteState>> {
            self.2.load(route)
        }
        fn save(&self, route: &str, state: &RouteState) -> io::Result<()> {
            if self.0.now() < self.1 { Err(io::ErrorKind::StorageFull.into()) } else { self.2.save(route, state) }
        }
    }
    let house = House::new();
    house.next_hop.answers(|_, _| Answer::Fault);
    house.put(1, "joe@x", &["amy@x"]);
    let room = house.clock.now() + Duration::from_secs(3_600);
    let states = Arc::new(FullDisk(Arc::clone(&house.clock), room, Arc::clone(&house.routes)));
    let end = room + Duration::from_secs(3_600);
    Runner { states, ..house.runner() }.watch(Passing { house: &house, end, looks: 50 });
    assert_eq!(house.events.count(|event| matches!(event, Event::RoutePaused { .. })), 1);
    assert!(house.routes.load("main").unwrap().unwrap().failures() > 5, "kept as soon as there is room");
}

#[test]
fn a_watch_begins_before_a_long_queue_is_scanned_and_delivers_each_message_once() {
    let house = House::new();
    for number in 0..1_200 {
        house.put(number, "joe@x", &["amy@x"]);
    }
    let end = house.clock.now() + Duration::from_secs(3_600);
    house.runner().watch(Passing { house: &house, end, looks: 500 });
    assert!(house.spool.left_during_scan(), "the workers waited for the end of the scan");
    assert!(house.queue_is_empty());
    assert_eq!(house.next_hop.taken_by("amy@x"), 1_200);
}
