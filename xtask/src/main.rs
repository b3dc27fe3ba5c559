//! `cargo xtask`: makes what goes into packages. Each task writes below `target/` alone, and leaves no half of a result.

mod deb;
mod dist;
mod manual;
mod process;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask TASK
  manual    man pages and completions, into target/manual
  deb       the Debian packages, into target/dist
  dist      everything that is handed out, with checksums, into target/dist";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["manual"] => manual::manual(),
        ["deb"] => deb::deb(),
        ["dist"] => dist::dist(),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(64);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}
