//! Programs that others wrote. A test that lacks one says so and passes; with `LEAFMAIL_REQUIRE_PEERS` set it fails. Whatever is
//! skipped is recorded for the summary at the end of `cargo test`.

use std::process::{Command, Stdio};

use super::skipped::{Reason, record};

/// Whether a program can be started; what it says to this argument does not matter.
fn is_there(program: &str) -> bool {
    let quiet = || Stdio::null();
    Command::new(program).arg("--version").stdin(quiet()).stdout(quiet()).stderr(quiet()).status().is_ok()
}

/// Whether the test can go on; otherwise says why not.
pub(crate) fn have(program: &str) -> bool {
    let there = is_there(program);
    if !there {
        lacks(program);
    }
    there
}

/// Says that a test is skipped because this is not installed: a program, or a name in the table of packages in `skipped.rs`.
pub(crate) fn lacks(program: &str) {
    require(&format!("{program} is not installed"));
    record(Reason::Lacks, program);
}

/// Says why a test is skipped on this host, whatever is installed.
pub(crate) fn skip(why: &str) {
    require(why);
    record(Reason::Host, why);
}

/// Says what this kernel, or the rights of this user, do not allow even in a complete installation: never a failure.
pub(crate) fn cannot(why: &str) {
    record(Reason::Host, why);
}

fn require(why: &str) {
    assert!(std::env::var_os("LEAFMAIL_REQUIRE_PEERS").is_none(), "no test may be skipped, but {why}");
}

/// Whether Perl is there with these modules; otherwise as for [`have`].
pub(crate) fn have_perl(modules: &[&str]) -> bool {
    let quiet = || Stdio::null();
    have("perl")
        && modules.iter().all(|module| {
            let mut perl = Command::new("perl");
            perl.args([&format!("-M{module}"), "-e", "1"]).stdin(quiet()).stdout(quiet()).stderr(quiet());
            let loaded = perl.status().is_ok_and(|status| status.success());
            if !loaded {
                lacks(module);
            }
            loaded
        })
}
