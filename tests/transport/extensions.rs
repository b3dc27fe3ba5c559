//! The smarthost transport and the extensions of its peer: DSN, 8BITMIME, SMTPUTF8, SIZE, CHUNKING, XFORWARD, XCLIENT.

use crate::fake_smarthost::{Act, FakeSmarthost, Record, Script, reply};
use crate::requests::{Pieces, deliver, envelope, letters, settings, transport};
use leafmail::envelope::{Envelope, Notify, Peer, Ret};
use leafmail::transport::{Delivery, Discarded, Dsn, EightBit, Extensions, RouteFailure};

const TEXT: &[u8] = b"Subject: x\r\n\r\nhello\r\n.\r\n";
/// An octet above 127 in the body, and one in the header.
const EIGHT_BIT: &[u8] = "Subject: x\r\n\r\ngr\u{fc}n\r\n".as_bytes();
const UTF8_HEADER: &[u8] = "Subject: gr\u{fc}n\r\n\r\ngreen\r\n".as_bytes();

fn hand_over(
    script: Script,
    extensions: Extensions,
    envelope: &Envelope,
    text: &[u8],
) -> (Result<Delivery, RouteFailure>, Record) {
    let smarthost = FakeSmarthost::start(script);
    let mut settings = settings(&format!("smtp://127.0.0.1:{}?tls=none", smarthost.address.port()));
    settings.extensions = extensions;
    let mut transport = transport(&settings);
    let result = deliver(&mut *transport, envelope, &mut Pieces::cut(text, 7));
    transport.disconnect();
    (result, smarthost.record())
}

fn one(script: Script, extensions: Extensions, text: &[u8]) -> (Vec<String>, Record) {
    let (result, record) = hand_over(script, extensions, &envelope("me@y.example", &["a@x.example"]), text);
    (letters(&result.unwrap().outcomes), record)
}

#[test]
fn wishes_for_notifications_are_passed_on_octet_for_octet_or_not_at_all() {
    let mut asked = envelope("me@y.example", &["a@x.example", "b+c@x.example"]);
    (asked.ret, asked.envid) = (Some(Ret::Full), Some("QQ+2B314159+3d".to_owned()));
    let mut to = asked.recipients.to_vec();
    to[0].notify = Some(Notify { success: false, failure: false, delay: false });
    to[0].orcpt = Some("rfc822;Bob+40x.example".to_owned());
    asked.recipients = leafmail::envelope::Recipients::new(to).unwrap();
    let (result, record) = hand_over(Script::new().offers(["DSN"]), Extensions::default(), &asked, TEXT);
    assert_eq!(result.unwrap().dsn, Dsn::PassedOn);
    assert_eq!(record.verbs("MAIL"), ["MAIL FROM:<me@y.example> RET=FULL ENVID=QQ+2B314159+3d"]);
    let rcpts = ["RCPT TO:<a@x.example> NOTIFY=NEVER ORCPT=rfc822;Bob+40x.example", "RCPT TO:<b+c@x.example>"];
    assert_eq!(record.verbs("RCPT"), rcpts);
    let (result, record) = hand_over(Script::new(), Extensions::default(), &asked, TEXT);
    assert_eq!(result.unwrap().dsn, Dsn::NotPassedOn);
    assert_eq!(record.verbs("RCPT"), ["RCPT TO:<a@x.example>", "RCPT TO:<b+c@x.example>"]);
}

#[test]
fn nobody_is_sent_an_orcpt_that_no_client_gave() {
    // Some servers offer DSN, and refuse its parameters.
    let refusing = || Script::new().offers(["DSN"]);
    let (result, record) =
        hand_over(refusing(), Extensions::default(), &envelope("me@y.example", &["b+c@x.example"]), TEXT);
    assert_eq!(letters(&result.unwrap().outcomes), ["D2.0.0"]);
    assert_eq!(record.verbs("RCPT"), ["RCPT TO:<b+c@x.example>"]);
}

#[test]
fn an_orcpt_outside_ascii_goes_in_its_7_bit_form_where_smtputf8_is_not_offered() {
    for (orcpt, bare) in [
        ("utf-8;jos\u{e9}@x.example", "utf-8;jos\\x{E9}@x.example"),
        ("utf-8;\u{65e5}\u{672c}@x.example", "utf-8;\\x{65E5}\\x{672C}@x.example"),
        ("UTF-8;a\\x{FC}\u{1f600}+2Bb@x.example", "UTF-8;a\\x{FC}\\x{1F600}+2Bb@x.example"),
        ("rfc822;Bob+40x.example", "rfc822;Bob+40x.example"),
    ] {
        let mut asked = envelope("me@y.example", &["a@x.example"]);
        asked.smtputf8 = true;
        let mut to = asked.recipients.to_vec();
        to[0].orcpt = Some(orcpt.to_owned());
        asked.recipients = leafmail::envelope::Recipients::new(to).unwrap();
        for (script, expected) in
            [(Script::new().offers(["DSN"]), bare), (Script::new().offers(["DSN", "SMTPUTF8", "8BITMIME"]), orcpt)]
        {
            let (result, record) = hand_over(script, Extensions::default(), &asked, TEXT);
            assert_eq!(letters(&result.unwrap().outcomes), ["D2.0.0"]);
            assert_eq!(record.verbs("RCPT"), [format!("RCPT TO:<a@x.example> ORCPT={expected}")]);
        }
    }
    // What would grow beyond what servers take is left out.
    let mut asked = envelope("me@y.example", &["a@x.example"]);
    asked.smtputf8 = true;
    let mut to = asked.recipients.to_vec();
    to[0].orcpt = Some(format!("utf-8;{}@x.example", "\u{e9}".repeat(200)));
    asked.recipients = leafmail::envelope::Recipients::new(to).unwrap();
    let (_, record) = hand_over(Script::new().offers(["DSN"]), Extensions::default(), &asked, TEXT);
    assert_eq!(record.verbs("RCPT"), ["RCPT TO:<a@x.example>"]);
}

#[test]
fn what_is_discarded_is_not_used_although_it_is_offered() {
    use leafmail::transport::Discardable::{Chunking, Dsn, EightBitMime, Pipelining, Size, SmtpUtf8};
    let all = ["PIPELINING", "DSN", "CHUNKING", "SMTPUTF8", "8BITMIME", "SIZE 100000"];
    let without = |discarded: &[leafmail::transport::Discardable]| {
        let discarded = discarded.iter().copied().collect();
        let extensions = Extensions { chunking: true, discarded, ..Extensions::default() };
        let mut asked = envelope("me@y.example", &["a@x.example"]);
        asked.ret = Some(Ret::Full);
        let (result, record) = hand_over(Script::new().offers(all), extensions, &asked, EIGHT_BIT);
        assert_eq!(letters(&result.unwrap().outcomes), ["D2.0.0"]);
        assert_eq!(record.messages, [EIGHT_BIT]);
        record
    };
    let record = without(&[]);
    assert!(record.verbs("MAIL")[0].contains("SIZE=") && record.verbs("MAIL")[0].contains("BODY=8BITMIME RET=FULL"));
    assert_eq!(record.verbs("BDAT").len(), 1);
    assert!(!without(&[Size]).verbs("MAIL")[0].contains("SIZE="));
    assert!(!without(&[EightBitMime]).verbs("MAIL")[0].contains("BODY="));
    assert!(!without(&[Dsn]).verbs("MAIL")[0].contains("RET="));
    assert_eq!(without(&[Chunking]).verbs("DATA").len(), 1);
    let record = without(&[Pipelining, SmtpUtf8, Chunking, Dsn, EightBitMime, Size]);
    assert_eq!(record.verbs("MAIL"), ["MAIL FROM:<me@y.example>"]);
}

#[test]
fn eight_bit_text_goes_as_it_is_or_back_but_never_stripped() {
    let bounce = Extensions { eight_bit: EightBit::Bounce, ..Extensions::default() };
    let offering = || Script::new().offers(["8BITMIME"]);
    for (script, extensions, expected) in [
        (Script::new(), Extensions::default(), "D2.0.0"),
        (Script::new(), bounce, "F5.6.3"),
        (offering(), Extensions::default(), "D2.0.0"),
        (offering(), bounce, "D2.0.0"),
    ] {
        let (verdicts, record) = one(script, extensions, EIGHT_BIT);
        assert_eq!(verdicts, [expected]);
        assert!(record.messages.iter().all(|message| message == EIGHT_BIT));
        assert_eq!(record.messages.len(), usize::from(expected == "D2.0.0"));
    }
    assert_eq!(one(Script::new(), bounce, TEXT).0, ["D2.0.0"], "seven bits need nothing");
}

#[test]
fn a_header_in_utf8_needs_smtputf8_and_the_word_alone_does_not() {
    let mut marked = envelope("me@y.example", &["a@x.example"]);
    marked.smtputf8 = true;
    for (script, text, expected) in [
        (Script::new(), UTF8_HEADER, "F5.6.9"),
        (Script::new().offers(["SMTPUTF8", "8BITMIME"]), UTF8_HEADER, "D2.0.0"),
        (Script::new(), EIGHT_BIT, "D2.0.0"),
        (Script::new(), TEXT, "D2.0.0"),
    ] {
        let (result, record) = hand_over(script, Extensions::default(), &marked, text);
        assert_eq!(letters(&result.unwrap().outcomes), [expected]);
        assert!(record.messages.iter().all(|message| message == text));
    }
}

#[test]
fn the_limit_of_the_last_greeting_is_known() {
    for (script, expected) in [(Script::new().offers(["SIZE 12345"]), 12345), (Script::new(), 0)] {
        let smarthost = FakeSmarthost::start(script);
        let mut transport = transport(&settings(&format!("smtp://127.0.0.1:{}", smarthost.address.port())));
        assert_eq!(transport.largest_message(), None);
        deliver(&mut *transport, &envelope("", &["a@x.example"]), &mut Pieces::of(TEXT)).unwrap();
        assert_eq!(transport.largest_message(), Some(expected));
    }
}

const CHUNKING: Extensions = Extensions {
    eight_bit: EightBit::Send,
    xforward: false,
    xclient: false,
    chunking: true,
    discarded: Discarded::NONE,
};

#[test]
fn chunks_carry_any_octets_as_they_are() {
    let long = [b"x".repeat(600_000), b"\r\n.\r\n\xff\r\n".to_vec()].concat();
    for text in [TEXT, b"", b"\xe9\r\n", b"no line end", &long] {
        let (verdicts, record) = one(Script::new().offers(["CHUNKING"]), CHUNKING, text);
        assert_eq!(verdicts, ["D2.0.0"]);
        assert_eq!(record.messages, [text]);
        assert!(record.verbs("DATA").is_empty());
        assert_eq!(record.verbs("BDAT").len(), if text.len() > 512 * 1024 { 3 } else { 1 });
    }
    // Where it is not offered, DATA is.
    let (verdicts, record) = one(Script::new(), CHUNKING, TEXT);
    assert_eq!((verdicts, record.verbs("BDAT").len()), (vec!["D2.0.0".to_owned()], 0));
}

#[test]
fn chunks_are_judged_like_data_and_doubted_only_after_the_last() {
    let long = b"x".repeat(600_000);
    let script = || Script::new().offers(["CHUNKING"]);
    for (step, act, expected) in [
        ("BDAT", reply("552 5.3.4 too big"), "F5.3.4"),
        ("BDAT", reply("451 4.3.0 later"), "L4.3.0"),
        ("BDAT", Act::Close, "L4.4.2"),
        ("end", reply("554 5.6.0 spam"), "F5.6.0"),
        ("end", Act::Close, "?4.4.2"),
    ] {
        let (verdicts, record) = one(script().on(step, act), CHUNKING, &long);
        assert_eq!(verdicts, [expected], "{step}");
        assert_eq!(record.messages.len(), usize::from(step == "end"), "{step}");
    }
}

#[test]
fn a_message_that_cannot_be_read_never_gets_its_last_chunk() {
    let smarthost = FakeSmarthost::start(Script::new().offers(["CHUNKING"]));
    let mut settings = settings(&format!("smtp://127.0.0.1:{}?tls=none", smarthost.address.port()));
    settings.extensions = CHUNKING;
    let mut body = Pieces::of(b"x".repeat(600_000));
    body.fails_at = Some(300_000);
    let delivery = deliver(&mut *transport(&settings), &envelope("", &["a@x.example"]), &mut body).unwrap();
    assert_eq!(letters(&delivery.outcomes), ["L4.3.0"]);
    assert!(body.handed_over.is_empty() && !smarthost.record().saw(b"LAST"));
}

/// From a client at 192.0.2.7 that called itself `printer`.
fn from_a_printer() -> Envelope {
    let mut envelope = envelope("me@y.example", &["a@x.example"]);
    envelope.origin.peer = Peer::tcp("192.0.2.7:4000".parse().unwrap());
    envelope.origin.helo = Some("printer".to_owned());
    envelope
}

#[test]
fn xforward_tells_a_trusted_hop_for_its_log_and_a_refusal_stops_nothing() {
    let wanted = Extensions { xforward: true, ..Extensions::default() };
    let script = || Script::new().offers(["XFORWARD NAME ADDR HELO"]);
    for script in [script(), script().on("XFORWARD", reply("550 5.7.0 not you"))] {
        let (result, record) = hand_over(script, wanted, &from_a_printer(), TEXT);
        assert_eq!(letters(&result.unwrap().outcomes), ["D2.0.0"]);
        let line = "XFORWARD NAME=[UNAVAILABLE] ADDR=192.0.2.7 HELO=printer";
        assert_eq!(record.verbs("XFORWARD"), [line]);
        assert_eq!(record.messages, [TEXT]);
    }
    for (script, extensions) in [(Script::new(), wanted), (script(), Extensions::default())] {
        let (result, record) = hand_over(script, extensions, &from_a_printer(), TEXT);
        assert!(result.is_ok() && record.verbs("XFORWARD").is_empty());
    }
}

#[test]
fn xclient_begins_the_session_anew_and_without_it_nothing_is_sent() {
    let wanted = Extensions { xclient: true, ..Extensions::default() };
    let script = || Script::new().offers(["XCLIENT NAME ADDR HELO"]);
    let (result, record) = hand_over(script(), wanted, &from_a_printer(), TEXT);
    assert_eq!(letters(&result.unwrap().outcomes), ["D2.0.0"]);
    let commands: Vec<&str> = record.commands.iter().map(|line| line.split([' ', ':']).next().unwrap()).collect();
    assert_eq!(commands, ["EHLO", "XCLIENT", "EHLO", "MAIL", "RCPT", "DATA", "QUIT"]);
    for (script, expected) in [
        (Script::new(), "expected XCLIENT to be offered"),
        (script().on("XCLIENT", reply("550 5.7.0 not you")), "550 5.7.0 not you"),
    ] {
        let (result, record) = hand_over(script, wanted, &from_a_printer(), TEXT);
        assert!(result.unwrap_err().reason.text.contains(expected));
        assert!(record.verbs("MAIL").is_empty());
    }
}

#[test]
fn a_flight_with_a_mixed_outcome_gives_each_recipient_its_own() {
    let script = Script::new()
        .offers(["PIPELINING", "DSN", "SIZE 100000"])
        .refuses("b@x.example", "550 5.1.1 no")
        .refuses("c@x.example", "450 4.2.1 busy");
    let to = ["a@x.example", "b@x.example", "c@x.example", "d@x.example"];
    let (result, record) = hand_over(script, Extensions::default(), &envelope("me@y.example", &to), TEXT);
    assert_eq!(letters(&result.unwrap().outcomes), ["D2.0.0", "F5.1.1", "L4.2.1", "D2.0.0"]);
    assert_eq!((record.verbs("DATA").len(), record.messages.len()), (1, 1));
}
