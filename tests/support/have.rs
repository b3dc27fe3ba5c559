//! What a test needs of its host: programs that others wrote, rights, devices, features of the kernel. A test that lacks one says
//! so and passes; with `LEAFMAIL_REQUIRE_PEERS` set it fails. Whatever is skipped is recorded for the summary at the end of
//! `cargo test`. There is no other way to skip a test.

use std::process::{Command, Stdio};

use super::skipped::{Reason, record, require};
pub(crate) use super::skipped::{left_out, skip};

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

/// Whether Debian's Python is there with this module; otherwise as for [`have`]. It is not the first `python3` of the path: another
/// one does not see the modules that Debian installs.
pub(crate) fn have_python(module: &str) -> bool {
    let quiet = || Stdio::null();
    let mut python = Command::new("/usr/bin/python3");
    python.args(["-c", &format!("import {module}")]).stdin(quiet()).stdout(quiet()).stderr(quiet());
    let loaded = python.status().is_ok_and(|status| status.success());
    if !loaded {
        lacks(&format!("Python's {module}"));
    }
    loaded
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
