//! What a hook is asked, where, and what it may do.

use std::fmt;
use std::time::Duration;

use ipnet::IpNet;

use crate::policy::{Fallback, Listeners};

/// Where a hook is asked.
#[derive(Clone, PartialEq, Eq)]
pub enum HookTarget {
    /// A command for the shell that keeps running: a line of JSON in, a line of JSON out.
    Command(String),
    /// A URL, by POST; it may hold a token.
    Url(String),
}

impl fmt::Debug for HookTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Command(_) => "Command(***)",
            Self::Url(_) => "Url(***)",
        })
    }
}

/// When a hook is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookStage {
    /// A client connected.
    Connect,
    /// It gave its name.
    Ehlo,
    /// It wants to log in with a password.
    Auth,
    /// It named a sender.
    Mail,
    /// It named a recipient.
    Rcpt,
    /// Its message is whole.
    Data,
}

impl HookStage {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Connect, Self::Ehlo, Self::Auth, Self::Mail, Self::Rcpt, Self::Data];

    /// Its name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Ehlo => "ehlo",
            Self::Auth => "auth",
            Self::Mail => "mail",
            Self::Rcpt => "rcpt",
            Self::Data => "data",
        }
    }
}

/// Whether a message that was accepted may vanish because a hook says so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Discarding {
    /// No: it is held.
    #[default]
    Held,
    /// Yes.
    Allowed,
}

/// One hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookSettings {
    /// What the log and notes call it.
    pub name: String,
    /// This host.
    pub host: String,
    /// Where it is asked.
    pub target: HookTarget,
    /// When it is asked.
    pub stages: Vec<HookStage>,
    /// How long an answer may take.
    pub timeout: Duration,
    /// The answer where it gives none.
    pub fallback: Fallback,
    /// Clients that it is not asked about.
    pub except: Vec<IpNet>,
    /// Where clients connect whose mail it is about.
    pub listeners: Listeners,
    /// Whether it is not asked about clients that logged in.
    pub except_logins: bool,
    /// What becomes of a message that it wants to discard.
    pub discarding: Discarding,
    /// The routes that it may choose, by name.
    pub routes: Vec<String>,
    /// The most octets of a body that it gets.
    pub contents: usize,
}
