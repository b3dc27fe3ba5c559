//! The Debian packages, by `packaging/build-deb`, of the release build and the manual.

use std::path::{Path, PathBuf};

use crate::manual::manual;
use crate::process::{Outcome, cargo, command, epoch, run, target};

/// Where the programs are: in the folder that `LEAFMAIL_BUILT` names, else they are built.
pub fn built() -> Outcome<PathBuf> {
    if let Some(folder) = std::env::var_os("LEAFMAIL_BUILT") {
        return Ok(PathBuf::from(folder));
    }
    run(cargo().args(["build", "--release", "--locked", "--package", "leafmail"]).env("SOURCE_DATE_EPOCH", epoch()?))?;
    Ok(target().join("release"))
}

/// Both variants, in `target/dist`.
pub fn deb() -> Outcome {
    let built = built()?;
    manual()?;
    packages(&built)
}

/// The same, of programs and a manual that are there.
pub fn packages(built: &Path) -> Outcome {
    for variant in ["leafmail", "leafmail-relay"] {
        let mut build = command("packaging/build-deb");
        build.arg(variant).arg(built).arg(target().join("manual")).arg(target().join("dist"));
        run(build.env("SOURCE_DATE_EPOCH", epoch()?))?;
    }
    Ok(())
}
