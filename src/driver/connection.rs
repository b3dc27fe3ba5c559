//! One connection: does what the session says, over any stream.

mod inspected;
mod judging;

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use super::body_pace::BodyPace;
use super::dialogue::Dialogue;
use super::draft_io::Arriving;
use super::inspecting::Inspecting;
use super::load::Load;
use super::opening::Opening;
use super::reading::{Deadline, read_once};
use super::receiver::Receiver;
use super::security::{Begun, Failure};
use super::wire::Wire;
use crate::envelope::{LocalUser, Seal};
use crate::event::{Client, Event};
use crate::policy::Chain;
use crate::session::{Action, Note, Patience, Question, Rejection, Session, Verdict};
use crate::smtp::catalogue::{self, TimeLimit};
use crate::smtp::{Refuser, Reply};
use crate::spool::{Committed, Intake};

/// After the call to leave, a message that brings no octets for this part of `limits.shutdown` is not moving any more.
const STILL: u32 = 4;
/// How long a client may be silent after what it seems to take for the end of the message.
const AFTER_FALSE_END: Duration = Duration::from_secs(5);
/// How a client that makes error after error is slowed down.
const PENALTY: Duration = Duration::from_secs(1);

/// One session and its client.
pub(super) struct Connection<'a, S, IO> {
    receiver: &'a Receiver<S>,
    io: Wire<IO>,
    /// How long the greeting still has to wait for a client that talks before it.
    greeting_pause: Option<Duration>,
    deadline: Deadline,
    /// The call to leave, until it was heard.
    called: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync + 'a>>>,
    body: Option<BodyPace>,
    inspecting: Inspecting,
    dialogue: Dialogue,
    client: Client,
    /// Where it connected.
    listener: Option<SocketAddr>,
    cause: Option<String>,
    load: Load,
    /// Lines that had been read when the present wait began; `None` where the next wait is another.
    waiting_since: Option<u64>,
    /// Whether a rate limit is what refuses the present command.
    is_limited: bool,
}

/// What came of waiting for the client.
enum Heard {
    Octets(usize),
    End,
    Silence,
    Call,
    Load,
}

impl<'a, S: Intake, IO: AsyncRead + AsyncWrite + Unpin> Connection<'a, S, IO> {
    pub(super) fn new(receiver: &'a Receiver<S>, io: Wire<IO>, client: Client, dialogue: Dialogue, load: Load) -> Self {
        Self {
            receiver,
            io,
            // Programs of this host are guarded by the permissions of the socket.
            greeting_pause: receiver.limits.greeting_pause.filter(|_| client.peer.ip().is_some()),
            deadline: Deadline::new(receiver.limits.session),
            called: Some(Box::pin(receiver.shutdown.raised())),
            body: None,
            inspecting: Inspecting::default(),
            dialogue,
            client,
            listener: None,
            cause: None,
            load,
            waiting_since: None,
            is_limited: false,
        }
    }

    /// The same, at this address of the relay.
    pub(super) fn at_listener(self, listener: Option<SocketAddr>) -> Self {
        Self { listener, ..self }
    }

    /// Runs a session to its end, and tells of that.
    pub(super) async fn run(mut self, mut session: Session) {
        let mut arriving: Option<Arriving<S::Draft>> = None;
        let _ended = Ended { policy: &self.receiver.policy, session: self.dialogue.session() };
        session.strain(self.load.is_high());
        loop {
            match session.poll() {
                Action::Read => self.read(&mut session).await,
                Action::Write(octets) => self.write(&octets, &mut session).await,
                Action::SlowDown => sleep(PENALTY).await,
                Action::Ask(question) => {
                    if matches!(question, Question::Connect) {
                        // XCLIENT may have named another.
                        self.client = client_of(&session);
                    }
                    let mut verdict = self.judge(&session, &question).await;
                    if matches!(question, Question::Message { .. }) && self.inspecting.is_any() {
                        verdict = std::mem::take(&mut self.inspecting).end(verdict).await;
                    }
                    if verdict.accepts() && matches!(question, Question::Connect) {
                        verdict = self.wait_to_greet(&mut session, verdict).await;
                    }
                    session.verdict(verdict);
                }
                Action::StartTls => self.start_tls(&mut session).await,
                Action::Authenticate(query) => {
                    let receiver = self.receiver;
                    let observer = receiver.observer.as_ref();
                    let answer = receiver.security.answer(query, &self.client_info(&session), observer).await;
                    session.authenticated(answer);
                }
                Action::ListMail(query) => session.mail_listed(self.receiver.list_mail(query).await),
                Action::Open(envelope) => arriving = self.open(&mut session, envelope).await,
                Action::Append(octets) => {
                    if self.inspecting.is_any() {
                        self.inspect(&octets).await;
                    }
                    match Arriving::append(arriving.take(), octets).await {
                        Ok(continued) => arriving = continued,
                        Err(error) => session.refuse_message(self.receiver.apology(&error)),
                    }
                }
                Action::Commit(seal) => {
                    let outcome = self.commit(arriving.take(), seal).await;
                    session.committed(outcome.map(|committed| committed.id));
                }
                Action::Discard => {
                    arriving = None;
                    self.inspecting = Inspecting::default();
                }
                Action::Note(note) => self.note(note, session.helo()),
                // Every question above is answered at once; a session that still waits would never go on.
                Action::Await => session.eof(),
                Action::Close => break,
            }
        }
        // The last replies have been written; what the client makes of the end is its own affair.
        let _ = timeout(PENALTY, self.io.shutdown()).await;
        self.receiver.observer.observe(&Event::Disconnected { client: self.client, cause: self.cause });
    }

    async fn read(&mut self, session: &mut Session) {
        if session.patience() == Patience::Command {
            self.body = None;
        }
        match self.hear(session).await {
            Heard::Silence => session.timed_out(self.exceeded(session)),
            Heard::End => session.eof(),
            Heard::Call => {
                self.called = None;
                self.deadline.end_within(self.receiver.limits.shutdown);
                self.deadline.shorten(self.idle());
                session.retire();
            }
            Heard::Load => {
                session.strain(self.load.is_high());
                if self.load.is_high() {
                    self.deadline.shorten(self.idle());
                } else {
                    self.begin_wait(session);
                }
            }
            Heard::Octets(octets) => {
                if session.patience() == Patience::Body && self.is_too_slow(octets) {
                    session.timed_out(TimeLimit::SlowestBody);
                }
            }
        }
    }

    /// Waits for octets and feeds them.
    async fn hear(&mut self, session: &mut Session) -> Heard {
        // A command is one wait, however slowly its octets drip (RFC 5321 4.5.3.2.7 is about whole commands).
        let lines = session.lines_read();
        if !session.is_within_message() && self.deadline.is_over() {
            return Heard::Silence;
        }
        if !(session.is_within_line() && self.waiting_since == Some(lines)) {
            self.begin_wait(session);
        }
        self.waiting_since = Some(lines);
        let Self { receiver, io, deadline, called, load, .. } = self;
        let call = async {
            match called {
                Some(call) => call.as_mut().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            read = read_once(io, |octets| session.feed(octets, receiver.clock.now())) => match read {
                Ok(0) | Err(_) => Heard::End,
                Ok(octets) => Heard::Octets(octets),
            },
            () = call => Heard::Call,
            () = load.changed() => Heard::Load,
            () = deadline.passed() => Heard::Silence,
        }
    }

    /// The session's end cuts off no message whose octets come.
    fn begin_wait(&mut self, session: &Session) {
        if session.is_within_message() {
            let after_false_end = session.false_end().map(|_| AFTER_FALSE_END);
            self.deadline.begin_within_message(after_false_end.unwrap_or(Duration::MAX).min(self.idle()));
        } else {
            self.deadline.begin(self.idle());
        }
    }

    /// Which limit a wait that was too long has reached.
    fn exceeded(&self, session: &Session) -> TimeLimit {
        let limits = &self.receiver.limits;
        match self.load.is_high() && limits.overload_idle < limits.idle {
            _ if self.deadline.is_over() && !session.is_within_message() => TimeLimit::Session,
            true => TimeLimit::OverloadIdle,
            false => TimeLimit::Idle,
        }
    }

    /// How long the client may be silent at present.
    fn idle(&self) -> Duration {
        let silence = self.receiver.limits.silence(self.load.is_high());
        if self.called.is_none() { silence.min(self.receiver.limits.shutdown / STILL) } else { silence }
    }

    fn is_too_slow(&mut self, octets: usize) -> bool {
        let pace = self.body.get_or_insert_with(BodyPace::new);
        pace.is_too_slow(self.receiver.limits.slowest_body, octets)
    }

    async fn write(&mut self, octets: &[u8], session: &mut Session) {
        self.dialogue.said(self.client.peer, octets);
        let written = timeout(self.idle(), async {
            self.io.write_all(octets).await?;
            self.io.flush().await
        });
        if !matches!(written.await, Ok(Ok(()))) {
            session.eof();
        }
    }

    async fn start_tls(&mut self, session: &mut Session) {
        let Receiver { observer, limits, shutdown, security, .. } = self.receiver;
        let (Some(tls), Some(io)) = (&security.tls, self.io.take_clear()) else {
            return session.secured(Err(()));
        };
        // All that was read has been fed, and the session drops it (RFC 3207 4.2): nothing in clear text is left here.
        let handshake =
            tls.shake_hands(io, Begun::ByStarttls(self.client.peer), |text| observer.observe(&Event::Trouble { text }));
        let shaken = Opening::begin().within(limits, &mut self.load, shutdown, handshake).await;
        session.strain(self.load.is_high());
        match shaken.unwrap_or_else(|late| Err(format!("no TLS handshake {late}"))) {
            Ok(secured) => {
                self.io = Wire::Tls(secured.stream);
                session.secured(Ok(secured.tls));
            }
            Err(remark) => {
                observer.observe(&Event::Remarked { client: self.client.clone(), remark });
                session.secured(Err(()));
            }
        }
    }

    /// RFC 5321 4.3.1: a client waits for the greeting. Once in a session, even if XCLIENT leads to another.
    async fn wait_to_greet(&mut self, session: &mut Session, verdict: Verdict) -> Verdict {
        let Some(pause) = self.greeting_pause.take() else { return verdict };
        let now = self.receiver.clock.now();
        match timeout(pause, read_once(&mut self.io, |octets| session.feed(octets, now))).await {
            Ok(Ok(1..)) => Verdict::Disconnect(session.slip().unwrap_or_else(catalogue::early_talker)),
            // Silent, or gone, which the next read finds.
            _ => verdict,
        }
    }

    async fn commit(&self, arriving: Option<Arriving<S::Draft>>, seal: Seal) -> Result<Committed, Reply> {
        let Some(arriving) = arriving else {
            return Err(catalogue::local_error());
        };
        self.dialogue.heard_message(self.client.peer, arriving.size());
        let (message_id, begun) = (seal.message_id.clone(), Instant::now());
        // The seal has them in the words that it was made of.
        let edits = seal.envelope_edits().unwrap_or_default();
        match arriving.commit(seal).await {
            Some((Ok(committed), envelope)) => {
                let envelope = envelope.after(&edits);
                self.receiver.observer.observe(&Event::Accepted {
                    id: committed.id,
                    client: Some(self.client.clone()),
                    sender: envelope.reverse_path,
                    size: committed.size,
                    recipients: envelope.recipients,
                    message_id,
                    origin_client: envelope.origin.forwarded_client(),
                    synced_in: begun.elapsed(),
                });
                Ok(committed)
            }
            Some((Err(error), _)) => Err(self.receiver.apology(&error)),
            None => Err(catalogue::local_error()),
        }
    }

    fn note(&mut self, note: Note, helo: Option<&str>) {
        let client = self.client.clone();
        let (security, observer) = (&self.receiver.security, self.receiver.observer.as_ref());
        let event = match note {
            Note::Heard(line) => return self.dialogue.heard(client.peer, &line),
            Note::LoggedIn { user, mechanism } => return security.note_success(&client, user, mechanism, observer),
            Note::LoginFailed { user, mechanism } => {
                return security.note_failure(&client, &user, mechanism, observer);
            }
            Note::Rejected(rejection) => {
                let Rejection { stage, by, reply, sender, recipient } = *rejection;
                if stage == "END-OF-MESSAGE" && reply.code() >= 500 {
                    security.note_refusal(Failure::Message, &client, &self.receiver.limits, observer);
                }
                // Whoever sends too much does not fill the log.
                let by = if std::mem::take(&mut self.is_limited) { Refuser::Session } else { by };
                Event::Rejected { client, stage, by, reply, sender, recipient, helo: helo.map(str::to_owned) }
            }
            Note::Remark(remark) => Event::Remarked { client, remark: remark.to_owned() },
            Note::Format(remark) => Event::Remarked { client, remark },
            Note::Discarded { id, reason } => Event::Discarded { id, client, text: reason },
            Note::Broken(cause) => {
                self.cause = Some(cause);
                return;
            }
        };
        self.receiver.observer.observe(&event);
    }
}

/// Tells the policies of the end of a session, also of one that is broken off.
struct Ended<'a> {
    policy: &'a Chain,
    session: u64,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.policy.ended(self.session);
    }
}

/// Whom the session is about.
fn client_of(session: &Session) -> Client {
    let user = || session.local_user().map(LocalUser::in_logs);
    Client { peer: session.peer(), name: session.reverse_name().map(str::to_owned).or_else(user) }
}
