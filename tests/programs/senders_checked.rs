//! SPF by smtpd as it is built, against the DNS laboratory; XCLIENT makes strangers of this host.

use std::process::Output;

use crate::site::Site;

/// A relay for `example.com`, to which strangers may come.
fn site(more: &str) -> Site {
    Site::new(&format!(
        "[clients]\nnetworks = [\"0.0.0.0/0\", \"::/0\"]\nxclient = [\"127.0.0.0/8\"]\n[recipients]\nallow = \
         [\"@example.com\"]\n{more}"
    ))
}

fn said(output: Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_build_without_the_dns_says_that_senders_cannot_be_checked() {
    let site = site("[authentication]\nspf = \"note\"\nspf_helo = { \"0.0.0.0/0\" = \"refuse\" }\n");
    let told = said(site.smtpd().arg("--check").output().unwrap());
    for key in ["authentication.spf", "authentication.spf_helo"] {
        let fault = told.contains(&format!("{key} needs the DNS, and this leafmail was built without"));
        assert_eq!(fault, !cfg!(feature = "dns"), "{told}");
    }
}

#[cfg(feature = "dns")]
mod by_the_dns {
    use super::*;
    use crate::client::Client;
    use crate::site::Running;
    use crate::support::peers::dns_lab::{DnsLab, Signed, Zone};

    const MESSAGE: &[u8] = b"From: a@good.test\r\nTo: a@example.com\r\nSubject: x\r\n\r\nhello\r\n";

    /// With a record of 20,000 octets, which comes by TCP, one that leads to itself, and names that macros make.
    fn zones(large: &str) -> [Zone<'_>; 4] {
        [
            (
                "good.test",
                Signed::Secure,
                "@ TXT \"v=spf1 mx a:host.good.test exp=why.good.test -all\"\n@ MX 10 mx\nmx A 203.0.113.9\nmx AAAA 2001:db8::9\nhost A \
                 203.0.113.10\nwhy TXT \"%{i} sends no mail of %{d}\"\nmx TXT \"v=spf1 a -all\"\nsoft TXT \"v=spf1 ~all\"\nloop TXT \
                 \"v=spf1 include:loop.good.test -all\"\nslow TXT \"v=spf1 include:silent.test -all\"\nforged TXT \"v=spf1 \
                 include:bogus.test -all\"\nmacro TXT \"v=spf1 exists:%{l}.%{ir}._spf.good.test -all\"\njoe+tag.9.113.0.203._spf A 127.0.0.2\n",
            ),
            ("plain.test", Signed::Insecure, "@ TXT \"v=spf1 redirect=good.test\"\n"),
            ("bogus.test", Signed::Bogus, "@ TXT \"v=spf1 +all\"\n"),
            ("large.test", Signed::Insecure, large),
        ]
    }

    fn large() -> String {
        let more = "\"ip4:198.51.100.7 ip4:198.51.100.8 ip4:198.51.100.9 \" ".repeat(400);
        format!("@ TXT \"v=spf1 \" {more} \"ip4:203.0.113.9 -all\"\n")
    }

    /// A client at this address that said its name, and may begin a transaction.
    fn stranger(smtpd: &Running, address: &str, helo: &str) -> Client {
        let mut client = smtpd.client();
        client.expect("EHLO proxy", "250");
        client.expect(&format!("XCLIENT ADDR={address}"), "220");
        client.expect(&format!("EHLO {helo}"), "250");
        client
    }

    /// The client, the name in HELO, the sender, and the reply to MAIL.
    type Case = (&'static str, &'static str, &'static str, &'static str);

    fn go(smtpd: &Running, (address, helo, from, expected): Case) {
        let mut client = stranger(smtpd, address, helo);
        client.send(format!("MAIL FROM:<{from}>\r\n").as_bytes());
        let reply = client.reply();
        assert!(reply.starts_with(expected), "{address} {helo} {from}: {reply}\n{}", smtpd.log());
    }

    const GOOD: &str = "203.0.113.9";
    const BAD: &str = "198.51.100.1";

    #[test]
    fn a_client_that_the_domain_does_not_permit_is_refused_and_trouble_is_deferred() {
        let large = large();
        let Some(lab) = DnsLab::start(&zones(&large)) else { return };
        let site = site(&format!(
            "[authentication]\nspf = \"refuse\"\nspf_helo = {{ \"203.0.113.0/24\" = \"refuse\" }}\n[limits]\nrefusals = \
             0\n{}timeout = \"2s\"\n",
            lab.section()
        ));
        let smtpd = site.listen(&[]);
        for case in [
            (GOOD, "mx.good.test", "a@good.test", "250"),
            ("IPV6:2001:db8::9", "x", "a@good.test", "250"),
            ("203.0.113.10", "x", "a@plain.test", "250"),
            (BAD, "x", "a@good.test", "550-5.7.23 good.test says by SPF that 198.51.100.1 may not send its mail"),
            (BAD, "x", "a@plain.test", "550-5.7.23 "),
            (BAD, "x", "a@soft.good.test", "250"),
            (BAD, "x", "a@loop.good.test", "250"),
            (BAD, "x", "a@gone.test", "250"),
            (GOOD, "x", "joe+tag@macro.good.test", "250"),
            (GOOD, "x", "ann@macro.good.test", "550 5.7.23 "),
            (GOOD, "x", "a@large.test", "250"),
            (BAD, "x", "a@large.test", "550 5.7.23 "),
            (BAD, "x", "a@bogus.test", "451 4.4.3 "),
            (BAD, "x", "a@forged.good.test", "451 4.4.3 "),
            (BAD, "x", "a@silent.test", "451 4.4.3 "),
            (BAD, "x", "a@slow.good.test", "451 4.4.3 "),
            (BAD, "x", "a@servfail.test", "451 4.4.3 "),
            // The name in HELO, which stands for the sender of a notification.
            ("203.0.113.10", "mx.good.test", "a@good.test", "550 5.7.23 mx.good.test says"),
            (BAD, "mx.good.test", "a@gone.test", "250"),
            (BAD, "mx.good.test", "", "550 5.7.23 "),
            (GOOD, "mx.good.test", "", "250"),
            // This site.
            ("192.168.1.1", "x", "a@good.test", "250"),
        ] {
            go(&smtpd, case);
        }
        let mut client = stranger(&smtpd, BAD, "x");
        client.send(b"MAIL FROM:<a@good.test>\r\n");
        let reply = client.reply();
        assert!(reply.contains("good.test explains: 198.51.100.1 sends no mail of good.test"), "{reply}");
        lab.kill();
        go(&smtpd, ("203.0.113.77", "x", "a@other.test", "451 4.4.3 "));
        smtpd.wait_for_log("where a check may refuse, clients are deferred with 451");
        let told = said(site.run(&["doctor"]));
        assert!(told.contains("fault answer: looking up MX of"), "{told}");
    }

    #[test]
    fn what_spf_says_is_in_the_header_and_explain_shows_it() {
        let Some(lab) = DnsLab::start(&zones("")) else { return };
        let section = lab.section();
        let site = site(&format!("[authentication]\nspf = \"note\"\nspf_helo = \"note\"\n{section}timeout = \"2s\"\n"));
        let smtpd = site.listen(&[]);
        let mut client = stranger(&smtpd, BAD, "mx.good.test");
        client.expect("MAIL FROM:<a@good.test>", "250");
        client.expect("RCPT TO:<a@example.com>", "250");
        client.expect("DATA", "354");
        client.finish(MESSAGE);
        let [file] = &site.shelf("queue")[..] else { panic!("{:?}", site.shelf("queue")) };
        let id = file.split('.').next().unwrap();
        let told = said(site.run(&["explain", id]));
        for expected in [
            "SPF: the sender's domain good.test says fail (-all)",
            "SPF: the name in HELO mx.good.test says fail (-all)",
        ] {
            assert!(told.contains(expected), "{expected}: {told}");
        }
        smtpd.wait_for_log("[198.51.100.1] noted: SPF: the sender's domain good.test says fail");
        assert!(site.run(&[]).status.success());
        let text = String::from_utf8_lossy(&site.delivered()[0]).into_owned();
        let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what} in {text}"));
        let field =
            at("Received-SPF: fail (relay.example: 198.51.100.1 is checked against good.test) identity=mailfrom;");
        assert!(field < at("Received: from"), "RFC 7208 9.1: above our Received");
        assert!(text.contains("identity=helo; receiver=relay.example; client-ip=198.51.100.1;"), "{text}");
        let told = said(site.run(&["doctor"]));
        assert!(told.contains("name servers ok answer: they answer"), "{told}");
    }
}
