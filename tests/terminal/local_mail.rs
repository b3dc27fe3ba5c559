//! `sendmail` and `mailq` on a terminal: a message is typed, and mistakes are answered in words.

use crate::support::site::Site;
use crate::support::terminal::{Shown, Terminal};

fn smtpd(site: &Site, columns: u16, arguments: &[&str]) -> Shown {
    let mut command = site.smtpd();
    command.args(arguments);
    Terminal::open(columns, 24).run(command)
}

#[test]
fn a_message_can_be_typed_and_is_listed() {
    for columns in [80, 120] {
        let site = Site::new("");
        // Makes the spool.
        drop(site.listen(&[]));
        let mut shown = smtpd(&site, columns, &["sendmail", "-i", "bob@example.com"]);
        for line in ["Subject: typed", "", "It works."] {
            shown.type_line(line);
        }
        shown.press("\u{4}");
        assert_eq!(shown.wait(), 0, "{}", shown.page());
        assert_eq!(site.shelf("queue").len(), 1);
        let mut listed = smtpd(&site, columns, &["sendmail", "-bp"]);
        assert_eq!(listed.wait(), 0, "{}", listed.page());
        listed.wait_for("bob@example.com");
    }
}

#[test]
fn no_recipient_is_said() {
    let site = Site::new("");
    let mut shown = smtpd(&site, 80, &["sendmail"]);
    shown.press("\u{4}");
    assert!(shown.wait() > 0, "{}", shown.page());
    assert!(shown.words().contains("recipient"), "{}", shown.page());
}
