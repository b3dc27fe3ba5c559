//! What the driver must do for the session, one action at a time; and the questions among them.

use std::sync::Arc;

use super::HeaderBlock;
use crate::address::{Mailbox, ReversePath};
use crate::auth::StoredSecret;
use crate::envelope::{Envelope, Seal};
use crate::id::SpoolId;
use crate::smtp::{Mechanism, Refuser, Reply, Secret};

/// One thing for the driver to do.
#[derive(Debug)]
pub enum Action {
    /// Wait for octets; answer with `feed`, `eof` or `timed_out`.
    Read,
    /// Send all of this.
    Write(Vec<u8>),
    /// Wait a second: the client makes error after error.
    SlowDown,
    /// Ask the policy; answer with `verdict`.
    Ask(Question),
    /// Shake hands for TLS, once all is sent; answer with `secured`.
    StartTls,
    /// Ask who keeps the users; answer with `authenticated`.
    Authenticate(Query),
    /// Ask what a user of this host may see of the queue; answer with `mail_listed`.
    ListMail(MailQuery),
    /// Begin a draft; answer with `opened`.
    Open(Box<Envelope>),
    /// Add message octets to the draft.
    Append(Vec<u8>),
    /// Make the draft durable; answer with `committed`.
    Commit(Seal),
    /// Drop the draft.
    Discard,
    /// Tell whoever watches.
    Note(Note),
    /// Nothing until the open question is answered.
    Await,
    /// Close the connection; nothing follows.
    Close,
}

/// Something worth a line in the log that is not an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// A command or a message was refused.
    Rejected(Box<Rejection>),
    /// The client proved to be this user.
    LoggedIn {
        /// The user.
        user: String,
        /// How.
        mechanism: Mechanism,
    },
    /// The client did not prove to be this user, who may not even exist.
    LoginFailed {
        /// Whom it claimed to be.
        user: String,
        /// How.
        mechanism: Mechanism,
    },
    /// A line of the client, for the transcript; without control characters and secrets.
    Heard(String),
    /// Something odd that was tolerated.
    Remark(&'static str),
    /// What is not as RFC 5322 has it in a message, and what was done about it.
    Format(String),
    /// A message was accepted, and not kept, as a policy wants it.
    Discarded {
        /// The id that it would have had.
        id: SpoolId,
        /// Why.
        reason: String,
    },
    /// The session ended otherwise than by QUIT; in the words of the log, such as `timeout after RCPT`.
    Broken(String),
}

/// What was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// A verb, `END-OF-MESSAGE`, or `UNKNOWN`.
    pub stage: &'static str,
    /// Whose rules it is against.
    pub by: Refuser,
    /// The answer.
    pub reply: Reply,
    /// The sender, where MAIL was accepted or is in question.
    pub sender: Option<ReversePath>,
    /// The recipient in question.
    pub recipient: Option<Mailbox>,
}

/// A question to the policy. While it is open, the session takes no input.
#[derive(Debug, Clone)]
pub enum Question {
    /// May this client speak at all? Asked before the greeting.
    Connect,
    /// May it call itself so? The text of HELO or EHLO: hostile, but without control octets; empty where it gave no name or
    /// sends MAIL without either.
    Helo(String),
    /// May it send from here?
    Mail {
        /// The sender.
        sender: ReversePath,
        /// SIZE=, in octets (RFC 1870).
        declared_size: Option<u64>,
    },
    /// May it send there?
    Rcpt {
        /// The sender.
        sender: ReversePath,
        /// The recipient in question.
        recipient: Mailbox,
    },
    /// May it learn by VRFY that this mailbox exists?
    Verify(Mailbox),
    /// Are the header fields as they should be?
    Headers(Arc<HeaderBlock>),
    /// Is the message welcome as a whole? Its octets are in the draft.
    Message {
        /// Octets of the message as the client sent it.
        size: u64,
    },
}

/// What the session asks on behalf of a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// May a login begin? With which nonce?
    Begin(Mechanism),
    /// Is this the user's password?
    Password {
        /// Whom the client claims to be.
        user: String,
        /// What it gives.
        password: Secret,
        /// By which mechanism.
        mechanism: Mechanism,
    },
    /// What is stored of this user for this mechanism?
    Find(Mechanism, String),
}

/// What a [`Query`] may be answered.
#[derive(Debug, Clone)]
pub enum Answer {
    /// It may begin; the nonce is printable, without a comma, and used this once only.
    Begin(String),
    /// It is the user's password.
    Right,
    /// It is not.
    Wrong,
    /// A policy says that it is not, in its own words.
    Refused {
        /// The reply to the client.
        reply: Reply,
        /// Whether the session ends.
        closes: bool,
    },
    /// This is stored, or was made up for a user who does not exist.
    Found(StoredSecret),
    /// No: this is the reply.
    Unavailable(Reply),
}

/// Who wants to see its mail in the queue, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailQuery {
    /// The user of this host, by the kernel's word.
    pub uid: u32,
    /// As JSON, one object a line, instead of a table.
    pub json: bool,
}
