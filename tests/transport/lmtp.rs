//! LMTP: one verdict per recipient after the message, each kept whatever follows, over TCP and over a Unix socket.

use crate::fake_lmtp::{FakeLmtp, Then};
use crate::requests::{Pieces, deliver, envelope, letters, settings, transport};
use leafmail::receipt::Cause;
use leafmail::transport::{Dsn, Inquiry, Place, ProbeVerdict, probe};

const TEXT: &[u8] = b"Subject: x\r\n\r\n.hello\r\n";
const FOUR: [&str; 4] = ["a@x.example", "b@x.example", "c@x.example", "d@x.example"];

#[test]
fn each_recipient_has_its_own_verdict_and_the_connection_serves_the_next_message() {
    let store = FakeLmtp::start();
    store.at_rcpt("b@x.example", "550 5.1.1 no such user");
    store.at_end("c@x.example", "452 4.2.2 over quota");
    store.at_end("d@x.example", "552 5.2.2 mailbox is full");
    let mut way = transport(&settings(&store.url));
    let envelope = envelope("me@y.example", &FOUR);
    for copies in 1..=2 {
        let mut body = Pieces::of(TEXT);
        let delivery = deliver(&mut *way, &envelope, &mut body).unwrap();
        assert_eq!(letters(&delivery.outcomes), ["D2.0.0", "F5.1.1", "L4.2.2", "F5.2.2"]);
        assert_eq!((delivery.dsn, delivery.route_trouble, body.handed_over.len()), (Dsn::Final, None, 1));
        let record = store.record();
        assert_eq!((record.connections, record.copies("a@x.example"), record.delivered.len()), (1, copies, copies));
        assert_eq!(record.delivered[0].1, TEXT);
    }
    way.disconnect();
    let commands = store.record().commands;
    assert!(commands[0].starts_with("LHLO "), "{commands:?}");
    assert!(!commands.iter().any(|line| line.starts_with("EHLO") || line.starts_with("HELO")), "{commands:?}");
}

#[test]
fn a_connection_that_breaks_between_verdicts_leaves_only_the_rest_in_doubt() {
    let store = FakeLmtp::start();
    let envelope = envelope("me@y.example", &FOUR);
    store.at_end("a@x.example", "554 5.6.0 not this");
    for (after, expected) in [
        (0, ["?4.4.2", "?4.4.2", "?4.4.2", "?4.4.2"]),
        (1, ["F5.6.0", "?4.4.2", "?4.4.2", "?4.4.2"]),
        (3, ["F5.6.0", "D2.0.0", "D2.0.0", "?4.4.2"]),
    ] {
        store.breaks(Some((after, Then::Close)));
        let delivery = deliver(&mut *transport(&settings(&store.url)), &envelope, &mut Pieces::of(TEXT)).unwrap();
        assert_eq!(letters(&delivery.outcomes), expected, "after {after}");
    }
    store.breaks(Some((2, Then::Stall)));
    let mut impatient = settings(&store.url);
    impatient.timeouts.end_of_data = std::time::Duration::from_millis(300);
    let delivery = deliver(&mut *transport(&impatient), &envelope, &mut Pieces::of(TEXT)).unwrap();
    assert_eq!(letters(&delivery.outcomes), ["F5.6.0", "D2.0.0", "?4.4.2", "?4.4.2"]);
}

#[test]
fn where_nobody_is_accepted_no_octet_goes_out_and_the_connection_stays() {
    let store = FakeLmtp::start();
    FOUR.iter().for_each(|recipient| store.at_rcpt(recipient, "550 5.1.1 no such user"));
    let mut way = transport(&settings(&store.url));
    let envelope = envelope("me@y.example", &FOUR);
    for _ in 0..2 {
        let mut body = Pieces::of(TEXT);
        let delivery = deliver(&mut *way, &envelope, &mut body).unwrap();
        assert_eq!(letters(&delivery.outcomes), ["F5.1.1"; 4]);
        assert!(body.handed_over.is_empty());
    }
    assert_eq!(store.record().connections, 1);
}

#[test]
fn a_socket_is_as_good_as_a_port_and_a_missing_one_troubles_the_route() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lmtp");
    let (url, envelope) = (format!("lmtp:{}", path.display()), envelope("", &FOUR));
    let mut way = transport(&settings(&url));
    let fault = deliver(&mut *way, &envelope, &mut Pieces::of(TEXT)).unwrap_err();
    assert_eq!(fault.to_string(), format!("{url}: connecting to {} failed: No such file or directory", path.display()));
    assert_eq!((fault.reason.cause, fault.in_transaction), (Some(Cause::NotReachable), false));
    let store = FakeLmtp::start_at(&path);
    assert_eq!(store.url, url);
    let delivery = deliver(&mut *way, &envelope, &mut Pieces::of(TEXT)).unwrap();
    assert_eq!((letters(&delivery.outcomes), delivery.relay), (vec!["D2.0.0".to_owned(); 4], url));
}

#[test]
fn a_probe_says_lhlo_and_asks_for_each_recipient_over_port_and_socket() {
    let folder = tempfile::tempdir().unwrap();
    for store in [FakeLmtp::start(), FakeLmtp::start_at(&folder.path().join("s"))] {
        store.at_rcpt("b@x.example", "550 5.1.1 no such user");
        let settings = settings(&store.url);
        let inquiry = Inquiry {
            senders: vec!["me@y.example".parse().unwrap()],
            recipients: FOUR[..2].iter().map(|one| one.parse().unwrap()).collect(),
            largest: 1,
            now: 1_795_226_607,
        };
        let mut steps = Vec::new();
        probe(&settings, &Place::of(&settings, 0), &inquiry, &mut |step| steps.push(step));
        let told =
            |what: &str| steps.iter().filter(|step| step.what == what).map(|step| step.verdict).collect::<Vec<_>>();
        assert_eq!(told("LHLO"), [ProbeVerdict::Ok], "{steps:#?}");
        assert_eq!(told("RCPT"), [ProbeVerdict::Ok, ProbeVerdict::Fault], "{steps:#?}");
        let record = store.record();
        assert!(record.delivered.is_empty() && !record.commands.iter().any(|line| line == "DATA"));
    }
}
