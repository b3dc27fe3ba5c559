//! The smarthost transport against a scripted smarthost: who is judged how.

use std::time::{Duration, Instant};

use crate::fake_smarthost::{Act, FakeSmarthost, Record, Script, reply};
use crate::requests::{Pieces, deliver, envelope, letters, settings, transport};
use leafmail::envelope::{Notify, Ret};
use leafmail::transport::{Delivery, RouteFailure, RouteSettings};

const THREE: [&str; 3] = ["a@x.example", "b@x.example", "c@x.example"];
const TEXT: &[u8] = b"Subject: x\r\n\r\nhello\r\n";

fn plain(smarthost: &FakeSmarthost) -> RouteSettings {
    settings(&format!("smtp://127.0.0.1:{}?tls=none", smarthost.address.port()))
}

/// One message to three recipients by a fresh transport; the verdicts, and what the smarthost saw.
fn one(script: Script) -> (Result<Delivery, RouteFailure>, Record) {
    let smarthost = FakeSmarthost::start(script);
    let mut transport = transport(&plain(&smarthost));
    let result = deliver(&mut *transport, &envelope("me@y.example", &THREE), &mut Pieces::of(TEXT));
    transport.disconnect();
    (result, smarthost.record())
}

fn verdicts(script: Script) -> (Vec<String>, Record) {
    let (result, record) = one(script);
    (letters(&result.unwrap().outcomes), record)
}

fn fault(script: Script) -> (RouteFailure, Record) {
    let (result, record) = one(script);
    (result.unwrap_err(), record)
}

#[test]
fn a_refused_recipient_does_not_hold_up_the_others() {
    for script in [Script::new(), Script::new().offers(["PIPELINING"])] {
        let (verdicts, record) = verdicts(script.refuses("b@x.example", "550 5.1.1 no such user"));
        assert_eq!(verdicts, ["D2.0.0", "F5.1.1", "D2.0.0"]);
        assert_eq!(record.messages, [TEXT]);
        assert_eq!(record.verbs("RCPT").len(), 3);
    }
}

#[test]
fn reasons_carry_the_whole_reply() {
    let script = Script::new().refuses("b@x.example", "550-5.1.1 no such user\r\n550 5.1.1 ask postmaster");
    let delivery = one(script).0.unwrap();
    assert_eq!(delivery.outcomes[1].reason().text.matches("ask postmaster").count(), 1);
    assert_eq!(delivery.outcomes[1].reason().reply_code, Some(550));
    assert_eq!(delivery.outcomes[0].reason().text, "250 2.0.0 queued as FAKE1");
    assert!(delivery.relay.starts_with("127.0.0.1[127.0.0.1]:"), "{}", delivery.relay);
}

#[test]
fn nothing_of_the_message_is_sent_when_nobody_is_accepted() {
    for (script, data) in [(Script::new(), 0), (Script::new().offers(["PIPELINING"]), 1)] {
        let script = script
            .refuses("a@x.example", "550 5.1.1 no")
            .refuses("b@x.example", "452 4.5.3 too many")
            .refuses("c@x.example", "552 too many");
        let (verdicts, record) = verdicts(script);
        assert_eq!(verdicts, ["F5.1.1", "L4.5.3", "L4.0.0"]);
        assert!(record.verbs("DATA").len() == data && !record.saw(b"Subject"));
        assert_eq!((record.verbs("RSET").len(), record.messages.len()), (1, 0));
    }
}

#[test]
fn mail_and_data_are_judged_for_all_who_are_left() {
    for pipelining in [false, true] {
        let script = || if pipelining { Script::new().offers(["PIPELINING"]) } else { Script::new() };
        assert_eq!(verdicts(script().on("MAIL", reply("451 4.7.1 later"))).0, ["L4.7.1"; 3]);
        assert_eq!(verdicts(script().on("MAIL", reply("550 5.7.1 not you"))).0, ["F5.7.1"; 3]);
        let refusing = || script().refuses("a@x.example", "550 5.1.1 no");
        assert_eq!(verdicts(refusing().on("DATA", reply("451 4.3.0 later"))).0, ["F5.1.1", "L4.3.0", "L4.3.0"]);
        assert_eq!(verdicts(refusing().on("DATA", reply("554 5.5.1 no"))).0, ["F5.1.1", "F5.5.1", "F5.5.1"]);
        assert_eq!(verdicts(refusing().on("end", reply("451 4.3.0 later"))).0, ["F5.1.1", "L4.3.0", "L4.3.0"]);
        assert_eq!(verdicts(refusing().on("end", reply("554 5.6.0 spam"))).0, ["F5.1.1", "F5.6.0", "F5.6.0"]);
    }
}

#[test]
fn what_is_about_us_is_a_fault_of_the_route() {
    for (step, answer) in [
        ("greeting", "554 5.7.1 go away"),
        ("greeting", "421 4.3.2 busy"),
        ("EHLO", "421 4.3.2 busy"),
        ("MAIL", "530 5.7.0 authenticate"),
        ("MAIL", "421 4.7.0 slow down"),
        ("RCPT", "421 4.7.0 slow down"),
        ("RCPT", "550 5.4.5 daily limit exceeded"),
        ("DATA", "421 4.7.0 slow down"),
    ] {
        let (fault, record) = fault(Script::new().always(step, reply(answer)));
        assert!(fault.reason.text.contains(&answer[4..]), "{step}: {fault}");
        assert!(!record.saw(b"Subject"), "{step}");
    }
    let (fault, record) = fault(Script::new().on("greeting", Act::Close));
    assert!(fault.reason.text.contains("lost connection while waiting for the greeting"), "{fault}");
    assert!(record.commands.is_empty());
}

#[test]
fn a_smarthost_that_cannot_be_reached_is_a_fault() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (url, text) in [
        (
            format!("smtp://127.0.0.1:{free}?tls=none"),
            format!("connecting to 127.0.0.1:{free} failed: Connection refused"),
        ),
        ("smtp://does-not-exist.invalid".to_owned(), "looking the name does-not-exist.invalid up failed".to_owned()),
    ] {
        let mut transport = transport(&settings(&url));
        let fault = deliver(&mut *transport, &envelope("", &THREE), &mut Pieces::of(TEXT)).unwrap_err();
        assert!(fault.reason.text.contains(&text), "{fault}");
    }
}

#[test]
fn a_lost_connection_before_the_end_is_made_anew_and_after_it_leaves_doubt() {
    let refusing = || Script::new().refuses("b@x.example", "550 5.1.1 no");
    for act in [Act::Close, Act::Reset, Act::SendAndClose(b"35".to_vec())] {
        assert_eq!(verdicts(refusing().on("DATA", act.clone())).0, ["P4.4.2", "F5.1.1", "P4.4.2"]);
        assert_eq!(verdicts(refusing().on("RCPT", act.clone())).0, ["D2.0.0", "F5.1.1", "D2.0.0"]);
        assert!(fault(Script::new().always("RCPT", act.clone())).0.in_transaction);
        assert_eq!(verdicts(refusing().on("end", act.clone())).0, ["?4.4.2", "F5.1.1", "?4.4.2"]);
    }
    assert_eq!(verdicts(refusing().on("end", reply("what?"))).0, ["?4.5.0", "F5.1.1", "?4.5.0"]);
    assert_eq!(verdicts(refusing().on("end", reply("354 more"))).0, ["?4.5.0", "F5.1.1", "?4.5.0"]);
}

#[test]
fn each_phase_has_its_limit() {
    let short = Duration::from_millis(150);
    for (step, expected) in
        [("greeting", ""), ("EHLO", ""), ("MAIL", ""), ("RCPT", "L4.4.2"), ("DATA", "L4.4.2"), ("end", "?4.4.2")]
    {
        let smarthost = FakeSmarthost::start(Script::new().on(step, Act::Stall));
        let mut settings = plain(&smarthost);
        (settings.timeouts.command, settings.timeouts.data, settings.timeouts.end_of_data) = (short, short, short);
        settings.timeouts.connect = short;
        let started = Instant::now();
        let result = deliver(&mut *transport(&settings), &envelope("", &["a@x.example"]), &mut Pieces::of(TEXT));
        assert!((short..short * 10).contains(&started.elapsed()), "{step}: {:?}", started.elapsed());
        match result {
            Ok(delivery) => {
                assert_eq!(letters(&delivery.outcomes), [expected], "{step}");
                assert!(delivery.outcomes[0].reason().text.contains("timed out after 0.15 s"), "{delivery:?}");
            }
            Err(fault) => assert!(expected.is_empty(), "{step}: {fault}"),
        }
    }
}

#[test]
fn a_late_answer_is_waited_for() {
    let late = Act::Late(Duration::from_millis(300), Box::new(Act::Pass));
    assert_eq!(verdicts(Script::new().on("end", late)).0, ["D2.0.0"; 3]);
}

#[test]
fn one_connection_serves_many_messages() {
    let smarthost =
        FakeSmarthost::start(Script::new().offers(["PIPELINING"]).on("MAIL", Act::Pass).on("MAIL", reply("550 no")));
    let mut transport = transport(&plain(&smarthost));
    for number in 0..20 {
        let delivery = deliver(&mut *transport, &envelope("", &THREE), &mut Pieces::of(TEXT)).unwrap();
        assert_eq!(delivery.connecting.is_zero(), number > 0);
    }
    transport.disconnect();
    let record = smarthost.record();
    assert_eq!((record.connections, record.messages.len()), (1, 19));
    assert_eq!((record.verbs("RSET").len(), record.verbs("QUIT").len()), (1, 1));
}

#[test]
fn a_kept_connection_that_died_is_replaced_silently_and_once() {
    let died: [(&str, Act); 4] = [
        ("MAIL", Act::Close),
        ("MAIL", Act::Reset),
        ("MAIL", Act::SendAndClose(b"421 4.4.2 idle too long\r\n".to_vec())),
        ("end", Act::SendAndClose(b"250 ok\r\n421 4.4.2 idle too long\r\n".to_vec())),
    ];
    for (step, act) in died {
        let script = if step == "MAIL" { Script::new().on("MAIL", Act::Pass) } else { Script::new() };
        let smarthost = FakeSmarthost::start(script.on(step, act.clone()));
        let mut transport = transport(&plain(&smarthost));
        for _ in 0..2 {
            let delivery = deliver(&mut *transport, &envelope("", &THREE), &mut Pieces::of(TEXT)).unwrap();
            assert_eq!(letters(&delivery.outcomes).len(), 3, "{step} {act:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
        let record = smarthost.record();
        assert_eq!((record.connections, record.messages.len()), (2, 2), "{step} {act:?}");
    }
    let smarthost = FakeSmarthost::start(Script::new().on("MAIL", Act::Pass).always("MAIL", Act::Close));
    let mut transport = transport(&plain(&smarthost));
    deliver(&mut *transport, &envelope("", &THREE), &mut Pieces::of(TEXT)).unwrap();
    deliver(&mut *transport, &envelope("", &THREE), &mut Pieces::of(TEXT)).unwrap_err();
    assert_eq!(smarthost.record().connections, 3, "a new one is tried twice");
}

#[test]
fn helo_is_the_fall_back() {
    let (verdicts, record) = verdicts(Script::new().on("EHLO", reply("502 5.5.1 what?")));
    assert_eq!(verdicts, ["D2.0.0"; 3]);
    assert_eq!(record.verbs("HELO"), ["HELO client.example"]);
    assert_eq!(record.verbs("MAIL"), ["MAIL FROM:<me@y.example>"]);
}

#[test]
fn odd_replies_are_understood() {
    let odd = Script::new()
        .on("greeting", Act::Send(b"220-one\r\n220-\xff\r\n220\r\n".to_vec()))
        .on("EHLO", Act::Send(b"250\r\n".to_vec()))
        .on("MAIL", Act::Send(b"250\r\n".to_vec()))
        .on("RCPT", Act::Send([b"250 ".to_vec(), vec![b'x'; 2000], b"\r\n".to_vec()].concat()))
        .on("RCPT", Act::Send(b"250 caf\xe9\r\n".to_vec()))
        .on("RCPT", Act::Send(b"298-a\r\n298-b\r\n298 c\r\n".to_vec()))
        .on("DATA", Act::Send(b"354\r\n".to_vec()))
        .on("end", Act::Send(b"250-2.0.0 o\x07k\xff\n250 2.0.0 really\n".to_vec()));
    let delivery = one(odd).0.unwrap();
    assert_eq!(letters(&delivery.outcomes), ["D2.0.0"; 3]);
    let text = &delivery.outcomes[0].reason().text;
    assert!(text.contains("o?k?") && text.contains("really"), "{text}");
}

#[test]
fn replies_that_nobody_asked_for_are_not_taken_for_answers() {
    // The 250 after the 354 would pass for the acceptance of a message that was not sent yet.
    let script = Script::new().on("DATA", Act::Send(b"354 go on\r\n250 2.0.0 queued\r\n".to_vec()));
    let (verdicts, record) = verdicts(script);
    assert_eq!(verdicts, ["L4.5.0"; 3]);
    assert!(!record.saw(b"Subject"));
}

#[test]
fn parameters_are_sent_only_where_they_are_offered() {
    let mut asked = envelope("me@y.example", &["a@x.example"]);
    (asked.ret, asked.envid) = (Some(Ret::Headers), Some("a+20b".to_owned()));
    let mut to = asked.recipients.to_vec();
    to[0].notify = Some(Notify { success: true, failure: true, delay: false });
    to[0].orcpt = Some("rfc822;a+2Bb@x.example".to_owned());
    asked.recipients = leafmail::envelope::Recipients::new(to).unwrap();
    for (offered, mail, rcpt) in [
        (Script::new(), "MAIL FROM:<me@y.example>", "RCPT TO:<a@x.example>"),
        (
            Script::new().offers(["Size 1000", "8bitMime", "DSN", "SMTPUTF8"]),
            "MAIL FROM:<me@y.example> SIZE=5 BODY=8BITMIME RET=HDRS ENVID=a+20b",
            "RCPT TO:<a@x.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a+2Bb@x.example",
        ),
    ] {
        let smarthost = FakeSmarthost::start(offered);
        deliver(&mut *transport(&plain(&smarthost)), &asked, &mut Pieces::of("\u{e9}a\r\n")).unwrap();
        let record = smarthost.record();
        assert_eq!((record.verbs("MAIL"), record.verbs("RCPT")), (vec![mail], vec![rcpt]));
    }
}

#[test]
fn a_message_over_the_limit_fails_without_being_offered() {
    let (verdicts, record) = verdicts(Script::new().offers(["SIZE 20"]));
    assert_eq!(verdicts, ["F5.3.4"; 3]);
    assert!(record.verbs("MAIL").is_empty());
    assert_eq!(self::verdicts(Script::new().offers(["SIZE 0"])).0, ["D2.0.0"; 3]);
    assert_eq!(self::verdicts(Script::new().offers(["SIZE 21"])).0, ["D2.0.0"; 3]);
}

#[test]
fn an_address_that_is_not_ascii_needs_smtputf8() {
    let recipients = ["a@x.example", "b\u{fc}@x.example"];
    for (offered, expected, mail) in [
        (Script::new(), ["D2.0.0", "F5.6.7"], "MAIL FROM:<me@y.example>"),
        (Script::new().offers(["SMTPUTF8"]), ["D2.0.0", "D2.0.0"], "MAIL FROM:<me@y.example> SMTPUTF8"),
    ] {
        let smarthost = FakeSmarthost::start(offered);
        let mut transport = transport(&plain(&smarthost));
        let delivery = deliver(&mut *transport, &envelope("me@y.example", &recipients), &mut Pieces::of(TEXT)).unwrap();
        assert_eq!(letters(&delivery.outcomes), expected);
        assert_eq!(smarthost.record().verbs("MAIL"), [mail]);
    }
}

#[test]
fn mail_rcpt_and_data_fly_together() {
    // MAIL is answered only once the octets of all three RCPT lines and of DATA have arrived.
    let behind = THREE.map(|to| format!("RCPT TO:<{to}>\r\n")).concat() + "DATA\r\n";
    let replies = Act::Send(b"250 ok\r\n250 ok\r\n550 5.1.1 no\r\n250 ok\r\n354 go on\r\n".to_vec());
    let flight = Act::After(behind.len(), Box::new(replies));
    let (verdicts, record) = verdicts(Script::new().offers(["PIPELINING"]).on("MAIL", flight));
    // It then takes the message for commands, and says so.
    assert_eq!(verdicts, ["F5.5.1", "F5.1.1", "F5.5.1"]);
    assert!(record.saw(behind.as_bytes()) && record.saw(TEXT));
}

#[test]
fn without_pipelining_no_command_is_sent_before_the_answer_to_the_last() {
    for (offered, recipients) in [("HELP", 0), ("PIPELINING", 3)] {
        let script = Script::new().offers([offered]).on("MAIL", reply("550 5.7.1 not you"));
        let (verdicts, record) = verdicts(script);
        assert_eq!((verdicts, record.verbs("RCPT").len()), (vec!["F5.7.1".to_owned(); 3], recipients));
    }
}

#[test]
fn a_next_hop_that_wants_a_message_for_nobody_gets_an_empty_one() {
    let script = || Script::new().offers(["PIPELINING"]).on("DATA", reply("354 go on"));
    for script in [
        script()
            .refuses("a@x.example", "550 5.1.1 no")
            .refuses("b@x.example", "450 no")
            .refuses("c@x.example", "550 no"),
        script().on("MAIL", reply("550 5.7.1 not you")),
    ] {
        let smarthost = FakeSmarthost::start(script);
        let mut transport = transport(&plain(&smarthost));
        let delivery = deliver(&mut *transport, &envelope("", &THREE), &mut Pieces::of(TEXT)).unwrap();
        assert!(!letters(&delivery.outcomes).iter().any(|verdict| verdict.starts_with('D')));
        let record = smarthost.record();
        assert_eq!((record.messages, record.octets.ends_with(b"RSET\r\n")), (vec![Vec::new()], true));
        let delivery = deliver(&mut *transport, &envelope("", &["d@x.example"]), &mut Pieces::of(TEXT)).unwrap();
        assert_eq!((letters(&delivery.outcomes), smarthost.record().connections), (vec!["D2.0.0".to_owned()], 1));
    }
}

#[test]
fn a_next_hop_that_refuses_the_sender_and_takes_the_recipients_is_left() {
    let odd = b"550 5.7.1 not you\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go on\r\n".to_vec();
    let behind = THREE.map(|to| format!("RCPT TO:<{to}>\r\n")).concat() + "DATA\r\n";
    let script = Script::new().offers(["PIPELINING"]).on("MAIL", Act::After(behind.len(), Box::new(Act::Send(odd))));
    let (verdicts, record) = verdicts(script);
    assert_eq!(verdicts, ["F5.7.1"; 3]);
    assert!(!record.saw(b".\r\n") && !record.saw(b"Subject"));
}

#[test]
fn many_recipients_fly_in_several_flights() {
    let many: Vec<String> = (0..170).map(|number| format!("user{number}@x.example")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let smarthost = FakeSmarthost::start(Script::new().offers(["PIPELINING"]).refuses("user77@x.example", "550 no"));
    let delivery = deliver(&mut *transport(&plain(&smarthost)), &envelope("", &many), &mut Pieces::of(TEXT)).unwrap();
    let failed: Vec<usize> = (0..170).filter(|at| letters(&delivery.outcomes)[*at] == "F5.0.0").collect();
    assert_eq!(failed, [77]);
    assert_eq!(smarthost.record().verbs("RCPT").len(), 170);
}

/// Replies that are no verdict about anybody: those that cannot be one to their command, as the dialogue is out of step then, and
/// those about the connection or our account. Who was judged keeps the verdict, and the route rests where our account is why.
#[test]
fn what_is_no_verdict_about_anybody_unsays_none_and_gives_none() {
    let told = |step: &str, answer: &str, refused: bool, pipelining: bool| {
        let script = if pipelining { Script::new().offers(["PIPELINING"]) } else { Script::new() };
        let script = if refused { script.refuses("a@x.example", "550 5.1.1 no") } else { script };
        let smarthost = FakeSmarthost::start(script.always(step, reply(answer)));
        match deliver(&mut *transport(&plain(&smarthost)), &envelope("", &THREE), &mut Pieces::of(TEXT)) {
            Ok(delivery) => {
                let rests = if delivery.route_trouble.is_some() { " rests" } else { "" };
                letters(&delivery.outcomes).join(" ") + rests
            }
            Err(fault) if fault.in_transaction => "fault within".to_owned(),
            Err(_) => "fault".to_owned(),
        }
    };
    for (step, answer, alone, beside_a_refused_one) in [
        ("MAIL", "354 go on", "fault within", "fault within"),
        ("RCPT", "354 go on", "L4.5.0 L4.5.0 L4.5.0", "F5.1.1 L4.5.0 L4.5.0"),
        ("DATA", "250 ok", "L4.5.0 L4.5.0 L4.5.0", "F5.1.1 L4.5.0 L4.5.0"),
        ("MAIL", "421 4.3.2 busy", "fault within", "fault within"),
        ("RCPT", "421 4.3.2 busy", "fault within", "F5.1.1 P4.3.2 P4.3.2"),
        ("DATA", "421 4.3.2 busy", "fault within", "F5.1.1 P4.3.2 P4.3.2"),
        ("MAIL", "530 5.7.0 authenticate", "fault", "fault"),
        ("RCPT", "421 4.7.28 unusual rate", "fault", "F5.1.1 P4.7.28 P4.7.28 rests"),
        ("RCPT", "550 5.4.5 daily limit exceeded", "fault", "F5.1.1 P5.4.5 P5.4.5 rests"),
        ("DATA", "421 4.7.28 unusual rate", "fault", "F5.1.1 P4.7.28 P4.7.28 rests"),
        ("DATA", "550 5.4.5 daily limit exceeded", "fault", "F5.1.1 P5.4.5 P5.4.5 rests"),
    ] {
        for pipelining in [false, true] {
            assert_eq!(told(step, answer, false, pipelining), alone, "{step} {answer} {pipelining}");
            assert_eq!(told(step, answer, true, pipelining), beside_a_refused_one, "{step} {answer} {pipelining}");
        }
    }
}
