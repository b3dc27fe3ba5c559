//! The handle to a [`Wire`](super::Wire) that lettre owns: which phase it is in, by when it must end, and what came back.
//!
//! lettre knows neither deadlines nor transcripts, and its errors lose the reply; so the wire keeps all that here, and
//! lettre's own results are used only to see that an exchange ended.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::hidden::Hidden;
use crate::receipt::{Cause, Reason};
use crate::smtp::{DIALOGUE, EnhancedCode, Reply};
use crate::transport::leaving::Leaving;
use crate::transport::settings::Timeouts;

/// What the dialogue is at. Each has its limit (RFC 5321 4.5.3.2) and its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::transport) enum Phase {
    /// Waiting for the 220.
    Greeting,
    /// EHLO or HELO.
    Hello,
    /// STARTTLS and its reply.
    StartTls,
    /// AUTH and its challenges.
    Auth,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA.
    Data,
    /// The message, block by block.
    Message,
    /// The final dot and its reply.
    EndOfData,
    /// RSET.
    Reset,
    /// QUIT.
    Quit,
}

impl Phase {
    fn limit(self, timeouts: &Timeouts) -> Duration {
        match self {
            Self::Data => timeouts.data,
            Self::Message => timeouts.block,
            Self::EndOfData => timeouts.end_of_data,
            // Nothing is lost when these go unanswered.
            Self::Reset => timeouts.command.min(Duration::from_secs(10)),
            Self::Quit => timeouts.command.min(Duration::from_secs(5)),
            _ => timeouts.command,
        }
    }

    fn doing(self) -> &'static str {
        match self {
            Self::Greeting => "while waiting for the greeting of",
            Self::Hello => "while saying EHLO to",
            Self::StartTls => "while starting TLS with",
            Self::Auth => "while logging in at",
            Self::Mail => "while sending MAIL to",
            Self::Rcpt => "while sending RCPT to",
            Self::Data => "while sending DATA to",
            Self::Message => "while sending the message to",
            Self::EndOfData => "while waiting for the answer to the message from",
            Self::Reset => "while sending RSET to",
            Self::Quit => "while taking leave of",
        }
    }
}

/// Whether a connection failed in its handshake, so that the same would go without TLS: not where somebody on the way spoke, and
/// not where the other side answered.
pub(in crate::transport) fn failed_at_tls(reason: &Reason) -> bool {
    let in_handshake = reason.status == EnhancedCode(4, 7, 5) && !reason.text.starts_with("response injection");
    let lost = reason.status == EnhancedCode(4, 4, 2) && reason.text.contains(Phase::StartTls.doing());
    reason.reply_code.is_none() && (in_handshake || lost)
}

/// Whether the other side closed the connection at EHLO.
pub(in crate::transport) fn closed_at_ehlo(reason: &Reason) -> bool {
    let closed = format!("lost connection {}", Phase::Hello.doing());
    reason.reply_code.is_none() && reason.status == EnhancedCode(4, 4, 2) && reason.text.contains(&closed)
}

/// Why an exchange got no reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::transport) enum WireError {
    /// Closed, reset, or another error of the connection, in words.
    Lost(String),
    /// The phase took longer than this.
    Late(Duration),
    /// What came is no reply, or came unasked, in words.
    Garbage(String),
    /// The next hop refused the message before its end.
    Refused(Reply),
    /// We broke off, in words.
    BrokenOff(String),
    /// We broke off since it is time to leave. This says nothing about mail or next hop.
    Leaving,
}

impl WireError {
    /// In words, with a status code (RFC 3463 3.5).
    pub(in crate::transport) fn reason(&self, phase: Phase, relay: &str) -> Reason {
        let doing = phase.doing();
        let lost = |text: String| Reason::new(EnhancedCode(4, 4, 2), text).because(Cause::ConnectionLost);
        match self {
            Self::Lost(cause) if cause.is_empty() => lost(format!("lost connection {doing} {relay}")),
            Self::Lost(cause) => lost(format!("lost connection {doing} {relay}: {cause}")),
            Self::Late(limit) => lost(format!("timed out after {} s {doing} {relay}", limit.as_secs_f32())),
            Self::Garbage(what) => {
                Reason::new(EnhancedCode(4, 5, 0), format!("{what}, {doing} {relay}")).because(Cause::NotSmtp)
            }
            Self::Refused(reply) => Reason::reply(reply),
            Self::BrokenOff(cause) => Reason::new(EnhancedCode(4, 3, 0), cause.clone()).because(Cause::Resources),
            Self::Leaving => Reason::new(EnhancedCode(4, 3, 2), format!("broken off {doing} {relay}: told to leave"))
                .because(Cause::Leaving),
        }
    }
}

/// Shared by the wire and by whoever drives it.
#[derive(Debug, Clone)]
pub(in crate::transport) struct Control(Arc<Mutex<State>>);

/// A chunk of a message.
pub(super) struct Attached {
    pub(super) octets: Vec<u8>,
    pub(super) last: bool,
}

pub(super) struct State {
    pub(super) phase: Phase,
    pub(super) limit: Duration,
    pub(super) deadline: Instant,
    /// Whether nothing was sent in this exchange yet.
    pub(super) fresh: bool,
    /// Whether the end of the message is what is written next.
    pub(super) ending: bool,
    /// Whether what completes the message was sent: an octet of its end mark, or the last octet of its last chunk.
    pub(super) ended: bool,
    /// How many replies are still to come for what was sent.
    pub(super) owed: usize,
    /// Whether the reply under way has to end soon.
    pub(super) hurried: bool,
    /// The last exchange's reply, until it is taken.
    pub(super) reply: Option<Reply>,
    /// Why nothing more can come; final.
    pub(super) error: Option<WireError>,
    /// What must not appear in logs and replies.
    pub(super) hidden: Hidden,
    /// lettre's terminator begins with a CRLF that is one too many.
    pub(super) skip_line_end: bool,
    /// Octets that follow the command under way (BDAT).
    pub(super) attached: Option<Attached>,
    /// The commands that follow the message's end in the same group.
    pub(super) following: String,
    /// Octets of the message that were sent.
    pub(super) message: usize,
    /// Log lines that had to wait, see [`Control::enter`].
    pub(super) untold: Vec<String>,
    /// `host[address]:port (from port N)`, the prefix of log lines: which connection a line is about.
    pub(super) relay: String,
    timeouts: Timeouts,
    leaving: Leaving,
    traced: bool,
}

impl std::fmt::Debug for State {
    /// Without the secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("phase", &self.phase).field("relay", &self.relay).finish_non_exhaustive()
    }
}

impl State {
    /// Begins to wait in this phase: its deadline runs from now.
    pub(super) fn turn_to(&mut self, phase: Phase) {
        self.phase = phase;
        self.limit = phase.limit(&self.timeouts);
        self.deadline = Instant::now() + self.limit;
        self.hurried = false;
    }

    /// The reply under way has begun, and gets this much more time, once.
    pub(super) fn hurry(&mut self, patience: Duration) {
        if !self.hurried && self.limit > patience {
            self.hurried = true;
            self.limit = patience;
            self.deadline = self.deadline.min(Instant::now() + patience);
        }
    }

    /// What it means for the wait under way that it is time to leave.
    pub(super) fn leave(&mut self) -> Result<(), WireError> {
        match self.phase {
            // The next hop may have the message: its answer is worth a while, as without it the message goes out twice.
            _ if self.ended || self.phase == Phase::EndOfData => {
                let patience = self.leaving.patience();
                // The limit tells that it was done before.
                if self.limit > patience {
                    self.limit = patience;
                    self.deadline = self.deadline.min(Instant::now() + patience);
                }
                Ok(())
            }
            // Short anyway.
            Phase::Quit => Ok(()),
            _ => Err(WireError::Leaving),
        }
    }

    /// Writes the log lines that were kept back.
    fn tell(&mut self) {
        for line in std::mem::take(&mut self.untold) {
            self.log(&line);
        }
    }

    /// Whether somebody wants to see the dialogue.
    pub(super) fn is_told(&self) -> bool {
        self.traced || log::log_enabled!(log::Level::Debug)
    }

    /// Writes a line of the dialogue, in which nothing is left that must stay secret.
    pub(super) fn log(&self, line: &str) {
        if self.traced {
            log::info!(target: DIALOGUE, "{} {line}", self.relay);
        } else {
            log::debug!("{} {line}", self.relay);
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.tell();
    }
}

impl Control {
    pub(super) fn new(relay: String, timeouts: Timeouts, leaving: Leaving, traced: bool) -> Self {
        let limit = Phase::Greeting.limit(&timeouts);
        Self(Arc::new(Mutex::new(State {
            phase: Phase::Greeting,
            limit,
            deadline: Instant::now() + limit,
            fresh: true,
            ending: false,
            ended: false,
            owed: 1,
            hurried: false,
            reply: None,
            error: None,
            hidden: Hidden::default(),
            skip_line_end: false,
            attached: None,
            following: String::new(),
            message: 0,
            untold: Vec::new(),
            relay,
            timeouts,
            leaving,
            traced,
        })))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // Every change is one assignment, so a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The call to leave.
    pub(super) fn leaving(&self) -> Leaving {
        self.state().leaving.clone()
    }

    /// Begins an exchange: its deadline runs from now. Also writes the log lines that were kept back, because between a
    /// final reply and the caller's unlink there must be no I/O.
    pub(in crate::transport) fn enter(&self, phase: Phase) {
        self.expect(phase);
        let mut state = self.state();
        state.fresh = true;
        state.ending = false;
        state.ended = false;
        state.owed = 1;
        state.tell();
    }

    /// As many replies are to come for what is sent in this exchange.
    pub(in crate::transport) fn owe(&self, replies: usize) {
        self.state().owed = replies;
    }

    /// How many replies are still to come.
    pub(in crate::transport) fn owed(&self) -> usize {
        self.state().owed
    }

    /// Begins to wait for a further reply of the same group (RFC 2920).
    pub(in crate::transport) fn expect(&self, phase: Phase) {
        let mut state = self.state();
        state.turn_to(phase);
        state.reply = None;
    }

    /// Notes that all octets of the message were written but its end, which is next.
    pub(in crate::transport) fn end_message(&self) {
        let mut state = self.state();
        state.fresh = true;
        state.ending = true;
    }

    /// These commands, each with its CRLF, follow the end of the message in the same group (RFC 2920 3.1).
    pub(in crate::transport) fn follow_with(&self, commands: String) {
        self.state().following = commands;
    }

    /// Turns to the commands that went along with the message before, whose replies are to come; they are logged.
    pub(in crate::transport) fn take_up(&self, commands: &str) {
        let mut state = self.state();
        state.ended = false;
        state.tell();
        if state.is_told() {
            commands.lines().for_each(|line| state.log(&format!("> {line}")));
        }
    }

    /// The last exchange's reply, whole, or why there is none.
    pub(in crate::transport) fn answer(&self) -> Result<Reply, WireError> {
        let mut state = self.state();
        match (state.reply.take(), &state.error) {
            (Some(reply), _) => Ok(reply),
            (None, Some(error)) => Err(error.clone()),
            (None, None) => Err(WireError::Lost(String::new())),
        }
    }

    /// Breaks off: nothing more is sent, not even the end of a message.
    pub(in crate::transport) fn break_off(&self, cause: String) {
        self.state().error.get_or_insert(WireError::BrokenOff(cause));
    }

    /// The message is empty: its terminator must not add a line (lettre's begins with CRLF).
    pub(in crate::transport) fn skip_line_end(&self) {
        self.state().skip_line_end = true;
    }

    /// The next command is followed at once by these octets, whatever they are: lettre can only send text. With the `last`
    /// of them the message is complete.
    pub(in crate::transport) fn attach(&self, octets: Vec<u8>, last: bool) {
        self.state().attached = Some(Attached { octets, last });
    }

    /// From now on hides this login in logs and replies.
    pub(in crate::transport) fn hide_login(&self, user: &str, secret: &str) {
        self.state().hidden.add_login(user, secret);
    }

    /// From now on hides this line of a login in logs and replies.
    pub(in crate::transport) fn hide_line(&self, line: &str) {
        self.state().hidden.add_base64(line);
    }

    /// The text without what is hidden.
    pub(in crate::transport) fn without_secrets(&self, text: &str) -> String {
        self.state().hidden.out_of(text)
    }

    /// Whether the end of the message is on its way, so that the next hop may have taken it.
    pub(in crate::transport) fn message_ended(&self) -> bool {
        self.state().ended
    }

    /// The phase that the dialogue is in.
    pub(in crate::transport) fn phase(&self) -> Phase {
        self.state().phase
    }
}
