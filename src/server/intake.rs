//! Where messages for a handler arrive. The answer to the client waits for [`Handler::received`], and for the spool where the
//! handler leaves the message to it.

use std::path::PathBuf;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use super::handler::{Accepted, Handler};
use super::mail::Mail;
use super::octets::Octets;
use super::visits::{Visit, Visits};
use crate::address::Domain;
use crate::clock::Clock;
use crate::envelope::{Envelope, Seal};
use crate::id::{IdSource, SpoolId};
use crate::spool::{Committed, DirSpool, Draft, Intake, Spool, SpoolError, SpoolErrorKind};

/// The way of all messages to one handler.
pub(super) struct HandlerIntake<H: Handler> {
    pub(super) visits: Arc<Visits<H>>,
    pub(super) house: Arc<House>,
    pub(super) ids: IdSource,
    pub(super) clock: Arc<dyn Clock>,
}

/// What each message needs besides.
pub(super) struct House {
    pub(super) hostname: Domain,
    /// Where large messages are until they are taken.
    pub(super) folder: PathBuf,
    /// Where messages go that the handler does not take.
    pub(super) spool: Option<Arc<DirSpool>>,
}

/// A message on its way to a handler.
pub(super) struct HandlerDraft<H: Handler> {
    id: SpoolId,
    envelope: Envelope,
    octets: Octets,
    visit: Arc<Visit<H>>,
    house: Arc<House>,
    runtime: Handle,
}

impl<H: Handler> Intake for HandlerIntake<H> {
    type Draft = HandlerDraft<H>;

    fn has_room_for(&self, size: u64) -> Result<(), SpoolError> {
        self.house.spool.as_ref().map_or(Ok(()), |spool| spool.has_room(size))
    }

    fn is_safe(&self) -> bool {
        self.house.spool.as_ref().is_none_or(|spool| spool.is_sound())
    }

    fn open_for(&self, session: u64, envelope: &Envelope) -> Result<HandlerDraft<H>, SpoolError> {
        let fault = |error: std::io::Error| SpoolError::new("opening", "a message", error);
        let random = getrandom::u64().map_err(|error| fault(error.into()))?;
        Ok(HandlerDraft {
            id: self.ids.next(self.clock.now(), random),
            envelope: envelope.clone(),
            octets: Octets::default(),
            visit: self.visits.of(session),
            house: Arc::clone(&self.house),
            runtime: Handle::try_current().map_err(|error| fault(std::io::Error::other(error)))?,
        })
    }
}

impl<H: Handler> Draft for HandlerDraft<H> {
    fn id(&self) -> SpoolId {
        self.id
    }

    fn append(&mut self, octets: &[u8]) -> Result<(), SpoolError> {
        let name = self.id.to_string();
        self.octets
            .append(octets, &self.house.folder, &name)
            .map_err(|error| SpoolError::new("writing a large message to a file in", &self.house.folder, error))
    }

    /// Waits for the handler; not for a thread that serves sessions.
    fn commit(self, seal: &Seal) -> Result<Committed, SpoolError> {
        let (then, outcome) = mpsc::channel();
        let id = self.id;
        self.commit_then(seal, move |committed| {
            let _ = then.send(committed);
        });
        outcome.recv().unwrap_or_else(|_| Err(broken_off(id)))
    }

    fn commit_then(self, seal: &Seal, then: impl FnOnce(Result<Committed, SpoolError>) + Send + 'static) {
        let Self { id, envelope, octets, visit, house, runtime } = self;
        let mail = Mail { id, envelope, seal: seal.clone(), octets, hostname: house.hostname.clone() };
        // A closure that is not `Sync` must not be held across a wait.
        let then = Mutex::new(Some(then));
        runtime.spawn(async move {
            let decided = visit.received(&mail).await;
            drop(visit);
            let then = then.into_inner().unwrap_or_else(PoisonError::into_inner);
            let Some(then) = then else { return };
            match decided {
                Err(reply) => then(Err(SpoolError::new("taking", id.to_string(), SpoolErrorKind::Refused(reply)))),
                Ok(Accepted::Taken) => then(Ok(Committed { id, size: mail.size() })),
                Ok(Accepted::Spool) => drop(spawn_blocking(move || keep(&house, &mail, then))),
            }
        });
    }
}

/// Makes a message durable in the spool, under the id that it has.
fn keep(house: &House, mail: &Mail, then: impl FnOnce(Result<Committed, SpoolError>) + Send + 'static) {
    let copied = || {
        let none = || std::io::Error::other("the handler left a message to the spool, but the server has none");
        let spool = house.spool.as_ref().ok_or_else(|| SpoolError::new("keeping", mail.id.to_string(), none()))?;
        let mut draft = spool.open_as(mail.id, &mail.envelope)?;
        let mut reader = mail.reader();
        let mut piece = vec![0; 64 * 1024];
        loop {
            let count = std::io::Read::read(&mut reader, &mut piece);
            match count.map_err(|error| SpoolError::new("reading", mail.id.to_string(), error))? {
                0 => return Ok(draft),
                count => draft.append(&piece[..count])?,
            }
        }
    };
    match copied() {
        Ok(draft) => draft.commit_then(&mail.seal, then),
        Err(error) => then(Err(error)),
    }
}

fn broken_off(id: SpoolId) -> SpoolError {
    SpoolError::new("taking", id.to_string(), std::io::Error::other("the handler was broken off"))
}
