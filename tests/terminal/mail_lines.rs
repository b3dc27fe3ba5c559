//! What `smtpd` shows of mail that comes: taken, delivered, deferred, bounced, refused, waiting.

use std::fs;
use std::net::SocketAddr;

use crate::support::client::Client;
use crate::support::fake_smarthost::{FakeSmarthost, Script};
use crate::support::site::{Site, free_port};
use crate::support::terminal::{Shown, Terminal};

/// A site whose mail goes to this next hop.
fn relaying_to(url: &str) -> Site {
    let site = Site::new("");
    let text = fs::read_to_string(site.config()).unwrap();
    let inbox = format!("url = \"maildir:{}\"", site.inbox().display());
    fs::write(site.config(), text.replace(&inbox, &format!("url = \"{url}\""))).unwrap();
    site
}

fn smtpd(site: &Site, columns: u16, arguments: &[&str]) -> Shown {
    let mut command = site.smtpd();
    command.args(["--listen", "127.0.0.1:0"]).args(arguments);
    let shown = Terminal::open(columns, 40).run(command);
    shown.wait_for("-T -");
    shown
}

/// Where it says that it takes mail.
fn address(shown: &Shown) -> SocketAddr {
    let words = shown.words();
    words.split("takes mail on ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
}

fn submit(shown: &Shown, recipients: &[&str]) {
    let mut client = Client::connect(address(shown));
    client.submit("joe@example.org", recipients, b"Subject: one\r\n\r\n");
    client.expect("QUIT", "221");
}

/// Ends it by Ctrl-C.
fn stop(mut shown: Shown) -> String {
    shown.ctrl_c();
    assert_eq!(shown.wait(), 0, "{}", shown.page());
    let page = shown.page();
    assert!(!page.contains("leafmail/smtpd["), "no line of the log: {page}");
    page
}

#[test]
fn without_delivering_it_says_that_mail_is_queued_and_how_much_remains() {
    for columns in [80, 120] {
        let site = Site::new("");
        let shown = smtpd(&site, columns, &[]);
        shown.wait_for("`spoolrun watch` or `smtpd --deliver` sends it on");
        submit(&shown, &["bob@example.com"]);
        shown.wait_for("queued joe@example.org > bob@example.com, ");
        submit(&shown, &["bob@example.com", "amy@example.com", "carol@example.com"]);
        shown.wait_for("queued joe@example.org > bob@example.com and 2 more, ");
        let page = stop(shown);
        assert!(page.lines().last().unwrap().starts_with("stopped; 2 messages remain in "), "{page}");
    }
}

#[test]
fn sent_deferred_and_bounced_say_whose_and_why() {
    for columns in [80, 120] {
        let script = Script::new()
            .refuses("nobody@example.com", "550 5.1.1 no such user \u{e9}")
            .refuses("later@example.com", "451 4.2.1 mailbox is busy");
        let smarthost = FakeSmarthost::start(script);
        let site = relaying_to(&format!("smtp://{}?tls=none", smarthost.address));
        let shown = smtpd(&site, columns, &["--deliver"]);
        submit(&shown, &["bob@example.com"]);
        shown.wait_for("sent joe@example.org > bob@example.com, ");
        shown.wait_for("B, to 127.0.0.1");
        submit(&shown, &["nobody@example.com"]);
        shown.wait_for("bounced joe@example.org > nobody@example.com, ");
        shown.wait_for("says: 550 5.1.1 no such user");
        shown.wait_for("the sender is told");
        shown.wait_for("sent (a notice) > joe@example.org, ");
        submit(&shown, &["later@example.com"]);
        shown.wait_for("deferred joe@example.org > later@example.com, ");
        shown.wait_for("says: 451 4.2.1 mailbox is busy");
        assert!(shown.rows().iter().all(|row| row.chars().count() < usize::from(columns)), "{}", shown.page());
        let colours = ["sent     joe", "bounced", "deferred"].map(|text| shown.colour_of(text));
        assert!(colours.iter().all(Option::is_some) && colours[0] != colours[1] && colours[1] != colours[2]);
        let page = stop(shown);
        assert!(page.contains("stopped; 1 message remains in "), "{page}");
    }
}

#[test]
fn a_relay_that_is_down_is_told_with_the_messages_that_wait_for_it() {
    for columns in [80, 120] {
        let site = relaying_to(&format!("smtp://127.0.0.1:{}?tls=none", free_port()));
        let shown = smtpd(&site, columns, &["--deliver"]);
        submit(&shown, &["bob@example.com"]);
        shown.wait_for("paused route relay cannot be used, the next try is in");
        shown.wait_for("Connection refused");
        shown.wait_for("waiting joe@example.org > bob@example.com, ");
        shown.wait_for("; route relay is paused");
        submit(&shown, &["amy@example.com"]);
        shown.wait_for("waiting joe@example.org > amy@example.com, ");
        let page = stop(shown);
        assert!(page.contains("stopped; 2 messages remain in "), "{page}");
        // The next start says why nothing goes on.
        let shown = smtpd(&site, columns, &["--deliver"]);
        shown.wait_for("warning: route relay is paused: ");
    }
}

#[test]
fn refused_clients_and_recipients_are_told_in_plain_words() {
    for columns in [80, 120] {
        let site = Site::new("[recipients]\ndeny = [\"boss@example.com\"]\n");
        let shown = smtpd(&site, columns, &["--deliver"]);
        let mut client = Client::connect(address(&shown));
        client.expect("EHLO \u{1b}[2Jx", "500");
        client.expect("HELO client.example", "250");
        client.expect("MAIL FROM:<joe@example.org>", "250");
        client.expect("RCPT TO:<boss@example.com>", "5");
        shown.wait_for("refused joe@example.org > boss@example.com from 127.0.0.1: ");
        drop(client);
        shown.wait_for("left 127.0.0.1: ");
        let page = stop(shown);
        assert!(!page.contains("[2J") || page.contains("\\u001b[2J"), "{page}");
    }
}

#[test]
fn long_addresses_are_shortened_in_the_middle() {
    let site = Site::new("");
    let shown = smtpd(&site, 80, &["--deliver"]);
    let long = format!("{}@a-very-long-name.example.com", "notifications".repeat(3));
    submit(&shown, &[&long]);
    shown.wait_for("sent joe@example.org > notificat");
    shown.wait_for("...");
    assert!(shown.rows().iter().any(|row| row.contains("example.com, ")), "{}", shown.page());
    stop(shown);
}

#[test]
fn a_client_that_is_served_is_told_of_at_ctrl_c() {
    let site = Site::new("");
    let mut shown = smtpd(&site, 80, &["--deliver"]);
    let mut client = Client::connect(address(&shown));
    client.begin("joe@example.org", &["bob@example.com"]);
    shown.ctrl_c();
    shown.wait_for("stopping: 1 client may finish a message that is being sent");
    client.finish(b"Subject: one\r\n\r\n");
    assert_eq!(shown.wait(), 0, "{}", shown.page());
    let page = shown.page();
    assert!(page.lines().last().unwrap().starts_with("stopped; ") && !page.contains("^C"), "{page}");
}

#[test]
fn a_terminal_that_is_stopped_holds_up_no_mail() {
    let site = Site::new("");
    let mut shown = smtpd(&site, 80, &["--deliver"]);
    // Ctrl-S.
    shown.press("\u{13}");
    let mut client = Client::connect(address(&shown));
    for _ in 0..200 {
        client.submit("joe@example.org", &["bob@example.com"], b"Subject: one\r\n\r\n");
    }
    crate::support::site::wait_until("all are delivered", || site.delivered().len() == 200);
    // Ctrl-Q.
    shown.press("\u{11}");
    shown.wait_for("sent joe@example.org > bob@example.com, ");
    stop(shown);
}

#[test]
fn a_dumb_terminal_gets_words_alone() {
    let site = Site::new("");
    let mut command = site.smtpd();
    command.args(["--listen", "127.0.0.1:0", "--deliver"]);
    let shown = Terminal::open(80, 40).env("TERM", "dumb").run(command);
    shown.wait_for("-T -");
    submit(&shown, &["bob@example.com"]);
    shown.wait_for("sent joe@example.org > bob@example.com, ");
    assert!(!shown.raw().contains(&0x1b), "{}", shown.page());
}
