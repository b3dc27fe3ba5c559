//! The queue as a whole, on a spool in memory and in simulated time.

mod ahead;
mod clock_jumps;
#[cfg(feature = "sql")]
mod database_away;
mod lanes;
mod limits;
mod lists;
mod notices;
mod notices_refused;
mod octets;
mod readdressing;
mod routes;
mod success;
mod transactions;
mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use super::dsn::notice::{NoticeKind, notice_id};
use super::testing::{Answer, Crash, House, Moment, at, envelope, id, receipt};
use super::{Selection, Urgency};
use crate::clock::Clock;
use crate::envelope::{Notify, Origin, Recipient, Recipients};
use crate::event::Event;
use crate::receipt::ReceiptKind;
use crate::spool::{Claimed, Folder, Spool};

const MINUTE: Duration = Duration::from_secs(60);

fn never_bob(_: &crate::envelope::Envelope, recipient: &Recipient) -> Answer {
    if recipient.mailbox.local() == "bob" { Answer::Never } else { Answer::Take }
}

#[test]
fn one_of_three_refused_leaves_two_delivered_once_and_one_notice() {
    let house = House::new();
    house.next_hop.answers(never_bob);
    let original = house.put(1, "joe@x", &["amy@x", "bob@x", "eve@x"]);
    let summary = house.flush();
    assert_eq!((summary.sent, summary.bounced, summary.remaining), (2, 1, 0), "the notice leaves in the same pass");
    assert!(house.queue_is_empty());
    for (to, times) in [("amy@x", 1), ("bob@x", 0), ("eve@x", 1), ("joe@x", 1)] {
        assert_eq!(house.next_hop.taken_by(to), times, "{to}");
    }
    let taken = house.next_hop.taken.lock().unwrap();
    let notice = taken.iter().find(|taken| taken.to == "joe@x").unwrap();
    assert_eq!(notice.id, notice_id(NoticeKind::Failed, original, &[1]));
    let text = str::from_utf8(&notice.octets).unwrap();
    assert!(text.contains("Final-Recipient: rfc822; bob@x\r\n") && text.contains("Remote-MTA: dns; mx.example\r\n"));
    assert!(!text.contains("amy@x") && !text.contains("eve@x"));
    assert_eq!(house.events.count(|event| matches!(event, Event::Attempted { .. })), 4);
    assert_eq!(house.events.count(|event| matches!(event, Event::Removed { .. })), 2);
    assert_eq!(house.events.count(|event| matches!(event, Event::Accepted { client: None, .. })), 1);
    assert_eq!(house.events.count(|event| matches!(event, Event::Notified { .. })), 1);
}

#[test]
fn a_deferral_is_retried_on_schedule_for_days_and_then_bounced_once() {
    let house = House::new();
    house
        .next_hop
        .answers(|envelope, _| if envelope.origin.notice_of.is_some() { Answer::Take } else { Answer::Later });
    house.put(1, "joe@x", &["amy@x"]);
    house.live(6);
    assert!(house.queue_is_empty());
    assert_eq!((house.next_hop.taken_by("amy@x"), house.next_hop.taken_by("joe@x")), (0, 2), "delay, failure");
    assert_eq!(house.events.count(|event| matches!(event, Event::Expired { .. })), 1);
    let attempts = house.next_hop.attempts.lock().unwrap();
    let times: Vec<_> = attempts.iter().filter(|(_, to, _)| to == "amy@x").map(|(_, _, time)| *time).collect();
    for (pair, minutes) in times.windows(2).zip([1, 5, 15, 30, 60, 120, 120]) {
        let gap = pair[1].since(pair[0]);
        assert!(gap >= MINUTE * minutes * 8 / 10 && gap <= MINUTE * minutes * 12 / 10, "{gap:?} for {minutes} minutes");
    }
    let lasted = times[times.len() - 1].since(times[0]).as_secs() / 3600;
    assert!((4 * 24..5 * 24).contains(&lasted), "given up after {lasted} hours");
    let taken = house.next_hop.taken.lock().unwrap();
    let text = String::from_utf8_lossy(&taken[1].octets).into_owned();
    assert!(
        text.contains("Status: 4.4.7\r\n") && text.contains("Diagnostic-Code: smtp; 451 4.3.0 later\r\n"),
        "{text}"
    );
}

#[test]
fn who_is_not_due_yet_keeps_the_message_in_the_queue() {
    let house = House::new();
    let original = house.put(1, "joe@x", &["amy@x", "bob@x"]);
    let now = house.clock.now();
    house.spool.add_receipt(original, receipt(now, ReceiptKind::Deferred, &[0, 1]));
    house.spool.add_receipt(original, receipt(now + MINUTE, ReceiptKind::Deferred, &[1]));
    house.clock.advance(MINUTE * 2);
    assert_eq!(house.flush().deferred, 1);
    assert_eq!((house.next_hop.taken_by("amy@x"), house.next_hop.taken_by("bob@x")), (1, 0));
    house.live(1);
    assert_eq!((house.next_hop.taken_by("amy@x"), house.next_hop.taken_by("bob@x")), (1, 1));
}

#[test]
fn a_route_that_is_down_for_days_costs_no_message_anything() {
    let house = House::new();
    for number in 0..20 {
        house.put(number, "joe@x", &["amy@x", "bob@x"]);
    }
    house.next_hop.answers(|_, _| Answer::Fault);
    for _ in 0..5 * 24 * 6 {
        let summary = house.flush();
        assert_eq!((summary.remaining, summary.bounced), (20, 0));
        house.clock.advance(MINUTE * 10);
    }
    let probes = house.next_hop.attempts.lock().unwrap().len() / 2;
    assert!(probes < 5 * 24 * 6, "{probes} probes of a paused route");
    assert!((0..20).all(|number| house.spool.receipts(id(number)).is_empty()), "a receipt was written");
    house.next_hop.answers(|_, _| Answer::Take);
    house.clock.advance(MINUTE * 20);
    assert_eq!(house.flush().sent, 20);
    assert_eq!((house.next_hop.taken_by("amy@x"), house.next_hop.taken_by("bob@x")), (20, 20));
    assert_eq!(house.events.count(|event| matches!(event, Event::RouteResumed { .. })), 1);
}

#[test]
fn a_pressing_flush_ignores_the_pause_but_stops_at_the_next_fault() {
    let house = House::new();
    for number in 0..50 {
        house.put(number, "joe@x", &["amy@x"]);
    }
    house.next_hop.answers(|_, _| Answer::Fault);
    house.flush();
    let tried = house.next_hop.attempts.lock().unwrap().len();
    assert!(tried <= 4, "{tried} connections met the same fault");
    assert_eq!(house.flush().faults, 0, "the pause holds");
    assert_eq!(house.runner().flush(Selection::All, Urgency::Now).unwrap().faults, 1, "one probe");
    house.next_hop.answers(|_, _| Answer::Take);
    assert_eq!(house.runner().flush(Selection::All, Urgency::Now).unwrap().sent, 50);
}

#[test]
fn a_fault_that_several_deliveries_meet_counts_once_and_one_message_probes() {
    let house = House::new();
    for number in 0..8 {
        house.put(number, "joe@x", &["amy@x"]);
    }
    let (inside, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let seen = Arc::clone(&most);
    // Each delivery waits a little for others to be under way beside it.
    house.next_hop.answers_beside(move || {
        let mut beside = inside.fetch_add(1, Ordering::SeqCst) + 1;
        for _ in 0..1_000 {
            std::thread::sleep(Duration::from_micros(200));
            beside = beside.max(inside.load(Ordering::SeqCst));
            if beside >= 4 {
                break;
            }
        }
        seen.fetch_max(beside, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(1));
        inside.fetch_sub(1, Ordering::SeqCst);
    });
    house.next_hop.answers(|_, _| Answer::Fault);
    house.flush();
    assert_eq!(most.swap(0, Ordering::SeqCst), 4);
    assert_eq!(house.events.count(|event| matches!(event, Event::RoutePaused { .. })), 1);
    house.runner().flush(Selection::All, Urgency::Now).unwrap();
    assert_eq!(most.swap(0, Ordering::SeqCst), 1, "one probe");
    house.next_hop.answers(|_, _| Answer::Take);
    house.clock.advance(MINUTE * 20);
    assert_eq!(house.flush().sent, 8);
    assert!(most.load(Ordering::SeqCst) > 1, "the others go on once the probe succeeded");
}

#[test]
fn a_message_that_the_route_always_fails_at_does_not_keep_the_others_back() {
    let house = House::new();
    house
        .next_hop
        .answers(|_, recipient| if recipient.mailbox.local() == "odd" { Answer::LateFault } else { Answer::Take });
    house.put(1, "joe@x", &["odd@x"]);
    for number in 2..40 {
        house.put(number, "joe@x", &["amy@x"]);
    }
    for _ in 0..30 {
        house.flush();
        house.clock.advance(MINUTE * 2);
    }
    assert_eq!(house.next_hop.taken_by("amy@x"), 38);
    let schedule = super::Schedule::default();
    let receipts = house.spool.receipts(id(1));
    let ledger = schedule.ledger(&envelope("joe@x", &["odd@x"]), &receipts);
    assert_eq!((ledger.accounts()[0].attempts, ledger.accounts()[0].in_doubt), (0, false), "a fault is no attempt");
}

#[test]
fn a_message_that_cannot_be_tried_does_not_use_up_the_probe() {
    let house = House::new();
    house.put(1, "joe@x", &["amy@x"]);
    house.put(2, "joe@x", &["amy@x"]);
    house.next_hop.answers(|_, _| Answer::Fault);
    house.flush();
    house.next_hop.answers(|_, _| Answer::Take);
    // It is always the first of the queue, and each run begins again.
    house.spool.make_unreadable(id(1));
    house.clock.advance(MINUTE * 20);
    let summary = house.flush();
    assert_eq!((summary.troubles, summary.sent), (1, 1));
    assert_eq!(house.events.count(|event| matches!(event, Event::RouteResumed { .. })), 1);
}

#[test]
fn what_has_no_sender_and_fails_is_set_aside_once_nobody_is_pending() {
    let house = House::new();
    house.next_hop.answers(never_bob);
    house.put(1, "", &["bob@x", "amy@x"]);
    assert_eq!(house.flush().set_aside, 1);
    assert_eq!(house.next_hop.taken_by("amy@x"), 1);
    assert_eq!((house.spool.on(Folder::Failed), house.queue_is_empty()), (vec![id(1)], true));
    assert_eq!(house.events.count(|event| matches!(event, Event::SetAside { folder: "failed", .. })), 1);
}

#[test]
fn who_wants_no_notice_gets_none() {
    let house = House::new();
    house.next_hop.answers(|_, _| Answer::Never);
    let never = Some(Notify { success: false, failure: false, delay: false });
    let mut quiet = envelope("joe@x", &["bob@x"]);
    quiet.recipients = Recipients::new(vec![Recipient { notify: never, ..quiet.recipients[0].clone() }]).unwrap();
    house.spool.put(id(1), quiet, b"\r\n");
    let summary = house.flush();
    assert_eq!((summary.sent, summary.bounced), (1, 0));
    assert!(house.queue_is_empty());
}

#[test]
fn a_crash_at_any_step_of_a_bounce_leads_to_exactly_one() {
    for crash in [Crash::Kill, Crash::PowerCut] {
        for moment in [Moment::Before, Moment::After] {
            let mut operation = 1;
            while crash_at(operation, moment, crash) {
                operation += 1;
            }
            assert!(operation > 6, "mark, delivered, failed, commit, bounced, remove: {operation}");
        }
    }
}

/// Whether the process got as far as that operation.
fn crash_at(operation: u32, moment: Moment, crash: Crash) -> bool {
    let house = House::new();
    let settled = Arc::new(AtomicBool::new(false));
    let after_crash = Arc::clone(&settled);
    house.next_hop.answers(move |envelope, recipient| match &envelope.origin.notice_of {
        Some(_) if !after_crash.load(Ordering::SeqCst) => Answer::Fault,
        _ => never_bob(envelope, recipient),
    });
    house.put(1, "joe@x", &["amy@x", "bob@x"]);
    // The message itself was one operation.
    house.spool.stop_at(operation + 1, moment);
    house.flush();
    let stopped = house.spool.has_stopped();
    house.spool.crash(crash);
    settled.store(true, Ordering::SeqCst);
    for _ in 0..4 {
        house.clock.advance(MINUTE * 60);
        house.flush();
    }
    let context = format!("{crash:?} {moment:?} operation {operation}");
    assert!(house.queue_is_empty(), "{context}");
    assert_eq!(house.next_hop.taken_by("joe@x"), 1, "{context}");
    // Between the answer and its record there is no way to know.
    let window = operation == 2 && moment == Moment::Before;
    assert_eq!(house.next_hop.taken_by("amy@x"), if window { 2 } else { 1 }, "{context}");
    stopped
}

#[test]
fn two_runners_at_once_deliver_each_message_once() {
    let house = House::new();
    for number in 0..1_000 {
        house.put(number, "joe@x", &["amy@x"]);
    }
    let both = std::thread::scope(|scope| {
        let other = scope.spawn(|| house.flush());
        house.flush().sent + other.join().unwrap().sent
    });
    assert_eq!(both, 1_000);
    let mut ids: Vec<_> = house.next_hop.taken.lock().unwrap().iter().map(|taken| taken.id).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..1_000).map(id).collect::<Vec<_>>());
}

#[test]
fn an_answer_that_got_lost_is_recorded_and_the_message_sent_again() {
    let house = House::new();
    let attempts = AtomicU32::new(0);
    house.next_hop.answers(move |_, _| match attempts.fetch_add(1, Ordering::SeqCst) {
        0 => Answer::Vanish,
        _ => Answer::Take,
    });
    house.put(1, "joe@x", &["amy@x"]);
    house.flush();
    let receipts = house.spool.receipts(id(1));
    let schedule = super::Schedule::default();
    let ledger = schedule.ledger(&envelope("joe@x", &["amy@x"]), &receipts);
    assert_eq!((ledger.accounts()[0].attempts, ledger.accounts()[0].in_doubt), (1, true));
    house.flush();
    assert_eq!(house.next_hop.attempts.lock().unwrap().len(), 1, "it waits as after a deferral");
    house.live(1);
    assert!(house.queue_is_empty());
    assert_eq!(house.next_hop.taken_by("amy@x"), 1);
}

#[test]
fn a_notice_waits_until_its_original_knows_of_it() {
    let house = House::new();
    let original = house.put(1, "joe@x", &["bob@x"]);
    house.spool.add_receipt(original, receipt(at(1_795_000_005), ReceiptKind::Failed, &[0]));
    let mut notice = envelope("", &["joe@x"]);
    notice.origin.notice_of = Some(crate::envelope::NoticeOf { original, recipients: vec![0] });
    house.spool.put(notice_id(NoticeKind::Failed, original, &[0]), notice, b"\r\n");
    let Ok(Claimed::Ours(claim)) = house.spool.claim(original) else { panic!("it is free") };
    let summary = house.flush();
    assert_eq!((summary.busy, summary.deferred, summary.sent), (1, 1, 0));
    drop(claim);
    house.clock.advance(MINUTE);
    house.flush();
    assert!(house.queue_is_empty());
    assert_eq!(house.next_hop.taken_by("joe@x"), 1, "the notice that was there is the one that is sent");
}

#[test]
fn a_notice_does_not_wait_for_an_original_that_turned_out_corrupt() {
    let house = House::new();
    let original = house.put(1, "joe@x", &["bob@x"]);
    house.spool.corrupt(original);
    let mut notice = envelope("", &["joe@x"]);
    notice.origin.notice_of = Some(crate::envelope::NoticeOf { original, recipients: vec![0] });
    house.spool.put(notice_id(NoticeKind::Failed, original, &[0]), notice, b"\r\n");
    house.flush();
    house.flush();
    assert_eq!(house.next_hop.taken_by("joe@x"), 1);
    assert_eq!(house.spool.on(Folder::Bad), [original]);
}

#[test]
fn one_bad_message_does_not_stop_the_others() {
    let house = House::new();
    house
        .next_hop
        .answers(|_, recipient| if recipient.mailbox.local() == "odd" { Answer::Panic } else { Answer::Take });
    house.put(1, "joe@x", &["odd@x"]);
    for number in 2..30 {
        house.put(number, "joe@x", &["amy@x"]);
    }
    house.spool.make_unreadable(id(2));
    house.spool.corrupt(id(3));
    let summary = house.flush();
    assert_eq!((summary.sent, summary.troubles, summary.damaged, summary.remaining), (26, 2, 1, 2));
    assert_eq!(house.spool.on(Folder::Queue), [id(1), id(2)]);
    assert_eq!(house.events.count(|event| matches!(event, Event::SetAside { folder: "bad", .. })), 1);
    assert_eq!(house.events.count(|event| matches!(event, Event::Trouble { .. })), 2);
}

#[test]
fn what_was_delivered_but_cannot_be_removed_is_not_delivered_again() {
    let house = House::new();
    house.put(1, "joe@x", &["amy@x"]);
    house.spool.fail_removes(true);
    assert_eq!(house.flush().troubles, 1);
    house.spool.fail_removes(false);
    house.clock.advance(MINUTE);
    assert_eq!(house.flush().sent, 1);
    assert_eq!(house.next_hop.taken_by("amy@x"), 1);
}

#[test]
fn a_notice_comes_from_this_host() {
    let house = House::new();
    house.next_hop.answers(|_, _| Answer::Never);
    house.put(1, "joe@x", &["bob@x"]);
    house.flush();
    // The notice was refused, too: it is with the failed, and no notice is written about it.
    let [notice] = house.spool.on(Folder::Failed)[..] else { panic!("one notice") };
    let glance = house.spool.peek(notice).unwrap().unwrap();
    let expected = Origin {
        notice_of: glance.envelope.origin.notice_of.clone(),
        ..Origin::local(crate::envelope::Protocol::SMTP)
    };
    assert_eq!(glance.envelope.origin, expected);
    assert!(house.queue_is_empty());
}
