//! The limits of a route: how many connections are open at once, and how many messages leave in a certain time, over all
//! processes that forward.
//!
//! A connection permit is the lock of one of the files `spool/routes/NAME.slot.N`. The kernel releases the lock when the process
//! ends, however it ends. If the folder cannot be used, the limits hold within this process: our own trouble does not stop
//! mail.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::pace::{Departures, Pace, RateDecision};
use crate::clock::BootClock;
use crate::queue::routes::files::own::{file_name, open_shared, try_lock};
use crate::queue::routes::files::pace::{PaceFile, nanos};

/// Limits connections and messages.
pub trait RouteLimits: Send + Sync {
    /// A permit for one connection; `None` while all are taken. There is no wake-up when one is given back: ask again.
    fn permit(&self) -> Option<ConnectionPermit>;

    /// Whether a message may leave. Ask only when nothing else keeps it back: a departure that is not used is not given
    /// back.
    fn admit(&self) -> RateDecision;

    /// Whether there is a pace, so that a message may have to wait.
    fn is_paced(&self) -> bool {
        false
    }

    /// How long the next message has to wait for the pace; `None` if it need not. No message leaves by asking.
    fn wait(&self) -> Option<Duration> {
        None
    }

    /// Whether all connections are taken, by this process or by others.
    fn is_full(&self) -> bool {
        false
    }

    /// Why the limits are not shared with other processes, once for each time that this began.
    fn trouble(&self) -> Option<io::Error> {
        None
    }
}

/// No limits.
impl RouteLimits for () {
    fn permit(&self) -> Option<ConnectionPermit> {
        Some(ConnectionPermit { _file: None, _counted: None })
    }

    fn admit(&self) -> RateDecision {
        RateDecision::Now
    }
}

/// A permit for one connection, until dropped.
#[derive(Debug)]
pub struct ConnectionPermit {
    /// Locked.
    _file: Option<File>,
    _counted: Option<OpenConnection>,
}

/// One of the connections of this process.
#[derive(Debug)]
struct OpenConnection(Arc<AtomicUsize>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The limits of one route, shared through the folder with the states of all routes.
pub struct SharedRouteLimits {
    folder: Box<Path>,
    name: String,
    connections: usize,
    pace: Option<(Pace, PaceFile)>,
    clock: Arc<dyn BootClock>,
    taken: Arc<AtomicUsize>,
    /// Used when the file cannot be.
    departures: Mutex<Departures>,
    trouble: Mutex<Trouble>,
}

#[derive(Default)]
struct Trouble {
    /// Not reported yet.
    news: Option<io::Error>,
    lasting: bool,
}

impl SharedRouteLimits {
    /// At most `connections` (at least 1) of `route` at once, at this pace if there is one. The folder need not exist.
    pub fn new(
        folder: impl AsRef<Path>,
        route: &str,
        connections: usize,
        pace: Option<Pace>,
        clock: Arc<dyn BootClock>,
    ) -> Self {
        let name = file_name(route);
        let path = folder.as_ref().join(format!("{name}.pace"));
        Self {
            folder: folder.as_ref().into(),
            name,
            connections: connections.max(1),
            pace: pace.map(|pace| (pace.bounded(), PaceFile::new(path, clock.as_ref()))),
            clock,
            taken: Arc::default(),
            departures: Mutex::default(),
            trouble: Mutex::default(),
        }
    }

    /// The lock of one of the files; `None` if others have them all. The `first` is tried first: it is most likely free.
    fn shared_permit(&self, first: usize) -> io::Result<Option<File>> {
        for number in (0..self.connections).map(|number| (first + number) % self.connections) {
            let file = open_shared(&self.folder.join(format!("{}.permit.{number}", self.name)))?;
            if try_lock(&file)? {
                return Ok(Some(file));
            }
        }
        Ok(None)
    }

    /// Notes whether the limits could be shared.
    fn note<T>(&self, shared: io::Result<T>) -> Option<T> {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match shared {
            Ok(shared) => {
                trouble.lasting = false;
                Some(shared)
            }
            Err(error) => {
                if !std::mem::replace(&mut trouble.lasting, true) {
                    trouble.news = Some(error);
                }
                None
            }
        }
    }
}

impl RouteLimits for SharedRouteLimits {
    fn permit(&self) -> Option<ConnectionPermit> {
        let free = |taken: usize| (taken < self.connections).then_some(taken + 1);
        let taken = self.taken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, free).ok()?;
        let counted = Some(OpenConnection(Arc::clone(&self.taken)));
        match self.note(self.shared_permit(taken)) {
            Some(None) => None,
            Some(file) => Some(ConnectionPermit { _file: file, _counted: counted }),
            None => Some(ConnectionPermit { _file: None, _counted: counted }),
        }
    }

    fn admit(&self) -> RateDecision {
        let Some((pace, file)) = &self.pace else { return RateDecision::Now };
        self.note(file.admit(*pace, self.clock.as_ref())).unwrap_or_else(|| {
            let mut departures = self.departures.lock().unwrap_or_else(PoisonError::into_inner);
            departures.admit(*pace, nanos(self.clock.as_ref()))
        })
    }

    fn is_paced(&self) -> bool {
        self.pace.is_some()
    }

    fn wait(&self) -> Option<Duration> {
        let (pace, file) = self.pace.as_ref()?;
        file.wait(*pace, self.clock.as_ref()).ok().flatten()
    }

    fn is_full(&self) -> bool {
        // Only a file that is there can be locked; looking makes none.
        let is_taken = |number: usize| {
            let file = File::open(self.folder.join(format!("{}.permit.{number}", self.name)));
            file.and_then(|file| try_lock(&file)).is_ok_and(|free| !free)
        };
        (0..self.connections).all(is_taken)
    }

    fn trouble(&self) -> Option<io::Error> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).news.take()
    }
}
