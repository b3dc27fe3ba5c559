//! A message that is announced in the flight that ends the one before (RFC 2920 3.1): whatever the next hop does with either,
//! each gets its own verdict, and what was announced is sent, taken back or sent elsewhere.

use std::time::Duration;

use crate::fake_smarthost::{Act, FakeSmarthost, Record, Script, reply};
use crate::requests::{Pieces, deliver, envelope, letters, settings, transport};
use leafmail::envelope::Envelope;
use leafmail::transport::{Extensions, RouteSettings, Timeouts};

const FIRST: &[u8] = b"Subject: first\r\n\r\none\r\n";
const SECOND: &[u8] = b"Subject: second\r\n\r\n.two\r\n";

fn first() -> Envelope {
    envelope("me@y.example", &["a@x.example"])
}

fn second() -> Envelope {
    envelope("you@y.example", &["b@x.example", "c@x.example"])
}

fn route(smarthost: &FakeSmarthost) -> RouteSettings {
    let limit = Duration::from_millis(700);
    let timeouts = Timeouts { connect: limit, command: limit, data: limit, block: limit, end_of_data: limit };
    RouteSettings { timeouts, ..settings(&format!("smtp://127.0.0.1:{}?tls=none", smarthost.address.port())) }
}

/// Delivers both, the second announced with the first; a letter for each recipient, or `R` for a fault.
fn both(script: Script) -> ([String; 2], Record) {
    let smarthost = FakeSmarthost::start(script.offers(["PIPELINING", "8BITMIME"]));
    let mut transport = transport(&route(&smarthost));
    let bodies = [Pieces::of(FIRST).before(&second(), SECOND), Pieces::of(SECOND)];
    let mut envelopes = [first(), second()].into_iter();
    let verdicts = bodies.map(|mut body| match deliver(&mut *transport, &envelopes.next().unwrap(), &mut body) {
        Ok(delivery) => letters(&delivery.outcomes).iter().map(|letters| &letters[..1]).collect(),
        Err(_fault) => "R".to_owned(),
    });
    transport.disconnect();
    (verdicts, smarthost.record())
}

#[test]
fn a_second_message_costs_one_flight() {
    let (verdicts, record) = both(Script::new());
    assert_eq!(verdicts, ["D", "DD"]);
    assert_eq!(record.messages, [FIRST, SECOND]);
    let together = "\r\n.\r\nMAIL FROM:<you@y.example>\r\nRCPT TO:<b@x.example>\r\nRCPT TO:<c@x.example>\r\nDATA\r\n";
    assert!(record.saw(together.as_bytes()));
    assert_eq!((record.connections, record.verbs("MAIL").len(), record.verbs("QUIT").len()), (1, 2, 1));
}

#[test]
fn nothing_is_announced_where_it_is_not_offered_or_the_answer_is_known() {
    for (script, next) in [
        (Script::new(), second()),
        (Script::new().offers(["PIPELINING"]), envelope("me@y.example", &["b\u{fc}@x.example"])),
        (Script::new().offers(["PIPELINING", "SIZE 40"]), second()),
    ] {
        let smarthost = FakeSmarthost::start(script);
        let mut body = Pieces::of(FIRST).before(&next, [0; 50]);
        let mut transport = transport(&route(&smarthost));
        deliver(&mut *transport, &first(), &mut body).unwrap();
        transport.disconnect();
        let record = smarthost.record();
        assert_eq!((record.verbs("MAIL").len(), record.verbs("QUIT").len()), (1, 1));
    }
    let smarthost = FakeSmarthost::start(Script::new().offers(["PIPELINING", "XFORWARD NAME"]));
    let extensions = Extensions { xforward: true, ..Extensions::default() };
    let mut transport = transport(&RouteSettings { extensions, ..route(&smarthost) });
    deliver(&mut *transport, &first(), &mut Pieces::of(FIRST).before(&second(), SECOND)).unwrap();
    assert_eq!(smarthost.record().verbs("MAIL").len(), 1);
}

#[test]
fn who_is_announced_and_does_not_come_costs_the_connection_and_nothing_else() {
    let smarthost = FakeSmarthost::start(Script::new().offers(["PIPELINING"]));
    let mut transport = transport(&route(&smarthost));
    deliver(&mut *transport, &first(), &mut Pieces::of(FIRST).before(&second(), SECOND)).unwrap();
    let third = envelope("she@y.example", &["d@x.example"]);
    let delivery = deliver(&mut *transport, &third, &mut Pieces::of(FIRST).before(&second(), SECOND)).unwrap();
    assert_eq!(letters(&delivery.outcomes), ["D2.0.0"]);
    transport.disconnect();
    let record = smarthost.record_when(|record| record.verbs("DATA").len() == 4);
    assert_eq!((record.connections, record.messages.len()), (2, 2), "no third message, not even an empty one");
    assert!(record.verbs("QUIT").is_empty(), "it would be a line of the message that is waited for");
}

#[test]
fn an_announced_message_is_judged_like_any_other() {
    for (step, deed, expected, connections) in [
        ("MAIL", reply("451 4.3.0 not now"), "DD", 2),
        ("MAIL", reply("550 5.7.1 not you"), "FF", 1),
        ("MAIL", Act::SendAndClose(b"421 4.7.0 that was enough\r\n".to_vec()), "DD", 2),
        ("MAIL", Act::Close, "DD", 2),
        ("MAIL", Act::Stall, "DD", 2),
        ("MAIL", Act::SendAndClose(b"250 o".to_vec()), "DD", 2),
        ("MAIL", reply("\u{1}what"), "DD", 2),
        ("RCPT", reply("450 4.2.1 busy"), "LD", 1),
        ("RCPT", reply("550 5.1.1 no"), "FD", 1),
        ("RCPT", Act::SendAndClose(b"421 4.3.2 going down\r\n".to_vec()), "DD", 2),
        ("RCPT", Act::Close, "DD", 2),
        ("DATA", reply("451 4.3.0 not now"), "LL", 1),
        ("DATA", reply("554 5.3.0 never"), "FF", 1),
        ("DATA", reply("250 what?"), "LL", 1),
        ("DATA", Act::Close, "DD", 2),
        ("end", Act::Close, "??", 1),
        ("end", reply("554 5.6.0 spam"), "FF", 1),
    ] {
        let (verdicts, record) = both(Script::new().on(step, Act::Pass).on(step, deed.clone()));
        assert_eq!(verdicts, ["D", expected], "{step} {deed:?}");
        assert_eq!(record.connections, connections, "{step} {deed:?}");
        assert_eq!(record.messages[0], FIRST);
    }
}

#[test]
fn what_becomes_of_the_first_does_not_keep_the_second() {
    for (deed, expected, connections) in [
        (reply("451 4.3.0 not now"), "L", 1),
        (reply("554 5.6.0 spam"), "F", 1),
        (reply("250"), "D", 1),
        (Act::SendAndClose(b"421 4.3.2 going down\r\n".to_vec()), "L", 2),
        (Act::SendAndClose(b"250 2.0.0 taken\r\n".to_vec()), "D", 2),
        (reply("what is this?"), "?", 2),
        (reply("354 go on"), "?", 2),
        (Act::Close, "?", 2),
        (Act::Reset, "?", 2),
        (Act::Stall, "?", 2),
    ] {
        let (verdicts, record) = both(Script::new().on("end", deed.clone()));
        assert_eq!(verdicts, [expected, "DD"], "{deed:?}");
        assert_eq!((record.connections, record.verbs("RSET").len()), (connections, 0), "{deed:?}");
        assert_eq!(record.messages, [FIRST, SECOND], "{deed:?}");
    }
}
