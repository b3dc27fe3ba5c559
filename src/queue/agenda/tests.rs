//! The agenda on its own.

use super::*;
use crate::queue::testing::{at, id};

fn ahead(due: &[(usize, u64)]) -> NextDue {
    let due = due.iter().map(|(route, seconds)| (*route, at(*seconds))).collect();
    NextDue { kind: MessageKind { sender: 1, large: false }, due }
}

fn take(agenda: &mut Agenda, now: u64) -> Option<SpoolId> {
    agenda.take(0, true, at(now)).map(|(id, _)| id)
}

#[test]
fn what_is_in_flight_is_not_offered_again() {
    let mut agenda = Agenda::new(1);
    agenda.offer(id(2), at(5));
    agenda.offer(id(1), at(7));
    assert_eq!(take(&mut agenda, 4), None);
    assert_eq!(take(&mut agenda, 9), Some(id(2)));
    agenda.appear(id(2), at(9));
    agenda.align(vec![QueueEntry { id: id(2), due: at(0) }, QueueEntry { id: id(1), due: at(9) }], at(9));
    assert_eq!((take(&mut agenda, 9), take(&mut agenda, 9)), (Some(id(1)), None));
    agenda.put_back(id(2), &ahead(&[(0, 20)]));
    agenda.forget(id(1));
    assert!(agenda.is_grounded());
    assert_eq!((agenda.waiting(), agenda.next_due()), (1, Some(at(20))));
}

#[test]
fn our_own_letting_go_does_not_make_a_waiting_message_due() {
    let mut agenda = Agenda::new(1);
    agenda.offer(id(1), at(60));
    agenda.appear(id(1), at(1));
    assert_eq!(agenda.next_due(), Some(at(60)));
    agenda.offer(id(2), at(1));
    assert_eq!(take(&mut agenda, 1), Some(id(2)));
    agenda.postpone(id(2), Hindrance::Busy, at(1));
    agenda.appear(id(2), at(1));
    assert_eq!(take(&mut agenda, 1), None);
    agenda.retry_busy(at(1));
    assert_eq!(take(&mut agenda, 1), Some(id(2)), "somebody else let something go");
}

#[test]
fn a_pass_asks_soon_again_for_what_others_have() {
    let mut agenda = Agenda::new(1);
    assert_eq!(agenda.retry_soon(at(1)), None);
    for number in 1..=2 {
        agenda.offer(id(number), at(0));
        assert_eq!(take(&mut agenda, 1), Some(id(number)));
        agenda.postpone(id(number), Hindrance::Busy, at(1));
    }
    assert_eq!(take(&mut agenda, 1), None);
    assert_eq!(agenda.retry_soon(at(1)), Some(Duration::from_millis(5)));
    assert_eq!((take(&mut agenda, 1), agenda.strikes(id(1))), (Some(id(1)), 1));
    agenda.postpone(id(1), Hindrance::Busy, at(1));
    assert_eq!((agenda.retry_soon(at(1)), agenda.strikes(id(1))), (Some(Duration::from_millis(10)), 2));
}

#[test]
fn pauses_grow_and_are_bounded() {
    let mut agenda = Agenda::new(1);
    let mut now = at(0);
    let mut pauses = Vec::new();
    agenda.offer(id(1), now);
    for _ in 0..40 {
        let (taken, _) = agenda.take(0, true, now).unwrap();
        agenda.postpone(taken, Hindrance::Busy, now);
        let due = agenda.next_due().unwrap();
        pauses.push(due.since(now).as_millis());
        now = due;
    }
    assert_eq!(pauses[..9], [5, 10, 20, 40, 80, 160, 320, 640, 1000]);
    assert_eq!(pauses[39], 1000);
    assert_eq!(Hindrance::Trouble.pause(90), Duration::from_secs(300));
}

#[test]
fn a_scan_adds_drops_and_hastens() {
    let mut agenda = Agenda::new(1);
    agenda.offer(id(1), at(50));
    agenda.offer(id(2), at(50));
    agenda.align(vec![QueueEntry { id: id(3), due: at(4) }, QueueEntry { id: id(2), due: at(9) }], at(9));
    assert_eq!([take(&mut agenda, 99), take(&mut agenda, 99), take(&mut agenda, 99)], [Some(id(3)), Some(id(2)), None]);
}

#[test]
fn the_one_that_keeps_failing_does_not_stay_in_front() {
    let mut agenda = Agenda::new(1);
    for number in 1..4 {
        agenda.put_back(id(number), &ahead(&[(0, u64::from(number))]));
    }
    assert_eq!(agenda.take_probe(0, 1, at(10)), Some(id(2)));
    agenda.put_back(id(2), &ahead(&[(0, 2)]));
    assert_eq!(agenda.take_probe(0, 3, at(10)), Some(id(2)), "one is passed over already");
    assert_eq!([take(&mut agenda, 10), take(&mut agenda, 10), take(&mut agenda, 10)], [Some(id(3)), Some(id(1)), None]);
    agenda.offer(id(7), at(1));
    agenda.offer(id(8), at(2));
    assert_eq!((agenda.take_probe(0, 9, at(10)), take(&mut agenda, 10)), (Some(id(8)), Some(id(7))));
}

#[test]
fn a_message_for_two_routes_is_taken_by_one_at_a_time() {
    let mut agenda = Agenda::new(3);
    let take = |agenda: &mut Agenda, route| agenda.take(route, true, at(10)).map(|(id, _)| id);
    agenda.put_back(id(1), &ahead(&[(0, 5), (2, 9)]));
    assert_eq!(take(&mut agenda, 1), None);
    assert_eq!(take(&mut agenda, 2), Some(id(1)));
    assert_eq!(take(&mut agenda, 0), None);
    agenda.put_back(id(1), &ahead(&[(0, 5)]));
    assert_eq!((take(&mut agenda, 2), take(&mut agenda, 0)), (None, Some(id(1))));
}

#[test]
fn a_crowd_is_looked_at_from_both_ends() {
    let mut agenda = Agenda::new(1);
    for number in 0..15 {
        agenda.offer(id(number), at(u64::from(number)));
    }
    assert_eq!(agenda.sample(0, at(999)), [], "a few are taken as they come");
    for number in 15..200 {
        agenda.offer(id(number), at(u64::from(number)));
    }
    let sample = agenda.sample(0, at(999));
    assert_eq!((sample.len(), sample[0], sample[16]), (32, id(0), id(199)));
    for (number, id) in sample.iter().enumerate() {
        agenda.put_back(*id, &ahead(&[(0, number as u64)]));
    }
    assert_eq!(take(&mut agenda, 999), Some(id(0)));
    assert_eq!(agenda.waiting(), 199);
}

#[test]
fn of_a_very_long_queue_the_oldest_and_the_newest_come_first() {
    let mut agenda = Agenda::new(1);
    let entry = |number: u32| {
        let due = at(u64::from(number));
        QueueEntry { id: SpoolId::new(due, 0, u64::from(number)), due }
    };
    agenda.align((0..100_000).map(entry).collect(), at(90_000));
    assert_eq!((agenda.waiting(), agenda.in_all()), (HORIZON, 100_000));
    let sample = agenda.sample(0, at(90_000));
    assert!(sample.contains(&entry(0).id) && sample.contains(&entry(90_000).id), "{sample:?}");
    sample.into_iter().for_each(|id| agenda.forget(id));
    let mut taken = 32;
    while let Some(id) = take(&mut agenda, 90_000) {
        agenda.forget(id);
        taken += 1;
    }
    assert_eq!((taken, agenda.next_due()), (90_001, Some(at(90_001))));
    agenda.align((90_001..90_101).map(entry).collect(), at(90_000));
    assert_eq!(agenda.in_all(), 100, "the others are gone");
}

#[test]
fn what_waits_for_later_makes_room_for_what_is_due() {
    let mut agenda = Agenda::new(1);
    let id = |number: u64| SpoolId::new(at(0), 0, number);
    let all = |due: &dyn Fn(u64) -> u64| {
        (0..30_000).map(|number| QueueEntry { id: id(number), due: at(due(number)) }).collect()
    };
    agenda.align(all(&|_| 0), at(1));
    let mut tried = HashSet::new();
    for now in 1..=2 {
        while let Some(id) = take(&mut agenda, now) {
            agenda.put_back(id, &ahead(&[(0, 1_000)]));
            assert!(tried.insert(id));
        }
        agenda.align(all(&|number| if tried.contains(&id(number)) { 1_000 } else { 0 }), at(now));
    }
    assert_eq!(tried.len(), 30_000, "nobody waits until others are given up");
    assert_eq!((agenda.waiting(), agenda.next_due()), (HORIZON, Some(at(1_000))));
}

#[test]
fn what_waits_for_a_paused_route_hides_nothing_from_others() {
    let mut agenda = Agenda::new(2);
    let id = |number: u64| SpoolId::new(at(0), 0, number);
    agenda.align((0..60_000).map(|number| QueueEntry { id: id(number), due: at(0) }).collect(), at(1));
    loop {
        let sample = agenda.sample(1, at(1));
        if sample.is_empty() {
            break;
        }
        for one in sample {
            agenda.put_back(one, &ahead(&[(usize::from(one == id(29_999)), 0)]));
        }
    }
    assert_eq!(agenda.take(1, true, at(1)), Some((id(29_999), false)));
    agenda.align((0..60_000).map(|number| QueueEntry { id: id(number), due: at(0) }).collect(), at(1));
    assert_eq!(agenda.waiting(), 59_999, "what is known stays so");
}

#[test]
fn a_clock_that_went_back_does_not_make_a_hindrance_last() {
    let mut agenda = Agenda::new(1);
    agenda.offer(id(1), at(0));
    assert_eq!(take(&mut agenda, 900_000), Some(id(1)));
    agenda.postpone(id(1), Hindrance::Trouble, at(900_000));
    let entry = || vec![QueueEntry { id: id(1), due: at(0) }];
    agenda.align(entry(), at(899_999));
    assert_eq!(take(&mut agenda, 899_999), None);
    agenda.align(entry(), at(5));
    assert_eq!(take(&mut agenda, 5), Some(id(1)));
}
