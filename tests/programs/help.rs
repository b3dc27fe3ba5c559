//! `-h` and `--help` of both programs and of all their verbs, also under the names `sendmail`, `mailq` and `newaliases`.
//!
//! That each example can be parsed is a test of the programs themselves.

use std::os::unix::fs::symlink;
use std::process::{Command, Output};

use crate::site::Site;

const SMTPD: &str = env!("CARGO_BIN_EXE_smtpd");
const SPOOLRUN: &str = env!("CARGO_BIN_EXE_spoolrun");

const MOST_LINES: usize = 40;
const WIDTH: usize = 80;

/// Words of a private dialect, and such as make a reader stop.
const UNWANTED: [&str; 16] = [
    "for good",
    " told",
    "whoever",
    "whatever",
    "who comes",
    "stands",
    "beside",
    " lies ",
    "lying",
    "so long",
    "so many",
    "nobody",
    "anew",
    "shelf",
    "octets of a message",
    "would find",
];

fn output(program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).env_remove("COLUMNS").output().unwrap()
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = output(program, arguments);
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The verbs that a program lists.
fn verbs(program: &str) -> Vec<String> {
    let help = said(program, &["--help"]);
    let commands = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let starts_with_name = |line: &&str| !line.starts_with("   ");
    let names = commands.lines().filter(starts_with_name).filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// Each page that clap makes: its name, what the short form says, and what the long one says.
fn pages() -> Vec<(String, String, String)> {
    let mut pages = Vec::new();
    for program in [SMTPD, SPOOLRUN] {
        let own = verbs(program).into_iter().filter(|verb| !NAMES.contains(&verb.as_str()));
        for verb in own.chain([String::new()]) {
            let line = |form: &str| {
                let arguments: Vec<&str> = [verb.as_str(), form].into_iter().filter(|word| !word.is_empty()).collect();
                said(program, &arguments)
            };
            pages.push((format!("{program} {verb}"), line("-h"), line("--help")));
        }
    }
    assert!(pages.len() >= 22, "{}", pages.len());
    pages
}

/// The names that `smtpd` may be called by.
const NAMES: [&str; 3] = ["sendmail", "mailq", "newaliases"];

fn texts() -> Vec<(String, String)> {
    let made = pages().into_iter().flat_map(|(name, short, long)| [(format!("{name} -h"), short), (name, long)]);
    made.chain(NAMES.map(|name| (name.to_owned(), said(SMTPD, &[name, "--help"])))).collect()
}

#[test]
fn the_short_help_fits_on_a_screen_of_40_lines() {
    for (name, short, long) in pages() {
        let count = short.lines().count();
        assert!(count <= MOST_LINES, "{name} -h has {count} lines:\n{short}");
        assert!(long.lines().count() > count, "{name} --help says no more than -h");
    }
}

#[test]
fn no_line_of_help_is_wider_than_80_columns_where_there_is_no_terminal() {
    for (name, text) in texts() {
        for line in text.lines() {
            assert!(line.chars().count() <= WIDTH, "{name}: {line}");
        }
        assert!(!text.contains('\u{1b}'), "{name} has colours");
    }
}

#[test]
fn common_options_come_once_after_those_of_the_verb() {
    for (name, _, long) in pages() {
        let (own, common) = long.split_once("\nCommon options:\n").unwrap_or_else(|| panic!("{name} has no heading"));
        assert!(own.contains("\nOptions:\n"), "{name}");
        let common = common.split("\nExamples:\n").next().unwrap();
        assert!(common.lines().all(|line| line.is_empty() || line.starts_with("  ")), "{name} goes on:\n{common}");
        for option in ["--config <FILE>", "--user <USER>"] {
            assert_eq!(long.matches(option).count(), 1, "{name}: {option}");
            assert!(common.contains(option), "{name}: {option}");
        }
    }
}

#[test]
fn options_without_a_meaning_for_a_verb_are_not_shown_there_and_still_accepted() {
    let shown = |program, verb: &str, option: &str| said(program, &[verb, "--help"]).contains(option);
    for verb in verbs(SPOOLRUN) {
        assert!(!shown(SPOOLRUN, &verb, "--check"), "--check of {verb}");
        let delivers = ["watch", "flush"].contains(&verb.as_str());
        let is_sandboxed = delivers || verb == "serve";
        assert_eq!(shown(SPOOLRUN, &verb, "--sandbox"), is_sandboxed, "--sandbox of {verb}");
        assert_eq!(shown(SPOOLRUN, &verb, "--trace"), delivers, "--trace of {verb}");
    }
    for option in ["--check", "--spool", "--relay", "--log"] {
        assert!(!shown(SMTPD, "passwd", option), "{option} of passwd");
    }
    let checked = Site::new("").run(&["list", "--check"]);
    assert!(checked.status.success(), "{checked:?}");
}

#[test]
fn all_names_are_listed_and_have_help_of_their_own_however_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(verbs(SMTPD), ["passwd", "sendmail", "mailq", "newaliases"]);
    for (name, usage) in [
        ("sendmail", "Usage: sendmail [OPTIONS] [RECIPIENT]..."),
        ("mailq", "Usage: mailq [-j]"),
        ("newaliases", "Usage: newaliases\n"),
    ] {
        let link = folder.path().join(name);
        symlink(SMTPD, &link).unwrap();
        let help = said(SMTPD, &[name, "--help"]);
        assert!(help.contains(usage), "{help}");
        assert_eq!(said(SMTPD, &["help", name]).trim_end(), help.trim_end());
        assert_eq!(said(link.to_str().unwrap(), &["--help"]), help);
    }
    for name in ["mailq", "newaliases"] {
        assert_eq!(said(SMTPD, &[name, "-h"]), said(SMTPD, &[name, "--help"]));
    }
    let link = folder.path().join("links").join("mailq");
    std::fs::create_dir(link.parent().unwrap()).unwrap();
    symlink(SPOOLRUN, &link).unwrap();
    for form in ["-h", "--help"] {
        let help = said(link.to_str().unwrap(), &[form]);
        assert!(help.contains("Usage: mailq [OPTIONS] [ID]...\n"), "{help}");
        assert!(!help.contains("spoolrun list "), "{help}");
    }
}

#[test]
fn a_verb_that_does_not_exist_is_an_error_of_usage() {
    for program in [SMTPD, SPOOLRUN] {
        let output = output(program, &["lsit"]);
        assert_eq!(output.status.code(), Some(64), "{output:?}");
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert!(complaint.contains("unrecognized subcommand 'lsit'"), "{complaint}");
    }
}

#[test]
fn addresses_and_urls_are_shown_in_all_their_forms() {
    let help = said(SMTPD, &["--help"]);
    for form in
        ["127.0.0.1:2525", "[::1]:2525", "tls:0.0.0.0:465", "login:0.0.0.0:587", "proxy:127.0.0.1:", "unix:/run/"]
    {
        assert!(help.contains(form), "{form}");
    }
    for program in [SMTPD, SPOOLRUN] {
        for form in ["-h", "--help"] {
            let help = said(program, &[form]);
            assert!(program == SPOOLRUN && form == "-h" || help.contains("maildir:PATH"), "{help}");
            assert!(
                cfg!(feature = "dns") || !help.contains("mx:"),
                "{program} {form} shows what this build does not know"
            );
        }
        assert_eq!(said(program, &["--help"]).contains("mx:"), cfg!(feature = "dns"), "{program}");
    }
}

#[test]
fn help_ends_with_exit_codes_and_has_examples() {
    for (name, text) in texts() {
        assert!(text.contains("\nExamples:\n  "), "{name} has no examples");
        if name.ends_with(" -h") {
            continue;
        }
        let (_, codes) = text.split_once("\nExit codes:\n").unwrap_or_else(|| panic!("{name} has no exit codes"));
        assert!(codes.starts_with("   0  "), "{name}: {codes}");
        for line in codes.lines() {
            let (code, meaning) = line.trim_start().split_once("  ").unwrap_or_else(|| panic!("{name}: {line}"));
            assert!(code.parse::<u8>().is_ok() && !meaning.is_empty(), "{name}: {line}");
        }
    }
}

#[test]
fn help_is_in_plain_english() {
    for (name, text) in texts() {
        let text = text.to_lowercase();
        for unwanted in UNWANTED {
            assert!(!text.contains(unwanted), "{name} says {unwanted:?}");
        }
    }
    let help = said(SPOOLRUN, &["--help"]).split_whitespace().collect::<Vec<_>>().join(" ");
    for sentence in [
        "expire Give up on recipients not yet delivered to, and notify the sender",
        "watch Run continuously: deliver mail at once, and retry when it is due",
        "doctor Check every step of a delivery, and that this is no open relay",
    ] {
        assert!(help.contains(sentence), "{sentence}");
    }
}
