//! The verbs of `spoolrun` and `mailq` on a terminal: each says what it did or found, at 80 and at 120 columns, without a line of
//! the log and without anything that moves the cursor.

use crate::support::fake_smarthost::{FakeSmarthost, Script};
use crate::support::site::Site;
use crate::support::terminal::{Shown, Terminal};

/// A site with two messages in the queue, and the id of the first.
fn with_mail() -> (Site, String) {
    let site = Site::new("");
    let mut smtpd = site.listen(&[]);
    let id = smtpd.client().submit("joe@example.org", &["bob@example.com"], b"Subject: one\r\n\r\n");
    smtpd.client().submit("joe@example.org", &["amy@example.com"], b"Subject: two\r\n\r\n");
    smtpd.terminate();
    assert!(smtpd.wait().success());
    (site, id)
}

/// What a verb shows until its end, which has this code.
fn verb(site: &Site, columns: u16, arguments: &[&str], code: i32) -> Shown {
    let mut command = site.spoolrun();
    command.args(arguments);
    let mut shown = Terminal::open(columns, 50).run(command);
    assert_eq!(shown.wait(), code, "{arguments:?}:\n{}", shown.page());
    assert!(!shown.page().contains("leafmail/spoolrun["), "{arguments:?} writes the log:\n{}", shown.page());
    shown
}

#[test]
fn verbs_that_look_show_what_they_found() {
    let (site, id) = with_mail();
    for columns in [80, 120] {
        for (arguments, said) in [
            (&["list"][..], "bob@example.com"),
            (&["show", &id], "joe@example.org"),
            (&["explain", &id], "bob@example.com"),
            (&["cat", &id], "Subject: one"),
            (&["shape"], "example.com"),
            (&["stats"], "2"),
            (&["verify"], "2"),
        ] {
            let shown = verb(&site, columns, arguments, 0);
            shown.wait_for(said);
            assert!(!shown.raw().contains(&0x1b), "{arguments:?}:\n{}", shown.page());
        }
    }
}

#[test]
fn verbs_that_act_say_what_they_did() {
    for columns in [80, 120] {
        let (site, id) = with_mail();
        for arguments in [&["hold", &id][..], &["release", &id], &["requeue", &id], &["pause", "relay"]] {
            let shown = verb(&site, columns, arguments, 0);
            assert!(!shown.page().trim().is_empty(), "{arguments:?} says nothing");
        }
        verb(&site, columns, &["resume", "relay"], 0).wait_for("relay");
        verb(&site, columns, &["remove", &id], 0).wait_for(&id);
    }
}

#[test]
fn carrying_and_giving_up_say_what_they_did() {
    for columns in [80, 120] {
        let (site, id) = with_mail();
        let [folder, nowhere] = ["carried", "nowhere"].map(|name| site.path(name).display().to_string());
        verb(&site, columns, &["export", &folder, &id], 0).wait_for(&format!("{id}: exported"));
        verb(&site, columns, &["import", &folder, "--all"], 0).wait_for(&format!("{id}: imported"));
        verb(&site, columns, &["expire", &id], 0).wait_for(&format!("{id}: expired"));
        verb(&site, columns, &["import", &nowhere, "--all"], 66).wait_for("there is no spool");
    }
}

#[test]
fn a_link_called_mailq_lists_the_queue() {
    let (site, _) = with_mail();
    let link = site.path("mailq");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_spoolrun"), &link).unwrap();
    for columns in [80, 120] {
        let mut command = std::process::Command::new(&link);
        command.arg("--config").arg(site.config());
        let mut shown = Terminal::open(columns, 50).run(command);
        assert_eq!(shown.wait(), 0, "{}", shown.page());
        shown.wait_for("-- 1 Kbytes in 2 Requests.");
    }
}

#[test]
fn mistakes_are_answered_in_words() {
    let (site, _) = with_mail();
    for columns in [80, 120] {
        verb(&site, columns, &["lst"], 64).wait_for("list");
        verb(&site, columns, &["remove"], 64).wait_for("--all");
        verb(&site, columns, &["show", "nonsense"], 64).wait_for("nonsense");
        verb(&site, columns, &["--spool", "/nonexistent/spool", "list"], 66).wait_for("/nonexistent/spool");
    }
}

#[test]
fn a_flush_by_hand_shows_a_line_for_each_message_and_then_the_sum() {
    for (columns, no_color) in [(80, ""), (120, "1")] {
        let smarthost = FakeSmarthost::start(Script::new().refuses("amy@example.com", "451 4.2.1 mailbox is busy"));
        let (site, _) = with_mail();
        let relay = format!("smtp://{}?tls=none", smarthost.address);
        let mut command = site.spoolrun();
        command.args(["--relay", &relay, "flush"]);
        let mut shown = Terminal::open(columns, 30).env("NO_COLOR", no_color).run(command);
        assert_eq!(shown.wait(), 0, "{}", shown.page());
        shown.wait_for("sent joe@example.org > bob@example.com, to 127.0.0.1");
        shown.wait_for("deferred joe@example.org > amy@example.com; tried again later; 127.0.0.1 says: 451 4.2.1");
        shown.wait_for("1 sent, 1 deferred");
        let page = shown.page();
        assert!(page.find(" > bob@") < page.find("1 sent, 1 deferred"), "the sum is last:\n{page}");
        assert!(!page.contains("leafmail/spoolrun["), "{page}");
        assert_eq!(shown.is_styled(), no_color.is_empty());
    }
}

#[test]
fn who_wants_the_log_of_a_flush_gets_it() {
    let (site, _) = with_mail();
    let mut command = site.spoolrun();
    command.args(["-v", "flush"]);
    let mut shown = Terminal::open(160, 40).run(command);
    assert_eq!(shown.wait(), 0);
    shown.wait_for("status=sent");
    assert!(!shown.words().contains("sent joe@example.org >"), "{}", shown.page());
}

#[test]
fn a_run_without_a_verb_is_silent_on_a_terminal_too() {
    let (site, _) = with_mail();
    let shown = verb(&site, 80, &[], 0);
    assert_eq!(shown.page(), "");
    assert_eq!(site.delivered().len(), 2);
}
