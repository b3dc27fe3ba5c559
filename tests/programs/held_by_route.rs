//! Routes to `hold:`: mail waits for a person, beside recipients on other routes, and never comes back to its sender for it.

use std::fs;

use crate::site::{Site, free_port};

const ROUTE: &str = "[[route]]\nname = \"strangers\"\nrecipients = [\"@q.example\"]\nurl = \"hold:\"";

fn said(output: std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn submit(site: &Site, recipients: &[&str]) {
    site.listen(&[]).client().submit("me@example.com", recipients, b"Subject: x\r\n\r\nhello\r\n");
}

fn shelves(site: &Site) -> [usize; 4] {
    ["queue", "hold", "failed", "bad"].map(|folder| site.shelf(folder).len())
}

#[test]
fn mail_is_held_until_its_route_leads_elsewhere_and_released_mail_does_not_loop() {
    let site = Site::new(ROUTE);
    submit(&site, &["amy@example.com", "joe@q.example"]);
    let flushed = said(site.run(&["--sandbox", "auto", "flush"]));
    assert_eq!(shelves(&site), [0, 1, 0, 0], "{flushed}");
    assert_eq!(site.delivered().len(), 1, "the other recipient has it: {flushed}");
    assert!(flushed.contains("the route strangers holds its mail"), "{flushed}");
    let id = site.shelf("hold").remove(0);
    let explained = said(site.run(&["explain", &id]));
    assert!(explained.contains("Its route leads to hold:, so it would be held again"), "{explained}");
    assert!(explained.contains("Change [[route]] \"strangers\" url first"), "{explained}");
    for _ in 0..3 {
        assert!(site.run(&["release", &id]).status.success());
        let again = said(site.run(&["flush"]));
        assert_eq!((shelves(&site), site.delivered().len()), ([0, 1, 0, 0], 1), "{again}");
    }
    // No fault of the route: nothing pauses, and nobody is notified.
    assert_eq!(site.states(), "");
    let doctor = said(site.run(&["doctor"]));
    assert!(doctor.contains("held until a person releases it"), "{doctor}");
    let text = fs::read_to_string(site.config()).unwrap();
    fs::write(site.config(), text.replace("\"hold:\"", &format!("\"maildir:{}\"", site.path("late").display())))
        .unwrap();
    let explained = said(site.run(&["explain", &id]));
    assert!(explained.contains(&format!("spoolrun release {id} sends it")), "{explained}");
    assert!(site.run(&["release", &id]).status.success());
    let sent = said(site.run(&["flush"]));
    assert_eq!(shelves(&site), [0, 0, 0, 0], "{sent}");
    assert_eq!((crate::site::names(&site.path("late/new")).len(), site.delivered().len()), (1, 1), "{sent}");
}

#[test]
fn a_message_is_held_only_once_its_other_recipients_have_it() {
    let away = format!(
        "[[route]]\nname = \"away\"\nrecipients = [\"@away.example\"]\nurl = \"smtp://127.0.0.1:{}\"",
        free_port()
    );
    let site = Site::new(&format!("{ROUTE}\n{away}"));
    submit(&site, &["joe@q.example", "eve@away.example"]);
    for _ in 0..2 {
        let flushed = said(site.run(&["flush"]));
        assert_eq!(shelves(&site), [1, 0, 0, 0], "{flushed}");
    }
    let text = fs::read_to_string(site.config()).unwrap();
    let (before, rest) = text.split_once("url = \"smtp:").unwrap();
    let after = rest.split_once('\n').map_or("", |(_, after)| after);
    fs::write(site.config(), format!("{before}url = \"maildir:{}\"\n{after}", site.inbox().display())).unwrap();
    let flushed = said(site.run(&["flush"])) + &said(site.run(&["flush"]));
    assert_eq!((shelves(&site), site.delivered().len()), ([0, 1, 0, 0], 1), "{flushed}");
}

#[test]
fn hold_is_no_fallback_and_has_none() {
    let site = Site::new("[[relay.fallback]]\nurl = \"hold:\"");
    let flushed = said(site.run(&["flush"]));
    assert!(flushed.contains("expected no fallback beside hold:"), "{flushed}");
}

/// The archive comes last, and nobody else of a held message is tried: its copy is held with it.
#[test]
fn a_message_is_held_with_its_copy_for_the_archive() {
    let site = Site::new(&format!("{ROUTE}\n[archive]\naddress = \"copies@archive.example\""));
    submit(&site, &["joe@q.example"]);
    let flushed = said(site.run(&["flush"]));
    assert_eq!((shelves(&site), site.delivered().len()), ([0, 1, 0, 0], 0), "{flushed}");
    let text = fs::read_to_string(site.config()).unwrap();
    fs::write(site.config(), text.replace("\"hold:\"", &format!("\"maildir:{}\"", site.path("late").display())))
        .unwrap();
    assert!(site.run(&["release", &site.shelf("hold").remove(0)]).status.success());
    let sent = said(site.run(&["flush"])) + &said(site.run(&["flush"]));
    assert_eq!((shelves(&site), site.delivered().len()), ([0, 0, 0, 0], 1), "the archive has its copy: {sent}");
    assert_eq!(crate::site::names(&site.path("late/new")).len(), 1, "{sent}");
}
