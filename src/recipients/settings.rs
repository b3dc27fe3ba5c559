//! Who is asked whether a recipient exists.

use std::path::PathBuf;
use std::time::Duration;

use crate::address::Domain;
use crate::policy::Fallback;
use crate::transport::{DatabaseQuestion, RouteSettings};

/// Who knows which mailboxes exist. A further kind needs a variant here, and its question beside the others.
#[derive(Debug, Clone)]
pub enum RecipientSource {
    /// A file with an address a line.
    File(PathBuf),
    /// A command line, which gets the address as its last argument.
    Command(String),
    /// The next hop, by RCPT.
    Callout(Box<RouteSettings>),
    /// A database: a query that gives a row for each mailbox that exists.
    Database(DatabaseQuestion),
}

impl RecipientSource {
    /// What the log and alarms call it: its key in the configuration.
    pub const SETTING: &'static str = "recipients.source";
}

/// Who is asked, about whom, and for how long.
#[derive(Debug, Clone)]
pub struct RecipientSettings {
    /// Who is asked.
    pub source: RecipientSource,
    /// The domains that it knows; recipients elsewhere are not asked about.
    pub domains: Vec<Domain>,
    /// How long an answer may take.
    pub timeout: Duration,
    /// What happens without one.
    pub fallback: Fallback,
}
