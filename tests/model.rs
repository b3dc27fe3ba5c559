//! The session against a model of the order of commands, under random commands: every reply's code, and what is committed.
//!
//! The model knows three things, whether a HELO came, the transaction, and whether a message comes by BDAT; it knows
//! nothing of octets, pieces or texts. The short form runs some ten thousand sequences, the full one two million.

mod support;

use std::sync::Arc;
use std::thread;

use leafmail::address::Syntax;
use leafmail::clock::Timestamp;
use leafmail::envelope::Peer;
use leafmail::id::SpoolId;
use leafmail::session::{Action, Question, Session, Settings, Verdict};
use leafmail::smtp::{EnhancedCode, Reply};
use support::lab;
use support::seeded::Chance;

const NOW: Timestamp = Timestamp::from_millis(1_795_226_607_123);
const MOST_RECIPIENTS: usize = 3;
/// More commands than fill a transaction several times over.
const MOST_COMMANDS: usize = 32;

/// What the client can send, with what the model makes of it.
#[derive(Debug, Clone, Copy)]
enum Command {
    Hello,
    Mail,
    /// A MAIL that is in order if its place is, with more octets declared than a message may have.
    LargeMail,
    Rcpt(&'static str),
    RefusedRcpt,
    BrokenRcpt,
    /// DATA, and whether its message has a bare LF in it.
    Data(bool),
    /// BDAT with these octets, whether they are the last, and whether there is a bare LF in them.
    Chunk(&'static str, bool, bool),
    Rset,
    Quit,
    /// Anything whose reply does not depend on its place, and which changes nothing.
    Aside(u16),
}

const TEXT: &str = "Subject: x\r\n\r\n.text\r\n";

const COMMANDS: [(&str, Command); 36] = [
    ("EHLO x\r\n", Command::Hello),
    ("EHLO x\r\n", Command::Hello),
    ("HELO x\r\n", Command::Hello),
    ("MAIL FROM:<a@b>\r\n", Command::Mail),
    ("MAIL FROM:<a@b>\r\n", Command::Mail),
    ("mail from: <>\n", Command::Mail),
    ("MAIL FROM:<a@b> SIZE=40000001\r\n", Command::LargeMail),
    ("MAIL FROM:<\r\n", Command::Aside(501)),
    ("MAIL FROM:<a@b> X=1\r\n", Command::Aside(555)),
    ("RCPT TO:<c@d>\r\n", Command::Rcpt("c@d")),
    ("RCPT TO:<c@d>\r\n", Command::Rcpt("c@d")),
    ("RCPT TO:<e@f> NOTIFY=NEVER\r\n", Command::Rcpt("e@f")),
    ("RCPT TO:<g@h>\r\n", Command::Rcpt("g@h")),
    ("RCPT TO:i@j\r\n", Command::Rcpt("i@j")),
    ("RCPT TO:<refused@d>\r\n", Command::RefusedRcpt),
    ("RCPT TO:<bad\r\n", Command::BrokenRcpt),
    ("DATA\r\n", Command::Data(false)),
    ("DATA\r\n", Command::Data(false)),
    ("DATA\r\n", Command::Data(true)),
    ("BDAT 6\r\nX: y\r\n", Command::Chunk("X: y\r\n", false, false)),
    ("BDAT 6\r\nX: y\r\n", Command::Chunk("X: y\r\n", false, false)),
    ("BDAT 3\r\na\nb", Command::Chunk("", false, true)),
    ("BDAT 8 LAST\r\n\r\nQUIT\r\n", Command::Chunk("\r\nQUIT\r\n", true, false)),
    ("BDAT 0 LAST\r\n", Command::Chunk("", true, false)),
    ("BDAT 0\r\n", Command::Chunk("", false, false)),
    ("BDAT 2 LAST\r\n\n\n", Command::Chunk("", true, true)),
    ("RSET\r\n", Command::Rset),
    ("QUIT\r\n", Command::Quit),
    ("NOOP\r\n", Command::Aside(250)),
    ("VRFY joe\r\n", Command::Aside(252)),
    ("HELP\r\n", Command::Aside(214)),
    ("STARTTLS\r\n", Command::Aside(502)),
    ("AUTH PLAIN AGEAYg==\r\n", Command::Aside(502)),
    ("XCLIENT ADDR=10.0.0.1\r\n", Command::Aside(502)),
    ("FOO\r\n", Command::Aside(500)),
    (" MAIL FROM:<a@b>\r\n", Command::Aside(500)),
];

/// A transaction, as far as it has come.
#[derive(Debug, Default)]
struct Transaction {
    recipients: Vec<&'static str>,
    /// Whether a recipient was refused.
    refused: bool,
    /// What came by BDAT, once something did.
    chunks: Option<String>,
}

/// What the session should have said and done.
#[derive(Debug, Default)]
struct Model {
    hello: bool,
    require_helo: bool,
    transaction: Option<Transaction>,
    codes: Vec<u16>,
    /// Recipients and octets of each message.
    committed: Vec<(Vec<&'static str>, String)>,
    over: bool,
}

impl Model {
    /// The client sends a command; whether the text of a message follows it.
    fn take(&mut self, command: Command) -> bool {
        let in_chunks = self.transaction.as_ref().is_some_and(|transaction| transaction.chunks.is_some());
        let code = match (command, &mut self.transaction) {
            (Command::Hello, _) => {
                self.hello = true;
                self.transaction = None;
                250
            }
            (Command::Mail | Command::LargeMail, Some(_)) => 503,
            (Command::Mail | Command::LargeMail, None) if !self.hello && self.require_helo => 503,
            (Command::LargeMail, None) => 552,
            (Command::Mail, None) => {
                self.hello = true;
                self.transaction = Some(Transaction::default());
                250
            }
            (Command::BrokenRcpt, transaction) => {
                if let Some(transaction) = transaction {
                    transaction.refused = true;
                }
                501
            }
            (Command::Rcpt(_) | Command::RefusedRcpt, None) => 503,
            (Command::Rcpt(_) | Command::RefusedRcpt, _) if in_chunks => 503,
            (Command::Rcpt(_) | Command::RefusedRcpt, Some(full)) if full.recipients.len() >= MOST_RECIPIENTS => {
                full.refused = true;
                452
            }
            (Command::RefusedRcpt, Some(transaction)) => {
                transaction.refused = true;
                550
            }
            (Command::Rcpt(recipient), Some(transaction)) => {
                // Given twice, it is one recipient.
                if !transaction.recipients.contains(&recipient) {
                    transaction.recipients.push(recipient);
                }
                250
            }
            (Command::Data(_), _) if in_chunks => 503,
            (Command::Data(_) | Command::Chunk(..), None) => 503,
            (Command::Data(_) | Command::Chunk(..), Some(transaction)) if transaction.recipients.is_empty() => {
                if transaction.refused {
                    554
                } else {
                    503
                }
            }
            (Command::Data(bare_newline), Some(_)) => {
                self.codes.push(354);
                return self.end(TEXT.to_owned(), bare_newline);
            }
            (Command::Chunk(octets, last, bare_newline), Some(transaction)) => {
                let so_far = transaction.chunks.get_or_insert_default();
                so_far.push_str(octets);
                if last || bare_newline {
                    let all = std::mem::take(so_far);
                    self.end(all, bare_newline);
                    return false;
                }
                250
            }
            (Command::Rset, _) => {
                self.transaction = None;
                250
            }
            (Command::Quit, _) => {
                self.over = true;
                221
            }
            (Command::Aside(code), _) => code,
        };
        self.codes.push(code);
        false
    }

    /// A message has come to its end.
    fn end(&mut self, octets: String, bare_newline: bool) -> bool {
        let transaction = self.transaction.take().expect("a message belongs to a transaction");
        self.codes.push(if bare_newline { 550 } else { 250 });
        if !bare_newline {
            self.committed.push((transaction.recipients, octets));
        }
        true
    }
}

/// What a session says and commits.
#[derive(Debug, Default)]
struct Seen {
    replies: Vec<u8>,
    committed: Vec<(Vec<String>, Vec<u8>)>,
}

fn no_such_recipient() -> Reply {
    Reply::new(550, EnhancedCode(5, 1, 1), "nobody of this name")
}

fn run(settings: &Arc<Settings>, sent: &[u8], chance: &mut Chance) -> Seen {
    let peer = Peer::tcp("192.0.2.1:25".parse().unwrap());
    let mut session = Session::new(Arc::clone(settings), peer, None, NOW);
    let (mut seen, mut rest, mut draft) = (Seen::default(), sent, None);
    loop {
        match session.poll() {
            Action::Read if rest.is_empty() => session.eof(),
            Action::Read => {
                let most = if chance.one_in(2) { rest.len() } else { 9 };
                let (piece, tail) = rest.split_at(chance.between(1, most).min(rest.len()));
                session.feed(piece, NOW);
                rest = tail;
            }
            Action::Write(octets) => seen.replies.extend(octets),
            Action::Ask(Question::Rcpt { recipient, .. }) if recipient.local() == "refused" => {
                session.verdict(Verdict::Refuse(no_such_recipient()));
            }
            Action::Ask(_) => session.verdict(Verdict::Accept),
            Action::Open(envelope) => {
                let recipients = envelope.recipients.iter().map(|one| one.mailbox.to_string()).collect::<Vec<_>>();
                assert!(draft.replace((recipients, Vec::new())).is_none(), "two drafts at once");
                session.opened(Ok(SpoolId::new(NOW, 1, 0)));
            }
            Action::Append(octets) => draft.as_mut().expect("octets belong to a draft").1.extend(octets),
            Action::Commit(_) => {
                seen.committed.push(draft.take().expect("only a draft is committed"));
                session.committed(Ok(SpoolId::new(NOW, 1, 0)));
            }
            Action::Discard => drop(draft.take().expect("only a draft is discarded")),
            Action::Close => {
                assert!(draft.is_none(), "a draft was forgotten");
                return seen;
            }
            Action::Note(_) | Action::SlowDown => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Sends random commands and compares.
fn try_out(settings: &Arc<Settings>, seed: u64) {
    let mut chance = Chance::new(seed);
    let require_helo = settings.require_helo;
    let (mut model, mut sent) = (Model { codes: vec![220], require_helo, ..Model::default() }, String::new());
    for _ in 0..chance.between(0, MOST_COMMANDS) {
        let (line, command) = *chance.of(&COMMANDS);
        sent += line;
        if model.take(command) {
            let text = TEXT.replace("\r\n.", "\r\n..");
            sent += &if matches!(command, Command::Data(true)) { text.replace("\r\n\r\n", "\n\r\n") } else { text };
            sent += ".\r\n";
        }
        if model.over {
            sent += "NOOP\r\n";
            break;
        }
    }
    let seen = run(settings, sent.as_bytes(), &mut chance);
    let is_last = |line: &&[u8]| line.get(3) == Some(&b' ');
    let code = |line: &[u8]| line[..3].iter().fold(0, |code, digit| 10 * code + u16::from(digit - b'0'));
    let codes: Vec<u16> = seen.replies.split(|octet| *octet == b'\n').filter(is_last).map(code).collect();
    assert_eq!(codes, model.codes, "seed {seed}: {sent}");
    assert_eq!(seen.committed.len(), model.committed.len(), "seed {seed}: {sent}");
    for ((recipients, octets), (expected, text)) in seen.committed.iter().zip(&model.committed) {
        assert!(recipients == expected && octets.ends_with(text.as_bytes()), "seed {seed}: {sent}");
    }
}

#[test]
fn the_session_does_what_the_model_does_under_any_commands() {
    let mut settings = Settings::new("relay.example".parse().unwrap());
    settings.max_errors = u32::MAX;
    settings.max_recipients = MOST_RECIPIENTS;
    let strict = Settings { require_helo: true, syntax: Syntax::Strict, ..settings.clone() };
    let settings = [Arc::new(settings), Arc::new(strict)];
    let (sequences, threads) = (lab::either(40_000, 2_000_000), 4);
    thread::scope(|scope| {
        for first in 0..threads {
            let settings = &settings;
            let settings_of = move |seed: u64| &settings[usize::from(seed % 8 >= 4)];
            scope.spawn(move || {
                (first..sequences).step_by(threads as usize).for_each(|seed| try_out(settings_of(seed), seed));
            });
        }
    });
}
