//! Aliases and rewriting, as the next hop sees them.

use std::sync::Arc;
use std::time::Duration;

use crate::envelope::{NoticeOf, Notify, Recipients};
use crate::event::Event;
use crate::queue::testing::{self, Answer, House, MemorySpool, envelope, id};
use crate::queue::{Readdressing, Runner, Selection, Urgency};
use crate::receipt::ReceiptKind;
use crate::routing::{Criteria, Rewriting};

/// As of [`testing::aliases`].
fn aliases(text: &str) -> Readdressing {
    Readdressing { aliases: Some(testing::aliases(text)), ..Readdressing::default() }
}

fn rewriting(rewritings: Vec<Rewriting>) -> Readdressing {
    Readdressing { rewritings, ..Readdressing::default() }
}

fn runner(house: &House, readdressing: Readdressing) -> Runner<MemorySpool> {
    Runner { readdressing: Arc::new(readdressing), ..house.runner() }
}

fn pass(runner: &Runner<MemorySpool>) {
    runner.flush(Selection::All, Urgency::Due).unwrap();
}

#[test]
fn an_alias_that_is_mended_frees_what_waits() {
    let house = House::new();
    house.put(1, "cron@nas.lan", &["root@nas.lan", "amy@x"]);
    house.next_hop.answers(|_, to| if to.mailbox.local() == "root" { Answer::Later } else { Answer::Take });
    pass(&runner(&house, aliases("")));
    let seen = testing::envelopes_seen(&house);
    house.clock.advance(Duration::from_secs(120));
    pass(&runner(&house, aliases("root: Admin@example.com")));
    assert_eq!((house.next_hop.taken_by("Admin@example.com"), house.next_hop.taken_by("amy@x")), (1, 1));
    let seen = seen.lock().unwrap();
    assert_eq!(seen[0].recipients[0].orcpt.as_deref(), Some("rfc822;root@nas.lan"));
    assert!(house.queue_is_empty());
}

#[test]
fn the_route_is_that_of_whom_the_alias_means() {
    let house = House::new();
    house.put(1, "cron@nas.lan", &["root@nas.lan"]);
    let inside = Criteria { recipients: vec!["@nas.lan".parse().unwrap()], ..Criteria::default() };
    let routes = vec![house.route("inside", inside), house.route("outside", Criteria::default())];
    house.next_hop.answers(|_, _| Answer::Later);
    pass(&Runner { routes, ..runner(&house, aliases("root: admin@example.com")) });
    assert_eq!(house.spool.receipts(id(1))[0].route, "outside");
}

#[test]
fn an_alias_for_several_makes_a_message_for_them_in_which_each_is_judged_alone() {
    let house = House::new();
    let mut original = envelope("cron@nas.lan", &["staff@nas.lan", "joe@x"]);
    let mut list = original.recipients.to_vec();
    list[0].notify = Some(Notify { success: false, failure: true, delay: true });
    original.recipients = Recipients::new(list).unwrap();
    house.spool.put(id(1), original, b"Subject: hi\r\n\r\nhello\r\n");
    house.next_hop.answers(|_, to| if to.mailbox.local() == "bob" { Answer::Never } else { Answer::Take });
    let runner = runner(&house, aliases("staff: amy@x bob@x joe@x staff"));
    pass(&runner);
    assert!(house.queue_is_empty());
    for (to, times) in [("amy@x", 1), ("bob@x", 0), ("joe@x", 2), ("staff@nas.lan", 1), ("cron@nas.lan", 1)] {
        assert_eq!(house.next_hop.taken_by(to), times, "{to}");
    }
    let notices = house.next_hop.taken.lock().unwrap();
    let notice = notices.iter().find(|taken| taken.to == "cron@nas.lan").unwrap();
    let text = String::from_utf8_lossy(&notice.octets).into_owned();
    assert!(text.contains("Final-Recipient: rfc822; bob@x\r\n"), "{text}");
    assert!(text.contains("Original-Recipient: rfc822; staff@nas.lan\r\n"), "{text}");
    assert_eq!(house.events.count(|event| matches!(event, Event::Expanded { .. })), 1);
}

#[test]
fn a_crash_at_any_step_of_an_expansion_leads_to_one_copy_for_each() {
    testing::crash_at_each_step(|house| runner(house, aliases("staff: amy@x bob@x")));
}

#[test]
fn the_sender_goes_on_under_another_name() {
    let house = House::new();
    let seen = testing::envelopes_seen(&house);
    let octets = b"Received: by me\r\nFrom: \"The Scanner\" <scan@nas.lan>\r\nSubject: hi\r\n\r\nFrom: the body\r\n";
    house.spool.put(id(1), envelope("scan@nas.lan", &["amy@x"]), octets);
    house.spool.put(id(2), envelope("", &["amy@x"]), octets);
    let ours: crate::address::Mailbox = "alerts@example.com".parse().unwrap();
    let rewriting =
        rewriting(vec![Rewriting { envelope_sender: Some(ours.clone()), from: Some(ours), ..Rewriting::default() }]);
    pass(&runner(&house, rewriting));
    let senders: Vec<_> = seen.lock().unwrap().iter().map(|envelope| envelope.reverse_path.to_string()).collect();
    assert!(senders.contains(&"alerts@example.com".to_owned()) && senders.contains(&String::new()), "{senders:?}");
    for taken in house.next_hop.taken.lock().unwrap().iter() {
        let text = String::from_utf8_lossy(&taken.octets).into_owned();
        assert!(text.contains("From: \"The Scanner\" <alerts@example.com>\r\n"), "{text}");
        assert!(text.contains("Reply-To: \"The Scanner\" <scan@nas.lan>\r\n"), "{text}");
        assert!(text.starts_with("Received: by me\r\n") && text.ends_with("\r\n\r\nFrom: the body\r\n"), "{text}");
    }
}

#[test]
fn recipients_that_are_rewritten_for_differently_go_apart() {
    let house = House::new();
    let seen = testing::envelopes_seen(&house);
    house.put(1, "ups@nas.lan", &["amy@a", "bob@b", "eve@a"]);
    let recipients = vec!["@a".parse().unwrap()];
    let rewriting = rewriting(vec![Rewriting {
        criteria: Criteria { recipients, ..Criteria::default() },
        masquerade: vec!["lan".parse().unwrap()],
        ..Rewriting::default()
    }]);
    pass(&runner(&house, rewriting));
    let mut senders: Vec<_> = seen.lock().unwrap().iter().map(|envelope| envelope.reverse_path.to_string()).collect();
    senders.sort();
    assert_eq!(senders, ["ups@lan", "ups@lan", "ups@nas.lan"]);
    assert_eq!(house.events.count(|event| matches!(event, Event::Removed { .. })), 1);
    assert!(house.spool.receipts(id(1)).iter().all(|receipt| receipt.what != ReceiptKind::Deferred));
}

#[test]
fn an_expansion_has_no_more_recipients_than_a_message_may_have() {
    let house = House::new();
    house.put(1, "cron@nas.lan", &["one@nas.lan", "two@nas.lan", "three@nas.lan"]);
    let seen = testing::envelopes_seen(&house);
    let list = |name: &str| (0..600).map(|number| format!("{name}{number}@x")).collect::<Vec<_>>().join(" ");
    let table = ["one", "two", "three"].map(|name| format!("{name}: {}", list(name))).join("; ");
    pass(&runner(&house, aliases(&table)));
    assert!(house.queue_is_empty());
    assert_eq!(house.next_hop.taken.lock().unwrap().len(), 1_800);
    assert!(seen.lock().unwrap().iter().all(|envelope| envelope.recipients.len() == 600));
}

#[test]
fn a_failure_after_an_expansion_is_reported_but_not_one_of_a_notice() {
    for (is_notice, copies) in [(false, 1), (true, 0)] {
        let mut house = House::new();
        house.notices.admin = Some("admin@x".parse().unwrap());
        house.notices.copy_failures = true;
        let mut original = envelope("", &["staff@nas.lan"]);
        original.origin.notice_of = is_notice.then(|| NoticeOf { original: id(9), recipients: vec![0] });
        house.spool.put(id(1), original, b"Subject: hi\r\n\r\nhello\r\n");
        house.next_hop.answers(|_, to| if to.mailbox.local() == "bob" { Answer::Never } else { Answer::Take });
        pass(&runner(&house, aliases("staff: amy@x bob@x")));
        assert_eq!((house.next_hop.taken_by("amy@x"), house.next_hop.taken_by("admin@x")), (1, copies));
    }
}

#[test]
fn aliases_of_one_mailbox_are_one_recipient_with_one_outcome() {
    for most in [0, 1, 2] {
        let house = House::new();
        house.next_hop.most_recipients.store(most, std::sync::atomic::Ordering::SeqCst);
        house.put(1, "cron@nas.lan", &["root@nas.lan", "amy@x", "admin@nas.lan", "boss@x"]);
        house.put(2, "cron@nas.lan", &["root@nas.lan", "never@nas.lan"]);
        house.next_hop.answers(|_, to| if to.mailbox.local() == "nobody" { Answer::Never } else { Answer::Take });
        pass(&runner(&house, aliases("root: boss@x; admin: boss@x; never: nobody@x")));
        assert_eq!(
            (house.next_hop.taken_by("boss@x"), house.next_hop.taken_by("amy@x")),
            (2, 1),
            "one for each message"
        );
        let house = House::new();
        house.put(1, "cron@nas.lan", &["root@nas.lan", "amy@x", "admin@nas.lan"]);
        house.next_hop.answers(|_, to| if to.mailbox.local() == "boss" { Answer::Later } else { Answer::Take });
        pass(&runner(&house, aliases("root: boss@x; admin: boss@x")));
        let deferred: Vec<_> =
            house.spool.receipts(id(1)).into_iter().filter(|receipt| receipt.what == ReceiptKind::Deferred).collect();
        assert_eq!(deferred.iter().flat_map(|receipt| receipt.recipients.clone()).collect::<Vec<_>>(), [0, 2]);
    }
}

#[test]
fn an_expansion_is_reported_to_whoever_asked_for_reports_of_success() {
    let house = House::new();
    let mut original = envelope("cron@x", &["staff@nas.lan", "others@nas.lan"]);
    let mut list = original.recipients.to_vec();
    list[0].notify = Some(Notify { success: true, failure: true, delay: false });
    original.recipients = Recipients::new(list).unwrap();
    house.spool.put(id(1), original, b"Subject: hi\r\n\r\nhello\r\n");
    let runner = runner(&house, aliases("staff: amy@x bob@x; others: carl@x dan@x"));
    for _ in 0..3 {
        pass(&runner);
        house.clock.advance(Duration::from_secs(60));
    }
    for name in ["amy@x", "bob@x", "carl@x", "dan@x", "cron@x"] {
        assert_eq!(house.next_hop.taken_by(name), 1, "{name}");
    }
    let taken = house.next_hop.taken.lock().unwrap();
    let report = taken.iter().find(|taken| taken.to == "cron@x").unwrap();
    let text = String::from_utf8(report.octets.to_vec()).unwrap();
    assert!(text.contains("\r\nFinal-Recipient: rfc822; staff@nas.lan\r\nAction: expanded\r\n"), "{text}");
    assert!(!text.contains("others@nas.lan") && house.queue_is_empty());
}
