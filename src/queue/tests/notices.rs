//! Who receives which notices: delays, RET and NOTIFY, the number of notices in an hour, the administrator.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use super::never_bob;
use crate::annotation::UNREPORTED;
use crate::clock::Clock;
use crate::envelope::{Envelope, NoticeOf, Notify, Recipient, Recipients, Ret};
use crate::event::Event;
use crate::queue::dsn::notice::{NoticeKind, notice_id};
use crate::queue::testing::{Answer, Crash, House, Moment, envelope, id, receipt};
use crate::queue::{NoticeSettings, Selection, Urgency};
use crate::receipt::ReceiptKind;
use crate::spool::{Folder, Spool};

const HOUR: Duration = Duration::from_secs(3600);

fn texts(house: &House, to: &str) -> Vec<String> {
    let taken = house.next_hop.taken.lock().unwrap();
    let theirs = taken.iter().filter(|taken| taken.to == to);
    theirs.map(|taken| String::from_utf8(taken.octets.to_vec()).unwrap()).collect()
}

fn later_but_notices(envelope: &Envelope, _: &Recipient) -> Answer {
    if envelope.origin.notice_of.is_some() { Answer::Take } else { Answer::Later }
}

fn wishing(sender: &str, wishes: &[Option<Notify>]) -> Envelope {
    let names: Vec<String> = (0..wishes.len()).map(|number| format!("r{number}@x")).collect();
    let mut envelope = envelope(sender, &names.iter().map(String::as_str).collect::<Vec<_>>());
    let recipients = envelope.recipients.iter().zip(wishes);
    let recipients = recipients.map(|(recipient, notify)| Recipient { notify: *notify, ..recipient.clone() });
    envelope.recipients = Recipients::new(recipients.collect()).unwrap();
    envelope
}

const fn notify(success: bool, failure: bool, delay: bool) -> Option<Notify> {
    Some(Notify { success, failure, delay })
}

const OCTETS: &[u8] = b"Subject: hi\r\n\r\nthe body\r\n";

#[test]
fn a_delay_is_told_once_to_those_who_may_want_it() {
    let house = House::new();
    house.next_hop.answers(later_but_notices);
    let wishes = [None, notify(false, true, true), notify(true, true, false), notify(false, false, false)];
    house.spool.put(id(1), wishing("joe@x", &wishes), OCTETS);
    house.spool.put(id(2), wishing("", &wishes), OCTETS);
    let began = house.clock.now();
    while house.next_hop.taken.lock().unwrap().is_empty() {
        house.flush();
        house.clock.advance(Duration::from_secs(60));
        assert!(house.clock.now() < began + HOUR * 7, "no notice");
    }
    assert!(house.clock.now() >= began + HOUR * 4);
    house.live(3);
    let [text] = &texts(&house, "joe@x")[..] else { panic!("one notice") };
    for line in ["Action: delayed", "Status: 4.0.0", "Subject: Delayed mail (it is still being tried)"] {
        assert!(text.contains(&format!("\r\n{line}\r\n")), "{line} is missing in\n{text}");
    }
    for (recipient, told) in [("r0", true), ("r1", true), ("r2", false), ("r3", false)] {
        assert_eq!(text.contains(&format!("rfc822; {recipient}@x")), told, "{recipient} in {text}");
    }
    let until = text.split("\r\nWill-Retry-Until: ").nth(1).unwrap().split("\r\n").next().unwrap();
    let until = chrono::DateTime::parse_from_rfc2822(until).unwrap().timestamp();
    let days = (until - i64::try_from(began.as_millis() / 1000).unwrap()) / 3600;
    assert!((95..=100).contains(&days), "{days} hours from the first attempt");
    assert_eq!(house.events.count(|event| matches!(event, Event::DelayNotified { .. })), 1);
}

#[test]
fn an_outage_of_the_route_delays_nothing_that_is_told() {
    let house = House::new();
    house.put(1, "joe@x", &["amy@x"]);
    house.next_hop.answers(|_, _| Answer::Fault);
    for _ in 0..200 {
        house.flush();
        house.clock.advance(HOUR);
    }
    house.next_hop.answers(later_but_notices);
    for _ in 0..3 {
        house.flush();
        house.clock.advance(HOUR);
    }
    assert!(texts(&house, "joe@x").is_empty() && !house.queue_is_empty());
}

#[test]
fn a_crash_at_any_step_leads_to_exactly_one_notice_of_delay() {
    for crash in [Crash::Kill, Crash::PowerCut] {
        for moment in [Moment::Before, Moment::After] {
            let mut operation = 1;
            while crash_at(operation, moment, crash) {
                operation += 1;
            }
            assert!(operation > 3, "commit, told, deferred: {operation}");
        }
    }
}

/// Whether the process got as far as that operation.
fn crash_at(operation: u32, moment: Moment, crash: Crash) -> bool {
    let house = House::new();
    house.next_hop.answers(later_but_notices);
    let original = house.put(1, "joe@x", &["amy@x"]);
    let now = house.clock.now();
    // A gap counts as the planned wait at most.
    for hours in 0..=20 {
        house.spool.add_receipt(original, receipt(now + HOUR * hours, ReceiptKind::Deferred, &[0]));
    }
    house.clock.set(now + HOUR * 21);
    house.spool.stop_at(operation + 1, moment);
    house.flush();
    let stopped = house.spool.has_stopped();
    house.spool.crash(crash);
    for _ in 0..6 {
        house.clock.advance(HOUR * 3);
        house.flush();
    }
    let taken = house.next_hop.taken.lock().unwrap();
    let mut notices: Vec<_> = taken.iter().filter(|taken| taken.to == "joe@x").map(|taken| taken.id).collect();
    notices.dedup();
    assert_eq!(notices, [notice_id(NoticeKind::Delayed, original, &[0])], "{crash:?} {moment:?} operation {operation}");
    stopped
}

#[test]
fn a_notice_of_delay_waits_for_its_original_to_know_of_it() {
    let house = House::new();
    let original = house.put(1, "joe@x", &["amy@x"]);
    let mut notice = envelope("", &["joe@x"]);
    notice.origin.notice_of = Some(NoticeOf { original, recipients: vec![0] });
    house.spool.put(notice_id(NoticeKind::Delayed, original, &[0]), notice, OCTETS);
    let claim = house.spool.claim(original).unwrap();
    house.flush();
    assert_eq!(house.next_hop.taken_by("joe@x"), 0, "the original may be about to be reported again");
    house.spool.add_receipt(original, receipt(house.clock.now(), ReceiptKind::DelayNotified, &[0]));
    house.clock.advance(HOUR);
    house.flush();
    assert_eq!((house.next_hop.taken_by("joe@x"), house.next_hop.taken_by("amy@x")), (1, 0), "amy still waits");
    drop(claim);
}

#[test]
fn a_final_delivery_is_reported_as_such() {
    let house = House::new();
    house.spool.put(id(1), wishing("joe@x", &[notify(true, false, false), notify(true, false, false)]), OCTETS);
    for (index, action) in [(0, "delivered"), (1, "relayed")] {
        let mut delivered = receipt(house.clock.now(), ReceiptKind::Delivered, &[index]);
        delivered.relay = "maildir:/var/mail/x".into();
        delivered.annotations.push((UNREPORTED.into(), action.into()));
        house.spool.add_receipt(id(1), delivered);
    }
    house.flush();
    let mut texts = texts(&house, "joe@x");
    texts.sort_by_key(|text| text.contains("Action: relayed\r\n"));
    let [delivered, relayed] = &texts[..] else { panic!("two notices: {texts:?}") };
    assert!(delivered.contains("Action: delivered\r\n") && delivered.contains("rfc822; r0@x\r\n"), "{delivered}");
    assert!(delivered.contains("\r\nSubject: Mail delivered\r\n") && !delivered.contains("r1@x"));
    assert!(relayed.contains("Action: relayed\r\n") && relayed.contains("rfc822; r1@x\r\n"), "{relayed}");
    assert!(house.queue_is_empty());
}

/// Whether a notice comes, and the body with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    Header,
    Whole,
}

#[test]
fn ret_and_notify_decide_what_is_told() {
    use Told::{Header, Nothing, Whole};
    let never = notify(false, false, false);
    #[rustfmt::skip]
    let table = [
        // NOTIFY, RET, told of a failure, of a delay, of a success where the next hop does no DSN
        (None,                      None,            Header,  Header,  Nothing),
        (None,                      Some(Ret::Headers), Header,  Header,  Nothing),
        (None,                      Some(Ret::Full), Whole,   Header,  Nothing),
        (never,                     None,            Nothing, Nothing, Nothing),
        (never,                     Some(Ret::Full), Nothing, Nothing, Nothing),
        (notify(false, true, false), Some(Ret::Headers), Header,  Nothing, Nothing),
        (notify(false, true, false), Some(Ret::Full), Whole,   Nothing, Nothing),
        (notify(true, false, false), Some(Ret::Full), Nothing, Nothing, Header),
        (notify(false, false, true), Some(Ret::Full), Nothing, Header,  Nothing),
        (notify(true, true, false),  Some(Ret::Full), Whole,   Nothing, Header),
        (notify(true, true, true),   None,            Header,  Header,  Header),
    ];
    for (wish, ret, failure, delay, success) in table {
        for sender in ["joe@x", ""] {
            for (answer, told) in [(Answer::Never, failure), (Answer::Later, delay), (Answer::Take, success)] {
                let house = House::new();
                let is_notice = |envelope: &Envelope| envelope.origin.notice_of.is_some();
                house.next_hop.answers(move |envelope, _| if is_notice(envelope) { Answer::Take } else { answer });
                let mut envelope = wishing(sender, &[wish]);
                (envelope.ret, envelope.envid) = (ret, Some("a+3Db+0D+0AX:+00".into()));
                house.spool.put(id(1), envelope, OCTETS);
                house.live(1);
                let texts = texts(&house, "joe@x");
                let got = match &texts[..] {
                    [] => Nothing,
                    [text] => {
                        assert!(text.contains("\r\nOriginal-Envelope-Id: a=b??X:?\r\n"), "{text}");
                        assert!(text.is_ascii() && text.split("\r\n").all(|line| line.len() <= 998));
                        if text.contains("the body") { Whole } else { Header }
                    }
                    _ => panic!("several notices"),
                };
                let expected = if sender.is_empty() { Nothing } else { told };
                assert_eq!(got, expected, "NOTIFY {wish:?} RET {ret:?} answer {answer:?} from <{sender}>");
            }
        }
    }
}

fn with(admin: Option<&str>, per_hour: u32, copy_failures: bool) -> House {
    let admin = admin.map(|admin| admin.parse().unwrap());
    House { notices: NoticeSettings { admin, per_hour, copy_failures, ..NoticeSettings::default() }, ..House::new() }
}

#[test]
fn a_storm_of_failures_is_one_digest_and_nothing_is_lost() {
    let house = with(Some("admin@x"), 10, false);
    house.next_hop.answers(never_bob);
    for number in 1..=30 {
        house.put(number, "joe@x", &["amy@x", "bob@x"]);
    }
    let summary = house.flush();
    assert_eq!((summary.bounced, summary.set_aside), (10, 20));
    assert_eq!((house.next_hop.taken_by("amy@x"), house.next_hop.taken_by("joe@x")), (30, 10));
    assert!(house.queue_is_empty() && texts(&house, "admin@x").is_empty(), "the hour is not over");
    let kept = house.spool.on(Folder::Failed);
    assert_eq!(kept.len(), 20);
    let why = |event: &Event| matches!(event, Event::SetAside { text, .. } if text.contains("no such user"));
    assert_eq!(house.events.count(why), 20);
    assert_eq!(house.events.count(|event| matches!(event, Event::NotNotified { .. })), 20);
    house.clock.advance(HOUR);
    for _ in 0..3 {
        house.flush();
        house.clock.advance(HOUR);
    }
    let [digest] = &texts(&house, "admin@x")[..] else { panic!("one digest") };
    assert!(digest.contains("\r\nSubject: 20 failures of which nobody was told\r\n"), "{digest}");
    for id in &kept {
        assert!(digest.contains(&format!("\r\n{id} from <joe@x>\r\n    550 5.1.1 no such user\r\n")), "{digest}");
    }
    assert!(house.queue_is_empty());
    // The next hour has notices of its own.
    house.put(40, "joe@x", &["bob@x"]);
    house.flush();
    assert_eq!(house.next_hop.taken_by("joe@x"), 11);
}

#[test]
fn without_an_administrator_the_log_tells() {
    let house = with(None, 0, true);
    house.next_hop.answers(never_bob);
    house.put(1, "joe@x", &["bob@x"]);
    house.flush();
    house.clock.advance(HOUR);
    house.flush();
    house.flush();
    assert_eq!(house.events.count(|event| matches!(event, Event::Withheld { withheld: 1, digest: None })), 1);
    assert!(house.next_hop.taken.lock().unwrap().is_empty());
    assert_eq!(house.spool.on(Folder::Failed), [id(1)]);
}

#[test]
fn who_is_not_told_of_keeps_nobody_waiting_and_can_be_tried_again() {
    let house = with(None, 0, false);
    house.next_hop.answers(|_, recipient| match recipient.mailbox.local() {
        "bob" => Answer::Never,
        _ => Answer::Later,
    });
    house.put(1, "joe@x", &["amy@x", "bob@x"]);
    house.flush();
    assert!(!house.queue_is_empty(), "amy is pending");
    house.next_hop.answers(never_bob);
    house.live(1);
    assert_eq!((house.next_hop.taken_by("amy@x"), house.spool.on(Folder::Failed)), (1, vec![id(1)]));
    // What requeueing does.
    house.spool.add_receipt(id(1), receipt(house.clock.now(), ReceiptKind::Requeued, &[]));
    house.spool.move_to(id(1), Folder::Queue);
    house.next_hop.answers(|_, _| Answer::Take);
    house.flush();
    assert_eq!((house.next_hop.taken_by("amy@x"), house.next_hop.taken_by("bob@x")), (1, 1));
    assert!(house.queue_is_empty());
}

#[test]
fn a_notice_of_before_a_crash_is_not_counted_again_and_a_withheld_one_stays_so() {
    for per_hour in [0, 2] {
        for moment in [Moment::Before, Moment::After] {
            for operation in 1..12 {
                let house = with(Some("admin@x"), per_hour, false);
                house.next_hop.answers(never_bob);
                house.put(1, "joe@x", &["bob@x"]);
                house.spool.stop_at(operation + 1, moment);
                house.flush();
                house.spool.crash(Crash::Kill);
                house.clock.advance(Duration::from_secs(60));
                let written = house.spool.on(Folder::Queue).iter().any(|one| *one != id(1));
                house.flush();
                let context = format!("{per_hour} an hour, {moment:?} operation {operation}");
                let counted = house.routes.1.lock().unwrap().failed;
                assert!(counted <= 1 || per_hour > 0 && !written && counted == 2, "{context}: {counted}");
                house.clock.advance(HOUR * 2);
                house.flush();
                house.flush();
                house.clock.advance(HOUR * 2);
                house.flush();
                let digests = texts(&house, "admin@x").len();
                let taken = house.next_hop.taken.lock().unwrap();
                // The notice has a crash window of its own at its delivery, as any message.
                let mut told: Vec<_> = taken.iter().filter(|taken| taken.to == "joe@x").map(|one| one.id).collect();
                told.dedup();
                let told = told.len();
                assert!(house.queue_is_empty(), "{context}");
                match per_hour {
                    0 => assert!(told == 0 && digests == 1, "{context}: {told} {digests}"),
                    _ => assert!(told == 1 && digests == 0, "{context}: {told} {digests}"),
                }
            }
        }
    }
}

#[test]
fn the_administrator_gets_copies_but_never_of_what_we_wrote() {
    let house = with(Some("admin@x"), 100, true);
    house.next_hop.answers(never_bob);
    house.put(1, "joe@x", &["bob@x"]);
    house.put(2, "", &["bob@x"]);
    house.put(3, "admin@x", &["bob@x"]);
    house.spool.put(id(4), wishing("joe@x", &[notify(false, false, false)]), OCTETS);
    let mut about = envelope("", &["bob@x"]);
    about.origin.notice_of = Some(NoticeOf { original: id(77), recipients: vec![0] });
    house.spool.put(id(5), about, OCTETS);
    house.flush();
    house.clock.advance(HOUR);
    house.flush();
    assert!(house.queue_is_empty());
    assert_eq!(texts(&house, "joe@x").len(), 1);
    let taken = house.next_hop.taken.lock().unwrap();
    let mut theirs: Vec<_> = taken.iter().filter(|taken| taken.to == "admin@x").map(|taken| taken.id).collect();
    theirs.sort_unstable();
    let mut expected = [(NoticeKind::FailureCopy, 1), (NoticeKind::FailureCopy, 2), (NoticeKind::Failed, 3)]
        .map(|(report, number)| notice_id(report, id(number), &[0]));
    expected.sort_unstable();
    assert_eq!(theirs, expected);
    assert_eq!(house.spool.on(Folder::Failed), [id(2), id(5)]);
    assert_eq!(house.events.count(|event| matches!(event, Event::CopiedToAdmin { .. })), 2);
}

#[test]
fn an_administrator_who_cannot_be_reached_leads_to_no_loop() {
    let house = with(Some("bob@x"), 1, true);
    house.next_hop.answers(never_bob);
    // In turn: the one that fails first is reported.
    house.next_hop.connections.store(1, SeqCst);
    for number in 1..=3 {
        house.put(number, if number == 3 { "" } else { "joe@x" }, &["bob@x"]);
    }
    for _ in 0..5 {
        assert_eq!(house.runner().flush(Selection::All, Urgency::Now).unwrap().troubles, 0);
        house.clock.advance(HOUR);
    }
    assert!(house.queue_is_empty());
    // One copy and one digest came back, beside what failed itself.
    assert_eq!((texts(&house, "joe@x").len(), house.spool.on(Folder::Failed).len()), (1, 4));
}
