//! `smtpd passwd`: on a terminal it asks twice and shows nothing of the password; from a pipe it asks nothing.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use crate::support::site::Site;
use crate::support::terminal::{Shown, Terminal};

fn site() -> Site {
    let site = Site::new("");
    let users = site.path("users");
    let text = fs::read_to_string(site.config()).unwrap();
    fs::write(site.config(), format!("{text}\n[auth]\nusers = \"{}\"\n", users.display())).unwrap();
    site
}

fn passwd(site: &Site, columns: u16) -> Shown {
    let mut command = site.smtpd();
    command.args(["passwd", "joe"]);
    Terminal::open(columns, 24).run(command)
}

#[test]
fn it_asks_twice_and_shows_nothing() {
    for columns in [80, 120] {
        let site = site();
        let mut shown = passwd(&site, columns);
        shown.wait_for("New password for joe:");
        shown.type_line("tr0ub4dor");
        shown.wait_for("The same again:");
        shown.type_line("tr0ub4dor");
        assert_eq!(shown.wait(), 0, "{}", shown.page());
        assert!(!shown.page().contains("tr0ub4dor"), "{}", shown.page());
        assert!(fs::read_to_string(site.path("users")).unwrap().starts_with("joe:"));
    }
}

#[test]
fn two_that_differ_are_refused_and_nothing_is_stored() {
    let site = site();
    let mut shown = passwd(&site, 80);
    shown.wait_for("New password for joe:");
    shown.type_line("one");
    shown.wait_for("The same again:");
    shown.type_line("two");
    assert_eq!(shown.wait(), 65, "{}", shown.page());
    shown.wait_for("smtpd: the two are not the same");
    assert!(!site.path("users").exists());
}

#[test]
fn ctrl_c_at_the_prompt_leaves_a_terminal_that_echoes() {
    let site = site();
    let script = "trap : INT; \"$1\" --config \"$2\" passwd joe; echo \"ended with $?\"; stty -a | grep -o ' echo '";
    let config = site.config().display().to_string();
    let mut shown = Terminal::open(80, 24).run_script(script, &[env!("CARGO_BIN_EXE_smtpd"), &config]);
    shown.wait_for("New password for joe:");
    shown.ctrl_c();
    assert_eq!(shown.wait(), 0, "{}", shown.page());
    shown.wait_for("ended with 130 echo");
    assert!(!site.path("users").exists());
}

#[test]
fn a_pipe_is_read_without_a_word() {
    let site = site();
    let mut command = site.smtpd();
    command.args(["passwd", "joe"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut passwd = command.spawn().unwrap();
    passwd.stdin.take().unwrap().write_all(b"tr0ub4dor\n").unwrap();
    let output = passwd.wait_with_output().unwrap();
    assert!(output.status.success() && output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
    assert!(fs::read_to_string(site.path("users")).unwrap().starts_with("joe:"));
}
