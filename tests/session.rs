//! The session as a client sees it: transcripts, and octets however they are cut. The order of commands has a model of its
//! own, in `model.rs`.

mod support;

use leafmail::address::Syntax;
use leafmail::auth::Users;
use leafmail::envelope::{LocalUser, Peer};
use leafmail::id::SpoolId;
use leafmail::session::{Action, Additions, Answer, Note, Query, Session, Settings, Terms, Verdict};
use leafmail::smtp::body::BareNewline;
use leafmail::smtp::{Dialect, Keyword, Mechanism};
use proptest::prelude::*;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use support::dialogue::{self, Log, World, run, with_wildcards};

/// One file of `tests/transcripts/`. `C:` lines are sent, `T:` lines are sent after the handshake. `S:` lines are the
/// replies in order (`S: 250 ...` is any EHLO reply), `!` lines the effects in order, `=` lines the octets of the accepted
/// messages after our own header lines. `@` lines are settings.
#[derive(Default)]
struct Transcript {
    settings: Vec<String>,
    sent: Vec<u8>,
    replies: String,
    effects: Vec<String>,
    octets: String,
    after_tls: Vec<u8>,
}

impl Transcript {
    fn read(path: &Path) -> Self {
        let mut transcript = Self::default();
        for line in fs::read_to_string(path).unwrap().lines() {
            let rest = line.get(2..).unwrap_or("").strip_prefix(' ').unwrap_or(line.get(2..).unwrap_or(""));
            match line.get(..1) {
                Some("C") => transcript.sent.extend(unescape(rest)),
                Some("T") => transcript.after_tls.extend(unescape(rest)),
                Some("S") => transcript.replies += &format!("{rest}\r\n"),
                Some("!") => transcript.effects.push(line[1..].trim().to_owned()),
                Some("=") => transcript.octets += &String::from_utf8(unescape(&line[2..])).unwrap(),
                Some("@") => transcript.settings.push(line[1..].trim().to_owned()),
                Some("#") | None => {}
                _ => panic!("{}: {line}", path.display()),
            }
        }
        transcript
    }

    fn surroundings(&self) -> (Settings, World) {
        let mut settings = Settings::new("relay.example".parse().unwrap());
        settings.default_domain = "example.lan".parse().unwrap();
        settings.add_missing_headers = false;
        let mut world = World { after_tls: self.after_tls.clone(), ..World::default() };
        for line in &self.settings {
            let (key, value) = line.split_once(' ').unwrap();
            match key {
                "dialect" => settings.dialect = if value == "rfc821" { Dialect::Rfc821 } else { panic!("{value}") },
                "strict-syntax" => settings.syntax = Syntax::Strict,
                "require-helo" => settings.require_helo = true,
                "max-size" => settings.max_size = value.parse().unwrap(),
                "max-recipients" => settings.max_recipients = value.parse().unwrap(),
                "max-hops" => settings.max_hops = value.parse().unwrap(),
                "max-errors" => settings.max_errors = value.parse().unwrap(),
                "max-junk-commands" => settings.max_junk_commands = value.parse().unwrap(),
                "mark" => settings.mark = Some(value.to_owned()),
                "strained" => world.strained = true,
                "bare-newline" => settings.bare_newline = BareNewline::Normalize,
                "lf-only" => settings.lf_only.push(format!("{value}/32").parse().unwrap()),
                "add-missing-headers" => settings.add_missing_headers = true,
                "address" => settings.directory.addresses.push(value.parse().unwrap()),
                "list" => {
                    let mut names = value.split(' ').map(|name| name.parse().unwrap());
                    settings.directory.lists.push((names.next().unwrap(), names.collect::<Vec<_>>().into()));
                }
                "xclient" => settings.xclient.push(value.parse().unwrap()),
                "xforward" => settings.xforward.push(value.parse().unwrap()),
                "starttls" => world.terms.starttls = true,
                "require" if value == "tls" => world.terms.require_tls = true,
                "require" => world.terms.require_auth = true,
                "clear-auth" => world.terms.clear_auth = true,
                "hide" => world.terms.hidden = value.split(' ').map(|name| Keyword::of_name(name).unwrap()).collect(),
                "auth-equals" => world.terms.auth_equals = true,
                "any-password" => {
                    (world.terms.any_password, world.terms.clear_auth) = (true, true);
                    world.terms.mechanisms =
                        [Mechanism::CramMd5, Mechanism::Plain, Mechanism::Login].into_iter().collect();
                }
                "auth-fails" => world.auth_fails = true,
                "user" => {
                    world.users += &format!("{value}\n");
                    world.terms.mechanisms = Users::parse(&world.users).unwrap().mechanisms();
                }
                "spool-fails" => {
                    let known = ["open", "commit", "list"];
                    world.spool_fails = known.into_iter().find(|known| *known == value);
                }
                "local-user" => {
                    world.terms.local_user = Some(LocalUser { uid: value.parse().unwrap(), name: None });
                }
                "refuse" | "disconnect" => {
                    let (question, reply) = value.split_once(" with ").unwrap();
                    let reply = dialogue::reply(reply);
                    let verdict = if key == "refuse" { Verdict::Refuse(reply) } else { Verdict::Disconnect(reply) };
                    world.verdicts.push((question.to_owned(), verdict));
                }
                "header" | "note" | "hold" => {
                    let (question, text) = value.split_once(" with ").unwrap();
                    let additions = match key {
                        "header" => Additions::header(text.parse().unwrap()),
                        "note" => Additions::note(text),
                        _ => Additions::hold(text),
                    };
                    world.verdicts.push((question.to_owned(), Verdict::accept_with(additions)));
                }
                _ => panic!("unknown setting {key}"),
            }
        }
        (settings, world)
    }
}

/// A line with its CRLF, unless it ends in a backslash; `\r`, `\n`, `\0`, `\\` and `\xHH` stand for octets.
fn unescape(line: &str) -> Vec<u8> {
    let (line, end) = match line.strip_suffix('\\') {
        Some(open) if !open.ends_with('\\') => (open, &b""[..]),
        _ => (line, &b"\r\n"[..]),
    };
    let mut octets = Vec::new();
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        match (c, c == '\\') {
            (_, true) => match characters.next().unwrap() {
                'r' => octets.push(b'\r'),
                'n' => octets.push(b'\n'),
                '0' => octets.push(0),
                'x' => {
                    let digits: String = characters.by_ref().take(2).collect();
                    octets.push(u8::from_str_radix(&digits, 16).unwrap());
                }
                other => octets.extend(other.to_string().bytes()),
            },
            (c, false) => octets.extend(c.to_string().bytes()),
        }
    }
    octets.extend_from_slice(end);
    octets
}

/// What was accepted, without our `Received:`. What a policy added is before that.
fn without_our_lines(messages: &[Vec<u8>]) -> String {
    let strip = |message: &Vec<u8>| {
        let text = String::from_utf8_lossy(message).into_owned();
        let (added, ours) = text.split_at(text.find("Received: from ").unwrap());
        let end = ours.match_indices("\r\n").find(|(at, _)| !ours[at + 2..].starts_with('\t')).unwrap().0 + 2;
        added.to_owned() + &ours[end..]
    };
    messages.iter().map(strip).collect()
}

fn transcripts() -> Vec<(String, Transcript)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
        .iter()
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), Transcript::read(path)))
        .collect()
}

#[test]
fn every_transcript_goes_as_written() {
    let transcripts = transcripts();
    assert!(transcripts.len() >= 20, "only {} transcripts were found", transcripts.len());
    let mut wrong = String::new();
    for (name, transcript) in transcripts {
        let (settings, world) = transcript.surroundings();
        let log = run(&settings, &world, &[&transcript.sent]);
        let replies = with_wildcards(&transcript.replies, &String::from_utf8_lossy(&log.replies));
        let octets = without_our_lines(&log.messages);
        for (what, found, written) in [
            ("replies", &replies, &transcript.replies),
            ("effects", &log.effects.join("\n"), &transcript.effects.join("\n")),
            ("octets", &octets, &transcript.octets),
        ] {
            if found != written {
                wrong += &format!("{name}: {what}:\n{found:?}\ninstead of\n{written:?}\n");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// A farewell closes the session, whose end is noted with its cause. Of recipients without room only the first is noted.
#[test]
fn every_refusal_in_a_transcript_is_noted_once_with_its_code() {
    let mut refusals = 0;
    for (name, transcript) in transcripts() {
        let (settings, world) = transcript.surroundings();
        let log = run(&settings, &world, &[&transcript.sent]);
        let replies = String::from_utf8_lossy(&log.replies).into_owned();
        let is_last = |line: &&str| line.as_bytes().get(3) == Some(&b' ') && line.starts_with(['4', '5']);
        let mut said: Vec<&str> = replies.lines().filter(is_last).collect();
        let noted: Vec<u16> = log.noted.iter().map(|(_, code)| *code).collect();
        let is_farewell = |line: &&str| line.starts_with("421 ") && noted.last() != Some(&421);
        if said.last().is_some_and(is_farewell) {
            assert!(log.effects.iter().any(|effect| effect.starts_with("broken: ")), "{name}: {:?}", log.effects);
            said.pop();
        }
        said.dedup_by(|one, other| one.starts_with("452 4.5.3 ") && one == other);
        let said: Vec<u16> = said.iter().map(|line| line[..3].parse().unwrap()).collect();
        assert_eq!(noted, said, "{name}: {replies}");
        refusals += said.len();
    }
    assert!(refusals > 100, "only {refusals}");
}

#[test]
fn a_wildcard_fits_an_ehlo_reply_that_meets_its_demands_and_no_other() {
    let reply = "250-relay.example\r\n250-SIZE 1000\r\n250 HELP\r\n";
    for (wildcard, fits) in [
        ("250 ...\r\n", true),
        ("250 ... | SIZE 1000 | no STARTTLS\r\n", true),
        ("250 ... | SIZE\r\n", false),
        ("250 ... | no SIZE\r\n", false),
    ] {
        assert_eq!(with_wildcards(wildcard, reply) == wildcard, fits, "{wildcard}");
    }
    assert_ne!(with_wildcards("250 ...\r\n", "250 2.0.0 ok\r\n"), "250 ...\r\n");
}

#[test]
fn no_transcript_depends_on_how_its_octets_are_cut() {
    for (name, transcript) in transcripts() {
        let (settings, world) = transcript.surroundings();
        let whole = run(&settings, &world, &[&transcript.sent]);
        let octets: Vec<&[u8]> = transcript.sent.chunks(1).collect();
        assert_eq!(run(&settings, &world, &octets), whole, "{name}: octet by octet");
        for at in 0..transcript.sent.len() {
            let (start, end) = transcript.sent.split_at(at);
            assert_eq!(run(&settings, &world, &[start, end]), whole, "{name}: split at {at}");
        }
    }
}

/// The `Received:` of the only message of this dialogue.
fn received(settings: &Settings, commands: &str) -> String {
    let sent = format!("{commands}MAIL FROM:<a@b> SMTPUTF8\r\nRCPT TO:<c@d>\r\nBDAT 6 LAST\r\nX: y\r\n");
    let log = run(settings, &World::default(), &[sent.as_bytes()]);
    let text = String::from_utf8(log.messages.concat()).unwrap();
    text[..text.find("; ").unwrap()].to_owned()
}

#[test]
fn received_shows_whom_xclient_named_and_keeps_xforward_apart() {
    let ours = "\r\n\tby relay.example (leafmail) with UTF8SMTP id 01M7XXG7GK000G000000000000\r\n\tfor <c@d>";
    let mut settings = Settings::new("relay.example".parse().unwrap());
    assert_eq!(received(&settings, "EHLO filter.lan\r\n"), format!("Received: from filter.lan ([192.0.2.1]){ours}"));
    settings.xclient.push("192.0.2.1/32".parse().unwrap());
    settings.xforward.push("192.0.2.1/32".parse().unwrap());
    assert_eq!(
        received(&settings, "XCLIENT NAME=printer.lan ADDR=IPV6:2001:db8::7 HELO=a+28b PROTO=ESMTP\r\n"),
        format!("Received: from unknown (helo=a?b) (printer.lan [IPv6:2001:db8::7]){ours}")
    );
    assert_eq!(
        received(&settings, "EHLO filter.lan\r\nXFORWARD NAME=a+28b ADDR=10.0.0.7\r\n"),
        format!("Received: from filter.lan ([192.0.2.1])\r\n\t(forwarded for a?b [10.0.0.7]){ours}")
    );
    settings.hide_client = true;
    let hidden = received(&settings, "EHLO filter.lan\r\nXFORWARD NAME=a ADDR=10.0.0.7\r\n");
    assert!(!hidden.contains("10.0.0.7") && !hidden.contains("192.0.2.1"), "{hidden}");
}

/// A world in which joe may log in, also in clear text.
fn with_joe() -> World {
    let users = "joe:{PLAIN}secret".to_owned();
    let mechanisms = Users::parse(&users).unwrap().mechanisms();
    let terms = Terms { mechanisms, clear_auth: true, require_auth: true, ..Terms::default() };
    World { users, terms, ..World::default() }
}

#[test]
fn a_response_may_have_12288_octets_with_its_line_end() {
    let code = |octets: usize| {
        let sent = format!("EHLO x\r\nAUTH PLAIN\r\n{}\r\nQUIT\r\n", "A".repeat(octets));
        let replies = String::from_utf8(run(&settings(), &with_joe(), &[sent.as_bytes()]).replies).unwrap();
        replies.lines().rev().nth(1).unwrap().to_owned()
    };
    // Both are no response of PLAIN, but only one was read.
    assert_eq!(code(12_284), "501 5.5.2 the response is not one of this mechanism");
    assert_eq!(code(12_288), "500 5.5.6 authentication exchange line is too long");
}

#[test]
fn no_state_of_a_login_shows_the_password() {
    let terms = with_joe().terms;
    let now = dialogue::NOW;
    let mut session = Session::new(settings().into(), Peer::Local, None, now).on_terms(terms);
    let mut seen = String::new();
    for piece in
        ["EHLO x\r\n", "AUTH PLAIN AGpvZQBzZW", "NyZXQ=\r\n", "AUTH LOGIN\r\nam9l\r\nc2VjcmV0", "\r\nAUTH c2VjcmV0\r\n"]
    {
        session.feed(piece.as_bytes(), now);
        loop {
            let action = session.poll();
            seen += &format!("{session:?} {action:?}\n");
            match action {
                Action::Ask(_) => session.verdict(Verdict::Accept),
                Action::Authenticate(Query::Begin(_)) => session.authenticated(Answer::Begin("nonce".to_owned())),
                Action::Authenticate(_) => session.authenticated(Answer::Wrong),
                Action::Read | Action::Close => break,
                _ => {}
            }
        }
    }
    assert!(seen.matches("LoginFailed").count() >= 2, "{seen}");
    // Octets are shown as numbers in some places.
    let numbers = format!("{:?}", b"secret");
    for secret in ["secret", "c2VjcmV0", "BzZWNyZXQ", numbers.trim_matches(['[', ']'])] {
        assert!(!seen.contains(secret), "{secret}: {seen}");
    }
}

/// What a session does with these pieces until it waits for more: the replies before that, and the remarks.
fn until_it_waits(pieces: &[&str]) -> (String, Vec<&'static str>) {
    let peer = Peer::tcp("192.0.2.1:25".parse().unwrap());
    let mut session = Session::new(Arc::new(settings()), peer, None, dialogue::NOW);
    let mut pieces = pieces.iter();
    let (mut replies, mut remarks) = (Vec::new(), Vec::new());
    loop {
        match session.poll() {
            Action::Read => match pieces.next() {
                Some(piece) => session.feed(piece.as_bytes(), dialogue::NOW),
                None => return (String::from_utf8(replies).unwrap(), remarks),
            },
            Action::Write(octets) => replies.extend(octets),
            Action::Ask(_) => session.verdict(Verdict::Accept),
            Action::Open(_) => session.opened(Ok(SpoolId::new(dialogue::NOW, 1, 0))),
            Action::Commit(_) => session.committed(Ok(SpoolId::new(dialogue::NOW, 1, 0))),
            Action::Note(Note::Remark(remark)) => remarks.push(remark),
            Action::Await | Action::Close => panic!("it does not wait for octets"),
            _ => {}
        }
    }
}

#[test]
fn replies_are_sent_before_the_session_waits() {
    let (replies, _) = until_it_waits(&["EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRSET\r\nhalf a comm"]);
    assert_eq!(replies.lines().filter(|line| line.as_bytes()[3] == b' ').count(), 5, "{replies}");
    let (replies, _) = until_it_waits(&["HELO x\r\nBDAT 100\r\nfewer"]);
    assert!(replies.ends_with("250 relay.example\r\n"), "a chunk that is not whole holds nothing up: {replies}");
}

/// RFC 2920 3.2: "MUST NOT buffer responses to EHLO, DATA, VRFY, EXPN, TURN, QUIT, and NOOP", nor to unrecognized commands.
#[test]
fn replies_that_must_not_be_held_back_go_out_before_the_next_command_is_read() {
    let settings = settings();
    let mut session = Session::new(Arc::new(settings), Peer::Local, None, dialogue::NOW);
    let group = "EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nNOOP\r\nRSET\r\nVRFY c\r\nEXPN c\r\nTURN\r\nWHAT\r\n\
        MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nMAIL FROM:<\r\nDATA\r\nSubject: x\r\n\r\n.\r\nRSET\r\nQUIT\r\n";
    session.feed(group.as_bytes(), dialogue::NOW);
    let mut written = Vec::new();
    loop {
        match session.poll() {
            Action::Write(octets) => {
                let text = String::from_utf8(octets).unwrap();
                let codes = text.lines().filter(|line| line.as_bytes()[3] == b' ').map(|line| line[..3].to_owned());
                written.push(codes.collect::<Vec<_>>().join(" "));
            }
            Action::Ask(_) => session.verdict(Verdict::Accept),
            Action::Open(_) => session.opened(Ok(SpoolId::new(dialogue::NOW, 1, 0))),
            Action::Commit(_) => session.committed(Ok(SpoolId::new(dialogue::NOW, 1, 0))),
            Action::Close => break,
            Action::Read => panic!("all of it came at once"),
            _ => {}
        }
    }
    let expected = ["220 250", "250 250 250", "250 252", "252", "502", "500", "250 250 501 354", "250 250 221"];
    assert_eq!(written, expected);
}

#[test]
fn what_follows_the_last_command_of_a_group_is_noted() {
    for last in ["NOOP", "VRFY x", "EXPN x", "EHLO x", "DATA"] {
        let (_, remarks) = until_it_waits(&["EHLO x\r\n", &format!("RSET\r\n{last}\r\nRSET\r\n")]);
        assert_eq!(remarks.len(), 1, "{last}");
    }
    let group = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 3\r\na\r\nBDAT 0 LAST\r\nRSET\r\nNOOP\r\n";
    assert_eq!(until_it_waits(&["EHLO x\r\n", group]).1, Vec::<&str>::new());
}

fn settings() -> Settings {
    Settings { max_errors: u32::MAX, ..Settings::new("relay.example".parse().unwrap()) }
}

/// Cuts octets into pieces whose lengths are drawn from `cuts`, over and over.
fn cut<'a>(octets: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut rest = octets;
    let mut pieces = Vec::new();
    for length in cuts.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, tail) = rest.split_at((*length).min(rest.len()));
        pieces.push(piece);
        rest = tail;
    }
    pieces
}

fn lines() -> impl Strategy<Value = Vec<u8>> {
    const LINES: &[&[u8]] = &[
        b"EHLO there\r\n",
        b"HELO there\r\n",
        b"MAIL FROM:<a@b>\r\n",
        b"MAIL FROM:<>\r\n",
        b"RCPT TO:<c@d>\r\n",
        b"RCPT TO:<bad\r\n",
        b"DATA\r\n",
        b"From: x\r\n\r\ntext\r\n.\r\n",
        b".\r\n",
        b"..\r\n",
        b"\r\n",
        b"\n.\n",
        b"\r.\r",
        b"RSET\r\n",
        b"NOOP\r\n",
        b"QUIT\r\n",
        b"\0\xff",
        b"GARBAGE\r\n",
        b"BDAT 7\r\n",
        b"BDAT 0\r\n",
        b"BDAT 20 LAST\r\n",
        b"BDAT 0 LAST\r\n",
    ];
    let line = proptest::sample::select(LINES);
    proptest::collection::vec(line, 0..24).prop_map(|lines| lines.concat())
}

const OCTETS: &[&[u8]] = &[b"\r\n", b"a", b".", b"Subject: x", b"\xfc", b"\r", b"QUIT\r\n"];

proptest! {
    #[test]
    fn any_session_is_the_same_in_any_pieces(octets in lines(), cuts in proptest::collection::vec(1_usize..40, 1..8)) {
        let whole = run(&settings(), &World::default(), &[&octets]);
        prop_assert_eq!(run(&settings(), &World::default(), &cut(&octets, &cuts)), whole);
    }

    #[test]
    fn any_login_is_the_same_in_any_pieces(lines in proptest::collection::vec(0_usize..13, 0..20), cuts in proptest::collection::vec(1_usize..40, 1..8)) {
        const LINES: [&str; 13] = [
            "EHLO x\r\n", "AUTH PLAIN\r\n", "AUTH PLAIN AGpvZQBzZWNyZXQ=\r\n", "AUTH LOGIN\r\n", "am9l\r\n", "c2VjcmV0\r\n", "*\r\n",
            "AUTH CRAM-MD5\r\n", "AUTH SCRAM-SHA-256 biwsbj1qb2Uscj14\r\n", "\r\n", "MAIL FROM:<a@b>\r\n", "RSET\r\n", "NOOP\r\n",
        ];
        let octets: String = lines.into_iter().map(|line| LINES[line]).collect();
        let world = with_joe();
        let whole = run(&settings(), &world, &[octets.as_bytes()]);
        let text = String::from_utf8(whole.replies.clone()).unwrap();
        let before = text.split("250 2.1.0").next().unwrap();
        prop_assert!(!text.contains("250 2.1.0") || before.contains("235 2.7.0"), "sent without a login");
        prop_assert_eq!(run(&settings(), &world, &cut(octets.as_bytes(), &cuts)), whole);
    }

    #[test]
    fn a_message_is_the_same_in_any_chunks_and_any_pieces(
        text in proptest::collection::vec(proptest::sample::select(OCTETS), 0..30),
        sizes in proptest::collection::vec(0_usize..12, 1..8),
        cuts in proptest::collection::vec(1_usize..40, 1..8),
    ) {
        const BEGIN: &[u8] = b"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n";
        let text = text.concat();
        let mut chunked = BEGIN.to_vec();
        let mut rest = &text[..];
        for size in sizes {
            let (chunk, tail) = rest.split_at(size.min(rest.len()));
            chunked.extend([format!("BDAT {}\r\n", chunk.len()).as_bytes(), chunk].concat());
            rest = tail;
        }
        chunked.extend([format!("BDAT {} LAST\r\n", rest.len()).as_bytes(), rest].concat());
        let one_chunk = [BEGIN, format!("BDAT {} LAST\r\n", text.len()).as_bytes(), &text].concat();
        let whole = run(&settings(), &World::default(), &[&chunked]);
        prop_assert_eq!(&run(&settings(), &World::default(), &cut(&chunked, &cuts)), &whole);
        prop_assert_eq!(&run(&settings(), &World::default(), &[&one_chunk]).messages, &whole.messages);
    }

    #[test]
    fn no_octets_make_a_session_panic(octets in proptest::collection::vec(any::<u8>(), 0..400), cut_at in 1_usize..50) {
        let log: Log = run(&settings(), &World::default(), &octets.chunks(cut_at).collect::<Vec<_>>());
        prop_assert!(log.messages.is_empty());
    }
}
