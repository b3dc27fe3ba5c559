//! Runs a session against octets that were cut into pieces in some way, and writes down all that it did.

use std::sync::Arc;

use leafmail::auth::{Users, WorkMemory};
use leafmail::clock::Timestamp;
use leafmail::envelope::{Envelope, Notify, Origin, Peer, Recipient, Ret, Tls};
use leafmail::id::SpoolId;
use leafmail::session::{Action, Answer, Note, Query, Question, Session, Settings, Terms, Verdict};
use leafmail::smtp::{EnhancedCode, Refuser, Reply};

/// 2026-11-21, so that dates in transcripts stay the same.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_795_226_607_123);

/// What a session did, however its input was cut.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Log {
    /// All replies, as they went over the wire.
    pub(crate) replies: Vec<u8>,
    /// What it did to the world, in words.
    pub(crate) effects: Vec<String>,
    /// The octets of each message that was committed.
    pub(crate) messages: Vec<Vec<u8>>,
    /// Each refusal that the session noted: the place, and the code.
    pub(crate) noted: Vec<(&'static str, u16)>,
}

/// The world around the session: which questions are answered otherwise than by plain acceptance.
#[derive(Debug, Clone, Default)]
pub(crate) struct World {
    /// A question in words, such as `rcpt bob@example.com`, and the verdict.
    pub(crate) verdicts: Vec<(String, Verdict)>,
    /// What opening or committing a draft answers instead of success.
    pub(crate) spool_fails: Option<&'static str>,
    /// On which terms the client is served.
    pub(crate) terms: Terms,
    /// What the client sends after a handshake; what was left of the rest is gone with the clear text.
    pub(crate) after_tls: Vec<u8>,
    /// The file of users.
    pub(crate) users: String,
    /// Whether the receiver is overloaded.
    pub(crate) strained: bool,
    /// Whether the driver answers no question of a login.
    pub(crate) auth_fails: bool,
}

/// Drives a session to its end; after the last piece comes the end of input.
pub(crate) fn run(settings: &Settings, world: &World, pieces: &[&[u8]]) -> Log {
    let session = Session::new(Arc::new(settings.clone()), peer(), None, NOW);
    let mut session = session.on_terms(world.terms.clone());
    session.strain(world.strained);
    let users = Users::parse(&world.users).unwrap();
    let size = pieces.first().map_or(1, |piece| piece.len()).max(1);
    let mut pieces: Box<dyn Iterator<Item = &[u8]> + '_> = Box::new(pieces.iter().copied());
    let mut log = Log::default();
    let mut draft: Option<Vec<u8>> = None;
    let mut count = 0;
    loop {
        match session.poll() {
            Action::Read => match pieces.next() {
                Some(piece) => session.feed(piece, NOW),
                None => session.eof(),
            },
            Action::Write(octets) => log.replies.extend(octets),
            Action::StartTls => {
                log.effects.push("handshake".to_owned());
                pieces = Box::new(world.after_tls.chunks(size));
                session.secured(Ok(Tls {
                    version: "TLSv1.3".into(),
                    cipher: "TLS_AES_128_GCM_SHA256".into(),
                    client: None,
                }));
            }
            Action::Authenticate(query) => session.authenticated(answer(world, &users, query)),
            Action::Note(Note::LoggedIn { user, mechanism }) => {
                log.effects.push(format!("login {user} by {mechanism}"))
            }
            Action::Note(Note::LoginFailed { user, mechanism }) => {
                log.effects.push(format!("failed login {user} by {mechanism}"));
            }
            Action::ListMail(query) => {
                log.effects.push(format!("list mail of {}", query.uid));
                let listed = "-Queue ID-\n".to_owned() + &"x".repeat(410) + "\n";
                session.mail_listed(if world.spool_fails == Some("list") {
                    Err(leafmail::smtp::catalogue::local_error())
                } else {
                    Ok(listed)
                });
            }
            Action::Ask(question) => {
                let mut asked = words(&question);
                if session.peer() != peer() {
                    asked += &format!(" as {}", session.peer());
                }
                session.verdict(judge(world, &asked));
            }
            Action::Open(envelope) => {
                if world.spool_fails == Some("open") {
                    session.opened(Err(leafmail::smtp::catalogue::no_space()));
                    continue;
                }
                if envelope.origin.protocol.tls || envelope.origin.login.is_some() {
                    let (protocol, login) = (envelope.origin.protocol.keyword(), &envelope.origin.login);
                    log.effects.push(format!("by {protocol} of {}", login.as_deref().unwrap_or("nobody")));
                }
                log.effects.extend(envelope.annotations.iter().map(|(name, value)| format!("{name}: {value}")));
                log.effects.push(opened(&envelope));
                draft = Some(Vec::new());
                count += 1;
                session.opened(Ok(SpoolId::new(NOW, count, 0)));
            }
            Action::Append(octets) => draft.as_mut().expect("octets belong to a draft").extend(octets),
            Action::Commit(seal) => {
                let octets = draft.take().expect("only a draft is committed");
                if world.spool_fails == Some("commit") {
                    session.committed(Err(leafmail::smtp::catalogue::local_error()));
                    continue;
                }
                let bits = if seal.eight_bit { ", 8-bit" } else { "" };
                let added = seal.annotations.iter().map(|(name, value)| format!(", {name}: {value}"));
                log.effects.push(format!("commit{bits}{}", added.collect::<String>()));
                log.messages.push(octets);
                session.committed(Ok(SpoolId::new(NOW, count, 0)));
            }
            Action::Discard => {
                draft.take().expect("only a draft is discarded");
                log.effects.push("discard".to_owned());
            }
            Action::Note(Note::Rejected(rejection)) => {
                log.noted.push((rejection.stage, rejection.reply.code()));
                if rejection.by == Refuser::Session {
                    continue;
                }
                log.effects.push(format!("rejected {}: {}", rejection.stage, rejection.reply.code()));
            }
            Action::Note(Note::Discarded { reason, .. }) => log.effects.push(format!("vanishes: {reason}")),
            Action::Note(Note::Broken(cause)) => log.effects.push(format!("broken: {cause}")),
            // Remarks and pauses are about how the octets came, and may differ.
            Action::Note(Note::Remark(_) | Note::Format(_) | Note::Heard(_)) | Action::SlowDown => {}
            Action::Await => panic!("a question was left open"),
            Action::Close => {
                assert!(draft.is_none(), "a draft was forgotten");
                return log;
            }
        }
    }
}

/// Sender and recipients, with what was asked of the delivery.
fn opened(envelope: &Envelope) -> String {
    let recipient = |to: &Recipient| {
        let notify = to.notify.map(|Notify { success, failure, delay }| {
            let wishes = [(success, "success"), (failure, "failure"), (delay, "delay")];
            let names: Vec<&str> = wishes.iter().filter(|(wanted, _)| *wanted).map(|(_, name)| *name).collect();
            if names.is_empty() { " notify=never".to_owned() } else { format!(" notify={}", names.join("+")) }
        });
        let orcpt = to.orcpt.as_ref().map(|orcpt| format!(" orcpt={orcpt}"));
        format!("<{}>{}{}", to.mailbox, notify.unwrap_or_default(), orcpt.unwrap_or_default())
    };
    let to: Vec<String> = envelope.recipients.iter().map(recipient).collect();
    let ret = envelope.ret.map(|ret| format!(" ret={}", if ret == Ret::Full { "full" } else { "hdrs" }));
    let envid = envelope.envid.as_ref().map(|envid| format!(" envid={envid}"));
    let utf8 = if envelope.smtputf8 { " smtputf8" } else { "" };
    let wishes = format!("{}{}{utf8}", ret.unwrap_or_default(), envid.unwrap_or_default());
    format!("open <{}>{wishes}{} -> {}", envelope.reverse_path, came_from(&envelope.origin), to.join(" "))
}

/// Whom the session is about, where that is not simply the connection's other end.
fn came_from(origin: &Origin) -> String {
    let mut words = String::new();
    if let (Peer::Tcp(address), true) = (origin.peer, origin.peer != peer()) {
        let name = origin.reverse_name.as_deref().unwrap_or("unknown");
        words += &format!(" from {name}[{address}] helo={}", origin.helo.as_deref().unwrap_or("none"));
    }
    words += &origin.login.as_ref().map_or(String::new(), |login| format!(" login={login}"));
    words += &origin.forwarded.iter().map(|(name, value)| format!(" {name}={value}")).collect::<String>();
    words
}

fn peer() -> Peer {
    Peer::tcp("192.0.2.1:1025".parse().unwrap())
}

fn words(question: &Question) -> String {
    match question {
        Question::Connect => "connect".to_owned(),
        Question::Helo(name) => format!("helo {name}"),
        Question::Mail { sender, .. } => format!("mail {sender}"),
        Question::Rcpt { recipient, .. } => format!("rcpt {recipient}"),
        Question::Verify(mailbox) => format!("vrfy {mailbox}"),
        Question::Headers(_) => "headers".to_owned(),
        Question::Message { .. } => "message".to_owned(),
    }
}

fn judge(world: &World, question: &str) -> Verdict {
    let verdict = world.verdicts.iter().find(|(asked, _)| asked == question);
    verdict.map_or(Verdict::Accept, |(_, verdict)| verdict.clone())
}

/// The nonce is that of the example in RFC 7677 3.
fn answer(world: &World, users: &Users, query: Query) -> Answer {
    if world.auth_fails {
        return Answer::Unavailable(leafmail::smtp::catalogue::auth_unavailable());
    }
    match query {
        Query::Begin(_) => Answer::Begin("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0".to_owned()),
        Query::Password { user, password, .. } => {
            if users.check(&user, &password, &mut WorkMemory::default()) {
                Answer::Right
            } else {
                Answer::Wrong
            }
        }
        Query::Find(mechanism, user) => Answer::Found(users.find(mechanism, &user).unwrap()),
    }
}

/// A reply in the form `550 5.7.1 text`.
pub(crate) fn reply(text: &str) -> Reply {
    let mut words = text.splitn(3, ' ');
    let code = words.next().unwrap().parse().unwrap();
    let enhanced: EnhancedCode = words.next().unwrap().parse().unwrap();
    Reply::new(code, enhanced, words.next().unwrap().to_owned())
}

/// `replies` with each EHLO reply that fits its wildcard in `expected` replaced by that wildcard.
///
/// A transcript writes `S: 250 ...` for any EHLO reply, so that a new keyword changes only the transcript that lists all
/// of them. Demands follow: `S: 250 ... | SIZE 1000 | no STARTTLS` wants one line and forbids a keyword.
pub(crate) fn with_wildcards(expected: &str, replies: &str) -> String {
    let mut rest = replies;
    let mut text = String::new();
    for line in expected.split_inclusive("\r\n") {
        let reply = match line.trim_end().strip_prefix("250 ...") {
            Some(demands) => {
                let reply = whole_reply(rest);
                if fits(reply, demands) { (line, reply.len()) } else { (reply, reply.len()) }
            }
            None => {
                let length = rest.find('\n').map_or(rest.len(), |at| at + 1);
                (&rest[..length], length)
            }
        };
        text += reply.0;
        rest = &rest[reply.1..];
    }
    text + rest
}

/// The first reply, all its lines.
fn whole_reply(replies: &str) -> &str {
    let mut length = 0;
    for line in replies.split_inclusive("\r\n") {
        length += line.len();
        if line.as_bytes().get(3) != Some(&b'-') {
            break;
        }
    }
    &replies[..length]
}

/// Whether this is a reply to EHLO that meets the demands of a wildcard.
fn fits(reply: &str, demands: &str) -> bool {
    let lines: Vec<&str> = reply.lines().map(|line| line.get(4..).unwrap_or("")).collect();
    let demanded = |demand: &str| match demand.strip_prefix("no ") {
        Some(keyword) => lines.iter().all(|line| line.split(' ').next() != Some(keyword)),
        None => lines.contains(&demand),
    };
    reply.starts_with("250-") && reply.contains("250 HELP") && demands.split(" | ").skip(1).all(demanded)
}
