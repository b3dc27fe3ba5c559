//! Several routes, in simulated time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::clock::Clock;
use crate::event::Event;
use crate::queue::testing::{Answer, House, MemorySpool, envelope, id, mark, receipt};
use crate::queue::{InDoubt, RouteState, RouteStore, Runner, Schedule, Selection, Summary, Urgency};
use crate::receipt::ReceiptKind;
use crate::routing::Criteria;
use crate::spool::Folder;

fn to(domains: &[&str]) -> Criteria {
    let recipients = domains.iter().map(|domain| format!("@{domain}").parse().unwrap());
    Criteria { recipients: recipients.collect(), ..Criteria::default() }
}

/// Routes to the domains `a` and `b`, and one to all others.
fn three_ways(house: &House) -> Runner<MemorySpool> {
    let routes =
        vec![house.route("first", to(&["a"])), house.route("second", to(&["b"])), house.route("rest", to(&[]))];
    Runner { routes, ..house.runner() }
}

pub(super) fn pass(runner: &Runner<MemorySpool>, urgency: Urgency) -> Summary {
    runner.flush(Selection::All, urgency).unwrap()
}

fn fault_at(house: &House, domain: &'static str) {
    house
        .next_hop
        .answers(move |_, to| if to.mailbox.domain().as_str() == domain { Answer::Fault } else { Answer::Take });
}

fn paused(event: &Event) -> bool {
    matches!(event, Event::RoutePaused { .. })
}

#[test]
fn a_paused_route_holds_nobody_else_up() {
    let house = House::new();
    fault_at(&house, "a");
    for number in 0..30 {
        house.put(number, "joe@x", &["amy@a", "bob@b", "eve@c"][usize::from(number) % 3..][..1]);
    }
    house.put(30, "joe@x", &["amy@a", "bob@b", "eve@c"]);
    let summary = pass(&three_ways(&house), Urgency::Due);
    assert_eq!((summary.sent, summary.remaining, summary.bounced), (20, 11, 0));
    let taken = |house: &House| ["amy@a", "bob@b", "eve@c"].map(|to| house.next_hop.taken_by(to));
    assert_eq!(taken(&house), [0, 11, 11]);
    assert!(house.spool.receipts(id(0)).is_empty(), "a fault costs no attempt");
    house.next_hop.answers(|_, _| Answer::Take);
    house.clock.advance(Duration::from_secs(60));
    let summary = pass(&three_ways(&house), Urgency::Due);
    assert_eq!((summary.sent, summary.remaining), (11, 0));
    assert_eq!(taken(&house), [11, 11, 11]);
    assert_eq!(house.events.count(paused), 1);
    assert!(house.queue_is_empty());
}

#[test]
fn each_route_is_tried_once_in_a_pressing_pass() {
    let house = House::new();
    house.next_hop.answers(|_, _| Answer::Later);
    house.put(1, "joe@x", &["amy@a", "bob@b", "eve@c", "ann@a"]);
    for round in 1..=3 {
        let summary = pass(&three_ways(&house), Urgency::Now);
        assert_eq!((summary.deferred, summary.remaining), (1, 1));
        assert_eq!(house.next_hop.attempts.lock().unwrap().len(), 4 * round);
        house.clock.advance(Duration::from_secs(1));
    }
}

#[test]
fn a_mended_configuration_frees_the_queue() {
    let house = House::new();
    fault_at(&house, "a");
    house.put(1, "joe@x", &["amy@a"]);
    let wrong = Runner { routes: vec![house.route("wrong", to(&[]))], ..house.runner() };
    pass(&wrong, Urgency::Due);
    house.next_hop.answers(|_, _| Answer::Take);
    assert_eq!(pass(&wrong, Urgency::Due).sent, 0, "the route is paused");
    assert_eq!(pass(&three_ways(&house), Urgency::Due).sent, 1, "another one is not");
}

#[test]
fn the_sender_may_decide_and_what_no_route_means_takes_the_last() {
    let house = House::new();
    let from = |sender: &str| Criteria { senders: vec![sender.parse().unwrap()], ..Criteria::default() };
    let runner = Runner {
        routes: vec![house.route("alerts", from("ups@x")), house.route("others", from("nobody@x"))],
        ..house.runner()
    };
    house.put(1, "ups@x", &["amy@a"]);
    house.put(2, "joe@x", &["amy@a"]);
    house.next_hop.answers(|_, _| Answer::Later);
    pass(&runner, Urgency::Due);
    assert_eq!([1, 2].map(|number| house.spool.receipts(id(number))[0].route.clone()), ["alerts", "others"]);
}

#[test]
fn five_days_of_our_own_trouble_bounce_nothing_and_raise_one_alarm() {
    let house = House::new();
    for number in 0..50 {
        house.put(number, "joe@x", &["amy@a", "bob@b"]);
    }
    fault_at(&house, "a");
    let runner = three_ways(&house);
    let end = house.clock.now() + Duration::from_secs(5 * 86_400);
    while house.clock.now() < end {
        // As cron does it.
        pass(&runner, Urgency::Due);
        house.clock.advance(Duration::from_secs(600));
    }
    assert_eq!(house.next_hop.taken_by("bob@b"), 50);
    assert_eq!(house.events.count(|event| matches!(event, Event::Notified { .. } | Event::Expired { .. })), 0);
    assert_eq!(house.events.count(paused), 1, "one alarm");
    assert!(house.events.count(|event| matches!(event, Event::RouteStillPaused { .. })) > 100);
    for number in 0..50 {
        let receipts = house.spool.receipts(id(number));
        assert!(receipts.iter().all(|receipt| receipt.what != ReceiptKind::Deferred), "{receipts:?}");
    }
    house.next_hop.answers(|_, _| Answer::Take);
    house.clock.advance(Duration::from_secs(18 * 60));
    let summary = pass(&runner, Urgency::Due);
    assert_eq!((summary.sent, house.next_hop.taken_by("amy@a")), (50, 50), "all within one probe interval");
    assert_eq!(RouteStore::load(house.routes.as_ref(), "first").unwrap(), Some(RouteState::Open));
    if std::env::var_os(MEASURED).is_some() {
        let took = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        // A build without optimisation is several times as slow.
        let most = if cfg!(debug_assertions) { 10 } else { 1 };
        assert!(took.tv_sec < most, "five days took {most} s or more of processor time: {took:?}");
    }
}

/// Set in a process that runs nothing but the five days.
const MEASURED: &str = "LEAFMAIL_MEASURED";

#[test]
fn five_days_take_less_than_a_second_of_an_optimised_build() {
    let name = "queue::tests::routes::five_days_of_our_own_trouble_bounce_nothing_and_raise_one_alarm";
    let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
    let output = alone.args(["--exact", name]).env(MEASURED, "1").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn what_a_person_paused_waits_until_a_person_reopens_it() {
    let house = House::new();
    house.put(1, "joe@x", &["amy@a"]);
    fault_at(&house, "a");
    let runner = three_ways(&house);
    pass(&runner, Urgency::Due);
    let (routes, now) = (Arc::clone(&house.routes), house.clock.now());
    // Somebody pauses the route while the probe is under way.
    house.next_hop.answers(move |_, _| {
        routes.save("first", &RouteState::paused_by_hand("mending it", now)).unwrap();
        Answer::Take
    });
    house.put(2, "joe@x", &["amy@a"]);
    house.clock.advance(Duration::from_secs(60));
    assert_eq!((pass(&runner, Urgency::Due).sent, house.next_hop.taken_by("amy@a")), (1, 1), "the probe only");
    house.clock.advance(Duration::from_secs(86_400));
    assert_eq!((pass(&runner, Urgency::Now).sent, house.events.count(paused)), (0, 1));
    house.routes.save("first", &RouteState::Open).unwrap();
    assert_eq!(pass(&runner, Urgency::Due).sent, 1);
}

#[test]
fn what_may_have_arrived_is_held_where_that_is_wanted() {
    let house = House::new();
    house.put(1, "joe@x", &["amy@a", "bob@a"]);
    house.spool.add_receipt(id(1), mark(house.clock.now(), &[0]));
    let schedule = Schedule { in_doubt: InDoubt::Hold, ..Schedule::default() };
    let summary = pass(&Runner { schedule, ..house.runner() }, Urgency::Due);
    assert_eq!((summary.set_aside, house.spool.on(Folder::Hold)), (1, vec![id(1)]));
    assert_eq!(["amy@a", "bob@a"].map(|to| house.next_hop.taken_by(to)), [0, 1], "the others go first");
    let held = house.spool.receipts(id(1)).pop().unwrap();
    assert_eq!((held.what, held.recipients), (ReceiptKind::Held, vec![0]));
    assert_eq!(house.events.count(|event| matches!(event, Event::SetAside { folder: "hold", .. })), 1);
}

#[test]
fn many_passes_at_once_deliver_each_message_once_over_each_route() {
    let house = House::new();
    for number in 0..300 {
        house.put(number, "joe@x", &["amy@a", "bob@b", "eve@c"]);
    }
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| pass(&three_ways(&house), Urgency::Due));
        }
    });
    house.live(1);
    assert!(house.queue_is_empty());
    let mut copies = BTreeMap::new();
    for taken in house.next_hop.taken.lock().unwrap().iter() {
        *copies.entry((taken.id, taken.to.clone())).or_insert(0) += 1;
    }
    assert_eq!(copies.len(), 900);
    assert!(copies.values().all(|count| *count == 1));
}

#[test]
fn an_account_failure_after_the_message_pauses_the_route_and_counts_for_nobody() {
    let house = House::new();
    house.put(1, "joe@x", &["amy@a", "bob@a"]);
    house.put(2, "joe@x", &["amy@a"]);
    house.next_hop.answers(|_, to| if to.mailbox.local() == "amy" { Answer::Exhausted } else { Answer::Take });
    house.next_hop.connections.store(1, Ordering::SeqCst);
    for _ in 0..5 {
        let summary = house.flush();
        assert_eq!(summary.remaining, 2);
        house.clock.advance(Duration::from_secs(86_400));
    }
    assert_eq!(house.next_hop.taken_by("bob@a"), 1, "whom it took it is not sent again");
    let receipts = house.spool.receipts(id(1));
    let ledger = Schedule::default().ledger(&envelope("joe@x", &["amy@a", "bob@a"]), &receipts).accounts()[0].clone();
    assert_eq!((ledger.attempts, ledger.in_doubt), (0, false));
    assert_eq!(house.events.count(paused), 1);
    house.next_hop.answers(|_, _| Answer::Take);
    assert_eq!(house.flush().sent, 2, "at once, as it was no attempt");
}

#[test]
fn whom_the_next_hop_refused_the_sender_hears_of_although_the_route_pauses_then() {
    let house = House::new();
    house.put(1, "joe@x", &["amy@a", "bob@a"]);
    house.next_hop.answers(|_, to| if to.mailbox.local() == "amy" { Answer::Exhausted } else { Answer::Never });
    let summary = house.flush();
    assert_eq!((summary.bounced, summary.faults, summary.remaining), (1, 1, 2), "the notice waits for the route");
    assert_eq!(house.events.count(paused), 1);
}

#[test]
fn where_each_domain_has_its_own_next_hop_each_gets_its_own_recipients() {
    let house = House::new();
    house.next_hop.per_domain.store(true, Ordering::SeqCst);
    house.put(1, "joe@x", &["amy@a", "bob@b", "eve@a"]);
    let seen: Arc<std::sync::Mutex<Vec<String>>> = Arc::default();
    let kept = Arc::clone(&seen);
    house.next_hop.answers(move |_, to| {
        kept.lock().unwrap().push(to.mailbox.to_string());
        if to.mailbox.domain().as_str() == "b" { Answer::Later } else { Answer::Take }
    });
    assert_eq!(house.flush().remaining, 1);
    assert_eq!(*seen.lock().unwrap(), ["amy@a", "eve@a", "bob@b"]);
    assert_eq!(house.next_hop.taken.lock().unwrap().len(), 2);
}

#[test]
fn a_pressing_pass_tries_those_of_all_domains() {
    let house = House::new();
    house.next_hop.per_domain.store(true, Ordering::SeqCst);
    house.next_hop.answers(|_, _| Answer::Later);
    house.put(1, "joe@x", &["amy@a", "bob@b", "eve@c"]);
    for round in 1..=3 {
        assert_eq!(pass(&house.runner(), Urgency::Now).remaining, 1);
        assert_eq!(house.next_hop.attempts.lock().unwrap().len(), 3 * round);
    }
    let due = house.spool.next_due().unwrap();
    assert!(due > house.clock.now(), "the next pass need not look at it");
}

#[test]
fn a_sender_who_was_not_told_yet_does_not_wait_for_a_paused_route() {
    let house = House::new();
    house.routes.save("first", &RouteState::paused_by_hand("mending it", house.clock.now())).unwrap();
    house.put(1, "joe@b", &["amy@a", "bob@b"]);
    // The notice could not be written, as the disk was full.
    house.spool.add_receipt(id(1), receipt(house.clock.now(), ReceiptKind::Failed, &[1]));
    assert_eq!(pass(&three_ways(&house), Urgency::Due).bounced, 1);
}
