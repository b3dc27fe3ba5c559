//! A release: everything that is handed out, in `target/dist`, with a bill of materials and the checksum of each file. What this host cannot
//! make is reported, and is no failure. Two runs of the same sources and tools write the same octets.

use std::fs;
use std::path::Path;

use crate::deb::{built, packages};
use crate::manual::manual;
use crate::process::{Outcome, at, cargo, command, epoch, output, run, target};

/// The target of programs without libraries.
const STATIC: &str = "x86_64-unknown-linux-musl";

/// All of it.
pub fn dist() -> Outcome {
    let dist = target().join("dist");
    if dist.exists() {
        at(&dist, fs::remove_dir_all(&dist))?;
    }
    at(&dist, fs::create_dir_all(&dist))?;
    let built = built()?;
    manual()?;
    archive(&built, &dist.join("leafmail-linux.tar.gz"))?;
    match static_programs()? {
        Some(programs) => archive(&programs, &dist.join("leafmail-static.tar.gz"))?,
        None => println!("left out: static programs, as the toolchain has no {STATIC} or musl-gcc is not there"),
    }
    if there("dpkg-deb") && there("dpkg-shlibdeps") {
        packages(&built)?;
    } else {
        println!("left out: Debian packages, as dpkg-dev is not there");
    }
    if there("rpmbuild") {
        run(script("packaging/build-rpm")?.arg(&built).arg(target().join("manual")).arg(&dist))?;
    } else {
        println!("left out: the RPM, as rpmbuild is not there");
    }
    run(script("packaging/build-image")?.arg(&built).arg(&dist))?;
    let bill = output(&mut script("packaging/sbom")?)?;
    at(&dist, fs::write(dist.join("leafmail.cdx.json"), bill))?;
    checksums(&dist)
}

/// A script of the project, at the time of the sources.
fn script(path: &str) -> Outcome<std::process::Command> {
    let mut script = command(path);
    script.env("SOURCE_DATE_EPOCH", epoch()?);
    Ok(script)
}

/// Whether a program can be started.
fn there(program: &str) -> bool {
    output(command(program).arg("--version")).is_ok()
}

/// The two programs, built without libraries, if this host can.
fn static_programs() -> Outcome<Option<std::path::PathBuf>> {
    let library = output(command("rustc").args(["--print", "target-libdir", "--target", STATIC])).unwrap_or_default();
    if !Path::new(String::from_utf8_lossy(&library).trim()).is_dir() || !there("musl-gcc") {
        return Ok(None);
    }
    let mut cargo = cargo();
    cargo.args(["build", "--release", "--locked", "--package", "leafmail", "--target", STATIC]);
    run(cargo.env("CC_x86_64_unknown_linux_musl", "musl-gcc"))?;
    Ok(Some(target().join(STATIC).join("release")))
}

/// The programs, pages, completions and what is in contrib/, for hosts without packages.
fn archive(built: &Path, to: &Path) -> Outcome {
    run(script("packaging/build-archive")?.arg(built).arg(target().join("manual")).arg(to))
}

/// `SHA256SUMS`, as sha256sum checks it.
fn checksums(dist: &Path) -> Outcome {
    let mut names = Vec::new();
    for entry in at(dist, fs::read_dir(dist))? {
        names.push(at(dist, entry)?.file_name());
    }
    names.sort();
    let sums = output(command("sha256sum").args(&names).current_dir(dist))?;
    at(dist, fs::write(dist.join("SHA256SUMS"), &sums))?;
    print!("{}", String::from_utf8_lossy(&sums));
    Ok(())
}
