//! Checks of strangers by smtpd as it is built, against the DNS laboratory; XCLIENT makes strangers of this host.

use std::process::Output;

use crate::client::Client;
use crate::site::{Running, Site};

const MESSAGE: &[u8] = b"Subject: x\r\n\r\nhello\r\n";

/// A relay for `example.com`, to which strangers may come.
fn site(more: &str) -> Site {
    Site::new(&format!(
        "[clients]\nnetworks = [\"0.0.0.0/0\", \"::/0\"]\nxclient = [\"127.0.0.0/8\"]\n[recipients]\nallow = [\"@example.com\", \
         \"@gone.test\", \"@good.test\"]\n{more}"
    ))
}

/// A client at this address that said its name, and may begin a transaction.
fn stranger(smtpd: &Running, address: &str, helo: &str) -> Client {
    let mut client = smtpd.client();
    client.expect("EHLO proxy", "250");
    client.expect(&format!("XCLIENT ADDR={address}"), "220");
    client.expect(&format!("EHLO {helo}"), "250");
    client
}

fn said(output: Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn a_build_without_the_feature_says_so_and_checks_characters_all_the_same() {
    let dns = site("[checks]\nsender_domain = { \"0.0.0.0/0\" = \"note\" }\n[[dnsbl]]\nzone = \"bl.test\"\n");
    let told = said(dns.smtpd().arg("--check").output().unwrap());
    if cfg!(feature = "dns") {
        assert!(told.contains("leafmail.toml"), "{told}");
    } else {
        assert!(told.contains("checks.sender_domain needs the DNS, and this leafmail was built without"), "{told}");
        assert!(told.contains("dnsbl needs the DNS"), "{told}");
    }
    let site = site("");
    let smtpd = site.listen(&[]);
    let mut client = stranger(&smtpd, "203.0.113.66", "x");
    client.submit("joe..doe@x.example", &["a@example.com"], MESSAGE);
    let mut client = stranger(&smtpd, "192.168.1.66", "x");
    client.submit("joe..doe@x.example", &["a@example.com"], MESSAGE);
    let told: Vec<String> = site.shelf("queue").iter().map(|file| said(site.run(&["explain", id(file)]))).collect();
    let notes = told.iter().filter(|told| told.contains("the sender joe..doe@x.example has a dot")).count();
    assert_eq!((told.len(), notes), (2, 1), "only the stranger is checked: {told:?}");
}

fn id(file: &str) -> &str {
    file.split('.').next().unwrap()
}

#[cfg(feature = "dns")]
mod by_the_dns {
    use super::*;
    use crate::support::peers::dns_lab::{DnsLab, Signed, Zone};

    const ZONES: [Zone<'static>; 6] = [
        (
            "good.test",
            Signed::Secure,
            "@ MX 10 mx\nmx A 203.0.113.9\nnull MX 0 .\n@ AAAA 2001:db8::9\nplain A 203.0.113.10\ntext TXT x\n",
        ),
        ("plain.test", Signed::Insecure, "@ MX 10 mx.good.test.\n"),
        ("bogus.test", Signed::Bogus, "@ MX 10 mx\nmx A 203.0.113.9\n"),
        ("113.0.203.in-addr.arpa", Signed::Insecure, "9 PTR mx.good.test.\n10 PTR elsewhere.test.\n"),
        (
            "bl.test",
            Signed::Insecure,
            "2.0.0.127 A 127.0.0.2\n66.113.0.203 A 127.0.0.4\n66.113.0.203 TXT \"open proxy\\013\\010see https://bl.test\"\n\
         6.6.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2 A 127.0.0.2\n",
        ),
        ("stop.test", Signed::Insecure, "* A 127.255.255.254\n"),
    ];

    /// The client, the name in HELO, the sender, the recipient, and the reply that it gets at last.
    type Case = (&'static str, &'static str, &'static str, &'static str, &'static str);

    fn go(smtpd: &Running, (address, helo, from, to, expected): Case) {
        let mut client = stranger(smtpd, address, helo);
        client.send(format!("MAIL FROM:<{from}>\r\n").as_bytes());
        let mut reply = client.reply();
        if reply.starts_with("250") {
            client.send(format!("RCPT TO:<{to}>\r\n").as_bytes());
            reply = client.reply();
        }
        assert!(reply.starts_with(expected), "{address} {helo} {from} {to}: {reply}\n{}", smtpd.log());
    }

    const GOOD: &str = "203.0.113.9";
    const MX: &str = "mx.good.test";

    #[test]
    fn each_check_refuses_what_it_finds_and_defers_in_each_kind_of_trouble() {
        let Some(lab) = DnsLab::start(&ZONES) else { return };
        let site = site(&format!(
            "[checks]\nhelo_resolvable = \"refuse\"\nsender_domain = \"refuse\"\nrecipient_domain = \"refuse\"\nhelo_verified = {{ \
             \"203.0.113.0/24\" = \"refuse\" }}\n[limits]\nrefusals = 0\n{}timeout = \"2s\"\n[[route]]\nname = \"own\"\nrecipients = \
             [\"@inside.example.com\"]\nurl = \"maildir:inside\"\n",
            lab.section()
        ));
        let smtpd = site.listen(&[]);
        let elsewhere = "198.51.100.1";
        for case in [
            (GOOD, MX, "a@good.test", "a@example.com", "250"),
            (GOOD, MX, "a@plain.test", "a@example.com", "250"),
            (GOOD, MX, "", "a@example.com", "250"),
            (GOOD, MX, "a@plain.good.test", "a@example.com", "250"),
            (elsewhere, "plain.test", "a@good.test", "a@example.com", "250"),
            // HELO.
            (elsewhere, "gone.test", "a@good.test", "a@example.com", "550 5.7.1 "),
            (elsewhere, "[192.0.2.1]", "a@good.test", "a@example.com", "550 5.7.1 "),
            (elsewhere, "text.good.test", "a@good.test", "a@example.com", "550 5.7.1 "),
            (GOOD, "plain.test", "a@good.test", "a@example.com", "550 5.7.25 "),
            ("203.0.113.10", "plain.good.test", "a@good.test", "a@example.com", "550 5.7.25 "),
            ("203.0.113.11", "plain.good.test", "a@good.test", "a@example.com", "550 5.7.25 "),
            // Senders.
            (GOOD, MX, "a@gone.test", "a@example.com", "550 5.1.8 "),
            (GOOD, MX, "a@gone.good.test", "a@example.com", "550 5.1.8 "),
            (GOOD, MX, "a@text.good.test", "a@example.com", "550 5.1.8 "),
            (GOOD, MX, "a@null.good.test", "a@example.com", "550 5.7.27 "),
            // Bogus, SERVFAIL, silent.
            (GOOD, MX, "a@bogus.test", "a@example.com", "451 4.4.3 "),
            (GOOD, MX, "a@servfail.test", "a@example.com", "451 4.4.3 "),
            (GOOD, MX, "a@silent.test", "a@example.com", "451 4.4.3 "),
            (elsewhere, "mx.bogus.test", "a@good.test", "a@example.com", "451 4.4.3 "),
            (elsewhere, "x.silent.test", "a@good.test", "a@example.com", "451 4.4.3 "),
            (elsewhere, "x.servfail.test", "a@good.test", "a@example.com", "451 4.4.3 "),
        ] {
            go(&smtpd, case);
        }
        // Nobody of this site is asked for anything.
        smtpd.client().submit("a@gone.test", &["a@example.com"], MESSAGE);
        smtpd.wait_for_log("checks: looking up ");
        // Unreachable.
        lab.kill();
        go(&smtpd, (GOOD, MX, "a@another.test", "a@example.com", "451 4.4.3 "));
    }

    #[test]
    fn the_domains_of_recipients_are_looked_up_unless_the_configuration_names_them() {
        let Some(lab) = DnsLab::start(&ZONES) else { return };
        let site = Site::new(&format!(
            "[checks]\nrecipient_domain = \"refuse\"\nown_clients = true\n{}timeout = \"2s\"\n[[route]]\nname = \"own\"\n\
             recipients = [\"@inside.test\"]\nurl = \"maildir:inside\"\n",
            lab.section()
        ));
        site.set_first("default_domain = \"relay.test\"");
        let smtpd = site.listen(&[]);
        let mut client = smtpd.client();
        client.expect("EHLO x", "250");
        client.expect("MAIL FROM:<>", "250");
        for (to, expected) in [
            ("a@good.test", "250"),
            ("a@inside.test", "250"),
            ("a@relay.test", "250"),
            ("a@gone.test", "550 5.1.2 "),
            ("a@null.good.test", "556 5.1.10 "),
            ("a@bogus.test", "451 4.4.3 "),
            ("a@silent.test", "451 4.4.3 "),
        ] {
            client.expect(&format!("RCPT TO:<{to}>"), expected);
        }
    }

    #[test]
    fn a_check_that_notes_accepts_and_explain_shows_what_it_found() {
        let Some(lab) = DnsLab::start(&ZONES) else { return };
        let site = site(&format!(
            "[checks]\nhelo_resolvable = \"note\"\nsender_domain = \"note\"\ndnsbl = \"note\"\n[[dnsbl]]\nzone = \"bl.test\"\n{}",
            lab.section()
        ));
        let smtpd = site.listen(&[]);
        let mut client = stranger(&smtpd, "203.0.113.66", "gone.test");
        client.expect("MAIL FROM:<a@bogus.test>", "250");
        client.expect("RCPT TO:<a@example.com>", "250");
        client.expect("DATA", "354");
        client.finish(MESSAGE);
        let [file] = &site.shelf("queue")[..] else { panic!("{:?}", site.shelf("queue")) };
        let told = said(site.run(&["explain", id(file)])).split_whitespace().collect::<Vec<_>>().join(" ");
        for expected in [
            "203.0.113.66 is listed by bl.test (open proxy??see https://bl.test)",
            "the name gone.test in HELO is not in the DNS",
            "checks.sender_domain could not be checked: looking up MX of bogus.test",
        ] {
            assert!(told.contains(expected), "{expected}: {told}");
        }
        smtpd.wait_for_log("[203.0.113.66] noted: 203.0.113.66 is listed by bl.test");
    }

    #[test]
    fn a_client_on_a_list_is_refused_and_doctor_asks_the_test_points() {
        let Some(lab) = DnsLab::start(&ZONES) else { return };
        let site = site(&format!(
            "[[dnsbl]]\nzone = \"bl.test\"\n[[dnsbl]]\nzone = \"stop.test\"\nno_answer = \"accept\"\n{}timeout = \"2s\"\n",
            lab.section()
        ));
        let smtpd = site.listen(&[]);
        let listed = "550 5.7.1 203.0.113.66 is listed by bl.test (open proxy??see https://bl.test); the relay asks";
        go(&smtpd, ("203.0.113.66", "x", "a@x.test", "a@example.com", listed));
        go(&smtpd, ("IPV6:2001:db8::66", "x", "a@x.test", "a@example.com", "550 5.7.1 2001:db8::66 is listed"));
        go(&smtpd, (GOOD, "x", "a@x.test", "a@example.com", "250"));
        smtpd.wait_for_log("stop.test: it answers 127.255.255.254");
        let told = said(site.run(&["doctor"])).split_whitespace().collect::<Vec<_>>().join(" ");
        for expected in [
            "name servers ok answer: they answer",
            "dnsbl bl.test ok test points: it has 127.0.0.2",
            "dnsbl stop.test fault test points: looking up stop.test: it answers 127.255.255.254",
        ] {
            assert!(told.contains(expected), "{expected}: {told}");
        }
        lab.kill();
        go(&smtpd, ("203.0.113.99", "x", "a@x.test", "a@example.com", "451 4.4.3 "));
        let told = said(site.run(&["doctor"]));
        assert!(told.contains("fault     answer: looking up MX of relay.example"), "{told}");
    }
}
