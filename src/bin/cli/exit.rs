//! How the binaries end: errors that carry an exit code of sysexits.h.

use std::fmt;
use std::io::Write;

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
    let Err(error) = result else { return std::process::ExitCode::SUCCESS };
    // Standard error may be closed, or a full pipe that nobody reads; then there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{program}: {error:#}");
    error.downcast_ref::<Failure>().map_or(ExitCode::Software, |failure| failure.code).into()
}
