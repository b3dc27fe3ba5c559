//! `smtpd --one` on a terminal: a person types the client's part. And streams that a super-server, a shell or ssh gave.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use crate::support::site::Site;
use crate::support::terminal::Terminal;

#[test]
fn a_person_can_type_a_whole_session() {
    for columns in [80, 120] {
        let site = Site::new("");
        let mut command = site.smtpd();
        command.arg("--one");
        let mut shown = Terminal::open(columns, 30).run(command);
        shown.wait_for("You are the client. Type SMTP commands, such as EHLO me; QUIT or Ctrl-D ends.");
        shown.wait_for("220 relay.example");
        for (line, reply) in [
            ("HELO me", "250 "),
            ("MAIL FROM:<joe@example.org>", "250 2.1.0"),
            ("RCPT TO:<bob@example.com>", "250 2.1.5"),
            ("DATA", "354 "),
        ] {
            shown.type_line(line);
            shown.wait_for(&format!("{line} {}", reply.trim_end()));
        }
        for line in ["Subject: typed", "", "It works.", "."] {
            shown.type_line(line);
        }
        shown.wait_for("queued as");
        shown.wait_for("queued joe@example.org > bob@example.com,");
        shown.type_line("QUIT");
        assert_eq!(shown.wait(), 0, "{}", shown.page());
        assert_eq!(site.shelf("queue").len(), 1);
    }
}

/// What comes from a program whose three streams are one socket.
fn through_one_socket(site: &Site, arguments: &[&str]) -> (i32, String) {
    let (mut here, there) = UnixStream::pair().unwrap();
    let copy = || Stdio::from(OwnedFd::from(there.try_clone().unwrap()));
    let mut child = site.smtpd().args(arguments).stdin(copy()).stdout(copy()).stderr(copy()).spawn().unwrap();
    drop(there);
    let mut said = String::new();
    here.read_to_string(&mut said).unwrap();
    (child.wait().unwrap().code().unwrap(), said)
}

#[test]
fn over_ssh_without_a_terminal_a_verb_and_a_check_say_what_is_wrong() {
    let site = Site::new("[auth]\nbogus = 1\n");
    let (code, said) = through_one_socket(&site, &["--check"]);
    assert!(code == 78 && said.contains("unknown key \"bogus\""), "{code}: {said}");
    let (code, said) = through_one_socket(&Site::new(""), &["passwd", "joe"]);
    assert!(code == 78 && said.contains("auth.users"), "{code}: {said}");
}

#[test]
fn a_shell_that_joins_output_and_errors_keeps_both() {
    let site = Site::new("[log]\nlevel = \"debug\"\n");
    let script = "printf 'HELO me\\r\\nQUIT\\r\\n' | \"$1\" --config \"$2\" --one 2>&1 | cat";
    let config = site.config().display().to_string();
    let mut shown = Terminal::open(120, 24).run_script(script, &[env!("CARGO_BIN_EXE_smtpd"), &config]);
    assert_eq!(shown.wait(), 0);
    shown.wait_for("220 relay.example");
    shown.wait_for("connect from ");
    let script = "printf 'HELO me\\r\\nQUIT\\r\\n' | TCPREMOTEIP=127.0.0.1 \"$1\" --config \"$2\" --one 2>&1 | cat";
    let mut shown = Terminal::open(120, 24).run_script(script, &[env!("CARGO_BIN_EXE_smtpd"), &config]);
    assert_eq!(shown.wait(), 0);
    shown.wait_for("220 relay.example");
    assert!(!shown.words().contains("connect from "), "the client reads that pipe: {}", shown.page());
}
