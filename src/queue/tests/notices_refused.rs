//! Notices where the next hop refuses `<>`, where a copy may have arrived before a refusal, and where a route is paused for long.

use std::time::Duration;

use crate::address::Mailbox;
use crate::clock::Clock;
use crate::envelope::{Envelope, Notify, Recipient};
use crate::event::Event;
use crate::queue::testing::{Answer, House, RouteMemory, at, envelope, id, mark};
use crate::queue::{NoticeSettings, Runner, Selection, Summary, Urgency};
use crate::routing::Criteria;
use crate::spool::Folder;

const HOUR: Duration = Duration::from_secs(3600);
const OCTETS: &[u8] = b"Subject: hi\r\n\r\nhello\r\n";

/// What went to a recipient: the sender, NOTIFY, and the text.
fn taken(house: &House, to: &str) -> Vec<(String, Option<Notify>, String)> {
    let taken = house.next_hop.taken.lock().unwrap();
    let theirs = taken.iter().filter(|taken| taken.to == to);
    theirs.map(|one| (one.sender.clone(), one.notify, String::from_utf8(one.octets.to_vec()).unwrap())).collect()
}

fn never_bob_nor_null(envelope: &Envelope, recipient: &Recipient) -> Answer {
    let refused = envelope.reverse_path.mailbox().is_none() || recipient.mailbox.to_string().starts_with("bob");
    if refused { Answer::Never } else { Answer::Take }
}

/// Forwards as with these settings, so often that all that is written goes.
fn flush(house: &House, senders: &[(&str, &str)], copies: bool) -> Summary {
    let senders: Vec<(String, Mailbox)> =
        senders.iter().map(|(route, from)| ((*route).to_owned(), from.parse().unwrap())).collect();
    let mut runner = house.runner();
    runner.schedule.unanswered = senders.iter().map(|(_, sender)| sender.clone()).collect();
    let admin = copies.then(|| "admin@x".parse().unwrap());
    runner.notices = NoticeSettings { senders, admin, copy_failures: copies, ..NoticeSettings::default() };
    for _ in 0..3 {
        runner.flush(Selection::All, Urgency::Now).unwrap();
    }
    runner.flush(Selection::All, Urgency::Now).unwrap()
}

#[test]
fn a_notice_leaves_with_the_sender_of_its_route_and_asks_for_no_answer() {
    for (senders, from) in [(&[("main", "errors@x")][..], Some("errors@x")), (&[("other", "errors@x")], None)] {
        let house = House::new();
        house.next_hop.answers(never_bob_nor_null);
        house.put(1, "joe@x", &["bob@x"]);
        flush(&house, senders, false);
        match (from, &taken(&house, "joe@x")[..]) {
            (Some(from), [(sender, notify, text)]) => {
                assert_eq!(sender, from);
                assert_eq!(*notify, Some(Notify { success: false, failure: false, delay: false }));
                assert!(text.contains(&format!("\r\nFrom: Mail Delivery System <{from}>\r\n")), "{text}");
                assert!(house.queue_is_empty() && house.spool.on(Folder::Failed).is_empty());
            }
            (None, []) => assert_eq!(house.spool.on(Folder::Failed).len(), 1, "kept for a person"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn mail_of_others_from_nobody_stays_from_nobody() {
    let house = House::new();
    house.put(1, "", &["amy@x"]);
    flush(&house, &[("main", "errors@x")], false);
    assert!(matches!(&taken(&house, "amy@x")[..], [(sender, None, _)] if sender.is_empty()));
}

#[test]
fn what_comes_back_with_the_sender_of_notices_is_never_answered() {
    let house = House::new();
    house.next_hop.answers(never_bob_nor_null);
    house.put(1, "Errors@X", &["bob@x"]);
    house.put(2, "errors@x", &["bob@x", "amy@x"]);
    let summary = flush(&house, &[("main", "errors@x")], true);
    assert_eq!((summary.bounced, house.spool.on(Folder::Failed)), (0, vec![id(1), id(2)]));
    assert_eq!(taken(&house, "amy@x").len(), 1);
    assert_eq!(taken(&house, "admin@x").len() + taken(&house, "errors@x").len(), 0, "neither notice nor copy");
}

#[test]
fn a_refusal_after_a_lost_answer_says_that_a_copy_may_have_arrived() {
    let words = "It may have arrived all the same";
    // The answer was lost, then a deferral, then a refusal.
    let house = House::new();
    house.put(1, "joe@x", &["bob@x"]);
    for answer in [Answer::Vanish, Answer::Later, Answer::Never] {
        house
            .next_hop
            .answers(move |envelope, _| if envelope.reverse_path.mailbox().is_some() { answer } else { Answer::Take });
        flush_once(&house);
    }
    flush_once(&house);
    assert!(
        matches!(&taken(&house, "joe@x")[..], [(_, _, text)] if text.contains(words)),
        "{:?}",
        taken(&house, "joe@x")
    );
    // Killed in the window, then refused before anything is handed over.
    let house = House::new();
    house.put(1, "joe@x", &["bob@x"]);
    house.spool.add_receipt(id(1), mark(house.clock.now(), &[0]));
    house.clock.advance(HOUR);
    house
        .next_hop
        .answers(|envelope, _| if envelope.reverse_path.mailbox().is_some() { Answer::Never } else { Answer::Take });
    flush_once(&house);
    flush_once(&house);
    assert!(
        matches!(&taken(&house, "joe@x")[..], [(_, _, text)] if text.contains(words)),
        "{:?}",
        taken(&house, "joe@x")
    );
    // One who was refused at once has no copy.
    let house = House::new();
    house.put(1, "joe@x", &["bob@x", "amy@x"]);
    house
        .next_hop
        .answers(|_, recipient| if recipient.mailbox.to_string() == "bob@x" { Answer::Never } else { Answer::Take });
    flush_once(&house);
    flush_once(&house);
    assert!(matches!(&taken(&house, "joe@x")[..], [(_, _, text)] if !text.contains(words)));
}

fn flush_once(house: &House) {
    house.runner().flush(Selection::All, Urgency::Now).unwrap();
    house.clock.advance(Duration::from_secs(1));
}

/// Two routes: what is for joe works, all else does not.
fn with_a_route_home(house: &House) -> Runner<crate::queue::testing::MemorySpool> {
    let home = Criteria { recipients: vec!["joe@x".parse().unwrap()], ..Criteria::default() };
    let routes = vec![house.route("home", home), house.route("main", Criteria::default())];
    house
        .next_hop
        .answers(|_, recipient| if recipient.mailbox.to_string() == "joe@x" { Answer::Take } else { Answer::Fault });
    Runner { routes, ..house.runner() }
}

#[test]
fn a_long_pause_is_reported_once_as_the_trouble_of_this_relay() {
    let house = House::new();
    house.put(1, "joe@x", &["amy@x"]);
    house.spool.put(
        id(2),
        Envelope { received_at: at(1_795_000_010 + 20 * 3600), ..envelope("joe@x", &["late@x"]) },
        OCTETS,
    );
    house.spool.put(id(3), envelope("", &["nobody@x"]), OCTETS);
    for _ in 0..4 * 9 {
        with_a_route_home(&house).flush(Selection::All, Urgency::Now).unwrap();
        house.clock.advance(Duration::from_secs(15 * 60));
    }
    let notices = taken(&house, "joe@x");
    let [(_, _, text)] = &notices[..] else { panic!("one notice: {notices:?}") };
    for line in
        ["Action: delayed", "It waits in this relay, which cannot hand mail on at present.", "connection refused"]
    {
        assert!(text.contains(line), "{line} is missing in {text}");
    }
    assert!(text.contains("amy@x") && !text.contains("Will-Retry-Until"), "{text}");
    assert_eq!(house.events.count(|event| matches!(event, Event::DelayNotified { .. })), 1);
}

#[test]
fn no_notice_waits_for_the_same_route_and_no_jump_of_the_clock_writes_one() {
    let house = House::new();
    house.put(1, "joe@x", &["amy@x"]);
    house.next_hop.answers(|_, _| Answer::Fault);
    for _ in 0..40 {
        house.runner().flush(Selection::All, Urgency::Now).unwrap();
        house.clock.advance(Duration::from_secs(15 * 60));
    }
    assert_eq!(house.spool.on(Folder::Queue), [id(1)], "it would come after the message");
    let house = House::new();
    house.put(1, "joe@x", &["amy@x"]);
    for jump in [60, 3 * 24 * 3600, 60, 60, 24 * 3600] {
        with_a_route_home(&house).flush(Selection::All, Urgency::Now).unwrap();
        house.clock.advance(Duration::from_secs(jump));
    }
    with_a_route_home(&house).flush(Selection::All, Urgency::Now).unwrap();
    assert_eq!(house.spool.on(Folder::Queue), [id(1)]);
}

#[test]
fn what_a_person_paused_and_what_wants_no_notice_of_delay_is_not_reported() {
    for by_hand in [false, true] {
        let house = House::new();
        let mut unwilling = envelope("joe@x", &["amy@x"]);
        let mut recipients = unwilling.recipients.to_vec();
        recipients[0].notify = (!by_hand).then_some(Notify { success: true, failure: true, delay: false });
        unwilling.recipients = crate::envelope::Recipients::new(recipients).unwrap();
        house.spool.put(id(1), unwilling, OCTETS);
        for _ in 0..40 {
            with_a_route_home(&house).flush(Selection::All, Urgency::Now).unwrap();
            if by_hand {
                pause_by_hand(&house.routes, &house);
            }
            house.clock.advance(Duration::from_secs(15 * 60));
        }
        assert!(taken(&house, "joe@x").is_empty(), "by hand: {by_hand}");
    }
}

fn pause_by_hand(routes: &RouteMemory, house: &House) {
    use crate::queue::{RouteState, RouteStore};
    routes.save("main", &RouteState::paused_by_hand("moving", house.clock.now())).unwrap();
}
