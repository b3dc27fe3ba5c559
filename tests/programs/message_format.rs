//! Messages that are not as RFC 5322 has it, to smtpd as it is built: noted, repaired or refused, and always told.

use std::fs;

use crate::site::Site;

fn site(check: &str) -> Site {
    let site = Site::new("");
    let text = fs::read_to_string(site.config()).unwrap();
    let text =
        text.replace("[message]\n", &format!("default_domain = \"example.lan\"\n[message]\nrfc5322 = \"{check}\"\n"));
    fs::write(site.config(), text).unwrap();
    site
}

/// What a device with firmware of its own may send.
const UGLY: &[u8] = b"From: HP Scan [lab] <scan@example.lan>\r\nTo: root\r\nSubject: one\r\nSubject: two\x07\r\n\
    Date: 30/11/2026 18:00\r\n\r\nhello\r\n";

#[test]
fn an_ugly_header_is_repaired_and_explain_and_log_say_how() {
    let site = site("repair");
    let smtpd = site.listen(&[]);
    smtpd.client().submit("scan@example.lan", &["root@example.lan"], UGLY);
    smtpd.wait_for_log("sent a message that is irregular: RFC 5322: control characters of the header became ?");
    let id = site.shelf("queue")[0].split('.').next().unwrap().to_owned();
    let explained = String::from_utf8_lossy(&site.run(&["explain", &id]).stdout).into_owned();
    assert!(explained.contains("all Subject fields but the first became X-Duplicate-Subject"), "{explained}");
    assert!(site.run(&[]).status.success());
    let delivered = String::from_utf8_lossy(&site.delivered()[0]).into_owned();
    for line in [
        "From: \"HP Scan [lab]\" <scan@example.lan>\r\n",
        "\r\nTo: root@example.lan\r\n",
        "Subject: one\r\n",
        "X-Duplicate-Subject: two?\r\n",
        "X-Unparsed-Date: 30/11/2026 18:00\r\n",
        "\r\n\r\nhello\r\n",
    ] {
        assert_eq!(delivered.matches(line).count(), 1, "{line} in {delivered}");
    }
    assert_eq!(delivered.matches("\r\nDate: ").count(), 1, "{delivered}");
}

#[test]
fn a_check_that_refuses_says_all_that_is_wrong() {
    let site = site("refuse");
    let smtpd = site.listen(&[]);
    let mut client = smtpd.client();
    client.expect("EHLO device", "250");
    for (message, expected) in [
        (UGLY, "2 Subject fields; a Date field that is no date; a From field that is no list of addresses; a To field"),
        (b"From: a@b\r\n\r\n".as_slice(), ""),
        (
            &[b"From: a@b\r\n\r\n".as_slice(), &b"x".repeat(2_000), b"\r\n"].concat(),
            "a line of more than 998 octets in the body",
        ),
    ] {
        client.expect("MAIL FROM:<a@example.lan>", "250");
        client.expect("RCPT TO:<b@example.lan>", "250");
        client.expect("DATA", "354");
        client.send(&[message, b".\r\n"].concat());
        let reply = client.reply();
        match expected {
            "" => assert!(reply.starts_with("250"), "{reply}"),
            _ => assert!(
                reply.contains("554 5.6.0 ") && reply.contains(expected) && reply.contains("message.rfc5322"),
                "{reply}"
            ),
        }
    }
    assert_eq!(site.shelf("queue").len(), 1);
}

#[test]
fn a_check_that_notes_changes_nothing() {
    let site = site("note");
    let smtpd = site.listen(&[]);
    let long = [UGLY, &b"x".repeat(2_000), b"\r\n"].concat();
    smtpd.client().submit("scan@example.lan", &["root@example.lan"], &long);
    smtpd.wait_for_log("not as RFC 5322 has it: 2 Subject fields; a Date field");
    smtpd.wait_for_log("not as RFC 5322 has it: a line of more than 998 octets in the body");
    let id = site.shelf("queue")[0].split('.').next().unwrap().to_owned();
    let explained = String::from_utf8_lossy(&site.run(&["explain", &id]).stdout).into_owned();
    assert!(explained.contains("2 Subject fields") && explained.contains("octets in the body"), "{explained}");
    assert!(site.run(&[]).status.success());
    let delivered = site.delivered();
    assert!(delivered[0].ends_with(&long), "{}", String::from_utf8_lossy(&delivered[0]));
}

#[test]
fn a_message_without_a_header_gets_one_where_that_is_repaired() {
    let site = site("repair");
    let smtpd = site.listen(&[]);
    smtpd.client().submit("ups@example.lan", &["root@example.lan"], b"on battery\r\nsince 10 o'clock\r\n");
    assert!(site.run(&[]).status.success());
    let delivered = String::from_utf8_lossy(&site.delivered()[0]).into_owned();
    assert!(delivered.ends_with("From: ups@example.lan\r\n\r\non battery\r\nsince 10 o'clock\r\n"), "{delivered}");
}
