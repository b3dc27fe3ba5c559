//! Open relay: whatever a stranger says, and however leniently it is read, nothing of it is accepted; where recipients are
//! limited, nothing is accepted for others.

use crate::client::Client;
use crate::leniencies::{self, Configuration};
use crate::site::{Running, Site};

/// Who may not connect, as XCLIENT names them.
const STRANGERS: [&str; 8] = [
    "198.51.100.7",
    "8.8.8.8",
    "11.0.0.1",
    "IPV6:2001:db8::7",
    "IPV6:::ffff:8.8.8.8",
    "IPV6:64:ff9b::7f00:1",
    "0.0.0.0",
    "[UNAVAILABLE]",
];

/// What a stranger may try, in any order and form.
const ATTEMPTS: [&str; 6] = [
    "HELO localhost\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@other.example>\r\nDATA\r\nX: y\r\n\r\n.\r\n",
    "EHLO [127.0.0.1]\r\nMAIL FROM:<>\r\nRCPT TO:<postmaster>\r\nBDAT 6 LAST\r\nX: y\r\n",
    "MAIL FROM:<a@example.com>\r\nRCPT TO:<b@other.example>\r\nDATA\r\nX: y\r\n\r\n.\r\n",
    "HELO\nMAIL FROM: a@b.\nRCPT TO: \"x\" <<b@other.example.>>\nDATA\nX: y\n\n.\n",
    "XCLIENT ADDR=127.0.0.1\nHELO x\nMAIL FROM:<a@b>\nRCPT TO:<c@d>\nDATA\nX: y\n\n.\n",
    "EHLO x\r\nAUTH PLAIN AAA=\r\nMAIL FROM:<a@b> AUTH=<>\r\nRCPT TO:<c@d>\r\nDATA\r\nX: y\r\n.\r\n",
];

fn site(configuration: &Configuration, more: &str) -> Site {
    let site = Site::new(&format!("[limits]\nslow_after_errors = 1000\nclose_after_errors = 1000\n{more}"));
    configuration.write(&site);
    site
}

/// The queue, one JSON object a message.
fn queue(site: &Site) -> String {
    String::from_utf8(site.run(&["list", "--json"]).stdout).unwrap()
}

#[test]
fn a_stranger_is_refused_whatever_it_says() {
    for configuration in leniencies::all() {
        let site = site(&configuration, "[clients]\nxclient = [\"127.0.0.1\"]\n");
        let smtpd = site.listen(&[]);
        for stranger in STRANGERS {
            for attempt in ATTEMPTS {
                let mut client = smtpd.client();
                client.send(format!("EHLO x\r\nXCLIENT ADDR={stranger}\r\n").as_bytes());
                client.reply();
                let reply = client.reply();
                assert!(reply.starts_with("554 "), "{}: {stranger}: {reply}", configuration.name);
                client.send(attempt.as_bytes());
                assert_eq!(client.rest(), "", "{}: {stranger}", configuration.name);
            }
        }
        assert_eq!(queue(&site), "", "{}", configuration.name);
    }
}

#[test]
fn a_stranger_behind_a_proxy_is_refused_whatever_it_says() {
    for configuration in leniencies::all() {
        let site = site(&configuration, "[listen]\nproxy_from = [\"127.0.0.1\"]\n");
        let mut command = site.smtpd();
        command.args(["--listen", "proxy:127.0.0.1:0"]);
        let smtpd = Running::start(command);
        smtpd.wait_for_log("listening on");
        let log = smtpd.log();
        let address = log.lines().find_map(|line| line.split("listening on ").nth(1)).unwrap();
        let address = address.trim().trim_start_matches("proxy:").parse().unwrap();
        for (family, stranger) in [("TCP4", "198.51.100.7"), ("TCP4", "8.8.8.8"), ("TCP6", "2001:db8::7")] {
            for attempt in ATTEMPTS {
                let own = if family == "TCP4" { "192.0.2.1" } else { "2001:db8::1" };
                // All at once, so that some of it comes before the greeting.
                let sent = format!("PROXY {family} {stranger} {own} 1025 25\r\n{attempt}QUIT\r\n");
                let replies = Client::unheard(address, sent.as_bytes());
                assert!(replies.starts_with("554 "), "{}: {stranger}: {replies}", configuration.name);
                assert_eq!(replies.lines().count(), 1, "{}: {replies}", configuration.name);
            }
        }
        assert_eq!(queue(&site), "", "{}", configuration.name);
    }
}

#[test]
fn nothing_is_accepted_for_others_than_the_recipients_that_are_allowed() {
    let good = ["<b@example.com>", "<B@EXAMPLE.COM>", "b@example.com"];
    let bad = [
        "<b@other.example>",
        "<b@example.com.other.example>",
        "<b@sub.example.com>",
        "<b%other.example@example.com>",
        "<other.example!b@example.com>",
        "<\"b@other.example\"@example.com>",
        "<@example.com:b@other.example>",
        "<b@other.example.>",
        "<<b@other.example>>",
        "< b@other.example >",
        "\"b@example.com\" <b@other.example>",
        "<b@example.com> <b@other.example>",
        "<b@example.com>,<b@other.example>",
        "b@example.com <b@other.example>",
        "<b@other.example> b@example.com",
        "<b@example.com> ORCPT=rfc822;b@other.example NOTIFY=NEVER <b@other.example>",
        "<b@\u{ff4f}ther.example>",
        "<b@other.example\u{3002}>",
        "<a..b@other.example>",
    ];
    for configuration in leniencies::all() {
        let site = site(&configuration, "[recipients]\nallow = [\"@example.com\"]\n");
        let smtpd = site.listen(&[]);
        for (recipient, allowed) in good.iter().map(|good| (good, true)).chain(bad.iter().map(|bad| (bad, false))) {
            let mut client = smtpd.client();
            client.send(format!("EHLO x\r\nMAIL FROM:<a@example.com> SMTPUTF8\r\nRCPT TO:{recipient}\r\n").as_bytes());
            let replies: Vec<String> = (0..3).map(|_| client.reply()).collect();
            assert!(replies[1].starts_with("250 "), "{replies:?}");
            assert_eq!(replies[2].starts_with("250 "), allowed, "{}: {recipient}: {}", configuration.name, replies[2]);
            client.send(b"DATA\r\nSubject: x\r\n\r\n.\r\nQUIT\r\n");
            assert!(client.rest().contains("221 "));
        }
        let listed = queue(&site);
        assert_eq!(listed.lines().count(), good.len(), "{}: {listed}", configuration.name);
        assert!(!listed.contains("other"), "{}: {listed}", configuration.name);
    }
}
