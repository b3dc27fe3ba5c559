//! The supervisor: a parent process that owns the listening sockets, replaces a worker that dies, and changes workers
//! at HUP. Connections wait in the sockets meanwhile, and none is refused.
//!
//! It talks only to its workers and to systemd, touches no mail, and takes nothing from a worker except one octet and
//! an exit code. [`WorkerEnv`] is what a worker receives.

mod back_off;
mod board;
mod crew;
mod pid_file;
mod worker_env;

pub use back_off::BackOff;
pub use board::{Board, BoardFolder, Record, State, Totals};
pub use crew::Supervisor;
pub use pid_file::PidFile;
pub use worker_env::{SupervisorStatus, WorkerEnv};

use sd_notify::NotifyState;

/// Tells systemd, where it wants to know (`Type=notify`), that mail is taken.
pub fn tell_ready() {
    tell(&[NotifyState::Ready]);
}

/// Tells systemd that this program is about to end.
pub fn tell_stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell_reloading() {
    let now = NotifyState::monotonic_usec_now().unwrap_or(NotifyState::Status("reloading"));
    tell(&[NotifyState::Reloading, now]);
}

fn tell(what: &[NotifyState<'_>]) {
    // Where there is no systemd, nobody listens.
    let _ = sd_notify::notify(what);
}
