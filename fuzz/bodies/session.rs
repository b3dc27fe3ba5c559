//! The session under arbitrary octets of a client and arbitrary answers of its driver.

use std::sync::Arc;

use leafmail::auth::{StoredSecret, Users};
use leafmail::clock::Timestamp;
use leafmail::envelope::{Peer, Tls};
use leafmail::id::SpoolId;
use leafmail::session::{Action, Answer, Query, Session, Settings, Terms, Verdict};
use leafmail::smtp::body::BareNewline;
use leafmail::smtp::catalogue::{self, TimeLimit};
use leafmail::smtp::{Dialect, EnhancedCode, Reply, Secret};

use super::bytes::Bytes;
use super::language::replies_are_well_formed;

const NOW: Timestamp = Timestamp::from_millis(1_795_226_607_123);
/// Octets of the input that decide over answers; the client's follow.
const ANSWERS: usize = 32;
/// More actions than any input of this length can lead to.
const MOST_ACTIONS: usize = 100_000;

fn settings(choice: u8) -> Settings {
    let mut settings = Settings::new("relay.example".parse().expect("it is a domain"));
    settings.xclient = vec!["192.0.2.0/24".parse().expect("it is a network")];
    settings.xforward = settings.xclient.clone();
    settings.max_size = 4_000;
    settings.max_recipients = 5;
    if choice & 1 == 1 {
        settings.bare_newline = BareNewline::Normalize;
    }
    if choice & 2 == 2 {
        settings.dialect = Dialect::Rfc821;
    }
    if choice & 64 == 64 {
        settings.lf_only = settings.xclient.clone();
    }
    if choice & 4 == 4 {
        settings.max_errors = u32::MAX;
    }
    settings
}

fn terms(choice: u8) -> Terms {
    let users = Users::parse("joe:{PLAIN}secret").expect("it is a file of users");
    Terms {
        starttls: choice & 8 == 8,
        mechanisms: users.mechanisms(),
        clear_auth: choice & 16 == 16,
        require_auth: choice & 32 == 32,
        ..Terms::default()
    }
}

/// A world that answers what the first octets say, over and over.
struct World<'a> {
    answers: &'a [u8],
    asked: usize,
}

impl World<'_> {
    fn choice(&mut self) -> u8 {
        self.asked += 1;
        self.answers.get(self.asked % self.answers.len().max(1)).copied().unwrap_or(0)
    }

    fn verdict(&mut self) -> Verdict {
        let reply = |code: u16| Reply::new(code, EnhancedCode(code / 100, 7, 1), "no\u{7}\r\nline");
        match self.choice() {
            0..200 => Verdict::Accept,
            200..220 => Verdict::Refuse(reply(550)),
            220..240 => Verdict::Defer(reply(450)),
            _ => Verdict::Disconnect(reply(421)),
        }
    }

    fn id(&mut self) -> Result<SpoolId, Reply> {
        if self.choice() < 200 { Ok(SpoolId::new(NOW, 1, 0)) } else { Err(catalogue::no_space()) }
    }

    fn answer(&mut self, query: &Query) -> Answer {
        match (self.choice() % 4, query) {
            (0, _) => Answer::Unavailable(catalogue::auth_unavailable()),
            (_, Query::Begin(_)) => Answer::Begin("nonce".to_owned()),
            (1, Query::Password { .. }) => Answer::Right,
            (_, Query::Find(..)) => Answer::Found(StoredSecret::Secret(Secret::new("secret"))),
            _ => Answer::Wrong,
        }
    }
}

/// The session never panics, ends, keeps its promises to the spool, and says nothing that is no reply.
pub(super) fn session(octets: &[u8]) {
    let mut bytes = Bytes(octets);
    let (choice, cut) = (bytes.octet(), bytes.octet());
    let mut world = World { answers: bytes.take(ANSWERS), asked: 0 };
    let peer = Peer::tcp("192.0.2.1:1025".parse().expect("it is an address"));
    let mut session = Session::new(Arc::new(settings(choice)), peer, None, NOW).on_terms(terms(choice));
    let mut pieces = bytes.pieces(cut).into_iter();
    let mut draft: Option<Vec<u8>> = None;
    // Octets that were on their way when the draft failed may still come.
    let mut failed = false;
    for _ in 0..MOST_ACTIONS {
        match session.poll() {
            Action::Read => match (pieces.next(), world.choice()) {
                (None, 0..230) => session.eof(),
                (_, 253..) => session.timed_out(TimeLimit::Idle),
                (piece, last) => {
                    if last > 250 {
                        session.retire();
                    }
                    match piece {
                        Some(piece) => session.feed(piece, NOW),
                        None => session.eof(),
                    }
                }
            },
            Action::Write(octets) => replies_are_well_formed(&octets),
            Action::Ask(_) => session.verdict(world.verdict()),
            Action::ListMail(_) => session.mail_listed(Ok("Mail queue is empty\n".to_owned())),
            Action::StartTls => {
                let tls = Tls { version: "TLSv1.3".into(), cipher: "X".into(), client: None };
                session.secured(if world.choice() < 200 { Ok(tls) } else { Err(()) });
            }
            Action::Authenticate(query) => session.authenticated(world.answer(&query)),
            Action::Open(envelope) => {
                assert!(draft.is_none() && !envelope.recipients.is_empty());
                let opened = world.id();
                (draft, failed) = (opened.is_ok().then(Vec::new), false);
                session.opened(opened);
            }
            Action::Append(octets) => {
                match &mut draft {
                    Some(draft) => draft.extend(octets),
                    None => assert!(failed, "octets belong to a draft"),
                }
                if world.choice() > 250 {
                    (draft, failed) = (None, true);
                    session.refuse_message(catalogue::local_error());
                }
            }
            Action::Commit(_) => {
                let message = draft.take().expect("only a draft is committed");
                is_fit_for_the_spool(&message);
                session.committed(world.id());
            }
            Action::Discard => assert!(draft.take().is_some() || failed, "only a draft is discarded"),
            Action::Note(_) | Action::SlowDown => {}
            Action::Await => panic!("a question was left open"),
            Action::Close => return assert!(draft.is_none(), "a draft was forgotten"),
        }
    }
    panic!("the session does not end");
}

/// No bare CR or LF and no NUL, our own line first, and no line without its end.
fn is_fit_for_the_spool(message: &[u8]) {
    assert!(message.starts_with(b"Received: ") && message.ends_with(b"\r\n"));
    for (at, octet) in message.iter().enumerate() {
        let fits = match octet {
            b'\r' => message.get(at + 1) == Some(&b'\n'),
            b'\n' => at > 0 && message[at - 1] == b'\r',
            octet => *octet != 0,
        };
        assert!(fits, "{octet:#x} at {at}");
    }
}

/// What a session says and does depends on the octets, and not on how they were cut.
pub(super) fn dialogue(octets: &[u8]) {
    let mut bytes = Bytes(octets);
    let (choice, cut) = (bytes.octet(), bytes.octet());
    assert_eq!(told(choice, &[bytes.0]), told(choice, &bytes.pieces(cut)));
}

/// All replies, and all messages with their envelopes.
fn told(choice: u8, pieces: &[&[u8]]) -> (Vec<u8>, Vec<String>) {
    let peer = Peer::tcp("192.0.2.1:1025".parse().expect("it is an address"));
    let terms = Terms { starttls: false, ..terms(choice) };
    let mut session = Session::new(Arc::new(settings(choice)), peer, None, NOW).on_terms(terms);
    let (mut pieces, mut replies, mut done) = (pieces.iter(), Vec::new(), Vec::new());
    let mut message = Vec::new();
    loop {
        match session.poll() {
            Action::Read => match pieces.next() {
                Some(piece) => session.feed(piece, NOW),
                None => session.eof(),
            },
            Action::Write(octets) => replies.extend(octets),
            Action::Ask(_) => session.verdict(Verdict::Accept),
            Action::ListMail(_) => session.mail_listed(Ok("Mail queue is empty\n".to_owned())),
            Action::StartTls => session.secured(Err(())),
            Action::Authenticate(Query::Begin(_)) => session.authenticated(Answer::Begin("nonce".to_owned())),
            Action::Authenticate(Query::Find(..)) => {
                session.authenticated(Answer::Found(StoredSecret::Secret(Secret::new("secret"))));
            }
            Action::Authenticate(_) => session.authenticated(Answer::Right),
            Action::Open(envelope) => {
                done.push(format!("{envelope:?}"));
                message.clear();
                session.opened(Ok(SpoolId::new(NOW, 1, 0)));
            }
            Action::Append(octets) => message.extend(octets),
            Action::Commit(seal) => {
                done.push(format!("{seal:?} {message:?}"));
                session.committed(Ok(SpoolId::new(NOW, 1, 0)));
            }
            Action::Close => return (replies, done),
            Action::Await => panic!("a question was left open"),
            Action::Discard => done.push("discarded".to_owned()),
            Action::Note(_) | Action::SlowDown => {}
        }
    }
}
