//! Clients whose lines end in something else than CR LF: what is repaired, what they get for an answer, and whom an exception serves.

use std::time::{Duration, Instant};

use crate::client::{Client, original};
use crate::site::{Running, Site, wait_until};

/// A transaction up to the 354 by a client that ends its commands like that.
fn begun(smtpd: &Running, line_end: &str) -> Client {
    let mut client = smtpd.client();
    for (line, code) in [("HELO plc", "250"), ("MAIL FROM:<a@b.c>", "250"), ("RCPT TO:<c@d.e>", "250"), ("DATA", "354")]
    {
        client.send(format!("{line}{line_end}").as_bytes());
        let reply = client.reply();
        assert!(reply.starts_with(code), "{line}{}: {reply}", line_end.escape_default());
    }
    client
}

fn only_delivered(site: &Site) -> String {
    wait_until("a message", || site.delivered().len() == 1);
    let message = site.delivered().remove(0);
    std::fs::remove_dir_all(site.inbox().join("new")).unwrap();
    std::fs::create_dir(site.inbox().join("new")).unwrap();
    String::from_utf8(original(&message).to_vec()).unwrap()
}

#[test]
fn every_kind_of_line_end_is_mended_on_demand() {
    let site = Site::new("");
    let text = std::fs::read_to_string(site.config()).unwrap();
    std::fs::write(site.config(), text.replace("[message]\n", "[message]\nbare_newline = \"normalize\"\n")).unwrap();
    let smtpd = site.listen(&["--deliver"]);
    for (commands, sent, expected) in [
        ("\r\r\n", "Subject: x\r\r\n\r\r\nhello\r\r\n\r\n.\r\n", "Subject: x\r\n\r\nhello\r\n\r\n"),
        ("\r\n", "Subject: x\r\n\r\n10%\r20%\r\r30%\r\n.\r\n", "Subject: x\r\n\r\n10%\r\n20%\r\n\r\n30%\r\n"),
        ("\n", "Subject: x\n\nhello\n.\n..more\n\r\n.\r\n", "Subject: x\r\n\r\nhello\r\n.\r\n..more\r\n\r\n"),
        ("\r\n", "Subject: x\r\rhello\r.\rmore\r\r\n.\r\n", "Subject: x\r\n\r\nhello\r\n.\r\nmore\r\n"),
    ] {
        let mut client = begun(&smtpd, commands);
        client.send(sent.as_bytes());
        let reply = client.reply();
        assert!(reply.starts_with("250 "), "{}: {reply}", sent.escape_default());
        assert_eq!(only_delivered(&site), expected);
    }
}

#[test]
fn without_that_the_refusal_names_the_setting_and_commands_are_understood() {
    let site = Site::new("");
    let smtpd = site.listen(&[]);
    for sent in ["x: y\r\r\n\r\n.\r\n", "x: y\r\n\r\na\rb\r\n.\r\n", "x: y\n\r\n.\r\n"] {
        let mut client = begun(&smtpd, "\r\r\n");
        client.send(sent.as_bytes());
        let reply = client.reply();
        assert!(reply.starts_with("550 5.5.2 ") && reply.contains("message.bare_newline = \"normalize\""), "{reply}");
        client.expect("NOOP", "250");
    }
}

#[test]
fn a_client_that_waits_after_a_false_end_is_told_soon_what_is_missing() {
    let site = Site::new("");
    let smtpd = site.listen(&[]);
    let smtpd = &smtpd;
    let cases = [
        ("Subject: x\n\nhello\n.\n", "LF alone"),
        // As `printf ... | nc` sends it.
        ("Subject: x\n\nhello\n.\nQUIT\n", "LF alone"),
        ("Subject: x\r\n\r\nhello\r\n.\n", "LF alone"),
        ("Subject: x\r\r\n\r\r\nhello\r\r\n.\r\r\n", "CR CR LF"),
        ("Subject: x\r\rhello\r.\r", "CR alone"),
    ];
    std::thread::scope(|scope| {
        for (sent, told) in cases {
            scope.spawn(move || {
                let mut client = begun(smtpd, "\n");
                client.send(sent.as_bytes());
                let reply = client.reply();
                let told = format!("lines that end in {told} do not end it");
                assert!(reply.starts_with("421 4.5.2 ") && reply.contains(&told), "{}: {reply}", sent.escape_default());
                assert_eq!(reply.contains("clients.lf_only"), told.contains("LF alone"), "{reply}");
                assert_eq!(client.rest(), "", "what follows might be a command to it, and text to others");
            });
        }
    });
    // Once a minute for one address.
    smtpd.wait_for_log("do not end it; set the client to end lines with CR LF");
    assert!(site.shelf("queue").is_empty());
}

#[test]
fn who_leaves_after_a_false_end_leaves_a_line_that_says_why() {
    let site = Site::new("");
    let smtpd = site.listen(&[]);
    let mut client = begun(&smtpd, "\n");
    client.send(b"Subject: x\n\nhello\n.\nQUIT\n");
    drop(client);
    smtpd.wait_for_log("list it in clients.lf_only");
    let mut client = begun(&smtpd, "\r\n");
    client.send(b"Subject: x\r\n\r\nhello\r\n");
    drop(client);
    wait_until("two lost connections", || smtpd.log().matches("lost connection").count() == 2);
    assert_eq!(smtpd.log().matches("clients.lf_only").count(), 1, "{}", smtpd.log());
}

#[test]
fn a_message_that_pauses_anywhere_else_is_waited_for() {
    let site = Site::new("");
    let smtpd = site.listen(&["--deliver"]);
    let mut client = begun(&smtpd, "\r\n");
    let begin = Instant::now();
    client.send(b"Subject: x\r\n\r\nhello\r\n..\r\n.");
    // Longer than after a false end.
    std::thread::sleep(Duration::from_secs(7).saturating_sub(begin.elapsed()));
    client.send(b"\r\n");
    assert!(client.reply().starts_with("250 "));
    assert_eq!(only_delivered(&site), "Subject: x\r\n\r\nhello\r\n.\r\n");
}

#[test]
fn who_is_listed_may_end_all_lines_in_lf_and_nobody_else() {
    let site = Site::new("[clients]\nlf_only = [\"127.0.0.1\"]\n");
    let smtpd = site.listen(&["--deliver"]);
    for commands in ["\n", "\r\n"] {
        let mut client = begun(&smtpd, commands);
        client.send(b"Subject: x\n\n..hello\n.\nNOOP\n");
        assert!(client.reply().starts_with("250 "), "the message");
        assert!(client.reply().starts_with("250 "), "the command behind it");
        assert_eq!(only_delivered(&site), "Subject: x\r\n\r\n.hello\r\n");
    }
    let mut client = begun(&smtpd, "\n");
    client.send(b"Subject: x\r\n\nhello\n.\n");
    let reply = client.reply();
    assert!(reply.starts_with("421 4.5.2 ") && reply.contains("does not help"), "{reply}");
    let mut client = begun(&smtpd, "\r\n");
    client.send(b"Subject: x\r\n\r\nhello\r\n.\r\n");
    assert!(client.reply().starts_with("250 "), "a good message of a listed client is one");
    assert_eq!(only_delivered(&site), "Subject: x\r\n\r\nhello\r\n");

    let site = Site::new("[clients]\nlf_only = [\"192.168.1.44\"]\n[limits]\nidle = \"1s\"\noverload_idle = \"1s\"\n");
    let smtpd = site.listen(&[]);
    let mut client = begun(&smtpd, "\n");
    client.send(b"Subject: x\n\nhello\n.\n");
    assert!(client.reply().starts_with("421 4.5.2 "), "it is another");
}
