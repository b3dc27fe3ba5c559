//! A message in several transactions, and a message at which the next hop ends the dialogue.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::routes::pass;
use crate::event::Event;
use crate::id::SpoolId;
use crate::queue::testing::{Answer, House, id};
use crate::queue::{RouteState, RouteStore, Urgency};
use crate::receipt::ReceiptKind;

const MANY: [&str; 7] = ["a@x", "b@x", "c@x", "d@x", "e@x", "f@x", "g@x"];

fn attempts(house: &House, of: SpoolId) -> usize {
    let mark = |what: &ReceiptKind| *what == ReceiptKind::Deferred;
    let counted = |receipt: &&crate::receipt::Receipt| mark(&receipt.what) && receipt.annotations.is_empty();
    house.spool.receipts(of).iter().filter(counted).count()
}

fn paused(event: &Event) -> bool {
    matches!(event, Event::RoutePaused { .. } | Event::RouteStillPaused { .. })
}

#[test]
fn whoever_is_too_many_goes_at_once_in_another_transaction_and_counts_no_attempt() {
    let house = House::new();
    house.put(1, "joe@x", &MANY);
    let offered = AtomicUsize::new(0);
    // Every second recipient that is asked for is too many.
    house.next_hop.answers(move |_, _| match offered.fetch_add(1, Ordering::SeqCst) % 2 {
        0 => Answer::Take,
        _ => Answer::NextTime,
    });
    let summary = pass(&house.runner(), Urgency::Due);
    assert_eq!((summary.sent, summary.deferred, summary.bounced), (1, 0, 0));
    MANY.iter().for_each(|to| assert_eq!(house.next_hop.taken_by(to), 1, "{to}"));
    let deferred =
        |event: &Event| matches!(event, Event::Attempted { outcome: crate::receipt::Outcome::Postponed(_), .. });
    assert_eq!(house.events.count(deferred), 0, "nobody is told of what is under way");
}

#[test]
fn a_known_limit_makes_transactions_of_that_size() {
    let house = House::new();
    house.next_hop.most_recipients.store(3, Ordering::SeqCst);
    house.put(1, "joe@x", &MANY);
    assert_eq!(pass(&house.runner(), Urgency::Now).sent, 1);
    let sizes: Vec<usize> = house
        .next_hop
        .taken
        .lock()
        .unwrap()
        .chunk_by(|one, other| std::sync::Arc::ptr_eq(&one.octets, &other.octets))
        .map(<[_]>::len)
        .collect();
    assert_eq!(sizes, [3, 3, 1]);
    assert_eq!(house.spool.receipts(id(1)), [], "it is gone");
}

#[test]
fn all_who_are_refused_in_several_transactions_are_told_of_in_one_notice() {
    // The fifth transaction does not take place: the sender is notified of what is known.
    for fault in [false, true] {
        let house = House::new();
        house.next_hop.most_recipients.store(1, Ordering::SeqCst);
        house.put(1, "joe@x", &MANY);
        house.next_hop.answers(move |_, recipient| match recipient.mailbox.to_string().as_str() {
            "b@x" | "d@x" => Answer::Never,
            "e@x" if fault => Answer::Fault,
            _ => Answer::Take,
        });
        let summary = pass(&house.runner(), Urgency::Due);
        let told = house.events.count(|event| matches!(event, Event::Notified { .. }));
        assert_eq!((told, summary.bounced), (1, 1), "{fault}");
        assert_eq!(house.next_hop.taken_by("g@x"), usize::from(!fault), "{fault}");
    }
}

#[test]
fn a_next_hop_that_never_takes_anybody_is_not_asked_for_ever() {
    let house = House::new();
    house.put(1, "joe@x", &MANY);
    house.next_hop.answers(|_, _| Answer::NextTime);
    let summary = pass(&house.runner(), Urgency::Due);
    assert_eq!((summary.sent, summary.remaining), (0, 1));
    assert!(house.next_hop.attempts.lock().unwrap().len() <= 30 * MANY.len());
    assert_eq!(attempts(&house, id(1)), 0);
}

#[test]
fn a_message_at_which_the_next_hop_hangs_up_is_put_off_and_counted_while_others_go() {
    for connections in [1, 4] {
        let house = House::new();
        house.next_hop.connections.store(connections, Ordering::SeqCst);
        house.next_hop.answers(|envelope, _| match envelope.reverse_path.to_string().as_str() {
            "bad@x" => Answer::HangUp,
            _ => Answer::Take,
        });
        house.put(1, "bad@x", &["a@x", "b@x"]);
        (2..20).for_each(|number| {
            house.put(number, "good@x", &["a@x"]);
        });
        let summary = pass(&house.runner(), Urgency::Due);
        assert_eq!((summary.sent, summary.deferred, summary.faults), (18, 1, 0));
        assert_eq!((attempts(&house, id(1)), house.events.count(paused)), (1, 0));
        house.clock.advance(Duration::from_secs(3600));
        let summary = pass(&house.runner(), Urgency::Due);
        assert_eq!((summary.deferred, attempts(&house, id(1)), house.events.count(paused)), (1, 2, 0));
    }
}

#[test]
fn a_next_hop_that_hangs_up_at_every_message_pauses_the_route_at_the_second() {
    let house = House::new();
    house.next_hop.connections.store(1, Ordering::SeqCst);
    house.next_hop.answers(|_, _| Answer::HangUp);
    (1..20).for_each(|number| {
        house.put(number, "joe@x", &["a@x"]);
    });
    let summary = pass(&house.runner(), Urgency::Due);
    assert_eq!((summary.deferred, summary.faults), (1, 1));
    let counted = || (1..20).map(|number| attempts(&house, id(number))).sum::<usize>();
    assert_eq!((counted(), house.events.count(paused)), (1, 1));
    let Ok(Some(RouteState::Paused(pause))) = house.routes.load("main") else { panic!("it is paused") };
    assert_eq!(pause.message, Some(id(2).to_string()));
    // The probe is the same message: no message pauses the route twice.
    house.clock.advance(Duration::from_secs(60));
    pass(&house.runner(), Urgency::Due);
    assert!(attempts(&house, id(2)) <= 1 && counted() <= 3, "{}", counted());
    house.next_hop.answers(|_, _| Answer::Take);
    house.clock.advance(Duration::from_secs(3600));
    assert_eq!(pass(&house.runner(), Urgency::Due).sent, 19);
}

#[test]
fn a_fault_that_no_message_is_the_reason_of_costs_nobody_an_attempt() {
    let house = House::new();
    house.next_hop.answers(|_, _| Answer::Fault);
    house.put(1, "joe@x", &["a@x"]);
    assert_eq!(pass(&house.runner(), Urgency::Due).faults, 1);
    assert_eq!((attempts(&house, id(1)), house.events.count(paused)), (0, 1));
}
