//! `smtpd` at its start and at its end, as README has people try it.

use std::fs;
use std::process::Command;

use crate::support::have::have;
use crate::support::site::{Running, Site, wait_until};
use crate::support::terminal::{Shown, Terminal};

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

/// The command for a test that the block shows, as it would be copied from the screen.
fn pasted(shown: &Shown) -> Command {
    let rows = shown.rows();
    let from = rows.iter().position(|row| row.trim_start().starts_with("printf")).unwrap();
    let lines = rows[from..].iter().take_while(|row| !row.is_empty()).cloned().collect::<Vec<_>>();
    let mut command = Command::new("sh");
    command.args(["-c", &lines.join("\n")]);
    command
}

#[test]
fn the_first_command_of_the_readme_says_what_it_does_and_how_to_send_a_test() {
    for (columns, no_color) in [(80, ""), (120, "1")] {
        let site = Site::new("");
        let mut shown = Terminal::open(columns, 30).env("NO_COLOR", no_color).run(first_command(&site));
        shown.wait_for("takes mail on 127.0.0.1:");
        for words in [
            "takes mail. Ctrl-C ends it.",
            "from 127.0.0.0/8, ::1/128",
            "keeps it in ./spool until it is delivered",
            "delivers it to the Maildir ./inbox",
            "settings built-in defaults",
            "paste this into another terminal:",
        ] {
            shown.wait_for(words);
        }
        assert!(shown.rows().iter().all(|row| row.len() < usize::from(columns)), "{}", shown.page());
        if have("curl") {
            let sent = pasted(&shown).output().unwrap();
            assert!(sent.status.success() && sent.stderr.is_empty(), "{sent:?}\n{}", shown.page());
            shown.wait_for("sent me@example.com > you@example.com,");
            shown.wait_for("to ./inbox");
            let coloured = shown.colour_of("sent     me@").is_some();
            assert_eq!((coloured, shown.is_styled()), (no_color.is_empty(), no_color.is_empty()));
            let row = shown.rows().into_iter().find(|row| row.contains("sent ")).unwrap();
            assert!(row.ends_with("B, to ./inbox"), "all in one row: {row}");
        }
        shown.ctrl_c();
        assert_eq!(shown.wait(), 0, "{}", shown.page());
        shown.wait_for("stopped; the queue is empty");
        assert!(!shown.page().contains("leafmail/smtpd["), "no line of the log: {}", shown.page());
    }
}

#[test]
fn the_test_command_works_whatever_header_fields_are_required() {
    if !have("curl") {
        return;
    }
    let site = Site::new("");
    let text = fs::read_to_string(site.config()).unwrap();
    let required = "required_headers = [\"From\", \"Date\", \"X-Ticket\"]";
    fs::write(site.config(), text.replace("required_headers = []", required)).unwrap();
    let mut command = site.smtpd();
    command.args(["--listen", "0.0.0.0:0", "--deliver"]);
    let shown = Terminal::open(80, 40).run(command);
    shown.wait_for("-T -");
    let sent = pasted(&shown).output().unwrap();
    assert!(sent.status.success(), "{sent:?}\n{}", shown.page());
    shown.wait_for("sent me@example.com >");
}

#[test]
fn within_tls_and_with_a_login_the_test_command_says_so() {
    let site = Site::new("[clients]\nnetworks = [\"10.0.0.0/8\"]\n");
    let mut command = site.smtpd();
    command.args(["--listen", "tls:127.0.0.1:0", "--self-signed"]);
    let shown = Terminal::open(80, 40).run(command);
    shown.wait_for("takes mail on tls:127.0.0.1:");
    shown.wait_for("warning: using a certificate made for this run");
    assert!(!shown.words().contains("curl"), "this host may not send: {}", shown.page());

    let site = Site::new("");
    let mut command = site.smtpd();
    command.args(["--listen", "tls:127.0.0.1:0", "--self-signed"]);
    let shown = Terminal::open(80, 40).run(command);
    shown.wait_for("smtps://127.0.0.1:");
    shown.wait_for("--insecure");
}

#[test]
fn who_wants_the_log_gets_the_log() {
    for arguments in [&["-v"][..], &["--log-format", "json"], &["--trace", "127.0.0.0/8"]] {
        let site = Site::new("");
        let mut command = site.smtpd();
        command.args(["--listen", "127.0.0.1:0"]).args(arguments);
        let mut shown = Terminal::open(120, 24).run(command);
        shown.wait_for("listening on 127.0.0.1:");
        assert!(!shown.words().contains("Ctrl-C"), "{}", shown.page());
        shown.ctrl_c();
        assert_eq!(shown.wait(), 0);
        assert!(!shown.is_styled(), "{}", shown.page());
    }
}

#[test]
fn without_a_terminal_there_are_lines_of_the_log_only() {
    let site = Site::new("");
    let running: Running = site.listen(&["--deliver"]);
    running.client().submit("joe@example.org", &["bob@example.com"], b"Subject: one\r\n\r\n");
    wait_until("it is delivered", || running.log().contains("status=sent"));
    let log = running.log();
    assert!(log.lines().all(|line| line.contains(" leafmail/")) && !log.contains("Ctrl-C"), "{log}");
}

#[test]
fn under_a_supervisor_the_block_is_there_once_and_a_new_worker_is_one_line() {
    let site = Site::new("");
    let mut command = site.smtpd();
    command.args(["--listen", "127.0.0.1:0", "--deliver", "--supervise"]);
    let mut shown = Terminal::open(100, 40).run(command);
    shown.wait_for("-T -");
    let killed = Command::new("kill").args(["-HUP", &shown.pid().to_string()]).status().unwrap();
    assert!(killed.success());
    shown.wait_for("another worker takes the connections");
    let children = format!("/proc/{0}/task/{0}/children", shown.pid());
    wait_until("the first worker is gone", || fs::read_to_string(&children).unwrap().split(' ').count() == 2);
    shown.ctrl_c();
    assert_eq!(shown.wait(), 0, "{}", shown.page());
    shown.wait_for("stopped; the queue is empty");
    let page = shown.page();
    assert_eq!((page.matches("takes mail on").count(), page.matches("stopped;").count()), (1, 1), "{page}");
    assert!(!page.contains("leafmail/smtpd["), "{page}");
}
