//! NOTIFY=SUCCESS: who reports it to the sender, that it happens once, and what of the message is returned.

use std::sync::atomic::Ordering;

use crate::clock::Clock;
use crate::envelope::{Notify, Recipient, Recipients, Ret};
use crate::event::Event;
use crate::queue::dsn::notice::{NoticeKind, notice_id};
use crate::queue::testing::{Answer, Crash, House, Moment, envelope, id};

/// Amy's success is wanted, Bob's is not.
fn put(house: &House) {
    let mut wanted = envelope("joe@x", &["amy@x", "bob@x"]);
    let notify = Some(Notify { success: true, failure: true, delay: false });
    let amy = Recipient { notify, ..wanted.recipients[0].clone() };
    wanted.recipients = Recipients::new(vec![amy, wanted.recipients[1].clone()]).unwrap();
    wanted.ret = Some(Ret::Full);
    house.spool.put(id(1), wanted, b"Subject: hi\r\n\r\nthe body\r\n");
}

fn text_to_joe(house: &House) -> Vec<String> {
    let taken = house.next_hop.taken.lock().unwrap();
    let to_joe = taken.iter().filter(|taken| taken.to == "joe@x");
    to_joe.map(|taken| String::from_utf8_lossy(&taken.octets).into_owned()).collect()
}

#[test]
fn a_next_hop_without_dsn_makes_the_relay_tell_of_success() {
    let house = House::new();
    put(&house);
    house.flush();
    house.flush();
    assert!(house.queue_is_empty());
    let [text] = &text_to_joe(&house)[..] else { panic!("one notice") };
    for line in ["Action: relayed", "Final-Recipient: rfc822; amy@x", "Remote-MTA: dns; mx.example", "Status: 2.0.0"] {
        assert!(text.contains(&format!("\r\n{line}\r\n")), "{line} is missing in\n{text}");
    }
    // RFC 3461 4.3: RET=FULL is about failures.
    assert!(!text.contains("bob@x") && !text.contains("the body") && text.contains("Subject: hi"), "{text}");
    assert_eq!(house.events.count(|event| matches!(event, Event::Reported { .. })), 1);
    assert_eq!(house.next_hop.taken_by("amy@x"), 1);
    let taken = house.next_hop.taken.lock().unwrap();
    assert!(taken.iter().any(|taken| taken.id == notice_id(NoticeKind::Relayed, id(1), &[0])));
}

#[test]
fn a_next_hop_that_does_dsn_tells_by_itself() {
    let house = House::new();
    house.next_hop.passes_dsn_on.store(true, Ordering::SeqCst);
    put(&house);
    house.flush();
    assert!(house.queue_is_empty() && text_to_joe(&house).is_empty());
}

#[test]
fn a_failure_returns_the_whole_message_where_it_was_asked_for_and_is_small() {
    let house = House::new();
    house
        .next_hop
        .answers(|_, recipient| if recipient.mailbox.local() == "bob" { Answer::Never } else { Answer::Take });
    house.next_hop.passes_dsn_on.store(true, Ordering::SeqCst);
    put(&house);
    house.flush();
    let mut large = envelope("joe@x", &["bob@x"]);
    large.ret = Some(Ret::Full);
    house.spool.put(id(2), large, &[&b"Subject: hi\r\n\r\n"[..], &b"the body\r\n".repeat(200)].concat());
    house.flush();
    let [small, large] = &text_to_joe(&house)[..] else { panic!("two notices") };
    assert!(small.contains("Content-Type: message/rfc822\r\n") && small.contains("\r\nthe body\r\n"), "{small}");
    assert!(large.contains("text/rfc822-headers") && !large.contains("the body"), "{large}");
}

#[test]
fn a_crash_at_any_step_leads_to_exactly_one_report() {
    for crash in [Crash::Kill, Crash::PowerCut] {
        for moment in [Moment::Before, Moment::After] {
            let mut operation = 1;
            while crash_at(operation, moment, crash) {
                operation += 1;
            }
            assert!(operation > 4, "mark, delivered, commit, told, remove: {operation}");
        }
    }
}

/// Whether the process got as far as that operation.
fn crash_at(operation: u32, moment: Moment, crash: Crash) -> bool {
    let house = House::new();
    put(&house);
    // The message itself was one operation.
    house.spool.stop_at(operation + 1, moment);
    house.flush();
    let stopped = house.spool.has_stopped();
    house.spool.crash(crash);
    for _ in 0..4 {
        house.clock.set(house.clock.now() + std::time::Duration::from_secs(3600));
        house.flush();
    }
    let context = format!("{crash:?} {moment:?} operation {operation}");
    assert!(house.queue_is_empty(), "{context}");
    // The notice has a crash window of its own at its delivery, as any message; its id shows that it is one.
    let taken = house.next_hop.taken.lock().unwrap();
    let mut notices: Vec<_> = taken.iter().filter(|taken| taken.to == "joe@x").map(|taken| taken.id).collect();
    notices.dedup();
    assert_eq!(notices, [notice_id(NoticeKind::Relayed, id(1), &[0])], "{context}");
    stopped
}
