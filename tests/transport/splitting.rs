//! How much goes into one transaction and over one connection: what the next hop says and what the route says is obeyed, nobody is
//! judged by a limit, and a verdict that was given is kept.

use crate::fake_smarthost::{Act, FakeSmarthost, Record, Script, reply};
use crate::requests::{Pieces, deliver, envelope, letters, settings, transport};
use leafmail::transport::{Leaving, RouteSettings, dispatch};

const FOUR: [&str; 4] = ["a@x.example", "b@x.example", "c@y.example", "d@x.example"];
const TEXT: &[u8] = b"Subject: x\r\n\r\nhello\r\n";

fn plain(smarthost: &FakeSmarthost) -> RouteSettings {
    settings(&format!("smtp://127.0.0.1:{}?tls=none", smarthost.address.port()))
}

/// One message to four recipients; the verdicts without their codes.
fn verdicts(settings: &RouteSettings) -> String {
    sent(&mut *transport(settings), &FOUR)
}

fn sent(transport: &mut dyn leafmail::transport::Transport, to: &[&str]) -> String {
    let delivery = deliver(transport, &envelope("me@y.example", to), &mut Pieces::of(TEXT)).unwrap();
    letters(&delivery.outcomes).iter().map(|letters| letters[..1].to_owned()).collect()
}

#[test]
fn too_many_recipients_are_left_to_another_transaction_over_the_same_connection() {
    for answer in [
        "452 4.5.3 Error: too many recipients",
        "452 too many",
        "552 too many recipients",
        "550 5.5.3 Too many recipients",
        "451 Too many recipients, the rest later",
    ] {
        for pipelining in [false, true] {
            let script = if pipelining { Script::new().offers(["PIPELINING"]) } else { Script::new() };
            let script = script.on("RCPT", Act::Pass).on("RCPT", Act::Pass).on("RCPT", reply(answer));
            let script = if pipelining { script.on("RCPT", reply(answer)) } else { script };
            let smarthost = FakeSmarthost::start(script);
            let mut transport = transport(&plain(&smarthost));
            assert_eq!(sent(&mut *transport, &FOUR), "DDPP", "{answer}");
            assert_eq!(sent(&mut *transport, &FOUR[2..]), "DD", "{answer}");
            let record = smarthost.record();
            assert_eq!((record.connections, record.messages.len()), (1, 2), "{answer}");
            assert_eq!(record.verbs("RCPT").len(), if pipelining { 6 } else { 5 }, "no further refusals are asked for");
        }
    }
}

#[test]
fn a_limit_at_the_first_recipient_is_about_that_recipient() {
    for (answer, verdicts) in
        [("452 4.5.3 too many", "LDDD"), ("452 4.2.2 mailbox full", "LDDD"), ("552 5.2.2 full", "FDDD")]
    {
        let smarthost = FakeSmarthost::start(Script::new().on("RCPT", reply(answer)));
        assert_eq!(self::verdicts(&plain(&smarthost)), verdicts, "{answer}");
    }
    let full = Script::new().on("RCPT", Act::Pass).on("RCPT", reply("452 4.2.2 mailbox full"));
    assert_eq!(verdicts(&plain(&FakeSmarthost::start(full))), "DLDD");
}

#[test]
fn announced_limits_are_kept_without_being_asked() {
    let offering = |limits: &'static str| FakeSmarthost::start(Script::new().offers(["PIPELINING", limits]));
    for (limits, expected, asked) in [
        ("LIMITS RCPTMAX=3", "DDDP", 3),
        ("Limits mailmax=9 RcptMax=1", "DPPP", 1),
        ("LIMITS RCPTDOMAINMAX=1", "DDPD", 3),
        ("LIMITS RCPTMAX=2 RCPTDOMAINMAX=2", "DDPP", 2),
        ("LIMITS RCPTMAX=0", "DDDD", 4),
        ("LIMITS RCPTMAX=1234567", "DDDD", 4),
        ("LIMITS RCPTMAX=4", "DDDD", 4),
    ] {
        let smarthost = offering(limits);
        assert_eq!(verdicts(&plain(&smarthost)), expected, "{limits}");
        assert_eq!(smarthost.record().verbs("RCPT").len(), asked, "{limits}");
    }
    for (announced, allowed) in [("LIMITS MAILMAX=2", None), ("LIMITS MAILMAX=9", Some(2)), ("DSN", Some(2))] {
        let smarthost = offering(announced);
        let mut transport = transport(&RouteSettings { messages_per_connection: allowed, ..plain(&smarthost) });
        for _ in 0..6 {
            assert_eq!(sent(&mut *transport, &FOUR), "DDDD");
        }
        let record = smarthost.record();
        assert_eq!((record.connections, record.messages.len()), (3, 6), "{announced} {allowed:?}");
        assert_eq!(record.verbs("QUIT").len(), 2, "each is ended politely");
    }
}

#[test]
fn what_the_route_allows_counts_where_it_is_less() {
    for (allowed, announced, expected) in
        [(Some(2), "LIMITS RCPTMAX=3", "DDPP"), (Some(3), "LIMITS RCPTMAX=1", "DPPP"), (Some(9), "DSN", "DDDD")]
    {
        let smarthost = FakeSmarthost::start(Script::new().offers([announced]));
        let settings = RouteSettings { recipients_per_message: allowed, ..plain(&smarthost) };
        assert_eq!(verdicts(&settings), expected);
        let way = dispatch(&[settings], Leaving::default()).unwrap();
        assert_eq!(way.most_recipients(), allowed, "before anything was said");
    }
}

#[test]
fn a_message_that_was_refused_for_its_recipients_goes_in_smaller_parts() {
    for (step, answer, expected) in [
        ("end", "554 Transaction failed: Recipient count exceeds 3.", 3),
        ("end", "554 5.5.3 Too many recipients", 2),
        ("DATA", "552 Too many recipients", 2),
        ("DATA", "451 4.5.3 Too many recipients received this hop", 2),
    ] {
        let smarthost = FakeSmarthost::start(Script::new().on(step, reply(answer)));
        let way = dispatch(&[plain(&smarthost)], Leaving::default()).unwrap();
        assert_eq!(sent(&mut *way.transport(), &FOUR), "PPPP", "{answer}");
        assert_eq!(way.most_recipients(), Some(expected), "{answer}");
        let all = "D".repeat(expected) + &"P".repeat(4 - expected);
        assert_eq!(sent(&mut *way.transport(), &FOUR), all, "{answer}");
    }
    for answer in ["554 5.7.1 Too many recipients per day", "554 5.6.0 spam", "550 5.4.5 Daily sending limit exceeded"]
    {
        let smarthost = FakeSmarthost::start(Script::new().on("end", reply(answer)));
        let way = dispatch(&[plain(&smarthost)], Leaving::default()).unwrap();
        assert!(!sent(&mut *way.transport(), &FOUR).contains('P'), "{answer}");
        assert_eq!(way.most_recipients(), None);
    }
}

#[test]
fn whoever_was_refused_is_refused_although_the_next_hop_hangs_up() {
    for goodbye in [Act::SendAndClose(b"421 4.7.0 Error: too many errors\r\n".to_vec()), Act::Close, Act::Reset] {
        for offered in [&[][..], &["PIPELINING"]] {
            let script = offered.iter().fold(Script::new(), |script, keyword| script.offers([*keyword]));
            let script = script.refuses(FOUR[0], "550 5.1.1 no").refuses(FOUR[1], "450 4.2.1 later");
            let smarthost = FakeSmarthost::start(script.on("RCPT", Act::Pass).on("RCPT", goodbye.clone()));
            let mut transport = transport(&plain(&smarthost));
            assert_eq!(sent(&mut *transport, &FOUR), "FLPP", "{goodbye:?}");
            assert_eq!(sent(&mut *transport, &FOUR[2..]), "DD", "{goodbye:?}");
            assert_eq!(smarthost.record().messages.len(), 1);
        }
    }
}

#[test]
fn a_next_hop_that_hangs_up_at_a_number_of_recipients_gets_fewer() {
    for goodbye in [Act::SendAndClose(b"421 4.5.3 too many\r\n".to_vec()), Act::Close] {
        let script = Script::new().on("RCPT", Act::Pass).on("RCPT", Act::Pass).on("RCPT", goodbye);
        let smarthost = FakeSmarthost::start(script);
        assert_eq!(verdicts(&plain(&smarthost)), "DDPP");
        assert_eq!((smarthost.record().connections, smarthost.record().verbs("RCPT").len()), (2, 5));
    }
}

/// Six messages to a next hop that refuses every third MAIL of a connection.
fn six(answer: &Act) -> (Vec<String>, Record) {
    let script = (0..5)
        .fold(Script::new(), |script, _| script.on("MAIL", Act::Pass).on("MAIL", Act::Pass).on("MAIL", answer.clone()));
    let smarthost = FakeSmarthost::start(script);
    let mut transport = transport(&plain(&smarthost));
    let verdicts = (0..6).map(|_| sent(&mut *transport, &FOUR[..1])).collect();
    (verdicts, smarthost.record())
}

#[test]
fn too_many_messages_over_one_connection_cost_another_connection() {
    for answer in [
        reply("451-Requested action aborted\r\n451 Mails per session limit exceeded."),
        reply("452 4.4.5 Too many messages"),
        reply("450 4.7.1 too many messages"),
        Act::SendAndClose(b"421 4.7.0 too many messages in this session\r\n".to_vec()),
        reply("452 4.3.1 Insufficient system storage"),
    ] {
        let (verdicts, record) = six(&answer);
        assert_eq!(verdicts, ["D"; 6], "{answer:?}");
        assert_eq!((record.connections, record.messages.len()), (3, 6), "{answer:?}");
    }
    // A sender that is refused on a new connection too is refused.
    let script = Script::new().on("MAIL", Act::Pass).always("MAIL", reply("451 4.7.1 not from you"));
    let smarthost = FakeSmarthost::start(script);
    let mut transport = transport(&plain(&smarthost));
    assert_eq!([0; 2].map(|_| sent(&mut *transport, &FOUR[..1])), ["D", "L"]);
    assert_eq!(smarthost.record().connections, 2);
}

#[test]
fn a_full_disk_at_mail_may_be_about_a_large_message() {
    for (answer, may_be) in [
        ("452 4.3.1 Insufficient system storage", true),
        ("452 insufficient system storage", true),
        ("421 4.3.2 busy", true),
        ("530 5.7.0 authenticate first", false),
        ("454 4.7.0 Too many login attempts", false),
        ("550 5.4.5 Daily user sending limit exceeded", false),
    ] {
        let smarthost = FakeSmarthost::start(Script::new().always("MAIL", reply(answer)));
        let mut transport = transport(&plain(&smarthost));
        let fault = deliver(&mut *transport, &envelope("me@y.example", &FOUR), &mut Pieces::of(TEXT)).unwrap_err();
        assert_eq!(fault.in_transaction, may_be, "{fault}");
    }
}

#[test]
fn a_refusal_in_the_midst_of_the_message_counts_with_its_words() {
    let text = format!("Subject: long\r\n\r\n{}", "line after line\r\n".repeat(400_000));
    for (act, expected) in [
        (reply("552 5.3.4 Message size exceeds fixed limit"), "F5.3.4"),
        (Act::SendAndClose(b"552 5.3.4 Message size exceeds fixed limit\r\n".to_vec()), "F5.3.4"),
        (Act::SendAndClose(b"554 5.6.0 virus found\r\n".to_vec()), "F5.6.0"),
        (Act::SendAndClose(b"451 4.3.0 scanner is away\r\n".to_vec()), "L4.3.0"),
        (Act::SendAndClose(b"550 5.4.5 Daily user sending limit exceeded\r\n".to_vec()), "L4.4.5"),
        (Act::SendAndClose(b"250 2.0.0 taken\r\n".to_vec()), "L4.5.0"),
        (Act::SendAndClose(b"552 5.3".to_vec()), "L4.4.2"),
    ] {
        let smarthost = FakeSmarthost::start(Script::new().on("body", Act::After(1_000, Box::new(act.clone()))));
        let mut transport = transport(&plain(&smarthost));
        let delivery =
            deliver(&mut *transport, &envelope("me@y.example", &FOUR[..1]), &mut Pieces::of(text.as_bytes())).unwrap();
        assert_eq!(letters(&delivery.outcomes), [expected], "{act:?}: {:?}", delivery.outcomes[0].reason().text);
        let exceeded = expected == "L4.4.5";
        assert_eq!(delivery.route_trouble.is_some(), exceeded, "{act:?}");
    }
}
