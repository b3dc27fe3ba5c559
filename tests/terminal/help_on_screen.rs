//! Help on a terminal: bold where a terminal can show it, plain where nobody wants that, and never wider than the screen.

use std::process::Command;

use crate::support::terminal::{Shown, Terminal};

const SMTPD: &str = env!("CARGO_BIN_EXE_smtpd");
const SPOOLRUN: &str = env!("CARGO_BIN_EXE_spoolrun");

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (60, 24)];

fn shown(terminal: Terminal, program: &str, arguments: &[&str]) -> Shown {
    let mut command = Command::new(program);
    command.args(arguments).env_remove("COLUMNS");
    let mut shown = terminal.run(command);
    assert_eq!(shown.wait(), 0, "{}", shown.page());
    shown
}

#[test]
fn headings_and_options_are_bold_and_nothing_is_coloured() {
    for (program, arguments) in [(SMTPD, &["-h"][..]), (SPOOLRUN, &["--help"]), (SPOOLRUN, &["hold", "-h"])] {
        for (columns, rows) in SIZES {
            let shown = shown(Terminal::open(columns, rows), program, arguments);
            assert!(shown.is_styled(), "{}", shown.page());
            let raw = String::from_utf8(shown.raw()).unwrap();
            for heading in ["Options:", "Examples:"] {
                assert!(raw.contains(&format!("\x1b[1m{heading}\x1b[0m")), "{heading} is not bold:\n{raw:?}");
            }
            for sequence in raw.split('\x1b').skip(1) {
                assert!(sequence.starts_with("[1m") || sequence.starts_with("[0m"), "{sequence:?}");
            }
        }
    }
}

#[test]
fn help_is_plain_where_no_colour_is_wanted() {
    for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let shown = shown(Terminal::open(80, 24).env(name, value), SPOOLRUN, &["list", "--help"]);
        assert!(!shown.is_styled() && !shown.raw().contains(&0x1b), "{name}={value}:\n{}", shown.page());
    }
}

#[test]
fn help_is_broken_at_words_to_the_width_of_the_terminal_and_80_columns_at_most() {
    for (columns, rows) in SIZES {
        let shown = shown(Terminal::open(columns, rows).env("NO_COLOR", "1"), SPOOLRUN, &["doctor", "--help"]);
        let raw = String::from_utf8(shown.raw()).unwrap();
        for line in raw.lines() {
            assert!(line.chars().count() <= usize::from(columns.min(80)), "{columns} columns: {line}");
        }
    }
}

#[test]
fn the_short_help_of_a_verb_fits_on_a_screen_of_40_rows() {
    let shown = shown(Terminal::open(120, 40), SPOOLRUN, &["remove", "-h"]);
    assert_eq!(shown.all_rows().len(), shown.rows().len(), "nothing scrolled away:\n{}", shown.page());
}
