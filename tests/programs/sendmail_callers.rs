//! Programs that others wrote, and that send their mail by calling `sendmail`, each with the arguments that it has.

use std::fs;

use crate::client_programs::with_input;
use crate::have::{have, lacks};
use crate::sendmail::{Host, assert_has, words};

/// What arrived has these, and tells nobody of the blind copies.
fn assert_arrived_without_bcc(host: &Host, parts: &[&str]) {
    let text = host.arrived();
    assert_has(&text, parts);
    assert!(!text.contains("Bcc:"), "{text}");
}

#[test]
fn crons_own_calls_submit() {
    // What Debian's cron and cronie hand over, with their arguments.
    let mail = "From: root (Cron Daemon)\nTo: root\nSubject: Cron <root@host> run-parts\nMIME-Version: 1.0\n\
                Content-Type: text/plain; charset=UTF-8\nX-Cron-Env: <SHELL=/bin/sh>\n\n10%\r20%\rgr\u{fc}n\n.\nend\n";
    for arguments in [
        &["-i", "-FCronDaemon", "-B8BITMIME", "-oem", "root"][..],
        &["-FCronDaemon", "-i", "-odi", "-oem", "-oi", "root"],
    ] {
        let host = Host::listening("");
        let text = host.sends(arguments, mail);
        assert_has(
            &text,
            &[
                "X-Original-To: root@host.example\r\n",
                "From: root@host.example (Cron Daemon)\r\n",
                "To: root@host.example\r\n",
            ],
        );
        assert!(text.ends_with("\r\n\r\n10%\r\n20%\r\ngr\u{fc}n\r\n.\r\nend\r\n"), "{text}");
    }
}

#[test]
fn mutt_submits() {
    if !have("mutt") {
        return;
    }
    let host = Host::listening("");
    let rc = format!(
        "set sendmail=\"{} -oem -oi\"\nset copy=no\nset from=alice@example.com\nset use_envelope_from=yes\nset realname=\"Alice\"\n",
        host.site.path("sendmail").display()
    );
    fs::write(host.site.path("muttrc"), rc).unwrap();
    fs::write(host.site.path("scan.pdf"), [0x25, 0x50, 0, 0xff, b'\n']).unwrap();
    let mut mutt = host.command("mutt");
    mutt.args([
        "-n",
        "-F",
        "muttrc",
        "-s",
        "from mutt",
        "-b",
        "carol@example.com",
        "-a",
        "scan.pdf",
        "--",
        "bob@example.com",
    ]);
    let output = with_input(&mut mutt, "hello from mutt\n.\n-- \nAlice\n");
    assert!(output.status.success(), "{}", words(&output));
    assert_arrived_without_bcc(
        &host,
        &[
            "Return-Path: <alice@example.com>\r\n",
            "X-Original-To: bob@example.com\r\n",
            "X-Original-To: carol@example.com\r\n",
            "Subject: from mutt\r\n",
            "scan.pdf",
            "hello from mutt\r\n.\r\n-- \r\n",
        ],
    );
}

#[test]
fn s_nail_submits() {
    if !have("s-nail") {
        return;
    }
    let host = Host::listening("");
    let sendmail = format!("mta={}", host.site.path("sendmail").display());
    let mut nail = host.command("s-nail");
    nail.args([
        "-:/",
        "-S",
        &sendmail,
        "-S",
        "v15-compat",
        "-S",
        "nosave",
        "-r",
        "alice@example.com",
        "-s",
        "from s-nail",
    ]);
    nail.args(["-b", "carol@example.com", "-c", "dave@example.com", "bob@example.com"]);
    let output = with_input(&mut nail, "hello from s-nail\n.\nend\n");
    assert!(output.status.success(), "{}", words(&output));
    assert_arrived_without_bcc(
        &host,
        &[
            "Return-Path: <alice@example.com>\r\n",
            "X-Original-To: bob@example.com\r\n",
            "X-Original-To: carol@example.com\r\n",
            "X-Original-To: dave@example.com\r\n",
            "Subject: from s-nail\r\n",
            "hello from s-nail\r\n",
        ],
    );
}

#[test]
fn git_send_email_submits() {
    if !have("git") {
        return;
    }
    let host = Host::listening("");
    let mut help = host.command("git");
    if !words(&help.args(["send-email", "--help-all"]).output().unwrap()).contains("--smtp-server") {
        let mut usage = host.command("git");
        if !words(&usage.args(["send-email", "-h"]).output().unwrap()).contains("--smtp-server") {
            return lacks("git send-email");
        }
    }
    let git = |arguments: &[&str]| {
        let mut git = host.command("git");
        git.env("GIT_CONFIG_NOSYSTEM", "1").args(["-c", "user.name=Alice A", "-c", "user.email=alice@example.com"]);
        let output = git.args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", words(&output));
    };
    git(&["init", "-q", "work"]);
    fs::write(host.site.path("work/file"), "a change\n.\n").unwrap();
    git(&["-C", "work", "add", "file"]);
    git(&["-C", "work", "commit", "-q", "-m", "Add a file"]);
    let sendmail = format!("--sendmail-cmd={}", host.site.path("sendmail").display());
    git(&[
        "-C",
        "work",
        "send-email",
        &sendmail,
        "--to=bob@example.com",
        "--cc=Carol <carol@example.com>",
        "--bcc=dave@example.com",
        "--confirm=never",
        "--suppress-cc=all",
        "--envelope-sender=alice@example.com",
        "--root",
        "-1",
        "HEAD",
    ]);
    assert_arrived_without_bcc(
        &host,
        &[
            "Return-Path: <alice@example.com>\r\n",
            "X-Original-To: bob@example.com\r\n",
            "X-Original-To: dave@example.com\r\n",
            "Subject: [PATCH] Add a file\r\n",
            "\r\n+a change\r\n+.\r\n",
        ],
    );
}

#[test]
fn phps_mail_submits() {
    if !have("php") {
        return;
    }
    let host = Host::listening("");
    let path = format!("sendmail_path={} -t -i", host.site.path("sendmail").display());
    let script = "exit(mail('Bob <bob@example.com>', 'from PHP', \"hello\\n.\\nend\", \"From: web@example.com\\r\\nBcc: carol@example.com\", \
                  '-fweb@example.com') ? 0 : 1);";
    let output = host.command("php").args(["-n", "-d", &path, "-r", script]).output().unwrap();
    assert!(output.status.success(), "{}", words(&output));
    assert_arrived_without_bcc(
        &host,
        &[
            "Return-Path: <web@example.com>\r\n",
            "X-Original-To: bob@example.com\r\n",
            "X-Original-To: carol@example.com\r\n",
            "Subject: from PHP\r\n",
            "\r\n\r\nhello\r\n.\r\nend\r\n",
        ],
    );
}

#[test]
fn perl_submits_through_a_pipe() {
    if !have("perl") {
        return;
    }
    let host = Host::listening("");
    let script = "open(my $mail, '|-', $ARGV[0], '-t', '-oi', '-oem') or die;\
                  print $mail \"From: perl\\@example.com\\nTo: bob\\@example.com,\\n\\tcarol\\nSubject: from Perl\\n\\nhello\\n\";\
                  close($mail) or exit($? >> 8);";
    let output = host.command("perl").args(["-e", script]).arg(host.site.path("sendmail")).output().unwrap();
    assert!(output.status.success(), "{}", words(&output));
    assert_has(
        &host.arrived(),
        &["X-Original-To: bob@example.com\r\n", "X-Original-To: carol@host.example\r\n", "\tcarol@host.example\r\n"],
    );
}
