//! A process that receives: the real session and policy over the real spool, with a driver of the simulation.
//!
//! It does what the driver of leafmail does, without sockets: several sessions share one spool, and a commit is waited for
//! without holding a thread of the spool.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use leafmail::config::Config;
use leafmail::dns::{FixedNames, Resolver};
use leafmail::envelope::Peer;
use leafmail::id::SpoolId;
use leafmail::policy::{Chain, ClientInfo};
use leafmail::session::{Action, Question, Session, Settings, Verdict};
use leafmail::smtp::{Reply, catalogue};
use leafmail::spool::{Committed, DirDraft, DirSpool, Draft as _, Spool as _, SpoolError, SpoolErrorKind};

use crate::disk::SimulatedDisk;
use crate::sender::{Client, Errand, News};
use crate::world::{Dead, World};

/// What the sessions of one process share.
pub(crate) struct Receiver {
    pub(crate) world: Arc<World>,
    pub(crate) process: usize,
    pub(crate) spool: DirSpool<SimulatedDisk>,
    settings: Arc<Settings>,
    policy: Chain,
    leaving: AtomicBool,
}

/// What became of a commit, once it is known.
type Promise = Arc<Mutex<Option<Result<Committed, SpoolError>>>>;

impl Receiver {
    pub(crate) fn new(world: Arc<World>, process: usize, spool: DirSpool<SimulatedDisk>) -> Self {
        let mut config = Config::default();
        config.clients.networks = vec!["10.0.0.0/8".parse().unwrap()];
        let resolver: Arc<dyn Resolver> = Arc::new(FixedNames::default());
        Self {
            world,
            process,
            spool,
            settings: Arc::new(Settings::new("relay.example".parse().unwrap())),
            policy: Chain::new(config.rules(), resolver, Vec::new()),
            leaving: AtomicBool::new(false),
        }
    }

    /// One connection, from the greeting to its end.
    pub(crate) fn converse(&self, errands: Vec<Errand>) {
        // A process that died says nothing more.
        let _ = self.run(Client::new(errands));
    }

    fn run(&self, mut client: Client) -> Result<(), Dead> {
        let peer = Peer::tcp("10.0.0.7:1025".parse().unwrap());
        let now = self.world.step(self.process, "is connected", "")?.timestamp();
        let mut session = Session::new(Arc::clone(&self.settings), peer, None, now);
        let mut draft: Option<DirDraft<SimulatedDisk>> = None;
        loop {
            if self.leaving.load(Ordering::SeqCst) {
                session.retire();
            }
            match session.poll() {
                Action::Read => self.read(&mut session, &mut client)?,
                Action::Write(octets) => self.write(&octets, &mut client)?,
                Action::SlowDown | Action::Note(_) => {}
                Action::Ask(question) => {
                    let verdict = self.judge(&session, peer, &question);
                    session.verdict(verdict);
                }
                Action::StartTls => session.secured(Err(())),
                Action::Authenticate(_) | Action::ListMail(_) | Action::Await => session.eof(),
                Action::Open(envelope) => {
                    let id = self.new_id(&client)?;
                    match self.spool.open_as(id, &envelope) {
                        Ok(opened) => {
                            draft = Some(opened);
                            session.opened(Ok(id));
                        }
                        Err(error) => session.opened(Err(self.apology(&error))),
                    }
                }
                Action::Append(octets) => {
                    if let Some(Err(error)) = draft.as_mut().map(|draft| draft.append(&octets)) {
                        draft = None;
                        session.refuse_message(self.apology(&error));
                    }
                }
                Action::Commit(seal) => {
                    let Some(draft) = draft.take() else {
                        session.committed(Err(catalogue::local_error()));
                        continue;
                    };
                    let promise = Promise::default();
                    let answer = Arc::clone(&promise);
                    draft.commit_then(&seal, move |outcome| *answer.lock().unwrap() = Some(outcome));
                    let outcome = self.wait_for(&promise)?;
                    session.committed(outcome.map(|committed| committed.id).map_err(|error| self.apology(&error)));
                }
                Action::Discard => draft = None,
                Action::Close => return Ok(()),
            }
        }
    }

    fn read(&self, session: &mut Session, client: &mut Client) -> Result<(), Dead> {
        let mut state = self.world.step(self.process, "reads", "")?;
        let many = state.rates.hang_up;
        if client.gone || state.chance.one_in(many) {
            client.gone = true;
            session.eof();
            return Ok(());
        }
        let (octets, news) = client.octets(&mut state.chance);
        if octets.is_empty() {
            session.eof();
            return Ok(());
        }
        if let Some(News::Sent(letter)) = news {
            state.judge.letters[letter].sent = true;
        }
        session.feed(&octets, state.timestamp());
        Ok(())
    }

    fn write(&self, octets: &[u8], client: &mut Client) -> Result<(), Dead> {
        let code = String::from_utf8_lossy(octets.get(..3).unwrap_or_default()).into_owned();
        let mut state = self.world.step(self.process, "says", &code)?;
        if !client.gone
            && let Some(News::Acknowledged(letter)) = client.hear(octets)
        {
            state.judge.acknowledged(letter);
        }
        Ok(())
    }

    fn judge(&self, session: &Session, peer: Peer, question: &Question) -> Verdict {
        let client = ClientInfo::new(peer).with_helo(session.helo());
        match (at_once(self.policy.judge(&client, question)), question) {
            (Verdict::Accept, Question::Mail { declared_size, .. }) => {
                match self.spool.has_room(declared_size.unwrap_or(0)) {
                    Ok(()) => Verdict::Accept,
                    Err(error) => Verdict::Defer(self.apology(&error)),
                }
            }
            (verdict, _) => verdict,
        }
    }

    /// Ids come from the seed: names, and with them the order of the queue, are part of what must replay.
    fn new_id(&self, client: &Client) -> Result<SpoolId, Dead> {
        let mut state = self.world.step(self.process, "names a message", "")?;
        let (sequence, random) = (state.chance.draw() as u16, state.chance.draw());
        let id = SpoolId::new(state.timestamp(), sequence, random);
        if let Some(letter) = client.letter() {
            state.judge.begun(letter, id);
        }
        Ok(id)
    }

    fn wait_for(&self, promise: &Promise) -> Result<Result<Committed, SpoolError>, Dead> {
        loop {
            if let Some(outcome) = promise.lock().unwrap().take() {
                return Ok(outcome);
            }
            self.world.step(self.process, "waits for the sync", "")?.nap();
        }
    }

    fn apology(&self, error: &SpoolError) -> Reply {
        match error.kind {
            SpoolErrorKind::Full(_) => catalogue::no_space(),
            SpoolErrorKind::Poisoned => {
                self.leaving.store(true, Ordering::SeqCst);
                catalogue::shutting_down(&self.settings.hostname)
            }
            _ => catalogue::local_error(),
        }
    }
}

/// The rules that come with leafmail wait for nobody where no name is looked up.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the policy waits"),
    }
}
