//! Who judges messages, what a message is learnt as, and what came of it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Who judges.
#[derive(Clone, PartialEq, Eq)]
pub enum SpamProgram {
    /// The command line of bogofilter, without what it is to do.
    Bogofilter(String),
    /// The URL of rspamd's controller; it may hold a password.
    Rspamd(String),
}

impl fmt::Debug for SpamProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bogofilter(_) => "Bogofilter(***)",
            Self::Rspamd(_) => "Rspamd(***)",
        })
    }
}

impl SpamProgram {
    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Bogofilter(_) => "bogofilter",
            Self::Rspamd(_) => "rspamd",
        }
    }
}

/// What a message is learnt as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpamClass {
    /// Unwanted.
    Spam,
    /// Wanted.
    Ham,
}

impl SpamClass {
    /// Its name.
    pub fn word(self) -> &'static str {
        match self {
            Self::Spam => "spam",
            Self::Ham => "ham",
        }
    }
}

/// What came of learning a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Learning {
    /// It was not known.
    New,
    /// It was learnt as the opposite before, which was taken back.
    Changed,
    /// It was learnt as the same before; nothing was done.
    Known,
    /// The filter does not learn such a message, as one with few words.
    Declined,
}

/// What a filter gets of a message besides its octets; each may be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessageOrigin {
    /// The address of the client.
    pub ip: String,
    /// What the client called itself; hostile.
    pub helo: String,
    /// Who the client proved to be; hostile.
    pub login: String,
    /// The reverse-path.
    pub sender: String,
    /// The recipients.
    pub recipients: Vec<String>,
    /// The spool id.
    pub id: String,
}

/// Who judges, and within which bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpamSettings {
    /// Who judges.
    pub program: SpamProgram,
    /// How long an answer may take.
    pub timeout: Duration,
    /// The most octets of a body that are looked at.
    pub contents: usize,
    /// The file of what was learnt.
    pub memory: PathBuf,
}

impl SpamSettings {
    /// What the log and alarms call it.
    pub fn health_name(&self) -> String {
        format!("spam filter {}", self.program.name())
    }
}
