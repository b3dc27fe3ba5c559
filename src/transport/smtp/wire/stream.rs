//! The stream under lettre: TCP or TLS, with deadlines, whole replies only, and a memory of what was said.
//!
//! A [`Wire`] is opened by `connect.rs`, which reads the greeting, sends EHLO and starts TLS on it; then lettre gets it. lettre
//! reads one and the same line ([`READ_BY_LETTRE`]) for each reply, and twice before the first, as it insists on a greeting and
//! on EHLO. Invariants: lettre reads one line for each reply, after the reply is whole; nothing is sent while an unasked reply
//! is unread; after a [`WireError`] nothing is sent at all. What lettre writes is gathered (`outgoing.rs`), so that a small
//! message, its end and what may follow it leave in one piece.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::channel::Channel;
use super::control::{Attached, Control, Phase, WireError};
use super::outgoing::Outgoing;
use super::shown::{escaped, without_credentials};
use crate::smtp::{Reply, ReplyReader};
use crate::transport::leaving::Raised;

/// See the module.
pub(in crate::transport) struct Wire {
    pub(super) channel: Channel,
    peer: SocketAddr,
    control: Control,
    alarm: Pin<Box<Sleep>>,
    leaving: Raised,
    pub(super) input: ReplyReader,
    /// What lettre wrote and is to be sent.
    output: Outgoing,
    /// How many replies lettre still wants that the server gave us already: until it has read the last, it writes to nobody.
    played: u8,
    /// Whether the runtime was asked what has arrived since the exchange began.
    looked: bool,
}

impl Wire {
    pub(super) fn new(channel: Channel, peer: SocketAddr, control: Control) -> Self {
        let alarm = Box::pin(tokio::time::sleep_until(Instant::now()));
        let leaving = control.leaving().raised();
        Self {
            channel,
            peer,
            control,
            alarm,
            leaving,
            input: ReplyReader::default(),
            output: Outgoing::default(),
            // The greeting, and the reply to EHLO.
            played: 2,
            looked: false,
        }
    }

    /// The other end.
    pub(in crate::transport) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Sends a command line without its CRLF and waits for the reply.
    pub(super) async fn exchange(&mut self, phase: Phase, line: &str) -> Result<Reply, WireError> {
        self.control.enter(phase);
        self.send(format!("{line}\r\n").as_bytes()).await?;
        self.reply().await
    }

    pub(super) async fn reply(&mut self) -> Result<Reply, WireError> {
        poll_fn(|cx| self.poll_reply(cx)).await
    }

    pub(super) async fn send(&mut self, octets: &[u8]) -> Result<(), WireError> {
        self.output.command(octets);
        poll_fn(|cx| self.poll_send(cx)).await?;
        poll_fn(|cx| self.poll_drain(cx)).await
    }

    fn poll_reply(&mut self, cx: &mut Context<'_>) -> Poll<Result<Reply, WireError>> {
        loop {
            let is_alone = self.control.state().owed <= 1;
            match if is_alone { self.input.next_lone_reply() } else { self.input.next_reply() } {
                Ok(Some(reply)) => return Poll::Ready(Ok(self.heard(reply))),
                Ok(None) => {
                    if self.input.text_before_code().is_some() {
                        self.control.state().hurry(TEXT_PATIENCE);
                    }
                    ready!(self.poll_fill(cx))?;
                }
                Err(what) => return Poll::Ready(Err(self.fail(WireError::Garbage(what)))),
            }
        }
    }

    /// Waits for octets, at most until the phase's deadline.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WireError>> {
        if let Some(error) = self.control.state().error.clone() {
            return Poll::Ready(Err(error));
        }
        let mut octets = [0; 4096];
        let mut piece = ReadBuf::new(&mut octets);
        match self.channel.poll_read(cx, &mut piece) {
            Poll::Pending => self.poll_alarm(cx),
            Poll::Ready(Ok(())) if piece.filled().is_empty() => {
                Poll::Ready(Err(self.fail(WireError::Lost(String::new()))))
            }
            Poll::Ready(Ok(())) => {
                self.input.feed(piece.filled());
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(self.fail(lost(&error)))),
        }
    }

    /// Where there is nothing to do but to wait: until the deadline, or until it is time to leave.
    fn poll_alarm<T>(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, WireError>> {
        if Pin::new(&mut self.leaving).poll(cx).is_ready() {
            let leave = self.control.state().leave();
            if let Err(error) = leave {
                return Poll::Ready(Err(self.fail(error)));
            }
        }
        let (deadline, limit) = {
            let state = self.control.state();
            (state.deadline, state.limit)
        };
        // Most deadlines are only later than the one before: then the alarm goes off early once, instead of being set each time.
        if deadline < self.alarm.deadline() {
            self.alarm.as_mut().reset(deadline);
        }
        loop {
            ready!(self.alarm.as_mut().poll(cx));
            if deadline <= Instant::now() {
                return Poll::Ready(Err(self.fail(WireError::Late(limit))));
            }
            self.alarm.as_mut().reset(deadline);
        }
    }

    /// Sends all that was gathered.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WireError>> {
        while !self.output.rest().is_empty() {
            ready!(self.poll_silence(cx))?;
            match self.channel.poll_write(cx, self.output.rest()) {
                Poll::Pending => {
                    self.hear_refusal(cx)?;
                    return self.poll_alarm(cx);
                }
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(self.fail(WireError::Lost(String::new())))),
                Poll::Ready(Ok(sent)) => self.said(sent),
                Poll::Ready(Err(error)) => {
                    if self.is_in_message() && !self.looked && self.channel.has_news() {
                        // Once around the runtime, as in `poll_silence`: what arrived before is still there.
                        self.looked = true;
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    self.hear_refusal(cx)?;
                    return Poll::Ready(Err(self.fail(lost(&error))));
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Where the message cannot be written, the next hop may have refused it already, before its end.
    fn hear_refusal(&mut self, cx: &mut Context<'_>) -> Result<(), WireError> {
        let mut octets = [0; 4096];
        let mut piece = ReadBuf::new(&mut octets);
        if self.is_in_message() && self.channel.poll_read(cx, &mut piece).is_ready() {
            self.input.feed(piece.filled());
            return self.expect_no_refusal();
        }
        Ok(())
    }

    /// A whole reply that came in the midst of the message counts where it is a refusal; any other is out of place.
    fn expect_no_refusal(&mut self) -> Result<(), WireError> {
        match self.input.next_reply() {
            Ok(None) => Ok(()),
            Ok(Some(reply)) if !reply.is_positive() => {
                let reply = self.heard(reply);
                Err(self.fail(WireError::Refused(reply)))
            }
            Ok(Some(reply)) => Err(self.fail(WireError::Garbage(format!("expected silence, but found \"{reply}\"")))),
            Err(what) => Err(self.fail(WireError::Garbage(what))),
        }
    }

    /// Whether the message is on its way, and not all of it has left.
    fn is_in_message(&self) -> bool {
        let state = self.control.state();
        matches!(state.phase, Phase::Message | Phase::EndOfData) && !state.ended
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WireError>> {
        match self.channel.poll_flush(cx) {
            Poll::Pending => self.poll_alarm(cx),
            Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(self.fail(lost(&error)))),
        }
    }

    /// A reply that came before its command would be taken for the command's: a forged or stray 250 could pass for the
    /// acceptance of a message. So nothing may lie unread when we speak.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WireError>> {
        if self.control.state().fresh {
            if !self.looked && self.channel.has_news() {
                // Once around the runtime, so that it learns from the system what has arrived.
                self.looked = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.looked = false;
            self.control.state().fresh = false;
            // Takes in what is there, and does not wait for more.
            if let Poll::Ready(Err(error)) = self.poll_fill(cx) {
                return Poll::Ready(Err(error));
            }
        }
        if let Some(error) = self.control.state().error.clone() {
            return Poll::Ready(Err(error));
        }
        if self.input.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if self.is_in_message() {
            self.expect_no_refusal()?;
        }
        let unasked = format!("expected silence, but found \"{}\"", self.input.rest());
        Poll::Ready(Err(self.fail(WireError::Garbage(unasked))))
    }

    fn fail(&self, error: WireError) -> WireError {
        let error = match (error, self.input.text_before_code()) {
            (WireError::Lost(_) | WireError::Late(_), Some(text)) => {
                WireError::Garbage(format!("expected a reply of RFC 5321, but found \"{text}\""))
            }
            (error, _) => error,
        };
        let mut state = self.control.state();
        let error = match error {
            WireError::Garbage(what) => WireError::Garbage(state.hidden.out_of_cut(what)),
            other => other,
        };
        state.error.get_or_insert(error).clone()
    }

    /// Notes what was sent: in the log, and as progress where the deadline is one of progress.
    fn said(&mut self, octets: usize) {
        let mut state = self.control.state();
        let completes = self.output.end_follows();
        let begins = self.output.advance(octets);
        if state.phase == Phase::Message {
            state.deadline = Instant::now() + state.limit;
        }
        let completed = completes && !self.output.end_follows();
        if completed {
            state.ended = true;
            if state.phase == Phase::Message {
                state.turn_to(Phase::EndOfData);
            }
        }
        if begins && state.is_told() {
            let login = state.phase == Phase::Auth;
            for line in String::from_utf8_lossy(self.output.commands()).lines() {
                state.log(&format!("> {}", if login { without_credentials(line) } else { escaped(line) }));
            }
        }
        let message = if completed { std::mem::take(&mut state.message) } else { 0 };
        if completed && state.is_told() {
            // Not with the final reply, which is logged only once the message is gone from the queue.
            state.log(&format!("> (message of {message} octets)"));
        }
    }

    /// Notes a reply in the log, without what must stay secret: some servers repeat the command that they refuse.
    fn heard(&self, reply: Reply) -> Reply {
        let mut state = self.control.state();
        state.owed = state.owed.saturating_sub(1);
        state.hurried = false;
        if reply.code() == 334 && state.phase == Phase::Auth {
            // A challenge must stay as it is, and is nobody else's business.
            state.log("< 334 ***");
            return reply;
        }
        let reply = state.hidden.out_of_reply(reply);
        if state.is_told() {
            // After the answer to a message the caller's next system call is an unlink: the log waits.
            if state.phase == Phase::EndOfData || state.ended {
                state.untold.push(format!("< {reply}"));
            } else {
                state.log(&format!("< {reply}"));
            }
        }
        reply
    }
}

/// How long a reply may take whose first line has no code: the rest of it is on its way, or this is no SMTP server.
const TEXT_PATIENCE: Duration = Duration::from_secs(5);

impl fmt::Debug for Wire {
    /// Without what was said: the last command may be a login, and a reply may repeat it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("peer", &self.peer).field("control", &self.control).finish_non_exhaustive()
    }
}

/// What lettre reads for every reply, whatever the server said: it only has to return. The reply itself is kept in the
/// [`Control`], where nothing of it is lost.
const READ_BY_LETTRE: &[u8] = b"250 played\r\n";

/// A TLS peer that closes without a goodbye, as many do, has simply closed.
fn lost(error: &io::Error) -> WireError {
    let closed = error.kind() == io::ErrorKind::UnexpectedEof;
    WireError::Lost(if closed { String::new() } else { error.to_string() })
}

/// lettre learns only that there was trouble; what it was is in the [`Control`].
fn as_io_error(_: WireError) -> io::Error {
    io::Error::from(io::ErrorKind::BrokenPipe)
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        if wire.played > 0 {
            wire.played -= 1;
        } else {
            let reply = ready!(wire.poll_reply(cx)).map_err(as_io_error)?;
            wire.control.state().reply = Some(reply);
        }
        buffer.put_slice(READ_BY_LETTRE);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        if wire.played > 0 {
            return Poll::Ready(Ok(octets.len()));
        }
        if wire.output.is_full() {
            ready!(wire.poll_send(cx)).map_err(as_io_error)?;
        }
        let mut state = wire.control.state();
        if octets.starts_with(b"\r\n") && std::mem::take(&mut state.skip_line_end) {
            return Poll::Ready(Ok(2));
        }
        let phase = state.phase;
        match phase {
            Phase::Message if std::mem::take(&mut state.ending) => {
                state.message += octets.len();
                wire.output.end(octets, &std::mem::take(&mut state.following));
            }
            Phase::Message if state.attached.is_none() => {
                state.message += octets.len();
                wire.output.message(octets);
            }
            Phase::Message | Phase::EndOfData => wire.output.message(octets),
            _ => wire.output.command(octets),
        }
        Poll::Ready(Ok(octets.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        let attached = wire.control.state().attached.take();
        if let Some(Attached { octets, last }) = attached {
            wire.control.state().message += octets.len();
            if last {
                wire.output.last_chunk(octets);
            } else {
                wire.output.message(&octets);
            }
        } else if wire.control.state().phase == Phase::Message && wire.output.waits() {
            // More of the message follows, or its end.
            return Poll::Ready(Ok(()));
        }
        ready!(wire.poll_send(cx)).map_err(as_io_error)?;
        wire.poll_drain(cx).map_err(as_io_error)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().channel.poll_shutdown(cx)
    }
}
