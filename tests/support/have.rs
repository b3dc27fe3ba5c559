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

/// Whether Perl is there with these modules; otherwise as for [`have`].
pub(crate) fn have_perl(modules: &[&str]) -> bool {
    if !have("perl") {
        return false;
    }
    let uses: Vec<String> = modules.iter().map(|module| format!("-M{module}")).collect();
    let quiet = || Stdio::null();
    let loaded =
        Command::new("perl").args(uses).args(["-e", "1"]).stdin(quiet()).stdout(quiet()).stderr(quiet()).status();
    if loaded.is_ok_and(|status| status.success()) {
        return true;
    }
    assert!(std::env::var_os("LEAFMAIL_REQUIRE_PEERS").is_none(), "Perl's {modules:?} are required, but not installed");
    let _ = writeln!(std::io::stderr(), "skipped: Perl's {modules:?} are not installed");
    false
}
