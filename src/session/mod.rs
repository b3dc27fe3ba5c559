//! The session: the dialogue with one client, without sockets, files or clocks.
//!
//! The driver calls [`Session::poll`] and does what the [`Action`] says. It answers an action that asks with the
//! method named there; while a question is open, the session reads no input. The session never blocks, never reads a
//! clock and never fails. Its replies do not depend on how the client's octets were cut into pieces.

mod action;
mod chunks;
mod commands;
mod data;
mod directory;
mod extensions;
mod headers;
mod message;
mod proxied;
mod security;
mod settings;
mod telling;
mod terms;
mod trace;
mod transaction;
mod verdict;

pub use action::{Action, Answer, MailQuery, Note, Query, Question, Rejection};
pub use headers::HeaderBlock;
pub use settings::{Directory, FormatCheck, ListMembers, Settings};
pub use terms::Terms;
pub use transaction::BegunTransaction;
pub use verdict::{Additions, HeaderLine, Verdict};

use std::collections::VecDeque;
use std::sync::Arc;

use crate::address::{Mailbox, ReversePath};
use crate::clock::Timestamp;
use crate::envelope::{Origin, Peer, Protocol};
use crate::id::SpoolId;
use crate::mutant::{Mutant, planted};
use crate::smtp::catalogue::{self, TimeLimit};
use crate::smtp::{Chunk, Dialect, Enhanced, Input, Keyword, MailParams, RcptParams, Reply};
use message::Incoming;
use settings::Trust;
use terms::{Pending, Proved};
use transaction::Transaction;
use verdict::Added;

/// Replies are gathered up to this many octets before they must be written.
const MAX_GATHERED: usize = 16 * 1024;

/// One client's dialogue.
#[derive(Debug)]
pub struct Session {
    settings: Arc<Settings>,
    peer: Peer,
    reverse_name: Option<String>,
    /// What the connection's other end may say of other clients.
    trust: Trust,
    /// What XCLIENT said that the client calls itself, until the policy was asked.
    told_hello: Option<Hello>,
    /// What XFORWARD said, for the next transaction.
    forwarded: Vec<(String, String)>,
    now: Timestamp,
    input: Input,
    replies: Vec<u8>,
    actions: VecDeque<Action>,
    stage: Stage,
    /// The last command, as Postfix names the place of an event in its log.
    verb: &'static str,
    /// The message that is arriving; between two chunks of BDAT the stage is that of commands.
    message: Option<Box<Message>>,
    open_question: Option<OpenQuestion>,
    hello: Option<Hello>,
    /// Whether the last name that the client gave was refused.
    name_refused: bool,
    transaction: Option<Transaction>,
    /// Transactions that were begun.
    transactions: u32,
    /// What the policy adds to messages.
    added: Added,
    proved: Proved,
    errors: u32,
    /// Commands since the last message that brought none on its way.
    junk_commands: u32,
    strained: bool,
    retiring: bool,
    /// What was remarked already.
    remarks: Vec<&'static str>,
    /// Whether the reply to the present command must not wait for others.
    prompt: bool,
    transcript: bool,
}

#[derive(Debug)]
enum Stage {
    /// Command lines.
    Commands,
    /// Message octets, until the final dot or the end of the chunk.
    Data,
    /// The octets of a chunk that is refused.
    Swallow(Swallow),
    /// Over.
    Closed,
}

/// A message that is arriving, and its place in the spool.
#[derive(Debug)]
struct Message {
    id: SpoolId,
    received_at: Timestamp,
    incoming: Incoming,
    message_id: Option<String>,
    hops: usize,
    /// Octets of the present chunk of BDAT.
    chunk_size: u64,
    /// Whether the draft is still there.
    draft: bool,
}

/// A refused chunk: this many octets are still to be dropped, then this is the reply.
#[derive(Debug)]
struct Swallow {
    left: u64,
    reply: Reply,
}

#[derive(Debug, Clone)]
struct Hello {
    name: String,
    extended: bool,
}

/// What the session waits to hear, with what it then goes on with.
#[derive(Debug)]
enum OpenQuestion {
    Connect,
    Helo(Hello),
    /// What XCLIENT said, before the greeting.
    ToldHelo(Hello),
    /// MAIL came without HELO: may a client go without a name?
    NoHelo(ReversePath, MailParams),
    Mail(ReversePath, MailParams),
    Rcpt(Mailbox, RcptParams),
    Verify(Mailbox),
    Expand(String),
    /// The draft, for DATA or for a first chunk.
    Opened(Option<Chunk>),
    Headers(Arc<HeaderBlock>),
    Message,
    Committed,
    Secured,
    Authenticated(Pending),
    MailListed,
}

/// Which limit of time the driver sets for the next octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// A command.
    Command,
    /// More of a message.
    Body,
}

impl Session {
    /// A session with this client; the first action asks whether it may speak at all.
    pub fn new(settings: Arc<Settings>, peer: Peer, reverse_name: Option<String>, now: Timestamp) -> Self {
        let mut session = Self {
            trust: Trust::of(peer, &settings),
            told_hello: None,
            forwarded: Vec::new(),
            settings,
            peer,
            reverse_name,
            now,
            input: Input::default(),
            replies: Vec::new(),
            actions: VecDeque::new(),
            stage: Stage::Commands,
            verb: "CONNECT",
            message: None,
            open_question: None,
            hello: None,
            name_refused: false,
            transaction: None,
            transactions: 0,
            added: Added::default(),
            proved: Proved::default(),
            errors: 0,
            junk_commands: 0,
            strained: false,
            retiring: false,
            remarks: Vec::new(),
            prompt: false,
            transcript: false,
        };
        session.ask(Question::Connect, OpenQuestion::Connect);
        session
    }

    /// What to do next.
    pub fn poll(&mut self) -> Action {
        loop {
            if let Some(action) = self.actions.pop_front() {
                return action;
            }
            if matches!(self.stage, Stage::Closed) {
                return self.take_replies().unwrap_or(Action::Close);
            }
            if self.open_question.is_some() {
                return Action::Await;
            }
            let is_prompt = !self.replies.is_empty() && std::mem::take(&mut self.prompt);
            if is_prompt || self.replies.len() >= MAX_GATHERED || !self.advance() {
                return self.take_replies().unwrap_or(Action::Read);
            }
        }
    }

    /// Octets came in; `now` is when.
    pub fn feed(&mut self, octets: &[u8], now: Timestamp) {
        self.now = now;
        self.input.feed(octets);
    }

    /// The client closed its side: what is not complete is dropped.
    pub fn eof(&mut self) {
        if planted(Mutant::EofAccepted) && matches!(self.stage, Stage::Data) {
            return self.input.feed(b"\r\n.\r\n");
        }
        if let Some(end) = self.false_end() {
            self.actions.push_back(Action::Note(Note::Remark(catalogue::false_end_remark(end))));
        }
        self.break_off_after("lost connection");
    }

    /// The client took longer than this limit allows.
    pub fn timed_out(&mut self, limit: TimeLimit) {
        if let Some(end) = self.false_end() {
            return self.refuse_false_end(end);
        }
        let hostname = &self.settings.hostname;
        if self.retiring {
            let farewell = catalogue::shutting_down(hostname);
            self.say(&farewell);
        } else {
            let farewell = catalogue::timed_out(hostname, limit);
            self.say(&farewell);
            let sender = self.transaction.as_ref().map(|transaction| transaction.sender.clone());
            self.note_refusal(self.verb, farewell, sender, None);
        }
        self.break_off_after("timeout");
    }

    /// The server ends: commands that came are answered and a message that is arriving is finished, but nothing that is still
    /// to come is waited for.
    pub fn retire(&mut self) {
        self.retiring = true;
    }

    /// The server is overloaded, or is not any more: as long as it is, one error ends the session, and one command that brings
    /// no mail on its way is the most that is not an error.
    pub fn strain(&mut self, strained: bool) {
        self.strained = strained;
    }

    /// Lines that were read so far: as long as this stays the same within a line, the client has not ended what it began.
    pub fn lines_read(&self) -> u64 {
        self.input.lines()
    }

    /// Whether a command line has begun whose end has not come.
    pub fn is_within_line(&self) -> bool {
        self.patience() == Patience::Command && self.input.is_within_line()
    }

    /// Whether a message is arriving, also between two of its chunks.
    pub fn is_within_message(&self) -> bool {
        self.message.is_some() || self.patience() == Patience::Body
    }

    /// How long to wait for octets, when the action is [`Action::Read`].
    pub fn patience(&self) -> Patience {
        match self.stage {
            Stage::Data | Stage::Swallow(_) => Patience::Body,
            _ => Patience::Command,
        }
    }

    /// What the client called itself, if it gave a name.
    pub fn helo(&self) -> Option<&str> {
        self.hello.as_ref().map(|hello| hello.name.as_str()).filter(|name| !name.is_empty())
    }

    /// Whether it did so by EHLO.
    pub fn is_extended(&self) -> bool {
        self.hello.as_ref().is_some_and(|hello| hello.extended)
    }

    /// Whom the session is about: the other end of the connection, or whom XCLIENT named.
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// The verified name of that client.
    pub fn reverse_name(&self) -> Option<&str> {
        self.reverse_name.as_deref()
    }

    /// The transaction that has begun.
    pub fn transaction(&self) -> Option<BegunTransaction<'_>> {
        let spool_id = self.message.as_ref().map(|message| message.id);
        Some(self.transaction.as_ref()?.begun(self.transactions, spool_id))
    }

    /// Goes on with what there is; `false` when more input is needed.
    fn advance(&mut self) -> bool {
        match self.stage {
            Stage::Commands if self.proved.in_exchange() => self.next_response() || self.leave(),
            Stage::Commands => self.next_command() || self.leave(),
            Stage::Data => self.next_octets(),
            Stage::Swallow(_) => self.swallow(),
            Stage::Closed => false,
        }
    }

    /// Ends the session if the server ends; between two chunks of BDAT the message is still on its way.
    fn leave(&mut self) -> bool {
        if !self.retiring || self.message.is_some() {
            return false;
        }
        let farewell = catalogue::shutting_down(&self.settings.hostname);
        self.say(&farewell);
        self.close();
        true
    }

    fn take_replies(&mut self) -> Option<Action> {
        (!self.replies.is_empty()).then(|| Action::Write(std::mem::take(&mut self.replies)))
    }

    fn ask(&mut self, question: Question, open: OpenQuestion) {
        self.actions.push_back(Action::Ask(question));
        self.open_question = Some(open);
    }

    /// Gathers a reply that counts as nothing, such as a last one.
    fn say(&mut self, reply: &Reply) {
        let enhanced = match self.settings.dialect {
            Dialect::Esmtp if !self.proved.terms.hidden.contains(Keyword::EnhancedStatusCodes) => Enhanced::Shown,
            Dialect::Esmtp | Dialect::Rfc821 => Enhanced::Hidden,
        };
        reply.write(&mut self.replies, enhanced);
    }

    /// Ends the session; a draft that is still there is dropped.
    fn close(&mut self) {
        self.abandon();
        self.open_question = None;
        self.stage = Stage::Closed;
    }

    /// Drops the transaction with all that belongs to it, also what came of its message by BDAT and what XFORWARD told.
    fn abandon(&mut self) {
        self.transaction = None;
        self.added.forget_message();
        self.forwarded.clear();
        if self.message.take().is_some_and(|message| message.draft) {
            self.actions.push_back(Action::Discard);
        }
    }

    fn is_closed(&self) -> bool {
        matches!(self.stage, Stage::Closed)
    }

    fn origin(&self) -> Origin {
        let hello = self.hello.as_ref();
        let (tls, login) = (&self.proved.terms.tls, &self.proved.login);
        let protocol = Protocol {
            extended: hello.is_some_and(|hello| hello.extended),
            tls: tls.is_some(),
            authenticated: login.is_some(),
            ..Protocol::SMTP
        };
        Origin {
            reverse_name: self.reverse_name.clone(),
            helo: self.helo().map(str::to_owned),
            peer: self.peer,
            login: login.clone(),
            tls: tls.clone(),
            forwarded: self.forwarded.clone(),
            ..Origin::local(protocol)
        }
    }
}
