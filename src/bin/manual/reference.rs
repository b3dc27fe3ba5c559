//! The pages of `smtpd` that are no command lines of clap: the names that it is called by, and `leafmail.toml(5)`, which is made of
//! `docs/leafmail.toml` with `contrib/leafmail.toml` as its example. `packaging/man/leafmail.7` is the overview, as it is.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use crate::manual::roff::{escaped, heading, paragraph, part};
use crate::manual::{date, put};
use crate::sendmail::help::PAGES;

const KEYS: &str = include_str!("../../../docs/leafmail.toml");
const EXAMPLE: &str = include_str!("../../../contrib/leafmail.toml");
const OVERVIEW: &str = include_str!("../../../packaging/man/leafmail.7");

/// All of them.
pub(crate) fn write(folder: &Path) -> io::Result<()> {
    for (name, text) in PAGES {
        put(folder, &format!("{name}.1"), &called(name, text))?;
    }
    put(folder, "leafmail.toml.5", &configuration())?;
    put(folder, "leafmail.7", &OVERVIEW.replace("@VERSION@", env!("CARGO_PKG_VERSION")).replace("@DATE@", &date()))
}

fn title(name: &str, section: u8, about: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let about = about.chars().next().into_iter().flat_map(char::to_lowercase).chain(about.chars().skip(1));
    let about: String = about.collect();
    let upper = name.to_uppercase();
    let date = date();
    format!(".TH {upper} {section} {date} \"leafmail {version}\" leafmail\n.SH NAME\n{name} \\- {}\n", escaped(&about))
}

/// A name that `smtpd` is called by, from the text of its help.
fn called(name: &str, help: &str) -> String {
    let mut blocks = help.trim_end().split("\n\n");
    let mut page = title(name, 1, blocks.next().unwrap_or_default());
    let mut described = false;
    for block in blocks {
        let (first, rest) = block.split_once('\n').unwrap_or((block, ""));
        let section = match first {
            "Options:" => "OPTIONS",
            "Examples:" => "EXAMPLES",
            "Exit codes:" => "EXIT STATUS",
            usage if usage.starts_with("Usage:") => "SYNOPSIS",
            _ => {
                if !described {
                    heading(&mut page, "DESCRIPTION");
                }
                described = true;
                paragraph(&mut page, block);
                continue;
            }
        };
        described = false;
        heading(&mut page, section);
        literal(&mut page, if section == "SYNOPSIS" { block.trim_start_matches("Usage: ") } else { rest });
    }
    heading(&mut page, "SEE ALSO");
    paragraph(&mut page, "leafmail(7), smtpd(8), spoolrun(8)");
    page
}

/// The keys of the configuration: a section for each table, a paragraph for each key.
fn configuration() -> String {
    let mut page = title("leafmail.toml", 5, "The configuration of smtpd and spoolrun");
    heading(&mut page, "DESCRIPTION");
    let mut comment: Vec<&str> = Vec::new();
    for line in KEYS.lines() {
        match line.strip_prefix("# ").or_else(|| (line == "#").then_some("")) {
            Some(text) => comment.push(text),
            None if line.trim().is_empty() => say(&mut page, &mut comment),
            None if line.trim_start_matches('#').starts_with('[') => {
                page += &format!(".SH {}\n", escaped(line.trim_start_matches('#')));
                say(&mut page, &mut comment);
            }
            None => {
                page += &format!(".TP\n\\fB{}\\fR\n{}", escaped(line.trim_start_matches('#')), filled(&comment));
                comment.clear();
            }
        }
    }
    say(&mut page, &mut comment);
    heading(&mut page, "EXAMPLE");
    literal(&mut page, EXAMPLE);
    heading(&mut page, "SEE ALSO");
    paragraph(&mut page, "leafmail(7), smtpd(8), spoolrun(8)");
    page
}

/// What was gathered, as paragraphs.
fn say(page: &mut String, comment: &mut Vec<&str>) {
    for part in comment.split(|line| line.is_empty()) {
        paragraph(page, &part.join("\n"));
    }
    comment.clear();
}

/// The same below a key.
fn filled(comment: &[&str]) -> String {
    if comment.is_empty() {
        return "\\&\n".to_owned();
    }
    comment.iter().map(|line| if line.is_empty() { ".IP\n".to_owned() } else { escaped(line) + "\n" }).collect()
}

/// Lines as they are.
fn literal(page: &mut String, text: &str) {
    part(page);
    page.push_str(".nf\n");
    for line in text.lines() {
        // An empty line alone would be a fault of style.
        let _ = if line.is_empty() { writeln!(page, "\\&") } else { writeln!(page, "{}", escaped(line)) };
    }
    page.push_str(".fi\n");
}
