//! Every step of a delivery times everything that a smarthost can do there: the state of every recipient must be right.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::thread;
use std::time::Duration;

use crate::fake_smarthost::{Act, FakeSmarthost, Identity, Script};
use crate::requests::{Pieces, deliver, envelope, letters, settings, transport};
use leafmail::transport::{AuthMethod, Extensions, Roots, RouteSettings, SecretSource, Timeouts, TlsSettings};

const RECIPIENTS: [&str; 3] = ["a@x.example", "b@x.example", "c@x.example"];

/// What the smarthost does, in the order of the table's columns. `good` is the code that the step should get.
const DEEDS: [&str; 11] =
    ["good", "4xx", "5xx", "421", "garbage", "multi-line", "no text", "close", "reset", "stall", "half a reply"];

/// One row a step, one column a deed. `D` delivered, `L` deferred, `F` failed, `?` in doubt, for all recipients alike or for
/// each of the three, `P` one who is left to another transaction; `R` is a fault: nobody is judged. A deed is done once, and a
/// dialogue that the smarthost ends is tried once more at once.
const TABLE: &str = "\
          good  4xx   5xx   421   garb. multi none  close reset stall half
greeting  D     R     R     R     R     D     D     R     R     R     R
EHLO      D     R     D     R     R     D     D     D     D     R     D
STARTTLS  D     R     R     R     R     D     D     R     R     R     R
AUTH      D     R     R     R     R     D     D     R     R     R     R
MAIL      D     L     F     D     R     D     D     D     D     R     D
RCPT-1    D     LDD   FDD   D     L     D     D     D     D     L     D
RCPT-2    D     DLD   DFD   DPP   L     D     D     DPP   DPP   L     DPP
RCPT-3    D     DDL   DDF   DDP   L     D     D     DDP   DDP   L     DDP
DATA      D     L     F     D     L     D     D     D     D     L     D
body      L     L     F     L     L     L     L     L     L     L     L
end       D     L     F     L     ?     D     D     ?     ?     ?     ?
QUIT      D     D     D     D     D     D     D     D     D     D     D";

/// The same where the message flies along with its commands (a deviation from RFC 3030 2), so that a lost answer to any of them leaves it in
/// doubt. Who was accepted before the next hop said that it closes does not get it.
const FLYING: &str = "\
          good  4xx   5xx   421   garb. multi none  close reset stall half
MAIL      D     L     F     D     ?     D     D     ?     ?     ?     ?
RCPT-1    D     LDD   FDD   D     ?     D     D     ?     ?     ?     ?
RCPT-2    D     DLD   DFD   DPP   ?     D     D     ?     ?     ?     ?
RCPT-3    D     DDL   DDF   DDP   ?     D     D     ?     ?     ?     ?
end       D     L     F     L     ?     D     D     ?     ?     ?     ?
QUIT      D     D     D     D     D     D     D     D     D     D     D";

/// The same done each time: the message may be why.
const EACH_TIME: &str = "\
          good  4xx   5xx   421   garb. multi none  close reset stall half
MAIL      D     L     F     R     R     D     D     R     R     R     R
RCPT-1    D     L     F     R     L     D     D     R     R     L     R
DATA      D     L     F     R     L     D     D     R     R     L     R";

/// The same where the first recipient was refused: that verdict survives whatever follows.
const AFTER_REFUSAL: &str = "\
          good  4xx   5xx   421   garb. multi none  close reset stall half
RCPT-1    FDD   FLD   FFD   FPP   FLL   FDD   FDD   FPP   FPP   FLL   FPP
RCPT-2    FDD   FDL   FDF   FPP   FLL   FDD   FDD   FPP   FPP   FLL   FPP
DATA      FDD   FLL   F     FPP   FLL   FDD   FDD   FPP   FPP   FLL   FPP
body      FLL   FLL   F     FLL   FLL   FLL   FLL   FLL   FLL   FLL   FLL
end       FDD   FLL   F     FLL   F??   FDD   FDD   F??   F??   F??   F??
QUIT      FDD   FDD   FDD   FDD   FDD   FDD   FDD   FDD   FDD   FDD   FDD";

/// The same where the message flies along with its commands.
const FLYING_AFTER_REFUSAL: &str = "\
          good  4xx   5xx   421   garb. multi none  close reset stall half
RCPT-1    FDD   FLD   FFD   FPP   F??   FDD   FDD   F??   F??   F??   F??
RCPT-2    FDD   FDL   FDF   FPP   F??   FDD   FDD   F??   F??   F??   F??
end       FDD   FLL   F     FLL   F??   FDD   FDD   F??   F??   F??   F??
QUIT      FDD   FDD   FDD   FDD   FDD   FDD   FDD   FDD   FDD   FDD   FDD";

/// Whether it happens once, each time, or once the first recipient was refused.
#[derive(Clone, Copy, PartialEq)]
enum When {
    Once,
    Always,
    AfterRefusal,
}

/// What the next hop offers beside.
#[derive(Clone, Copy)]
enum Pace {
    /// Nothing: each command waits for its answer.
    Steps,
    /// PIPELINING: the commands fly together.
    Flights,
    /// PIPELINING and CHUNKING: the message too.
    Flying,
}

/// The code that a step gets when all is well.
fn good(step: &str) -> u16 {
    match step {
        "greeting" | "STARTTLS" => 220,
        "AUTH" => 235,
        "DATA" => 354,
        "QUIT" => 221,
        _ => 250,
    }
}

fn act(step: &str, deed: &str) -> Act {
    let code = good(step);
    let say = |text: String| Act::Send(text.into_bytes());
    let act = match deed {
        "good" => say(format!("{code} fine\r\n")),
        "4xx" => say("451 4.3.0 not now\r\n".to_owned()),
        "5xx" => say("550 5.1.1 never\r\n".to_owned()),
        "421" => Act::SendAndClose(b"421 4.3.2 going down\r\n".to_vec()),
        "garbage" => say("\u{1}\u{2}what is this?\r\n".to_owned()),
        "multi-line" => say(format!("{code}-one\r\n{code}-two\r\n{code} three\r\n")),
        "no text" => say(format!("{code}\r\n")),
        "close" => Act::Close,
        "reset" => Act::Reset,
        // With a reader, however slow, the whole message may be with the system before the time is over.
        "stall" if step == "body" => Act::Clog,
        "stall" => Act::Stall,
        "half a reply" => Act::SendAndClose(format!("{code} fi").into_bytes()),
        other => panic!("{other}"),
    };
    // A smarthost that speaks in the midst of the message.
    if step == "body" { Act::After(1_000, Box::new(act)) } else { act }
}

/// A smarthost that does one odd thing at one step, behind a route that uses every step.
fn script(step: &str, deed: &str, (pace, when): (Pace, When), identity: &Identity) -> Script {
    let (verb, before) = match step.split_once('-') {
        Some((verb, number)) => (verb, number.parse::<usize>().unwrap() - 1),
        None => (step, 0),
    };
    let mut script = match pace {
        Pace::Steps => Script::new(),
        Pace::Flights => Script::new().offers(["PIPELINING"]),
        Pace::Flying => Script::new().offers(["PIPELINING", "CHUNKING"]),
    };
    if is_secured(step) {
        script = script.offers_inside_tls(["AUTH PLAIN"]).starttls(identity);
    }
    for _ in 0..before {
        script = script.on(verb, Act::Pass);
    }
    match when {
        When::Once => script.on(verb, act(step, deed)),
        When::Always => script.always(verb, act(step, deed)),
        When::AfterRefusal => script.refuses(RECIPIENTS[0], "550 5.1.1 no such user").on(verb, act(step, deed)),
    }
}

/// An EHLO that says less than usual offers neither STARTTLS nor AUTH, and a large message is slow to decrypt octet by octet:
/// these rows go without.
fn is_secured(step: &str) -> bool {
    !matches!(step, "EHLO" | "body")
}

fn route(step: &str, smarthost: &FakeSmarthost, identity: &Identity, folder: &std::path::Path) -> RouteSettings {
    let port = smarthost.address.port();
    let limit = Duration::from_millis(1000);
    let timeouts = Timeouts { connect: limit, command: limit, data: limit, block: limit, end_of_data: limit };
    if !is_secured(step) {
        return RouteSettings { timeouts, ..settings(&format!("smtp://localhost:{port}?tls=none")) };
    }
    let (authority, password) = (folder.join(format!("{port}.pem")), folder.join(format!("{port}.password")));
    std::fs::write(&authority, &identity.authority_pem).unwrap();
    std::fs::write(&password, "secret").unwrap();
    RouteSettings {
        timeouts,
        token: None,
        auth: AuthMethod::Auto,
        tls: TlsSettings { roots: Some(Roots::File(authority)), ..TlsSettings::default() },
        extensions: Extensions::default(),
        password: Some(SecretSource::File(password)),
        ..settings(&format!("smtp://me@localhost:{port}?tls=required"))
    }
}

/// What became of the recipients, as the table writes it.
fn outcome(step: &str, deed: &str, how: (Pace, When), identity: &Identity, folder: &std::path::Path) -> String {
    let smarthost = FakeSmarthost::start(script(step, deed, how, identity));
    let mut route = route(step, &smarthost, identity, folder);
    route.extensions.chunking = matches!(how.0, Pace::Flying);
    let mut transport = transport(&route);
    // What is said in the midst of a message can be distinguished from an answer only while the message is not completely with the system.
    let lines = if step == "body" { 1_500_000 } else { 100 };
    let text = format!("Subject: chaos\r\n\r\n{}", "line after line\r\n".repeat(lines));
    let result = deliver(&mut *transport, &envelope("me@y.example", &RECIPIENTS), &mut Pieces::of(text));
    transport.disconnect();
    match result {
        Err(_fault) => "R".to_owned(),
        Ok(delivery) => {
            let states: String = letters(&delivery.outcomes).iter().map(|letters| &letters[..1]).collect();
            let alike = states.chars().all(|state| states.starts_with(state));
            if alike { states[..1].to_owned() } else { states }
        }
    }
}

/// The same table where the commands fly together: a group that is not answered is tried at once without PIPELINING.
fn in_flights(table: &str) -> String {
    let row = |row: &str| {
        let mut words: Vec<&str> = row.split_whitespace().collect();
        if ["MAIL", "RCPT", "DATA"].iter().any(|verb| words[0].starts_with(verb)) {
            words[10] = if words[10] == "FLL" { "FPP" } else { "D" };
        }
        words.join(" ")
    };
    table.lines().map(row).collect::<Vec<_>>().join("\n")
}

/// Plays a whole table; what came out wrong.
fn wrong(table: &str, pace: Pace, when: When) -> Vec<String> {
    let identity = Identity::valid_for(&["localhost"]);
    let folder = tempfile::tempdir().unwrap();
    let (identity, folder) = (&identity, folder.path());
    let play = move |row: &str| -> Vec<String> {
        let mut words = row.split_whitespace();
        let step = words.next().unwrap();
        let judge = |(deed, wanted): (&&str, &str)| {
            let got = outcome(step, deed, (pace, when), identity, folder);
            (got != wanted).then(|| format!("{step}, {deed}: expected {wanted}, but found {got}"))
        };
        let cells: Vec<_> = DEEDS.iter().zip(words).collect();
        assert_eq!(cells.len(), DEEDS.len());
        cells.into_iter().filter_map(judge).collect()
    };
    thread::scope(|scope| {
        let rows: Vec<_> = table.lines().skip(1).map(|row| scope.spawn(move || play(row))).collect();
        rows.into_iter().flat_map(|row| row.join().unwrap()).collect()
    })
}

#[test]
fn whatever_a_smarthost_does_at_any_step_every_recipient_is_judged_right() {
    let wrong = wrong(TABLE, Pace::Steps, When::Once);
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn nothing_changes_where_the_commands_fly_together() {
    let wrong = wrong(&in_flights(TABLE), Pace::Flights, When::Once);
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_flies_along_with_its_commands_is_in_doubt_when_an_answer_is_lost() {
    let wrong = wrong(FLYING, Pace::Flying, When::Once);
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_happens_each_time_is_left_to_whoever_knows_of_other_messages() {
    for pace in [Pace::Steps, Pace::Flights] {
        let wrong = wrong(EACH_TIME, pace, When::Always);
        assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
    }
}

#[test]
fn a_verdict_survives_whatever_follows_it() {
    for pace in [Pace::Steps, Pace::Flights] {
        let table = if matches!(pace, Pace::Flights) { in_flights(AFTER_REFUSAL) } else { AFTER_REFUSAL.to_owned() };
        let wrong = wrong(&table, pace, When::AfterRefusal);
        assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
    }
    let wrong = wrong(FLYING_AFTER_REFUSAL, Pace::Flying, When::AfterRefusal);
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}

/// What the connection itself does; what comes of it for a first message, for a second one after it, and for one whose first
/// recipient was refused before the next hop closed, so that the others need another connection.
const CONNECTION: [(&str, &str, &str, &str); 3] =
    [("refused", "R", "R", "FPP, R"), ("reset", "R", "D", "FPP, R"), ("silent", "R", "R", "FPP, R")];

/// How a next hop goes away once it has refused the first recipient: what became of the message, and of the rest after that.
fn after_refusal(deed: &str) -> String {
    // A listener that serves one connection, and then does what is asked.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let deed = deed.to_owned();
    let (closed, is_closed) = std::sync::mpsc::channel();
    let host = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
        stream.write_all(b"220 fake.example\r\n").unwrap();
        for reply in ["250 fake.example", "250 ok", "550 5.1.1 no such user", "421 4.3.2 going down"] {
            assert!(lines.next().is_some(), "a command before {reply}");
            stream.write_all(format!("{reply}\r\n").as_bytes()).unwrap();
        }
        drop((stream, lines));
        if deed == "refused" {
            drop(listener);
            closed.send(()).unwrap();
            return;
        }
        closed.send(()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        if deed == "reset" {
            rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
        } else {
            // Until the client has given up.
            let _ = (&stream).read(&mut [0]);
        }
    });
    let limit = Duration::from_millis(500);
    let timeouts = Timeouts { connect: limit, command: limit, data: limit, block: limit, end_of_data: limit };
    let mut transport =
        transport(&RouteSettings { timeouts, ..settings(&format!("smtp://127.0.0.1:{port}?tls=none")) });
    let mut came = Vec::new();
    for to in [&RECIPIENTS[..], &RECIPIENTS[1..]] {
        let sent = deliver(&mut *transport, &envelope("me@y.example", to), &mut Pieces::of("Subject: x\r\n\r\n"));
        came.push(match sent {
            Err(_fault) => "R".to_owned(),
            Ok(delivery) => letters(&delivery.outcomes).iter().map(|letters| &letters[..1]).collect(),
        });
        if came.len() == 1 {
            is_closed.recv().unwrap();
        }
    }
    host.join().unwrap();
    came.join(", ")
}

#[test]
fn a_connection_that_is_refused_reset_or_silent_judges_nobody() {
    for (deed, first, second, after) in CONNECTION {
        assert_eq!(after_refusal(deed), after, "{deed}");
        let script = match deed {
            "reset" => Script::new().on("greeting", Act::Reset),
            "silent" => Script::new().always("greeting", Act::Stall),
            _ => Script::new(),
        };
        let smarthost = FakeSmarthost::start(script);
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let port = if deed == "refused" { free } else { smarthost.address.port() };
        let limit = Duration::from_millis(500);
        let timeouts = Timeouts { connect: limit, command: limit, data: limit, block: limit, end_of_data: limit };
        let mut transport =
            transport(&RouteSettings { timeouts, ..settings(&format!("smtp://127.0.0.1:{port}?tls=none")) });
        for expected in [first, second] {
            let sent =
                deliver(&mut *transport, &envelope("me@y.example", &RECIPIENTS), &mut Pieces::of("Subject: x\r\n\r\n"));
            match sent {
                Err(fault) => assert!(expected == "R" && !fault.in_transaction, "{deed}: {fault}"),
                Ok(delivery) => assert!(
                    letters(&delivery.outcomes).iter().all(|letters| letters.starts_with(expected)),
                    "{deed}: {delivery:?}"
                ),
            }
        }
    }
}
