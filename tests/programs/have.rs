//! Programs that others wrote. A test that lacks one says so and passes; with `LEAFMAIL_REQUIRE_PEERS` set it fails.

use std::io::Write;
use std::process::{Command, Stdio};

/// Whether a program can be started; what it says to this argument does not matter.
fn is_there(program: &str) -> bool {
    let quiet = || Stdio::null();
    Command::new(program).arg("--version").stdin(quiet()).stdout(quiet()).stderr(quiet()).status().is_ok()
}

/// Whether the test can go on; otherwise says why not.
pub(crate) fn have(program: &str) -> bool {
    let there = is_there(program);
    if !there {
        skip(&format!("{program} is not installed"));
    }
    there
}

/// Says why a test is skipped, past the capture of the test runner.
pub(crate) fn skip(why: &str) {
    assert!(std::env::var_os("LEAFMAIL_REQUIRE_PEERS").is_none(), "no test may be skipped, but {why}");
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}
