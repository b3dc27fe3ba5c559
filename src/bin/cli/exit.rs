//! How the binaries end: exit codes of sysexits.h, and errors that carry one.

use std::fmt;
use std::process::ExitCode;

/// An exit code by its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// EX_USAGE: the command line is wrong.
    Usage = 64,
    /// EX_DATAERR: what was found is damaged.
    Data = 65,
    /// EX_NOINPUT: what was asked for is not there.
    NoInput = 66,
    /// EX_OSERR: the system refuses.
    System = 71,
    /// EX_CANTCREAT: a file cannot be made.
    CannotCreate = 73,
    /// EX_IOERR: the disk fails.
    Io = 74,
    /// EX_TEMPFAIL: try again.
    TryAgain = 75,
    /// EX_CONFIG: the configuration is wrong.
    Config = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit code {}", *self as u8)
    }
}

impl std::error::Error for Exit {}

/// Attaches an exit code to an error.
pub(crate) trait OrExit<T> {
    /// The error is to end the program with this code.
    fn or_exit(self, exit: Exit) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> OrExit<T> for Result<T, E> {
    fn or_exit(self, exit: Exit) -> anyhow::Result<T> {
        self.map_err(|error| Failure { exit, error: error.into() }.into())
    }
}

/// An error with its exit code.
#[derive(Debug)]
struct Failure {
    exit: Exit,
    error: anyhow::Error,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.error)
    }
}

impl std::error::Error for Failure {}

/// Ends the program: says what failed on standard error, in one line.
pub(crate) fn finish(program: &str, result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    // Standard error may be closed, or a full pipe that nobody reads; then there is nobody to tell.
    let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{program}: {error:#}\n"));
    error.downcast_ref::<Failure>().map_or(Exit::System, |failure| failure.exit).into()
}
