//! What the driver must do for the session, one action at a time.

use super::{MailQuery, Query, Question};
use crate::address::{Mailbox, ReversePath};
use crate::envelope::{Envelope, Seal};
use crate::smtp::{Mechanism, Reply};

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
    /// The session ended otherwise than by QUIT.
    Broken(&'static str),
}

/// What was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// A verb, or `END-OF-MESSAGE`.
    pub stage: &'static str,
    /// The answer.
    pub reply: Reply,
    /// The sender, where MAIL was accepted or is in question.
    pub sender: Option<ReversePath>,
    /// The recipient in question.
    pub recipient: Option<Mailbox>,
}
