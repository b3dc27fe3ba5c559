//! The manual: both programs are built with the feature `manual`, and write their pages and completions themselves. The folder is
//! replaced as a whole, so that no page of an earlier version stays.

use std::fs;

use crate::process::{Outcome, at, cargo, epoch, run, target};

/// `target/manual/man1` to `man8` and `target/manual/completions`.
pub fn manual() -> Outcome {
    let unfinished = target().join("manual.unfinished");
    let finished = target().join("manual");
    for folder in [&unfinished, &finished] {
        if folder.exists() {
            at(folder, fs::remove_dir_all(folder))?;
        }
    }
    for program in ["smtpd", "spoolrun"] {
        let mut cargo = cargo();
        cargo.args([
            "run",
            "--locked",
            "--quiet",
            "--package",
            "leafmail",
            "--features",
            "manual",
            "--bin",
            program,
            "--",
        ]);
        cargo.env("SOURCE_DATE_EPOCH", epoch()?);
        run(cargo.arg("--write-manual").arg(&unfinished))?;
    }
    at(&finished, fs::rename(&unfinished, &finished))
}
