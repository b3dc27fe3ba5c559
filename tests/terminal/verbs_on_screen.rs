//! The verbs of `spoolrun` that people look at: the live view, `flush`, `doctor`, and `mailq`.

use std::process::Command;

use crate::support::site::{Site, free_port};
use crate::support::terminal::{Shown, Terminal};

/// A site whose next hop does not answer, with a message that waits for it.
fn stuck_site() -> (Site, String) {
    let site = Site::new("");
    let smtpd = site.listen(&[]);
    smtpd.client().submit("a@example.com", &["b@example.com"], b"Subject: x\r\n\r\n");
    (site, format!("127.0.0.1:{}", free_port()))
}

fn spoolrun(site: &Site, down: &str, verb: &[&str]) -> Command {
    let mut command = site.spoolrun();
    command.args(["--relay", &format!("smtp://{down}")]).args(verb);
    command
}

fn at(columns: u16) -> Terminal {
    Terminal::open(columns, if columns == 80 { 24 } else { 40 })
}

#[test]
fn the_live_view_shows_the_whole_reason_at_80_columns_and_at_120() {
    let (site, down) = stuck_site();
    for columns in [80, 120] {
        let mut shown = at(columns).run(spoolrun(&site, &down, &["watch"]));
        shown.wait_for("next try");
        shown.wait_for(&format!("connecting to {down} failed: Connection refused Last events"));
        shown.wait_for("younger than 5m");
        shown.wait_for("?: help");
        shown.press("?");
        shown.wait_for("What the columns mean younger than: each message counts once");
        shown.press("?q");
        assert_eq!(shown.wait(), 0, "{}", shown.page());
    }
}

#[test]
fn a_flush_and_doctor_say_on_the_screen_why_mail_is_kept() {
    let (site, down) = stuck_site();
    for columns in [80, 120] {
        let mut flush = at(columns).run(spoolrun(&site, &down, &["flush"]));
        assert_eq!(flush.wait(), 0, "{}", flush.page());
        let why = "route relay, which has been paused since";
        flush.wait_for(why);
        let words = flush.words();
        assert!(words.contains(&format!("connecting to {down} failed: Connection refused; next try ")), "{words}");
        assert!(words.contains("What to do: The next hop does not answer") && !words.contains("os error"), "{words}");
        let mut wordy = at(columns).run(spoolrun(&site, &down, &["-v", "flush"]));
        assert_eq!(wordy.wait(), 0, "{}", wordy.page());
        assert!(!wordy.words().contains("Summary {"), "{}", wordy.page());
        let mut doctor = at(columns).run(spoolrun(&site, &down, &["doctor"]));
        assert_eq!(doctor.wait(), 69, "{}", doctor.page());
        let words = doctor.words();
        assert!(words.contains("ok writing: messages can be written"), "{words}");
        assert!(
            words.contains(&format!("fault connection: connecting to {down} failed: Connection refused")),
            "{words}"
        );
    }
}

#[test]
fn an_id_that_is_none_is_told_with_what_was_found() {
    let (site, down) = stuck_site();
    let run = |verb: &[&str]| -> (i32, String) {
        let mut shown: Shown = at(80).run(spoolrun(&site, &down, verb));
        (shown.wait(), shown.words())
    };
    let id = site.shelf("queue")[0].clone();
    let (code, words) = run(&["explain", &format!("{id}*")]);
    assert!(code == 0 && words.contains(&format!("Message {id}")), "{words}");
    let (code, words) = run(&["explain", &id[2..]]);
    assert!(code == 64 && words.contains("as list shows it, but found 24 characters"), "{words}");
}

#[test]
fn why_a_device_sends_no_mail_fits_the_screen() {
    let site = Site::new("[clients]\nnetworks = [\"127.0.0.0/8\", \"10.0.0.0/8\"]\nxclient = [\"127.0.0.0/8\"]\n");
    let smtpd = site.listen(&[]);
    let mut device = smtpd.client();
    device.expect("XCLIENT ADDR=10.7.7.7", "220");
    device.expect("EHLO scanner-of-the-third-floor.office.example.com", "250");
    device.expect("MAIL FROM:<scan-to-mail-of-the-third-floor@office.example.com> SIZE=99000000", "552");
    for (columns, client) in [(80, "10.7.7.7"), (120, "10.7.7.7"), (80, "10.7.0.0/16")] {
        let mut shown = at(columns).run(spoolrun(&site, "127.0.0.1:9", &["explain", "--client", client]));
        assert_eq!(shown.wait(), 0, "{}", shown.page());
        let words = shown.words();
        for part in [
            "Client 10.7.7.7, which calls itself scanner-of-the-third-floor.office.example.com",
            "MAIL refused with 552 5.3.4 once, ",
            "What to do: Allow larger messages, or send smaller ones",
        ] {
            assert!(words.contains(part), "{part}\n{}", shown.page());
        }
        // Broken at words: no row is filled to its end.
        assert!(shown.rows().iter().all(|row| row.trim_end().len() < usize::from(columns)), "{}", shown.page());
    }
    let mut shown = at(80).run(spoolrun(&site, "127.0.0.1:9", &["explain", "--client", "10.7.7.8"]));
    assert_eq!(shown.wait(), 66, "{}", shown.page());
    shown.wait_for("there is no such client");
}

#[test]
fn mailq_without_a_receiver_says_so_on_the_screen() {
    let site = Site::new("");
    let socket = site.path("smtp.sock").display().to_string();
    let text = std::fs::read_to_string(site.config()).unwrap() + &format!("[submission]\nsocket = \"{socket}\"\n");
    std::fs::write(site.config(), text).unwrap();
    let mut command = site.smtpd();
    command.arg("mailq");
    let mut shown = at(80).run(command);
    assert_eq!(shown.wait(), 66, "{}", shown.page());
    shown.wait_for("there is no spool");
}
