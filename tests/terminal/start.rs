//! `smtpd` from its start to its end, as README has people try it.

use std::fs;
use std::process::Command;

use crate::support::site::Site;
use crate::support::terminal::Terminal;

/// README's first command, with the program that was built for this test, and any free port.
fn first_command(site: &Site) -> Command {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let line = readme.lines().find(|line| line.starts_with("cargo run ")).unwrap();
    let arguments = line.split_once(" -- ").unwrap().1.replace("127.0.0.1:2525", "127.0.0.1:0");
    let mut command = Command::new(env!("CARGO_BIN_EXE_smtpd"));
    command.args(arguments.split_whitespace()).current_dir(site.path(""));
    fs::remove_file(site.config()).unwrap();
    command
}

#[test]
fn the_first_command_of_the_readme_says_that_it_listens() {
    let site = Site::new("");
    let mut shown = Terminal::open(80, 24).run(first_command(&site));
    shown.wait_for("listening on 127.0.0.1:");
    shown.ctrl_c();
    assert_eq!(shown.wait(), 0, "{}", shown.page());
}
