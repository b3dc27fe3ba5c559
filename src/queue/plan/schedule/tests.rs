//! The schedule on its own.

use super::*;
use crate::annotation::{REPORTED, UNREPORTED};
use crate::envelope::{Notify, Recipient, Recipients};
use crate::queue::testing::{at, envelope, id, mark, receipt};
use crate::receipt::ReceiptKind;
use proptest::prelude::*;

fn due(now: Timestamp) -> Situation<'static> {
    Situation { usable: &|_| true, urgency: Urgency::Due, now }
}

fn plan(envelope: &Envelope, receipts: &[Receipt], now: Timestamp) -> Plan {
    Schedule::default().plan(id(1), envelope, receipts, due(now))
}

#[test]
fn a_new_message_is_due_at_once_even_before_its_own_time() {
    let envelope = envelope("s@x", &["a@x", "b@x"]);
    assert_eq!(plan(&envelope, &[], at(0)), Plan::Deliver(vec![0, 1]));
}

#[test]
fn each_recipient_waits_its_own_interval() {
    let envelope = envelope("s@x", &["a@x", "b@x", "c@x"]);
    let receipts = [
        receipt(at(0), ReceiptKind::Deferred, &[0, 1]),
        receipt(at(0), ReceiptKind::Delivered, &[2]),
        receipt(at(60), ReceiptKind::Deferred, &[1]),
    ];
    assert!(matches!(plan(&envelope, &receipts[..2], at(10)), Plan::Wait(until) if until >= at(48) && until <= at(72)));
    assert_eq!(plan(&envelope, &receipts, at(100)), Plan::Deliver(vec![0]));
    assert_eq!(plan(&envelope, &receipts, at(60 + 361)), Plan::Deliver(vec![0, 1]));
    let ripe = |now| Schedule::default().ripe(id(1), &envelope, &receipts, due(at(now)));
    assert_eq!((ripe(100), ripe(60 + 361)), (vec![0], vec![0, 1]));
    let now = Situation { urgency: Urgency::Now, ..due(at(61)) };
    assert_eq!(Schedule::default().plan(id(1), &envelope, &receipts, now), Plan::Deliver(vec![0, 1]));
}

#[test]
fn the_copy_for_the_archive_comes_after_everybody_was_tried() {
    let mut envelope = envelope("s@x", &["a@x", "b@x"]);
    envelope.add_archive(&"c@x".parse().unwrap());
    let times = |receipts: &[Receipt]| {
        let due = Schedule::default().due_times(id(1), &envelope, receipts, at(9));
        due.into_iter().map(|(index, _)| index).collect::<Vec<_>>()
    };
    assert_eq!((plan(&envelope, &[], at(0)), times(&[])), (Plan::Deliver(vec![0, 1]), vec![0, 1]));
    let one = [receipt(at(0), ReceiptKind::Delivered, &[0])];
    assert_eq!((plan(&envelope, &one, at(9)), times(&one)), (Plan::Deliver(vec![1]), vec![1]));
    // It does not wait for the second attempt at another.
    let both = [one[0].clone(), receipt(at(1), ReceiptKind::Deferred, &[1])];
    assert_eq!((plan(&envelope, &both, at(9)), times(&both)), (Plan::Deliver(vec![2]), vec![1, 2]));
    let all = [receipt(at(1), ReceiptKind::Delivered, &[0, 1])];
    assert_eq!(plan(&envelope, &all, at(9)), Plan::Deliver(vec![2]));
    assert_eq!(envelope.recipients.len(), 3);
    envelope.add_archive(&"a@x".parse().unwrap());
    assert_eq!(envelope.recipients.len(), 3, "whom the sender named needs no copy");
}

#[test]
fn a_closed_route_delivers_and_expires_nothing() {
    let envelope = envelope("s@x", &["a@x"]);
    let closed = |now| Situation { usable: &|_| false, ..due(now) };
    let old: Vec<_> = (0..80).map(|hour| receipt(at(7200 * hour), ReceiptKind::Deferred, &[0])).collect();
    assert_eq!(plan(&envelope, &old, at(7200 * 80)), Plan::Expire(vec![0]));
    let waits = Schedule::default().plan(id(1), &envelope, &old, closed(at(7200 * 80)));
    assert!(matches!(waits, Plan::Wait(_)), "{waits:?}");
}

#[test]
fn nothing_expires_by_age_alone() {
    let schedule = Schedule { retry: vec![minutes(1); 3], give_up: Duration::ZERO, ..Schedule::default() };
    let envelope = envelope("s@x", &["a@x"]);
    let receipts: Vec<_> = (0..3).map(|n| receipt(at(100 * n), ReceiptKind::Deferred, &[0])).collect();
    let plan = |attempts| schedule.plan(id(1), &envelope, &receipts[..attempts], due(at(900)));
    assert_eq!((plan(2), plan(3)), (Plan::Deliver(vec![0]), Plan::Expire(vec![0])));
}

#[test]
fn a_failure_is_bounced_before_anything_else_and_never_without_a_sender() {
    let receipts = [receipt(at(0), ReceiptKind::Failed, &[1])];
    assert_eq!(plan(&envelope("s@x", &["a@x", "b@x"]), &receipts, at(1)), Plan::NotifyFailure(vec![1]));
    assert_eq!(plan(&envelope("", &["a@x", "b@x"]), &receipts, at(1)), Plan::Deliver(vec![0]));
    let all = [receipt(at(0), ReceiptKind::Failed, &[0, 1])];
    assert_eq!(plan(&envelope("", &["a@x", "b@x"]), &all, at(1)), Plan::Abandon(vec![0, 1]));
}

#[test]
fn a_crash_between_end_mark_and_answer_waits_like_an_attempt() {
    let receipts = [mark(at(0), &[0])];
    assert!(matches!(plan(&envelope("s@x", &["a@x"]), &receipts, at(1)), Plan::Wait(_)));
}

#[test]
fn where_doubt_means_hold_the_others_go_first_and_a_release_ends_it() {
    let schedule = Schedule { in_doubt: InDoubt::Hold, ..Schedule::default() };
    let envelope = envelope("s@x", &["a@x", "b@x"]);
    let plan = |receipts: &[Receipt], now| schedule.plan(id(1), &envelope, receipts, due(now));
    let mut receipts = vec![mark(at(0), &[0])];
    assert_eq!(plan(&receipts, at(99_999)), Plan::Deliver(vec![1]));
    receipts.push(receipt(at(99_999), ReceiptKind::Deferred, &[1]));
    assert!(matches!(plan(&receipts, at(99_999)), Plan::Wait(_)));
    receipts.push(receipt(at(100_000), ReceiptKind::Delivered, &[1]));
    assert_eq!(plan(&receipts, at(900_000)), Plan::Hold(vec![0]));
    receipts.push(receipt(at(900_000), ReceiptKind::Held, &[0]));
    receipts.push(receipt(at(900_001), ReceiptKind::Released, &[]));
    assert_eq!(plan(&receipts, at(900_002)), Plan::Deliver(vec![0]));
    receipts.push(receipt(at(900_003), ReceiptKind::InDoubt, &[0]));
    assert_eq!(plan(&receipts, at(900_004)), Plan::Hold(vec![0]));
}

#[test]
fn only_who_can_be_reached_now_is_tried_or_given_up() {
    let envelope = envelope("s@x", &["a@x", "b@x"]);
    let second = |index| index == 1;
    let situation = |now| Situation { usable: &second, ..due(now) };
    let plan = |receipts: &[Receipt], now| Schedule::default().plan(id(1), &envelope, receipts, situation(now));
    assert_eq!(plan(&[], at(5)), Plan::Deliver(vec![1]));
    let old: Vec<_> = (0..80).map(|hour| receipt(at(7200 * hour), ReceiptKind::Deferred, &[0, 1])).collect();
    assert_eq!(plan(&old, at(7200 * 80)), Plan::Expire(vec![1]));
    assert_eq!(
        Schedule::default().due_times(id(1), &envelope, &old[..1], at(900)).len(),
        2,
        "both are still to be tried"
    );
}

#[test]
fn intervals_vary_by_a_fifth_and_not_from_asking_to_asking() {
    let schedule = Schedule::default();
    let intervals: Vec<_> = (0..200).map(|n| schedule.interval(id(n), 1).as_millis()).collect();
    assert!(intervals.iter().all(|interval| (48_000..=72_000).contains(interval)), "{intervals:?}");
    assert!(intervals.iter().any(|interval| *interval < 52_000) && intervals.iter().any(|i| *i > 68_000));
    assert_eq!(schedule.interval(id(3), 2), schedule.interval(id(3), 2));
}

#[test]
fn what_is_settled_is_finished_and_a_success_is_told_as_one() {
    let mut envelope = envelope("s@x", &["a@x"]);
    let mut delivered = receipt(at(0), ReceiptKind::Delivered, &[0]);
    assert_eq!(plan(&envelope, &[delivered.clone()], at(1)), Plan::Finish);
    delivered.annotations.push((UNREPORTED.into(), "delivered".into()));
    let notify = Some(Notify { success: true, failure: true, delay: false });
    envelope.recipients = Recipients::one(Recipient { notify, ..envelope.recipients[0].clone() });
    assert_eq!(plan(&envelope, &[delivered], at(1)), Plan::NotifySuccess(NoticeKind::Delivered, vec![0]));
    let never = Some(Notify { success: false, failure: false, delay: false });
    envelope.recipients = Recipients::one(Recipient { notify: never, ..envelope.recipients[0].clone() });
    assert_eq!(plan(&envelope, &[receipt(at(0), ReceiptKind::Failed, &[0])], at(1)), Plan::Finish);
}

#[test]
fn a_delay_is_told_once_after_an_attempt_at_its_age_and_not_at_the_end() {
    let schedule = Schedule {
        retry: vec![minutes(60); 20],
        delay_notice: minutes(4 * 60),
        give_up: minutes(8 * 60),
        ..Schedule::default()
    };
    let envelope = envelope("s@x", &["a@x"]);
    let tried = |hours: u64| -> Vec<_> {
        (0..=hours).map(|hour| receipt(at(3_600 * hour), ReceiptKind::Deferred, &[0])).collect()
    };
    let plan = |receipts: &[Receipt], hours| schedule.plan(id(1), &envelope, receipts, due(at(3_600 * hours)));
    for (hours, is_late) in [(3, false), (4, true), (7, true), (8, false)] {
        let mut receipts = tried(hours);
        let plan_now = plan(&receipts, hours);
        assert_eq!(plan_now == Plan::NotifyDelay(vec![0]), is_late, "{hours} hours: {plan_now:?}");
        receipts.push(receipt(at(3_600 * hours), ReceiptKind::DelayNotified, &[0]));
        assert!(matches!(plan(&receipts, hours), Plan::Wait(_)), "{hours} hours, and told");
    }
    let at_once = Schedule { delay_notice: Duration::ZERO, ..Schedule::default() };
    assert_eq!(at_once.plan(id(1), &envelope, &[], due(at(0))), Plan::Deliver(vec![0]));
}

#[test]
fn what_is_ahead_is_due_at_its_time_and_a_notification_at_once() {
    let receipts = [
        receipt(at(0), ReceiptKind::Deferred, &[0]),
        receipt(at(0), ReceiptKind::Failed, &[1]),
        receipt(at(0), ReceiptKind::Delivered, &[2]),
    ];
    let times = |sender| {
        let envelope = envelope(sender, &["a@x", "b@x", "c@x", "d@x"]);
        Schedule::default().due_times(id(1), &envelope, &receipts, at(10))
    };
    let [(0, again), (1, told), (3, new)] = times("s@x")[..] else { panic!("{:?}", times("s@x")) };
    assert!((at(48)..=at(72)).contains(&again), "{again:?}");
    assert_eq!((told, new), (at(10), at(10)));
    let [(0, _), (3, _)] = times("")[..] else { panic!("{:?}", times("")) };
}

/// What a simulated next hop says to one recipient.
fn happening() -> impl Strategy<Value = ReceiptKind> {
    prop_oneof![
        8 => Just(ReceiptKind::Deferred),
        1 => Just(ReceiptKind::InDoubt),
        1 => Just(ReceiptKind::Failed),
        1 => Just(ReceiptKind::Delivered),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn it_always_ends_and_settles_nobody_twice(
        outcomes in prop::collection::vec(happening(), 1..60),
        recipients in 1_usize..5,
        has_sender: bool,
        jumps in prop::collection::vec(-315_360_000_i64..315_360_000, 0..3),
    ) {
        let names: Vec<_> = (0..recipients).map(|n| format!("r{n}@x")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let mut envelope = envelope(if has_sender { "s@x" } else { "" }, &names);
        // The first one wants to hear of success, of which no next hop tells.
        let notify = Some(Notify { success: true, failure: true, delay: false });
        let mut list = envelope.recipients.to_vec();
        list[0].notify = notify;
        envelope.recipients = Recipients::new(list).unwrap();
        let mut reported = false;
        let schedule = Schedule::default();
        let mut receipts: Vec<Receipt> = Vec::new();
        let mut settled = vec![false; recipients];
        let mut bounced = vec![false; recipients];
        let mut delayed = vec![false; recipients];
        let (mut now, mut outcome, mut jumps) = (at(315_360_000), outcomes.iter().cycle(), jumps.into_iter());
        for step in 0..2_000 {
            let record = |what, list: &[u16]| receipt(now, what, list);
            match schedule.plan(id(7), &envelope, &receipts, due(now)) {
                Plan::Finish | Plan::Abandon(_) => return Ok(()),
                Plan::Hold(_) => prop_assert!(false, "nobody wanted that"),
                Plan::Wait(until) => {
                    prop_assert!(until > now && until <= now + schedule.longest().mul_f64(1.2));
                    now = until;
                }
                Plan::NotifyFailure(list) => {
                    for index in &list {
                        prop_assert!(has_sender && !std::mem::replace(&mut bounced[usize::from(*index)], true));
                    }
                    receipts.push(record(ReceiptKind::Bounced, &list));
                }
                Plan::NotifyDelay(list) => {
                    for index in &list {
                        // The first one did not ask for it.
                        prop_assert!(has_sender && *index > 0 && !settled[usize::from(*index)]);
                        prop_assert!(!std::mem::replace(&mut delayed[usize::from(*index)], true));
                    }
                    receipts.push(record(ReceiptKind::DelayNotified, &list));
                }
                Plan::NotifySuccess(report, list) => {
                    prop_assert_eq!(report, NoticeKind::Relayed);
                    prop_assert!(has_sender && list == [0] && !std::mem::replace(&mut reported, true));
                    let mut told = record(ReceiptKind::Delivered, &list);
                    told.annotations.push((REPORTED.into(), String::new()));
                    receipts.push(told);
                }
                Plan::Expire(list) => receipts.push(record(ReceiptKind::Failed, &list)),
                Plan::Deliver(list) => for index in list {
                    prop_assert!(!settled[usize::from(index)], "a settled recipient is planned");
                    let what = *outcome.next().unwrap();
                    settled[usize::from(index)] = matches!(what, ReceiptKind::Delivered | ReceiptKind::Failed);
                    let mut judged = record(what, &[index]);
                    judged.annotations.push((UNREPORTED.into(), String::new()));
                    receipts.push(judged);
                }
            }
            if step % 40 == 39 && let Some(seconds) = jumps.next() {
                now = Timestamp::from_millis(now.as_millis().saturating_add_signed(seconds * 1000));
            }
        }
        prop_assert!(false, "it did not end");
    }

    #[test]
    fn no_clock_bounces_what_was_tried_less_often_than_four_days_hold_intervals(
        mut times in prop::collection::vec(0_u64..2_000_000_000, 1..48), sorted: bool, now in 0_u64..4_000_000_000,
    ) {
        if sorted { times.sort_unstable(); }
        let envelope = envelope("s@x", &["a@x"]);
        let receipts: Vec<_> =
            times.iter().map(|time| receipt(at(*time), ReceiptKind::Deferred, &[0])).collect();
        let plan = plan(&envelope, &receipts, at(now));
        prop_assert!(matches!(plan, Plan::Deliver(_) | Plan::Wait(_) | Plan::NotifyDelay(_)), "{plan:?}");
    }
}
