//! A copy of every message: beside any route, after it, and never in its way.

use std::fs;

use crate::fake_smarthost::{FakeSmarthost, Script};
use crate::site::{Site, names};

const ARCHIVE: &str = "copies@archive.invalid";

/// A site that relays to a smarthost, with an archive at a URL.
fn site(smarthost: &FakeSmarthost, url: &str) -> Site {
    let site = Site::new(&format!(
        "[archive]\naddress = \"{ARCHIVE}\"\n[[route]]\nname = \"archive\"\nrecipients = [\"{ARCHIVE}\"]\nurl = \"{url}\"\n"
    ));
    let inbox = format!("url = \"maildir:{}\"", site.inbox().display());
    let text = fs::read_to_string(site.config()).unwrap();
    let relay = format!("url = \"smtp://{}?tls=none\"", smarthost.address);
    fs::write(site.config(), text.replace(&inbox, &relay)).unwrap();
    site
}

fn submit(site: &Site, subject: &str) {
    let mail = format!("Subject: {subject}\r\n\r\ntext\r\n");
    site.listen(&[]).client().submit("joe@example.com", &["bob@example.net", "amy@example.net"], mail.as_bytes());
}

#[test]
fn a_copy_of_each_message_names_its_recipients() {
    let smarthost = FakeSmarthost::start(Script::new());
    let folder = tempfile::tempdir().unwrap();
    let site = site(&smarthost, &format!("maildir:{}", folder.path().display()));
    submit(&site, "one");
    // One who writes to the archive gets no second copy of it.
    site.listen(&[]).client().submit("joe@example.com", &[ARCHIVE], b"Subject: two\r\n\r\n");
    assert!(site.run(&[]).status.success());
    assert!(site.shelf("queue").is_empty(), "{}", site.states());
    let new = folder.path().join("new");
    let copies: Vec<String> = names(&new).iter().map(|name| fs::read_to_string(new.join(name)).unwrap()).collect();
    assert_eq!(copies.len(), 2, "{copies:?}");
    let of_one = copies.iter().find(|copy| copy.contains("Subject: one")).unwrap();
    assert!(of_one.contains("X-Original-To: bob@example.net\r\nX-Original-To: amy@example.net\r\n"), "{of_one}");
    assert!(!of_one.contains(ARCHIVE), "{of_one}");
    let record = smarthost.record();
    assert_eq!(record.messages.len(), 1);
    assert!(
        !String::from_utf8_lossy(&record.messages[0]).contains(ARCHIVE),
        "the copy is no secret, but nobody's business"
    );
}

#[test]
fn an_archive_that_is_away_delays_nobody_and_loses_nothing() {
    let smarthost = FakeSmarthost::start(Script::new());
    let folder = tempfile::tempdir().unwrap();
    // A file where the folder should be.
    let place = folder.path().join("archive");
    fs::write(&place, "").unwrap();
    let site = site(&smarthost, &format!("maildir:{}", place.display()));
    submit(&site, "kept");
    for _ in 0..3 {
        assert!(site.run(&["flush"]).status.success());
    }
    assert_eq!(smarthost.record().messages.len(), 1, "the original went once");
    assert_eq!(site.shelf("queue").len(), 1, "the copy waits");
    fs::remove_file(&place).unwrap();
    assert!(site.run(&["flush"]).status.success());
    assert!(site.shelf("queue").is_empty(), "{}", site.states());
    assert_eq!((names(&place.join("new")).len(), smarthost.record().messages.len()), (1, 1));
}

#[test]
fn a_message_that_its_recipients_refuse_is_archived_all_the_same() {
    let script = Script::new().refuses("bob@example.net", "550 5.1.1 no such user");
    let smarthost = FakeSmarthost::start(script.refuses("amy@example.net", "550 5.1.1 no such user"));
    let folder = tempfile::tempdir().unwrap();
    let site = site(&smarthost, &format!("maildir:{}", folder.path().display()));
    submit(&site, "refused");
    for _ in 0..2 {
        assert!(site.run(&["flush"]).status.success());
    }
    assert!(site.shelf("queue").is_empty(), "{}", site.states());
    assert_eq!(names(&folder.path().join("new")).len(), 1);
    let record = smarthost.record();
    assert_eq!(record.messages.len(), 1, "the notice");
    assert!(!String::from_utf8_lossy(&record.messages[0]).contains(ARCHIVE));
}
