//! DKIM and DMARC of mail that comes in: the verdicts beside those of python3-dkim and opendkim, and smtpd as it is built against
//! the DNS laboratory.

use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use leafmail::dkim::{DkimVerdict, MessageVerifier};

use crate::have::{have, have_python};
use crate::site::Site;

/// Signs the message on its input: key file, selector, domain, canonical forms.
const SIGNER: &str = r"
import sys, dkim
key, selector, domain, forms = sys.argv[1:]
message = sys.stdin.buffer.read()
forms = tuple(form.encode() for form in forms.split('/'))
names = [b'from', b'to', b'subject', b'from']
field = dkim.sign(message, selector.encode(), domain.encode(), open(key, 'rb').read(), canonicalize=forms, include_headers=names)
sys.stdout.buffer.write(field + message)
";

/// Says whether the signature of each file is right, by the record in the first.
const VERIFIER: &str = r"
import sys, dkim
record = open(sys.argv[1], 'rb').read()
for name in sys.argv[2:]:
    try:
        print(dkim.DKIM(open(name, 'rb').read()).verify(dnsfunc=lambda name, timeout=5: record))
    except dkim.DKIMException:
        print(False)
";

fn said(output: Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A key of RSA in `key.pem`, and the text of its record.
fn make_key(site: &Site, domain: &str) -> String {
    let mut command = site.spoolrun();
    let output = command.args(["dkim-key", domain, "sel", "--key-file", "key.pem"]).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    told.lines().find_map(|line| line.strip_prefix("text: ")).unwrap_or_else(|| panic!("{told}")).to_owned()
}

fn sign(site: &Site, domain: &str, forms: &str, message: &[u8]) -> Vec<u8> {
    let mut python = Command::new("/usr/bin/python3");
    python.args(["-c", SIGNER]).arg(site.path("key.pem")).args(["sel", domain, forms]);
    let mut child = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(message).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    output.stdout
}

/// Whether we find the one signature of a message right.
fn verifies(message: &[u8], record: &str) -> bool {
    let end = message.windows(4).position(|four| four == b"\r\n\r\n").map_or(message.len(), |at| at + 2);
    let mut verifier = MessageVerifier::new(&message[..end], 0);
    message.get(end + 2..).unwrap_or_default().chunks(1000).for_each(|piece| verifier.body(piece));
    verifier.end();
    let outcomes = verifier.verify(&[Some(vec![record.as_bytes().to_vec()])]);
    assert_eq!(outcomes.len(), 1);
    outcomes[0].verdict == DkimVerdict::Pass
}

const HEADER: &str =
    "Received: from x\r\nFrom: Joe  <joe@signed.test>\r\nTo: a@example.com\r\nSubject: a \r\n\tlong  one \r\n\r\n";

/// Messages as they were signed and after changes: of blanks, of letters, of what is signed and what is not.
fn messages(site: &Site) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for forms in ["simple/simple", "simple/relaxed", "relaxed/simple", "relaxed/relaxed"] {
        for body in ["", "\r\n", "Hello\r\n", "a  b \t\r\n\r\n c\r\n\r\n\r\n", "gr\u{fc}n \r\n..\r\nno end of line"] {
            let signed = sign(site, "signed.test", forms, format!("{HEADER}{body}").as_bytes());
            let text = String::from_utf8(signed).unwrap();
            for (from, to) in [
                ("", ""),
                ("Joe  <", "Joe <"),
                ("From:", "FROM:"),
                ("Subject: a \r\n\tlong", "Subject: a long"),
                ("long  one", "long two"),
                ("Received: from x", "Received: from y"),
                ("From: Joe", "From: eve@x.test\r\nFrom: Joe"),
                ("To: a@example.com\r\n", ""),
                ("a  b", "a b"),
                (" \t\r\n", "\r\n"),
                ("Hello", "hello"),
                ("\r\n\r\n\r\n", "\r\n"),
                ("s=sel", "s=sel;"),
                ("d=signed.test", "d=singed.test"),
            ] {
                let at = text.find(from);
                let Some(at) = at.filter(|_| !from.is_empty() || to.is_empty()) else { continue };
                all.push([&text[..at], to, &text[at + from.len()..]].concat().into_bytes());
            }
        }
    }
    all
}

#[test]
fn python3_dkim_and_this_relay_agree_about_signatures_and_changes() {
    if !have_python("dkim") || !have("openssl") {
        return;
    }
    let site = Site::new("");
    let record = make_key(&site, "signed.test");
    fs::write(site.path("record"), &record).unwrap();
    let messages = messages(&site);
    let mut python = Command::new("/usr/bin/python3");
    python.args(["-c", VERIFIER]).arg(site.path("record"));
    for (number, message) in messages.iter().enumerate() {
        let file = site.path(&format!("m{number}"));
        fs::write(&file, message).unwrap();
        python.arg(file);
    }
    let theirs = said(python.output().unwrap());
    let theirs: Vec<bool> = theirs.split(' ').map(|word| word == "True").collect();
    assert_eq!(theirs.len(), messages.len(), "{theirs:?}");
    assert!(theirs.iter().filter(|right| **right).count() > 20 && theirs.contains(&false));
    for (message, theirs) in messages.iter().zip(theirs) {
        assert_eq!(verifies(message, &record), theirs, "{}", String::from_utf8_lossy(message));
    }
}

#[test]
fn opendkim_and_this_relay_agree_about_signatures_and_changes() {
    if !have("opendkim") || !have_python("dkim") || !have("openssl") {
        return;
    }
    let site = Site::new("");
    let record = make_key(&site, "signed.test");
    fs::write(site.path("records"), format!("sel._domainkey.signed.test {record}\n")).unwrap();
    let conf = format!(
        "Syslog no\nLogWhy yes\nMode v\nSocket local:{}\nRequireSafeKeys no\nTestDNSData file:{}\n",
        site.path("socket").display(),
        site.path("records").display()
    );
    fs::write(site.path("opendkim.conf"), conf).unwrap();
    for forms in ["simple/simple", "relaxed/relaxed"] {
        let good = sign(&site, "signed.test", forms, format!("{HEADER}one  line \r\n\r\n").as_bytes());
        let text = String::from_utf8(good).unwrap();
        for (from, to) in [("", ""), ("one  line", "one line"), ("one", "two"), ("Joe  ", "Joe "), ("Joe", "Eve")] {
            let message = text.replacen(from, to, 1);
            fs::write(site.path("message"), &message).unwrap();
            let mut opendkim = Command::new("opendkim");
            opendkim.arg("-x").arg(site.path("opendkim.conf")).arg("-t").arg(site.path("message")).arg("-vv");
            let told = said(opendkim.output().unwrap());
            let theirs = told.contains("verification (s=sel, d=signed.test") && told.contains("succeeded");
            assert_eq!(verifies(message.as_bytes(), &record), theirs, "{from} {to}: {told}\n{message}");
        }
    }
}

#[cfg(feature = "dns")]
mod by_the_dns {
    use super::*;
    use crate::client::Client;
    use crate::site::Running;
    use crate::support::peers::dns_lab::{DnsLab, Signed, Zone};

    const BAD: &str = "198.51.100.1";

    /// A relay for `example.com`, to which strangers may come; its key is that of `signed.test`.
    fn site() -> Site {
        Site::new("")
    }

    fn configure(site: &Site, lab: &DnsLab, authentication: &str) {
        let text = fs::read_to_string(site.config()).unwrap();
        let more = format!(
            "[clients]\nnetworks = [\"0.0.0.0/0\", \"::/0\"]\nxclient = [\"127.0.0.0/8\"]\n[recipients]\nallow = \
             [\"@example.com\"]\n[limits]\nrefusals = 0\n[authentication]\n{authentication}\n{}timeout = \"2s\"\n",
            lab.section()
        );
        fs::write(site.config(), text + &more).unwrap();
    }

    /// In the DNS laboratory: a domain that signs, with a policy; others whose keys are missing, wrong and silent.
    fn lab(record: &str) -> Option<DnsLab> {
        let strings: String =
            record.as_bytes().chunks(200).map(|piece| format!("\"{}\" ", String::from_utf8_lossy(piece))).collect();
        let signed = format!(
            "sel._domainkey TXT {strings}\n@ TXT \"v=spf1 ip4:203.0.113.9 -all\"\n_dmarc TXT \"v=DMARC1; p=reject; sp=quarantine\"\nmail A \
             203.0.113.9\n"
        );
        let zones: [Zone<'_>; 4] = [
            ("signed.test", Signed::Secure, &signed),
            (
                "plain.test",
                Signed::Insecure,
                "sel._domainkey TXT \"v=DKIM1; p=AAAA\"\n_dmarc TXT \"v=DMARC1; p=quarantine\"\n",
            ),
            ("none.test", Signed::Insecure, "@ A 203.0.113.10\n"),
            ("bogus.test", Signed::Bogus, "_dmarc TXT \"v=DMARC1; p=reject\"\nsel._domainkey TXT \"v=DKIM1; p=\"\n"),
        ];
        DnsLab::start(&zones)
    }

    /// Sends a message as a stranger; the reply to its end.
    fn send(smtpd: &Running, address: &str, sender: &str, message: &[u8]) -> String {
        let mut client: Client = smtpd.client();
        client.expect("EHLO proxy", "250");
        client.expect(&format!("XCLIENT ADDR={address}"), "220");
        client.expect("EHLO mx.none.test", "250");
        client.expect(&format!("MAIL FROM:<{sender}>"), "250");
        client.expect("RCPT TO:<a@example.com>", "250");
        client.expect("DATA", "354");
        client.send(&[message, b".\r\n"].concat());
        client.reply()
    }

    fn from(domain: &str) -> Vec<u8> {
        format!("From: joe@{domain}\r\nTo: a@example.com\r\nSubject: x\r\n\r\nhello\r\n").into_bytes()
    }

    #[test]
    fn results_are_above_the_header_and_forged_ones_are_gone() {
        if !have_python("dkim") || !have("openssl") {
            return;
        }
        let site = site();
        let record = make_key(&site, "signed.test");
        let Some(lab) = lab(&record) else { return };
        configure(&site, &lab, "dkim = \"note\"\ndmarc = \"note\"\nspf = \"note\"\nauthserv_id = \"mx.example.com\"");
        let smtpd = site.listen(&[]);
        let forged = "Authentication-Results: mx.example.com; dkim=pass header.d=bank.test\r\nAuthentication-Results: \
                      other.example; dkim=pass\r\nAuthentication-Results: MX.example.com 1; spf=pass\r\n";
        let signed = sign(&site, "signed.test", "relaxed/relaxed", &from("mail.signed.test"));
        let message = [forged.as_bytes(), &signed].concat();
        assert!(send(&smtpd, BAD, "a@none.test", &message).starts_with("250"));
        let [file] = &site.shelf("queue")[..] else { panic!("{:?}", site.shelf("queue")) };
        let told = said(site.run(&["explain", file.split('.').next().unwrap()]));
        for expected in [
            "SPF: the sender's domain none.test says none",
            "DKIM: pass for the signature of signed.test (sel)",
            "DMARC: pass for mail.signed.test (p=quarantine)",
            "A policy added to the header: Authentication-Results: mx.example.com; spf=none smtp.mailfrom=a@none.test; dkim=pass",
        ] {
            assert!(told.contains(expected), "{expected}: {told}");
        }
        assert!(site.run(&[]).status.success());
        let text = String::from_utf8_lossy(&site.delivered()[0]).into_owned();
        let results = "Authentication-Results: mx.example.com;\r\n\tspf=none smtp.mailfrom=a@none.test;\r\n\tdkim=pass \
                       header.d=signed.test header.s=sel header.a=rsa-sha256 header.b=\"";
        let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what} in {text}"));
        assert!(at(results) < at("Received-SPF:") && at("Received-SPF:") < at("Received: from"), "{text}");
        at("\"\r\n".trim_end());
        at("\tdmarc=pass (p=quarantine) header.from=mail.signed.test\r\n");
        at("Authentication-Results: other.example; dkim=pass\r\n");
        assert!(!text.contains("bank.test") && !text.contains("MX.example.com"), "{text}");
        // Too many to remove.
        let many = [forged.lines().next().unwrap(), "\r\n"].concat().repeat(60);
        let reply = send(&smtpd, BAD, "a@none.test", &[many.as_bytes(), &signed].concat());
        assert!(reply.starts_with("554 5.6.0 "), "{reply}");
    }

    #[test]
    fn a_policy_of_dmarc_is_followed_and_trouble_of_the_dns_defers() {
        if !have_python("dkim") || !have("openssl") {
            return;
        }
        let site = site();
        let record = make_key(&site, "signed.test");
        let Some(lab) = lab(&record) else { return };
        configure(&site, &lab, "dmarc = \"refuse\"");
        let smtpd = site.listen(&[]);
        let signed = sign(&site, "signed.test", "relaxed/simple", &from("signed.test"));
        let changed = String::from_utf8(signed.clone()).unwrap().replace("hello", "hallo").into_bytes();
        let elsewhere = sign(&site, "plain.test", "relaxed/simple", &from("signed.test"));
        for (address, sender, message, expected) in [
            (BAD, "a@none.test", &signed, "250"),
            ("203.0.113.9", "a@signed.test", &changed, "250"),
            (BAD, "a@none.test", &changed, "550 5.7.1 neither SPF nor DKIM finds that the message is of signed.test"),
            (BAD, "a@none.test", &elsewhere, "550 5.7.1 "),
            (BAD, "a@signed.test", &from("signed.test"), "550 5.7.1 "),
            (BAD, "a@none.test", &from("none.test"), "250"),
            (BAD, "a@none.test", &from("bogus.test"), "451 4.4.3 "),
            (BAD, "a@none.test", &from("x.silent.test"), "451 4.4.3 "),
            (BAD, "a@bogus.test", &from("signed.test"), "451 4.4.3 "),
            ("192.168.1.1", "a@none.test", &changed, "250"),
        ] {
            let reply = send(&smtpd, address, sender, message);
            assert!(reply.starts_with(expected), "{address} {sender}: {reply}\n{}", smtpd.log());
        }
        assert_eq!(site.shelf("queue").len(), 4);
        assert!(send(&smtpd, BAD, "a@none.test", &from("plain.test")).starts_with("250"));
        assert!(site.run(&[]).status.success());
        let [held] = &site.shelf("hold")[..] else { panic!("{:?}", site.shelf("hold")) };
        let told = said(site.run(&["explain", held.split('.').next().unwrap()]));
        assert!(told.contains("of plain.test, whose DMARC policy is to quarantine it"), "{told}");
    }

    #[test]
    fn a_message_of_which_no_signature_is_right_can_be_refused() {
        if !have_python("dkim") || !have("openssl") {
            return;
        }
        let site = site();
        let record = make_key(&site, "signed.test");
        let Some(lab) = lab(&record) else { return };
        configure(&site, &lab, "dkim = \"refuse\"");
        let smtpd = site.listen(&[]);
        let by = |domain: &str| sign(&site, domain, "simple/simple", &from("none.test"));
        let signed = by("signed.test");
        let changed = String::from_utf8(signed.clone()).unwrap().replace("hello", "hallo").into_bytes();
        let both = sign(&site, "signed.test", "relaxed/relaxed", &by("none.test"));
        for (message, expected) in [
            (&from("none.test"), "250"),
            (&signed, "250"),
            (&changed, "550 5.7.20 no DKIM signature of the message is right"),
            (&by("plain.test"), "550 5.7.20 "),
            (&by("none.test"), "550 5.7.20 "),
            (&both, "250"),
            (&by("bogus.test"), "451 4.4.3 "),
            (&by("x.silent.test"), "451 4.4.3 "),
        ] {
            let reply = send(&smtpd, BAD, "a@none.test", message);
            assert!(reply.starts_with(expected), "{reply}: {}\n{}", String::from_utf8_lossy(message), smtpd.log());
        }
        // One of 8 MB in pieces.
        let large =
            format!("{}{}", String::from_utf8(from("none.test")).unwrap(), "a line of it  \r\n".repeat(500_000));
        let large = sign(&site, "signed.test", "relaxed/relaxed", large.as_bytes());
        assert!(send(&smtpd, BAD, "a@none.test", &large).starts_with("250"));
    }
}
