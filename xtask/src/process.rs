//! Programs that tasks call, and where the project and its `target/` are.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What went wrong, in words.
pub type Outcome<T = ()> = Result<T, String>;

/// The folder of the project.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// `target/`, or where cargo is told to have it.
pub fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The cargo that this was started by.
pub fn cargo() -> Command {
    command(&env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()))
}

/// A program in the folder of the project.
pub fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// Runs it; anything but success is an error that names it.
pub fn run(command: &mut Command) -> Outcome {
    let shown = format!("{command:?}");
    let status = command.status().map_err(|error| format!("{shown}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{shown}: {status}")) }
}

/// What it writes to standard output, if it succeeds.
pub fn output(command: &mut Command) -> Outcome<Vec<u8>> {
    let shown = format!("{command:?}");
    let output = command.output().map_err(|error| format!("{shown}: {error}"))?;
    let error = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(output.stdout) } else { Err(format!("{shown}: {}: {error}", output.status)) }
}

/// What was done to a file, with its name if that failed.
pub fn at<T>(path: &Path, done: std::io::Result<T>) -> Outcome<T> {
    done.map_err(|error| format!("{}: {error}", path.display()))
}

/// The time that results bear, in seconds: `SOURCE_DATE_EPOCH`, else that of the last commit.
pub fn epoch() -> Outcome<String> {
    if let Ok(epoch) = env::var("SOURCE_DATE_EPOCH") {
        return Ok(epoch);
    }
    let epoch = output(command("git").args(["log", "-1", "--format=%ct"]))?;
    let epoch = String::from_utf8_lossy(&epoch).trim().to_owned();
    if epoch.is_empty() {
        Err("neither SOURCE_DATE_EPOCH nor a commit says of when the sources are".to_owned())
    } else {
        Ok(epoch)
    }
}
