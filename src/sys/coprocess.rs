//! Commands of the configuration that keep running and are talked to by their standard input and output. Where this process
//! is locked in, the helper outside starts them (see `outside`).
//!
//! A coprocess ends with its [`Coprocess`]: it has a moment after the end of its input, and is then killed with all that it
//! started.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::shell::LAST_MOMENT;

const LOOK: Duration = Duration::from_millis(5);

/// A command that is running.
pub struct Coprocess {
    /// What is written to it reaches its standard input; what is read from it is its standard output.
    pub stream: UnixStream,
    /// While this is open, it may run.
    lifeline: UnixStream,
}

impl Drop for Coprocess {
    fn drop(&mut self) {
        // Clones of the stream may still be read.
        let _ = self.stream.shutdown(Shutdown::Both);
        let _ = self.lifeline.shutdown(Shutdown::Both);
    }
}

/// What the keeper of a coprocess holds.
pub(super) struct Kept {
    pub(super) stdio: OwnedFd,
    pub(super) lifeline: UnixStream,
}

impl Coprocess {
    /// Both ends.
    pub(super) fn pair() -> io::Result<(Self, Kept)> {
        let (stream, stdio) = UnixStream::pair()?;
        let (lifeline, kept) = UnixStream::pair()?;
        Ok((Self { stream, lifeline }, Kept { stdio: stdio.into(), lifeline: kept }))
    }

    pub(super) fn lifeline(&self) -> &UnixStream {
        &self.lifeline
    }

    /// Starts it as a child of this process.
    pub(super) fn start_here(line: &str) -> Result<Self, String> {
        let (ours, kept) = Self::pair().map_err(|error| error.to_string())?;
        let ends = Ends { stream: clone(&ours.stream)?, lifeline: clone(&ours.lifeline)? };
        let child = spawn(line, kept.stdio).map_err(|error| error.to_string())?;
        let id = child.id();
        kept_here().insert(id, ends);
        thread::spawn(move || {
            keep(child, &kept.lifeline);
            kept_here().remove(&id);
        });
        Ok(ours)
    }
}

/// What brings about the end of a coprocess.
struct Ends {
    stream: UnixStream,
    lifeline: UnixStream,
}

/// The coprocesses that are children of this process, by their process id.
static HERE: Mutex<BTreeMap<u32, Ends>> = Mutex::new(BTreeMap::new());

fn kept_here() -> MutexGuard<'static, BTreeMap<u32, Ends>> {
    HERE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn clone(stream: &UnixStream) -> Result<UnixStream, String> {
    stream.try_clone().map_err(|error| error.to_string())
}

/// For the end of a program: ends the input of the coprocesses that run here, and waits until they and all that they started are
/// gone. Their keepers kill those that do not end.
pub(super) fn end_here() {
    for ends in kept_here().values() {
        let _ = ends.stream.shutdown(Shutdown::Both);
        let _ = ends.lifeline.shutdown(Shutdown::Both);
    }
    let deadline = Instant::now() + 2 * LAST_MOMENT;
    while !kept_here().is_empty() && Instant::now() < deadline {
        thread::sleep(LOOK);
    }
}

/// Starts the command.
pub(super) fn spawn(line: &str, stdio: OwnedFd) -> io::Result<Child> {
    let output = stdio.try_clone()?;
    let mut command = Command::new("sh");
    command.arg("-c").arg(line).stdin(Stdio::from(stdio)).stdout(Stdio::from(output));
    // A group of its own, so that what the shell started ends with it.
    command.process_group(0).spawn()
}

/// Waits for its end, and brings it about once the lifeline is closed. It is always reaped.
pub(super) fn keep(mut child: Child, lifeline: &UnixStream) {
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let is_over = Arc::new((Mutex::new(false), Condvar::new()));
    let (watched, told) = (lifeline.try_clone(), Arc::clone(&is_over));
    let waiting = thread::spawn(move || {
        // It stays a zombie until nobody can mean another process by its number.
        while let Some(id) = id
            && let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(id), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
        {
        }
        let mut over = told.0.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = child.wait();
        *over = true;
        told.1.notify_all();
        let _ = watched.map(|lifeline| lifeline.shutdown(Shutdown::Both));
    });
    let mut octet = [0];
    // Nothing is ever sent: it returns at the end.
    while matches!((&mut &*lifeline).read(&mut octet), Ok(1..)) {}
    let deadline = Instant::now() + LAST_MOMENT;
    let mut over = is_over.0.lock().unwrap_or_else(PoisonError::into_inner);
    while !*over {
        let rest = deadline.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            let _ = id.map(|id| kill_process_group(id, Signal::KILL));
            break;
        }
        over = is_over.1.wait_timeout(over, rest).unwrap_or_else(PoisonError::into_inner).0;
    }
    drop(over);
    let _ = waiting.join();
}
