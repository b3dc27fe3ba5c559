//! One connection: does what the session says, over anything that reads and writes.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};

use super::wire::Wire;
use super::{Door, Limits, Security, Shutdown};
use crate::clock::Clock;
use crate::dns::{Resolver, confirmed_name};
use crate::envelope::{Envelope, LocalUser, Origin, Peer, Seal};
use crate::event::{Client, Event, Observer};
use crate::policy::{Chain, Visitor};
use crate::session::{Action, Note, Patience, Question, Rejection, Session, Settings, Terms, Verdict};
use crate::smtp::{Reply, catalogue};
use crate::spool::{Committed, Draft, Spool, SpoolError, Trouble};

/// All that sessions share.
pub struct Receiver<S> {
    /// The rules of the house.
    pub settings: Arc<Settings>,
    /// How long to wait.
    pub limits: Limits,
    /// Who may send what.
    pub policy: Chain,
    /// Finds the names of clients, where they are wanted in `Received:` and the log.
    pub resolver: Option<Arc<dyn Resolver>>,
    /// TLS and logins.
    pub security: Security,
    /// Where messages go.
    pub spool: Arc<S>,
    /// Who is told.
    pub observer: Arc<dyn Observer>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// The call to leave.
    pub shutdown: Shutdown,
}

/// Octets read at once: small while commands come, so that an idle session costs little.
const COMMAND_BUFFER: usize = 4 * 1024;
const BODY_BUFFER: usize = 64 * 1024;
/// Up to this size a draft is in memory, and adding to it needs no thread that may block.
const SMALL: u64 = 32 * 1024;
/// A body slower than the limit is broken off only after this long.
const SLOW_START: Duration = Duration::from_secs(60);
/// How a client that makes error after error is slowed down.
const PENALTY: Duration = Duration::from_secs(1);

impl<S: Spool> Receiver<S> {
    /// Runs a session to its end. `early` says that octets came before the greeting.
    pub async fn converse(&self, io: impl AsyncRead + AsyncWrite + Unpin, peer: Peer, early: bool) {
        self.converse_at(Door::Ordinary, io, peer, early).await;
    }

    /// The same, with a user of this host whom the kernel names.
    pub async fn converse_as(&self, user: LocalUser, io: impl AsyncRead + AsyncWrite + Unpin, early: bool) {
        let client = Client { peer: Peer::Local, name: Some(user.in_logs()) };
        self.observer.observe(&Event::Connected { client: client.clone() });
        let terms = self.security.terms(Peer::Local, Door::Ordinary, None, self.observer.as_ref());
        self.converse_with(Wire::Clear(io), client, early, Terms { local_user: Some(user), ..terms }).await;
    }

    pub(super) async fn converse_at(
        &self,
        door: Door,
        io: impl AsyncRead + AsyncWrite + Unpin,
        peer: Peer,
        early: bool,
    ) {
        let client = self.connected(peer).await;
        let terms = self.security.terms(peer, door, None, self.observer.as_ref());
        self.converse_with(Wire::Clear(io), client, early, terms).await;
    }

    /// Runs a session within TLS from its first octet on (RFC 8314 3.3).
    pub(super) async fn converse_in_tls(&self, door: Door, io: impl AsyncRead + AsyncWrite + Unpin, peer: Peer) {
        let client = self.connected(peer).await;
        let Some(tls) = &self.security.tls else { return };
        match tls.shake_hands(io, |text| self.observer.observe(&Event::Trouble { text })).await {
            Ok(secured) => {
                let terms = self.security.terms(peer, door, Some(secured.tls), self.observer.as_ref());
                self.converse_with(Wire::Tls(secured.stream), client, secured.early, terms).await
            }
            Err(cause) => self.observer.observe(&Event::Disconnected { client, cause: Some(cause) }),
        }
    }

    async fn connected(&self, peer: Peer) -> Client {
        let client = Client { peer, name: self.name_of(peer).await };
        self.observer.observe(&Event::Connected { client: client.clone() });
        client
    }

    async fn converse_with<IO>(&self, wire: Wire<IO>, client: Client, early: bool, terms: Terms)
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let peer = client.peer;
        let reverse_name = peer.ip().and_then(|_| client.name.clone());
        let session = Session::new(Arc::clone(&self.settings), peer, reverse_name, self.clock.now());
        let session = session.on_terms(terms);
        let session = if log::log_enabled!(log::Level::Debug) { session.with_transcript() } else { session };
        let mut connection = Connection {
            receiver: self,
            io: wire,
            early,
            buffer: Vec::new(),
            deadline: Instant::now() + self.limits.session,
            body: None,
            retired: false,
            client,
            cause: None,
        };
        connection.run(session).await;
        self.observer.observe(&Event::Disconnected { client: connection.client, cause: connection.cause });
    }

    async fn name_of(&self, peer: Peer) -> Option<String> {
        let (resolver, ip) = (self.resolver.as_ref()?, peer.ip()?);
        confirmed_name(resolver.as_ref(), ip).await.ok().flatten().map(|name| name.to_string())
    }

    /// What to tell the client when the spool fails; what failed is told to whoever watches.
    fn apology(&self, error: &SpoolError) -> Reply {
        self.observer.observe(&Event::Trouble { text: error.to_string() });
        match error.trouble {
            Trouble::Full(_) => catalogue::no_space(),
            // The disk lies: finish what can be finished, and leave.
            Trouble::Poisoned => {
                self.shutdown.raise();
                catalogue::shutting_down(&self.settings.hostname)
            }
            _ => catalogue::local_error(),
        }
    }
}

/// One session and its client.
struct Connection<'a, S, IO> {
    receiver: &'a Receiver<S>,
    io: Wire<IO>,
    early: bool,
    buffer: Vec<u8>,
    deadline: Instant,
    body: Option<Pace>,
    retired: bool,
    client: Client,
    cause: Option<String>,
}

/// How fast a message comes.
struct Pace {
    since: Instant,
    octets: u64,
}

/// A message on its way into the spool.
struct Arriving<D> {
    draft: D,
    size: u64,
    envelope: Box<Envelope>,
}

impl<S: Spool, IO: AsyncRead + AsyncWrite + Unpin> Connection<'_, S, IO> {
    async fn run(&mut self, mut session: Session) {
        let mut arriving: Option<Arriving<S::Draft>> = None;
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
                    let verdict = self.judge(&session, question).await;
                    session.verdict(verdict);
                }
                Action::StartTls => self.start_tls(&mut session).await,
                Action::Authenticate(query) => {
                    let receiver = self.receiver;
                    let observer = receiver.observer.as_ref();
                    session.authenticated(receiver.security.answer(query, &self.client, observer).await);
                }
                Action::Open(envelope) => match self.receiver.spool.open(&envelope) {
                    Ok(draft) => {
                        session.opened(Ok(draft.id()));
                        arriving = Some(Arriving { draft, size: 0, envelope });
                    }
                    Err(error) => session.opened(Err(self.receiver.apology(&error))),
                },
                Action::Append(octets) => match append(arriving.take(), octets).await {
                    Ok(continued) => arriving = continued,
                    Err(error) => session.refuse_message(self.receiver.apology(&error)),
                },
                Action::Commit(seal) => {
                    let outcome = self.commit(arriving.take(), seal).await;
                    session.committed(outcome.map(|committed| committed.id));
                }
                Action::Discard => arriving = None,
                Action::Note(note) => self.note(note, session.helo()),
                // Every question above is answered at once; a session that still waits would never go on.
                Action::Await => session.eof(),
                Action::Close => break,
            }
        }
        // The last replies have been written; what the client makes of the end is its own affair.
        let _ = timeout(PENALTY, self.io.shutdown()).await;
    }

    async fn read(&mut self, session: &mut Session) {
        let size = match session.patience() {
            Patience::Command => COMMAND_BUFFER,
            Patience::Body => BODY_BUFFER,
        };
        if session.patience() == Patience::Command {
            self.body = None;
        }
        if self.buffer.len() != size {
            self.buffer = vec![0; size];
        }
        let wait = self.receiver.limits.idle.min(self.deadline.saturating_duration_since(Instant::now()));
        let read = tokio::select! {
            biased;
            read = timeout(wait, self.io.read(&mut self.buffer)) => read,
            () = self.receiver.shutdown.raised(), if !self.retired => {
                self.retired = true;
                return session.retire();
            }
        };
        match read {
            Err(_elapsed) => session.timed_out(),
            Ok(Err(_) | Ok(0)) => session.eof(),
            Ok(Ok(octets)) => {
                session.feed(&self.buffer[..octets], self.receiver.clock.now());
                if session.patience() == Patience::Body && self.is_too_slow(octets) {
                    session.timed_out();
                }
            }
        }
    }

    fn is_too_slow(&mut self, octets: usize) -> bool {
        let pace = self.body.get_or_insert_with(|| Pace { since: Instant::now(), octets: 0 });
        pace.octets += octets as u64;
        is_slower(self.receiver.limits.slowest_body, pace.octets, pace.since.elapsed())
    }

    async fn write(&mut self, octets: &[u8], session: &mut Session) {
        for line in octets.split_inclusive(|octet| *octet == b'\n') {
            log::debug!("{} > {}", self.client.peer, line.trim_ascii_end().escape_ascii());
        }
        let written = timeout(self.receiver.limits.idle, async {
            self.io.write_all(octets).await?;
            self.io.flush().await
        });
        if !matches!(written.await, Ok(Ok(()))) {
            session.eof();
        }
    }

    async fn start_tls(&mut self, session: &mut Session) {
        let observer = &self.receiver.observer;
        let (Some(tls), Some(io)) = (&self.receiver.security.tls, self.io.take_clear()) else {
            return session.secured(Err(()));
        };
        // All that was read has been fed, and the session drops it (RFC 3207 4.2): nothing in clear text is left here.
        match tls.shake_hands(io, |text| observer.observe(&Event::Trouble { text })).await {
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

    async fn judge(&self, session: &Session, question: Question) -> Verdict {
        if self.early && matches!(question, Question::Connect) {
            return Verdict::Disconnect(catalogue::early_talker());
        }
        let visitor = Visitor::new(self.client.peer).with_name(session.reverse_name()).with_helo(session.helo());
        let visitor = visitor.with_login(session.login());
        let verdict = self.receiver.policy.judge(&visitor, &question).await;
        match question {
            Question::Mail { declared_size, .. } if verdict == Verdict::Accept => {
                match self.receiver.spool.has_room(declared_size.unwrap_or(0)) {
                    Ok(()) => Verdict::Accept,
                    Err(error) => Verdict::Defer(self.receiver.apology(&error)),
                }
            }
            _ => verdict,
        }
    }

    async fn commit(&self, arriving: Option<Arriving<S::Draft>>, seal: Seal) -> Result<Committed, Reply> {
        let Some(Arriving { draft, envelope, .. }) = arriving else {
            return Err(catalogue::local_error());
        };
        let message_id = seal.message_id.clone();
        // The one place where a session waits for the disk.
        let committed = spawn_blocking(move || draft.commit(&seal)).await;
        match committed {
            Ok(Ok(committed)) => {
                self.receiver.observer.observe(&Event::Accepted {
                    id: committed.id,
                    client: Some(self.client.clone()),
                    sender: envelope.reverse_path,
                    size: committed.size,
                    recipients: envelope.recipients.len(),
                    message_id,
                    origin_client: forwarded_client(&envelope.origin),
                });
                Ok(committed)
            }
            Ok(Err(error)) => Err(self.receiver.apology(&error)),
            Err(_panicked) => Err(catalogue::local_error()),
        }
    }

    fn note(&mut self, note: Note, helo: Option<&str>) {
        let client = self.client.clone();
        let (security, observer) = (&self.receiver.security, self.receiver.observer.as_ref());
        let event = match note {
            Note::Heard(line) => return log::debug!("{} < {line}", client.peer),
            Note::LoggedIn { user, mechanism } => return security.note_success(&client, user, mechanism, observer),
            Note::LoginFailed { user, mechanism } => {
                return security.note_failure(&client, &user, mechanism, observer);
            }
            Note::Rejected(rejection) => {
                let Rejection { stage, reply, sender, recipient } = *rejection;
                Event::Rejected { client, stage, reply, sender, recipient, helo: helo.map(str::to_owned) }
            }
            Note::Remark(remark) => Event::Remarked { client, remark: remark.to_owned() },
            Note::Broken(cause) => {
                self.cause = Some(cause.to_owned());
                return;
            }
        };
        self.receiver.observer.observe(&event);
    }
}

/// Whom the session is about.
fn client_of(session: &Session) -> Client {
    let user = || session.local_user().map(LocalUser::in_logs);
    Client { peer: session.peer(), name: session.reverse_name().map(str::to_owned).or_else(user) }
}

/// Adds octets to a draft; a large one writes to the disk, which may block.
async fn append<D: Draft>(arriving: Option<Arriving<D>>, octets: Vec<u8>) -> Result<Option<Arriving<D>>, SpoolError> {
    let Some(mut arriving) = arriving else { return Ok(None) };
    arriving.size += octets.len() as u64;
    if arriving.size <= SMALL {
        arriving.draft.append(&octets)?;
        return Ok(Some(arriving));
    }
    let appended = spawn_blocking(move || arriving.draft.append(&octets).map(|()| arriving)).await;
    let gone = || SpoolError::new("writing", "a draft", std::io::Error::other("the writing thread panicked"));
    appended.map_err(|_panicked| gone())?.map(Some)
}

/// The client of a message's earlier hop, as XFORWARD told of it, in Postfix's words.
fn forwarded_client(origin: &Origin) -> Option<String> {
    let ident = origin.forwarded("IDENT").map(|ident| format!("orig_queue_id={ident}"));
    let name = origin.forwarded("NAME").unwrap_or("unknown");
    let client = origin.forwarded("ADDR").map(|address| format!("orig_client={name}[{address}]"));
    let told: Vec<String> = ident.into_iter().chain(client).collect();
    (!told.is_empty()).then(|| told.join(", "))
}

/// Whether a body comes more slowly than `slowest`, in octets per second.
fn is_slower(slowest: u64, octets: u64, elapsed: Duration) -> bool {
    elapsed > SLOW_START && octets < slowest.saturating_mul(elapsed.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_too_slow_only_after_a_while_and_below_the_limit() {
        let seconds = Duration::from_secs;
        assert!(!is_slower(100, 0, SLOW_START), "it has just begun");
        assert!(is_slower(100, 6_099, seconds(61)) && !is_slower(100, 6_100, seconds(61)));
        assert!(is_slower(u64::MAX, 1 << 40, seconds(3_600)), "the product has no end");
        assert!(!is_slower(0, 0, seconds(3_600)), "no limit");
    }
}
