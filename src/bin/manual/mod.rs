//! Man pages and completions of shells, from the same command lines and pages as the help: what `cargo xtask manual` calls. Builds
//! with the feature `manual` alone have it, and no such build is installed.
//!
//! Each verb that the help lists has a page of its own, `PROGRAM-VERB(8)`.

pub(crate) mod roff;

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Command;
use clap_complete::{Shell, generate_to};
use clap_mangen::Man;

use crate::cli::help::Page;
use roff::{heading, paragraph, tagged};

/// The first argument of a call that is for this module; the second one is the folder to write to.
const ASKED: &str = "--write-manual";

/// Does what the command line asks for, if that is to write the manual.
pub(crate) fn write_if_asked(write: impl Fn(&Path) -> io::Result<()>) -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != *ASKED {
        return None;
    }
    let folder = arguments.next().unwrap_or_else(|| OsString::from("."));
    Some(match write(Path::new(&folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "writing the manual to {}: {error}", Path::new(&folder).display());
            ExitCode::FAILURE
        }
    })
}

/// The pages of a program and of its verbs, and its completions; `see_also` are other pages.
pub(crate) fn program(folder: &Path, mut command: Command, pages: &[Page], see_also: &[&str]) -> io::Result<()> {
    let completions = folder.join("completions");
    fs::create_dir_all(&completions)?;
    let name = command.get_name().to_owned();
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(shell, &mut command.clone(), &name, &completions)?;
    }
    command = command.disable_help_subcommand(true);
    command.build();
    let verbs: Vec<Command> = command.get_subcommands().filter(|verb| !verb.is_hide_set()).cloned().collect();
    let mut others: Vec<String> = see_also.iter().map(|&page| page.to_owned()).collect();
    page(folder, &command, pages.iter().find(|page| page.verb.is_empty()), &others)?;
    others.insert(0, format!("{name}(8)"));
    for verb in &verbs {
        let Some(known) = pages.iter().find(|page| page.verb == verb.get_name()) else { continue };
        page(folder, verb, Some(known), &others)?;
    }
    Ok(())
}

/// The page of a program or a verb.
fn page(folder: &Path, command: &Command, page: Option<&Page>, see_also: &[String]) -> io::Result<()> {
    let title = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    // In NAME, a description begins in lower case.
    let about = command.get_about().map(|about| lower(&about.to_string())).unwrap_or_default();
    let source = format!("leafmail {}", env!("CARGO_PKG_VERSION"));
    // What only the long help shows is shown too.
    let titled = command.clone().about(about).mut_args(|option| option.hide_short_help(false));
    let long = command.get_long_about().or_else(|| command.get_about());
    let man = Man::new(titled).title(title.to_uppercase()).section("8").date(date()).source(source).manual("leafmail");
    let mut made = Vec::new();
    man.render_title(&mut made)?;
    man.render_name_section(&mut made)?;
    man.render_synopsis_section(&mut made)?;
    let mut text = String::from_utf8_lossy(&made).into_owned();
    heading(&mut text, "DESCRIPTION");
    for part in long.map(ToString::to_string).unwrap_or_default().split("\n\n") {
        paragraph(&mut text, part);
    }
    for part in page.map(|page| page.notes).unwrap_or_default().split("\n\n") {
        paragraph(&mut text, part);
    }
    let mut made = Vec::new();
    man.render_options_section(&mut made)?;
    text += &roff::without_blank_lines(&String::from_utf8_lossy(&made));
    let verbs: Vec<&Command> = command.get_subcommands().filter(|verb| !verb.is_hide_set()).collect();
    if !verbs.is_empty() {
        heading(&mut text, "COMMANDS");
        for verb in verbs {
            let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
            tagged(&mut text, verb.get_name(), &format!("{about}."));
        }
    }
    if let Some(page) = page {
        closing(&mut text, page);
    }
    heading(&mut text, "SEE ALSO");
    paragraph(&mut text, &see_also.join(", "));
    put(folder, &format!("{title}.8"), &text)
}

/// Examples and exit codes.
fn closing(text: &mut String, page: &Page) {
    heading(text, "EXAMPLES");
    for (line, purpose) in page.examples {
        tagged(text, line, purpose);
    }
    heading(text, "EXIT STATUS");
    for (code, meaning) in page.codes {
        tagged(text, &code.to_string(), meaning);
    }
}

/// The day that pages bear: that of the sources, so that two runs write the same.
pub(crate) fn date() -> String {
    let seconds = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or_default();
    chrono::DateTime::from_timestamp(seconds, 0).unwrap_or_default().format("%Y-%m-%d").to_string()
}

/// With a small letter at its begin.
fn lower(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

/// Writes a page into the folder of its section.
pub(crate) fn put(folder: &Path, name: &str, text: &str) -> io::Result<()> {
    let section = name.rsplit('.').next().unwrap_or_default();
    let folder = folder.join(format!("man{section}"));
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), text)
}
