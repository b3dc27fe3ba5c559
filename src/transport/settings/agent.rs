//! What a delivery agent is: the kind of next hop behind a URL that leads to no SMTP server.
//!
//! An agent is a value that its URL describes whole: nothing is read, opened or started before the first delivery or probe.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::NextHopError;
use super::pin::Roots;
use super::secret::{SecretSource, TokenSource};
use super::timeouts::Timeouts;
use crate::transport::delivery::{Dispatch, SettingsError};
use crate::transport::leaving::Leaving;
use crate::transport::step::Step;

/// A delivery agent, as its URL describes it.
pub trait DeliveryAgent: fmt::Debug + Send + Sync {
    /// The URL, in the form that parses back to the same. It is shown in logs and listings, and has no secret.
    fn url(&self) -> String;

    /// Where mail goes, in words for the lines that a program shows when it starts.
    fn title(&self) -> String {
        self.url()
    }

    /// The user to log in as, with the password of the route.
    fn user(&self) -> Option<&str> {
        None
    }

    /// Whether a token or a password proves who we are without a user.
    fn takes_token(&self) -> bool {
        false
    }

    /// Whether it holds mail instead of taking it.
    fn holds(&self) -> bool {
        false
    }

    /// Whether the certificate of the other side is looked at.
    fn verifies(&self) -> bool {
        false
    }

    /// What it must reach on this host.
    fn needs(&self) -> AgentNeeds {
        AgentNeeds::default()
    }

    /// What this host lacks, so that mail will not go, in words for `--check`.
    fn lacks(&self) -> Option<String> {
        None
    }

    /// What makes transports to it.
    ///
    /// # Errors
    /// When the settings of the route contradict it.
    fn dispatch(&self, settings: &AgentSettings) -> Result<Arc<dyn Dispatch>, SettingsError>;

    /// Tries it out without delivering anything; `heading` is where its settings are, such as `[relay]`. May block.
    fn probe(&self, settings: &AgentSettings, heading: &str) -> Vec<Step>;
}

/// What a route says to its agent.
#[derive(Debug, Clone)]
pub struct AgentSettings {
    /// The route's name, for errors.
    pub route: String,
    /// How many deliveries may run side by side, at least 1.
    pub connections: usize,
    /// The largest message in octets that the route allows.
    pub max_size: Option<u64>,
    /// Where the password of the URL's user comes from.
    pub password: Option<SecretSource>,
    /// Where an access token comes from, instead of a password.
    pub token: Option<TokenSource>,
    /// Whose certificates are trusted; `None`: the system's authorities.
    pub roots: Option<Roots>,
    /// How long each step may take.
    pub timeouts: Timeouts,
    /// The call to leave.
    pub leaving: Leaving,
}

impl AgentSettings {
    /// The file of the authorities that are trusted instead of those of the system.
    pub fn authorities(&self) -> Option<&Path> {
        match &self.roots {
            Some(Roots::File(file)) => Some(file),
            _ => None,
        }
    }

    /// They contradict the agent.
    pub fn refused(&self, what: impl Into<String>) -> SettingsError {
        SettingsError { route: self.route.clone(), what: what.into() }
    }
}

/// What an agent must reach on this host, for the sandbox.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentNeeds {
    /// Folders that it makes where they are not there, and writes to.
    pub write: Vec<PathBuf>,
    /// Files that it reads.
    pub read: Vec<PathBuf>,
    /// The TCP ports that it connects to.
    pub ports: Vec<u16>,
    /// What it runs outside the sandbox.
    pub commands: Vec<String>,
}

/// What a URL describes.
pub(in crate::transport) type ParsedAgent = Result<Arc<dyn DeliveryAgent>, NextHopError>;

/// A kind of agent, with what the table of kinds must know of it.
pub(in crate::transport) struct AgentKind {
    /// What its URLs begin with, without the colon, in small letters.
    pub(in crate::transport) schemes: &'static [&'static str],
    /// How its URLs are written, such as `maildir:PATH`, and what is there, in a few words.
    pub(in crate::transport) forms: &'static [(&'static str, &'static str)],
    /// From the scheme and what follows the colon to an agent.
    pub(in crate::transport) parse: fn(&str, &str) -> ParsedAgent,
}

/// An agent as the next hop of a route. Two are the same if their URLs are.
#[derive(Clone)]
pub struct Agent(Arc<dyn DeliveryAgent>);

impl Agent {
    pub(in crate::transport) fn new(agent: Arc<dyn DeliveryAgent>) -> Self {
        Self(agent)
    }
}

impl std::ops::Deref for Agent {
    type Target = dyn DeliveryAgent;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl PartialEq for Agent {
    fn eq(&self, other: &Self) -> bool {
        self.url() == other.url()
    }
}

impl Eq for Agent {}
