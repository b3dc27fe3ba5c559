//! `[protocol]`: the dialect, and which of the habits of real devices are served. None of them opens a relay or loses mail.

use serde::Deserialize;

use crate::config::error::unexpected;
use crate::config::values::{self, FromText};

/// `[protocol]`: the dialect, and how strictly it is spoken.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProtocolSection {
    /// Whether only RFC 821 is spoken: EHLO is unknown, and replies carry no enhanced codes.
    pub strict_821: bool,
    /// Whether HELO, MAIL and RCPT must be of the grammar of RFC 5321, with its parameters.
    pub strict_syntax: bool,
    /// Whether MAIL needs HELO or EHLO before it.
    pub require_helo: bool,
    /// What becomes of clients that talk before the greeting.
    #[serde(deserialize_with = "values::text")]
    pub early_talkers: EarlyTalkers,
}

/// What becomes of a client that talks before the greeting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EarlyTalkers {
    /// It is served like any other.
    #[default]
    Serve,
    /// The greeting waits a second, and a client that talks meanwhile is refused.
    Refuse,
}

impl FromText for EarlyTalkers {
    const EXPECTED: &'static str = "serve or refuse";

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "serve" => Ok(Self::Serve),
            "refuse" => Ok(Self::Refuse),
            _ => Err(unexpected(Self::EXPECTED, text)),
        }
    }
}
