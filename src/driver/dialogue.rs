//! The dialogue of a session in the log: at the level `debug`, or at any level if its client is traced.
//!
//! Credentials never come here: the session hides them. Of messages only the number of octets is shown.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::envelope::Peer;
use crate::session::Settings;
use crate::smtp::DIALOGUE;

/// Whether, and how, a dialogue is logged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dialogue {
    traced: bool,
    /// Tells the sessions of one client apart.
    session: u64,
}

/// Sessions of this process whose dialogues could be logged.
static SESSIONS: AtomicU64 = AtomicU64::new(0);

impl Dialogue {
    /// With this client.
    pub(super) fn with(settings: &Settings, peer: Peer) -> Self {
        let session = SESSIONS.fetch_add(1, Ordering::Relaxed) + 1;
        Self { session, traced: peer.is_in(&settings.traced) }
    }

    /// The number of the session within this process.
    pub(super) fn session(self) -> u64 {
        self.session
    }

    /// Whether somebody wants it.
    pub(super) fn is_told(self) -> bool {
        self.traced || log::log_enabled!(log::Level::Debug)
    }

    /// A line of the client's.
    pub(super) fn heard(self, peer: Peer, line: &str) {
        let session = self.session;
        self.tell(format_args!("{peer} (session {session}) < {line}"));
    }

    /// The octets of a message, all of them.
    pub(super) fn heard_message(self, peer: Peer, octets: u64) {
        let session = self.session;
        self.tell(format_args!("{peer} (session {session}) < (message of {octets} octets)"));
    }

    /// Our replies.
    pub(super) fn said(self, peer: Peer, replies: &[u8]) {
        let session = self.session;
        if self.is_told() {
            for line in replies.split_inclusive(|octet| *octet == b'\n') {
                // A challenge is part of what the response answers, which is not shown either.
                let shown = if line.starts_with(b"334 ") { b"334 ***" } else { line.trim_ascii_end() };
                self.tell(format_args!("{peer} (session {session}) > {}", shown.escape_ascii()));
            }
        }
    }

    fn tell(self, line: fmt::Arguments<'_>) {
        if self.traced { log::info!(target: DIALOGUE, "{line}") } else { log::debug!("{line}") }
    }
}
