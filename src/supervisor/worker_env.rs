//! What a worker receives from its supervisor: the numbers of the inherited descriptors, and the supervisor's process
//! id.

use std::io;
use std::os::fd::{OwnedFd, RawFd};

use serde::{Deserialize, Serialize};

use crate::sys::process;

/// The variable of the environment that holds them, as JSON.
pub(super) const VARIABLE: &str = "LEAFMAIL_WORKER";

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerEnv {
    /// The supervisor.
    pub supervisor: SupervisorStatus,
    /// The listening sockets.
    pub sockets: Vec<RawFd>,
    /// Whether sockets that the configuration does not name are served too: systemd's.
    pub serves_unnamed: bool,
    /// A pipe that gets an octet once connections are taken.
    pub ready: RawFd,
}

/// The supervisor, and how it fared so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupervisorStatus {
    /// Its process id.
    pub pid: u32,
    /// When it was started, in milliseconds since 1970.
    pub since: u64,
    /// How many workers died and were replaced.
    pub restarts: u64,
    /// The number of reloads after which a new worker took over.
    pub reloads: u64,
    /// The number of reloads that failed and changed nothing.
    #[serde(default)]
    pub failed_reloads: u64,
    /// How the last that died did.
    pub last_end: Option<String>,
}

impl SupervisorStatus {
    /// The last reload came to nothing.
    pub(super) fn note_failed_reload(&mut self) {
        self.reloads = self.reloads.saturating_sub(1);
        self.failed_reloads += 1;
    }
}

impl WorkerEnv {
    /// Those that this process was started with. A command that a worker runs inherits the variable, but is no child of the
    /// supervisor.
    pub fn given() -> Option<Self> {
        let text = std::env::var(VARIABLE).ok()?;
        let orders: Self = serde_json::from_str(&text).ok()?;
        let parent = rustix::process::getppid()?.as_raw_nonzero().get();
        (u32::try_from(parent) == Ok(orders.supervisor.pid)).then_some(orders)
    }

    /// The sockets, and the pipe; to be called once, before anything is opened.
    ///
    /// # Errors
    /// When they were not handed over.
    pub fn take(&self) -> io::Result<(Vec<OwnedFd>, OwnedFd)> {
        let sockets = self.sockets.iter().map(|number| process::inherited(*number)).collect::<io::Result<_>>()?;
        Ok((sockets, process::inherited(self.ready)?))
    }
}
