//! How the binaries end: errors that carry an exit code of sysexits.h.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use leafmail::address::escaped;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sysexits::ExitCode;

/// Attaches an exit code to an error.
pub(crate) trait OrExit<T> {
    /// The error is to end the program with this code.
    fn or_exit(self, code: ExitCode) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> OrExit<T> for Result<T, E> {
    fn or_exit(self, code: ExitCode) -> anyhow::Result<T> {
        self.map_err(|error| Failure { code, error: error.into() }.into())
    }
}

/// An error with its exit code.
#[derive(Debug)]
struct Failure {
    code: ExitCode,
    error: anyhow::Error,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.error)
    }
}

impl std::error::Error for Failure {}

/// Ends the program: says what failed on standard error.
pub(crate) fn finish(program: &str, result: anyhow::Result<()>) -> std::process::ExitCode {
    super::end_shared_observers();
    leafmail::sys::end_commands();
    let Err(error) = result else { return std::process::ExitCode::SUCCESS };
    // Standard error may be closed, or a full pipe that nobody reads; then there is nobody to tell.
    let text: String = format!("{error:#}").lines().map(|line| format!("{program}: {line}\n")).collect();
    say_last(super::screen::terminal::for_errors(&escaped(&text)).as_bytes());
    code_of(&error).into()
}

/// The exit code of an error.
pub(crate) fn code_of(error: &anyhow::Error) -> ExitCode {
    error.downcast_ref::<Failure>().map_or(ExitCode::Software, |failure| failure.code)
}

/// How long the last words may take.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// What a pipe that says it can be written takes without blocking (POSIX: PIPE_BUF is 512 at least; Linux: 4096).
const WRITABLE: usize = 512;

/// Writes to standard error, but does not wait long for somebody to read.
fn say_last(octets: &[u8]) {
    write_soon(std::io::stderr().as_fd(), octets);
}

/// Writes, but does not wait long for somebody to read. The descriptor may be shared with other programs, so that it must not
/// be made non-blocking.
pub(crate) fn write_soon(to: BorrowedFd<'_>, octets: &[u8]) {
    let deadline = Instant::now() + LAST_WORDS;
    for piece in octets.chunks(WRITABLE) {
        let Ok(rest) = Timespec::try_from(deadline.saturating_duration_since(Instant::now())) else { return };
        let mut waiting = [PollFd::new(&to, PollFlags::OUT)];
        let writable = matches!(poll(&mut waiting, Some(&rest)), Ok(1..)) && !waiting[0].revents().is_empty();
        if !writable || rustix::io::write(to, piece).is_err() {
            return;
        }
    }
}
