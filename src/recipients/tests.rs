//! Each source, what it may answer, and what is made of trouble.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::*;
use crate::smtp::Enhanced;

fn mailbox(text: &str) -> Mailbox {
    text.parse().unwrap()
}

fn check(source: RecipientSource) -> RecipientCheck {
    let domains = vec!["example.lan".parse().unwrap()];
    RecipientCheck::new(RecipientSettings {
        source,
        domains,
        timeout: Duration::from_secs(20),
        fallback: Fallback::Defer,
    })
}

/// `yes`, `no`, `unknown` or `not asked`.
async fn said(check: &RecipientCheck, address: &str) -> &'static str {
    match check.existence(&mailbox(address)).await {
        Ok(None) => "not asked",
        Ok(Some(Existence::Yes)) => "yes",
        Ok(Some(Existence::No)) => "no",
        Err(_) => "unknown",
    }
}

#[tokio::test]
async fn a_file_is_read_again_and_its_last_good_version_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recipients");
    let check = check(RecipientSource::File(path.clone()));
    assert_eq!(said(&check, "joe@example.lan").await, "unknown", "there is no file");
    fs::write(&path, "# people\nJoe@example.lan\n\n-amy@example.lan\n").unwrap();
    for (address, expected) in [
        ("joe@example.lan", "yes"),
        ("JOE@Example.LAN", "yes"),
        ("amy@example.lan", "no"),
        ("eve@example.lan", "no"),
        ("postmaster@example.lan", "not asked"),
        ("eve@else.where", "not asked"),
    ] {
        assert_eq!(said(&check, address).await, expected, "{address}");
    }
    for bad in ["", "not an address\n", "joe@example.lan\n@@\n", "\u{0}"] {
        fs::write(&path, bad).unwrap();
        assert_eq!(said(&check, "joe@example.lan").await, "yes", "{bad:?}");
        assert!(RecipientFile::check(&path).is_err());
    }
    fs::write(&path, "@example.lan\n-amy@example.lan\n").unwrap();
    assert_eq!((said(&check, "eve@example.lan").await, said(&check, "amy@example.lan").await), ("yes", "no"));
    assert_eq!(RecipientFile::check(&path), Ok(2));
}

#[tokio::test]
async fn a_command_answers_by_its_exit_code_and_is_asked_once() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("exists");
    let (log, text) = (
        folder.path().join("log"),
        "#!/bin/sh\nprintf '%s\\n' \"$1\" >> \"${0%/*}/log\"\necho 0\nexit $(cat \"${0%/*}/code\")\n",
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    let check = check(RecipientSource::Command(script.display().to_string()));
    for (code, address, expected) in [
        ("0", "yes@example.lan", "yes"),
        ("1", "no@example.lan", "no"),
        ("67", "nouser@example.lan", "no"),
        ("75", "later@example.lan", "unknown"),
        ("0", "\"; exit 0 #$(id)`id`\"@example.lan", "yes"),
        ("0", "-rf@example.lan", "no"),
    ] {
        fs::write(folder.path().join("code"), code).unwrap();
        for _ in 0..2 {
            assert_eq!(said(&check, address).await, expected, "{address}");
        }
    }
    let asked = fs::read_to_string(&log).unwrap();
    assert_eq!(asked.lines().count(), 5, "each once, and never what looks like an option: {asked}");
    assert!(asked.contains("\"; exit 0 #$(id)`id`\"@example.lan\n"), "{asked}");
}

#[tokio::test]
async fn a_command_that_hangs_or_is_not_there_is_no_answer() {
    let mut hangs = check(RecipientSource::Command("sleep 60;".to_owned()));
    hangs.settings.timeout = Duration::from_millis(200);
    let missing = check(RecipientSource::Command("/nowhere/exists".to_owned()));
    for check in [hangs, missing] {
        assert_eq!(said(&check, "joe@example.lan").await, "unknown");
        let client = ClientInfo::new(crate::envelope::Peer::Local);
        let verdict = check.rcpt(&client, &ReversePath::Null, &mailbox("joe@example.lan")).await;
        assert!(matches!(verdict, Verdict::Defer(reply) if reply.to_string().starts_with("451 4.3.0 ")));
    }
}

#[test]
fn only_a_refusal_about_the_mailbox_is_a_no() {
    let reply = |code, enhanced: Option<(u16, u16, u16)>| match enhanced {
        Some((class, subject, detail)) => Reply::new(code, EnhancedCode(class, subject, detail), "x"),
        None => Reply::bare(code, "x"),
    };
    for (code, enhanced, expected) in [
        (250, Some((2, 1, 5)), Some(Existence::Yes)),
        (251, None, Some(Existence::Yes)),
        (550, Some((5, 1, 1)), Some(Existence::No)),
        (550, None, Some(Existence::No)),
        (553, Some((5, 1, 3)), Some(Existence::No)),
        (550, Some((5, 2, 1)), Some(Existence::No)),
        (550, Some((5, 7, 1)), None),
        (554, Some((5, 7, 1)), None),
        (552, Some((5, 2, 2)), None),
        (450, Some((4, 2, 0)), None),
        (530, Some((5, 7, 0)), None),
    ] {
        assert_eq!(answer_of(&reply(code, enhanced)).ok(), expected, "{code} {enhanced:?}");
    }
}

#[test]
fn a_refusal_is_one_short_line_whatever_the_address() {
    let long = mailbox(&format!("{}@example.lan", "\u{e4}".repeat(30)));
    let mut wire = Vec::new();
    no_mailbox(&long).write(&mut wire, Enhanced::Shown);
    let wire = String::from_utf8(wire).unwrap();
    assert!(wire.is_ascii() && wire.starts_with("550 5.1.1 ") && wire.lines().count() == 1, "{wire}");
}
