//! One open connection to a smarthost, as lettre's low-level client drives it.
//!
//! The only file that knows lettre. Commands and messages go out through it; replies come from the [`Control`], as lettre's
//! errors lose half of them.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;
use std::{fmt, io};

use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream};
use lettre::transport::smtp::extension::ClientId;
use tokio::time::sleep;

use super::connection_settings::ConnectionSettings;
use super::pieces::Pieces;
use super::wire::{Capabilities, Control, Opened, Phase, Protection, Wire, WireError};
use crate::receipt::{Cause, Reason};
use crate::smtp::{EnhancedCode, Reply};
use crate::transport::delivery::{Body, RouteFailure};
use crate::transport::lessons::{Lesson, Lessons};
use crate::transport::settings::Extensions;

/// An answer that does not come within this many looks hangs: what was announced behind the message goes another way.
const HANGS: u32 = 5;
/// How often that is looked at.
const LOOK: Duration = Duration::from_secs(1);

impl AsyncTokioStream for Wire {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer())
    }
}

/// lettre's connection over our wire. Its replies come from the [`Control`], as lettre's errors lose half of them.
pub(in crate::transport) struct SmtpClient {
    lettre: AsyncSmtpConnection,
    control: Control,
    capabilities: Capabilities,
    protection: Protection,
    relay: String,
    extensions: Extensions,
    helo: String,
    max_size: Option<u64>,
    /// Commands that went along with the end of the message before, whose replies nobody has asked for yet.
    ahead: Option<String>,
    /// Transactions that were begun.
    begun: usize,
    /// How many the route allows.
    most_messages: Option<usize>,
    /// How many recipients the next hop took before it said that it takes no more.
    most_recipients: Option<usize>,
    /// What the next hop is spoken to without.
    lessons: Lessons,
    /// What it should be tried without on another connection.
    suspected: Option<Lesson>,
    /// Whether we logged in.
    logged_in: bool,
    /// Whether each accepted recipient gets a reply to the message (RFC 2033 4.2).
    is_lmtp: bool,
}

impl SmtpClient {
    /// Hands an open wire to lettre.
    pub(in crate::transport) async fn over(
        opened: Opened,
        connection_settings: &ConnectionSettings,
    ) -> Result<Self, RouteFailure> {
        let ConnectionSettings { mut extensions, max_size, .. } = *connection_settings;
        let Opened { wire, control, capabilities, protection, relay, helo, lessons, is_lmtp } = opened;
        extensions.discarded = lessons.discarded(extensions.discarded);
        // The name goes nowhere: EHLO was sent already.
        let hello = ClientId::Domain("played".to_owned());
        match AsyncSmtpConnection::connect_with_transport(Box::new(wire), &hello).await {
            Ok(lettre) => {
                let most_messages = connection_settings.messages_per_connection;
                Ok(Self {
                    lettre,
                    control,
                    capabilities,
                    protection,
                    relay,
                    extensions,
                    helo,
                    max_size,
                    ahead: None,
                    begun: 0,
                    most_messages,
                    most_recipients: None,
                    lessons,
                    suspected: None,
                    logged_in: false,
                    is_lmtp,
                })
            }
            Err(error) => {
                let reason = Reason::new(EnhancedCode(4, 3, 0), format!("handing the connection to lettre: {error}"))
                    .because(Cause::Resources);
                Err(RouteFailure::new(reason, relay))
            }
        }
    }

    pub(in crate::transport) fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    pub(in crate::transport) fn extensions(&self) -> Extensions {
        self.extensions
    }

    /// The largest message in octets that the route allows.
    pub(in crate::transport) fn max_size(&self) -> Option<u64> {
        self.max_size
    }

    /// Notes that a transaction begins.
    pub(in crate::transport) fn begin(&mut self) {
        self.begun += 1;
    }

    /// Whether another transaction was begun over this connection before the one at hand.
    pub(in crate::transport) fn has_served(&self) -> bool {
        self.begun > 1
    }

    /// Whether no further transaction may begin (RFC 9422 MAILMAX, and what the route allows).
    pub(in crate::transport) fn is_used_up(&self) -> bool {
        let most = [self.most_messages, self.capabilities.limits.messages].into_iter().flatten().min();
        most.is_some_and(|most| self.begun >= most)
    }

    /// The next hop took this number of recipients, and no more.
    pub(in crate::transport) fn note_most_recipients(&mut self, taken: usize) {
        self.most_recipients = Some(taken.max(1));
    }

    /// How many recipients one transaction may have, as far as this connection tells.
    pub(in crate::transport) fn most_recipients(&self) -> Option<usize> {
        [self.most_recipients, self.capabilities.limits.recipients].into_iter().flatten().min()
    }

    /// Notes that we logged in.
    pub(in crate::transport) fn note_login(&mut self) {
        self.logged_in = true;
    }

    /// Whether MAIL goes with AUTH=<> (RFC 4954 5): we vouch for nobody at a next hop that we logged in to.
    pub(in crate::transport) fn names_submitter(&self) -> bool {
        self.logged_in && !self.capabilities.auth.is_empty() && !self.lessons.contains(Lesson::Submitter)
    }

    /// Notes that this may be what the next hop does not get on with.
    pub(in crate::transport) fn suspect(&mut self, lesson: Lesson) {
        self.suspected = Some(lesson);
    }

    /// What it should be tried without on another connection.
    pub(in crate::transport) fn suspected(&self) -> Option<Lesson> {
        self.suspected
    }

    pub(in crate::transport) fn protection(&self) -> Protection {
        self.protection
    }

    pub(in crate::transport) fn control(&self) -> &Control {
        &self.control
    }

    pub(in crate::transport) fn relay(&self) -> &str {
        &self.relay
    }

    /// Sends one or several lines, each with its CRLF, and waits for the first reply.
    pub(in crate::transport) async fn exchange(&mut self, phase: Phase, lines: &str) -> Result<Reply, WireError> {
        self.control.enter(phase);
        self.control.owe(lines.lines().count());
        // lettre's result says nothing; the control has the reply, or why there is none.
        let _ = self.lettre.command(lines).await;
        self.control.answer()
    }

    /// Sends lines and, after the last, a chunk of the message; waits for the first reply. The message is complete with the
    /// `last` chunk.
    pub(in crate::transport) async fn exchange_chunk(
        &mut self,
        phase: Phase,
        lines: &str,
        chunk: Vec<u8>,
        last: bool,
    ) -> Result<Reply, WireError> {
        self.control.attach(chunk, last);
        self.exchange(phase, lines).await
    }

    /// Whether each accepted recipient gets a reply to the message (RFC 2033 4.2).
    pub(in crate::transport) fn is_lmtp(&self) -> bool {
        self.is_lmtp
    }

    /// Says EHLO once more, after the session began again.
    pub(in crate::transport) async fn hello_again(&mut self) -> Result<(), Reason> {
        let line = format!("{} {}\r\n", if self.is_lmtp { "LHLO" } else { "EHLO" }, self.helo);
        match self.exchange(Phase::Hello, &line).await {
            Ok(reply) if reply.code() == 250 => {
                self.capabilities = Capabilities::of(&reply).without(self.extensions.discarded);
                Ok(())
            }
            Ok(reply) => Err(Reason::reply(&reply)),
            Err(error) => Err(error.reason(Phase::Hello, &self.relay)),
        }
    }

    /// Waits for the next reply of a group of several lines.
    pub(in crate::transport) async fn next_reply(&mut self, phase: Phase) -> Result<Reply, WireError> {
        self.control.expect(phase);
        let _ = self.lettre.read_response().await;
        self.control.answer()
    }

    /// Sends the message and its end, with these commands behind it in the same group (none where empty), and waits for the
    /// first of its `replies`. The commands' replies are left to whoever [takes them up](Self::taken_up).
    pub(in crate::transport) async fn message(
        &mut self,
        body: &mut dyn Body,
        following: String,
        replies: usize,
    ) -> Result<Reply, WireError> {
        self.control.enter(Phase::Message);
        self.control.owe(replies + following.lines().count());
        self.control.follow_with(following.clone());
        let body = RefCell::new(body);
        let mut sent = pin!(self.lettre.message_iter(Pieces::new(&body, self.control.clone())));
        let mut looks = if following.is_empty() { 0 } else { HANGS };
        loop {
            tokio::select! {
                biased;
                _ = &mut sent => break,
                () = sleep(LOOK), if looks > 0 => {
                    looks -= u32::from(self.control.message_ended());
                    if looks == 0 {
                        body.borrow_mut().release_next();
                    }
                }
            }
        }
        self.ahead = Some(following).filter(|commands| !commands.is_empty());
        self.control.answer()
    }

    /// Whether the commands of one message may go along with the one before (RFC 2920 3.1). Where the next hop gets the origin of each
    /// message, that has to come between them; a chunk goes along with its own.
    pub(in crate::transport) fn looks_ahead(&self) -> bool {
        let chunking = self.extensions.chunking && self.capabilities.chunking;
        let alone = self.is_lmtp || self.extensions.xclient || self.extensions.xforward || chunking;
        self.capabilities.pipelining && !alone
    }

    /// Whether commands went along with the message before.
    pub(in crate::transport) fn is_ahead(&self) -> bool {
        self.ahead.is_some()
    }

    /// Takes up the commands that went along with the message before; whether there were any.
    ///
    /// # Errors
    /// When they are others than these: the connection is of no use.
    pub(in crate::transport) fn taken_up(&mut self, commands: &str) -> Result<bool, WireError> {
        match self.ahead.take() {
            None => Ok(false),
            Some(ahead) if ahead == commands => {
                self.control.take_up(commands);
                Ok(true)
            }
            Some(_) => Err(WireError::BrokenOff("another message was announced on this connection".to_owned())),
        }
    }

    /// Ends a failed transaction; whether the connection can be used for another.
    pub(in crate::transport) async fn reset(&mut self) -> bool {
        // Another has begun already.
        if self.is_ahead() {
            return true;
        }
        self.control.owed() == 0
            && matches!(self.exchange(Phase::Reset, "RSET\r\n").await, Ok(reply) if reply.code() == 250)
    }

    pub(in crate::transport) async fn quit(mut self) {
        // What is said while replies are owed may not be taken for a command.
        if self.control.owed() > 0 {
            return;
        }
        // Politeness (RFC 5321 4.1.1.10); nothing depends on the answer.
        let _ = self.exchange(Phase::Quit, "QUIT\r\n").await;
    }
}

impl fmt::Debug for SmtpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpClient")
            .field("relay", &self.relay)
            .field("protection", &self.protection)
            .finish_non_exhaustive()
    }
}
