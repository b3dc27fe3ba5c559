//! DKIM signatures of outgoing mail, judged by python3-dkim and opendkim, in builds with the feature `auth-checks`.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::have::{have, have_python};
use crate::site::{Site, wait_until};
use crate::support::peers::dns_lab::{DnsLab, Signed};

/// Verifies each signature of a message with the records of a file, and says for which domain and selector it is right.
const VERIFIER: &str = r"
import sys, dkim
records = dict(line.rstrip('\n').split(' ', 1) for line in open(sys.argv[1]))
def found(name, timeout=5):
    return records.get(name.decode().rstrip('.'), '').encode() or None
message = dkim.DKIM(sys.stdin.buffer.read())
for number in range(sum(name.lower() == b'dkim-signature' for name, _ in message.headers)):
    right = message.verify(number, dnsfunc=found)
    fields = message.signature_fields
    print(fields[b'd'].decode(), fields[b's'].decode(), right)
";

/// The configuration of two keys, which are made; their records are in the file `records`.
fn keys(site: &Site) {
    let mut records = String::new();
    let mut text = fs::read_to_string(site.config()).unwrap();
    for (selector, kind) in [("rsa", None), ("ed", Some("--ed25519"))] {
        let mut command = site.spoolrun();
        command.args(["dkim-key", "signed.example", selector, "--key-file", &format!("{selector}.pem")]).args(kind);
        let output = command.output().unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
        let value = |key: &str| told.lines().find_map(|line| line.strip_prefix(key)).unwrap().to_owned();
        records += &format!("{} {}\n", value("name: "), value("text: "));
        let section = told.find("[[dkim]]").unwrap();
        text += &told[section..];
        let mode = fs::metadata(site.path(&format!("{selector}.pem"))).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    fs::write(site.path("records"), records).unwrap();
    fs::write(site.config(), text).unwrap();
}

fn said(output: std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// What python3-dkim says of the signatures of a message.
fn verified(site: &Site, message: &[u8]) -> Vec<String> {
    let mut python = Command::new("/usr/bin/python3");
    python.args(["-c", VERIFIER]).arg(site.path("records"));
    let mut child = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(message).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Whether opendkim, as a verifier, says that the first signature is right.
fn opendkim_verifies(site: &Site, message: &[u8]) -> String {
    let conf = format!(
        "Syslog no\nLogWhy yes\nMode v\nSocket local:{}\nRequireSafeKeys no\nTestDNSData file:{}\n",
        site.path("socket").display(),
        site.path("records").display()
    );
    fs::write(site.path("opendkim.conf"), conf).unwrap();
    fs::write(site.path("message"), message).unwrap();
    let mut opendkim = Command::new("opendkim");
    opendkim.arg("-x").arg(site.path("opendkim.conf")).arg("-t").arg(site.path("message")).arg("-vv");
    said(opendkim.output().unwrap())
}

/// A site that hands its mail to another by SMTP, which keeps it.
fn relay_to(behind: &crate::site::Running, chunking: bool, more: &str) -> Site {
    let site = Site::new(more);
    let text = fs::read_to_string(site.config()).unwrap();
    let relay = format!(
        "[relay]\nurl = \"smtp://localhost:{}?tls=none\"\nchunking = {chunking}\nlong_lines = \"wrap\"\n#",
        behind.address().port()
    );
    fs::write(site.config(), text.replace("[relay]\n", &relay)).unwrap();
    keys(&site);
    site
}

const HEADER: &str = "From: Joe <joe@signed.example>\r\nTo: bob@example.com\r\nSubject: a  long\r\n subject\r\n";

/// Messages whose form makes trouble for signatures.
fn messages() -> Vec<(&'static str, Vec<u8>)> {
    let with = |more: &str, body: &[u8]| [HEADER.as_bytes(), more.as_bytes(), b"\r\n", body].concat();
    let lines = b"A line  with blanks \t\r\n..dots\r\n.\r\n".repeat(10);
    let large = b"A line of a large message, with  blanks \t and \xc3\xa4.\r\n.\r\n".repeat(560_000);
    vec![
        ("plain", with("", b"Hello\r\n")),
        ("no body", with("", b"")),
        ("blank lines at the end", with("", b"Hello \r\n\r\n\r\n")),
        ("dots and blanks", with("", &lines)),
        ("8-bit", with("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=iso-8859-1\r\n", b"gr\xfc\xdfe\r\n")),
        ("blank before the colon", with("Message-ID : <1@x.example>\r\nList-Id: x\r\n", b"Hello\r\n")),
        ("fields that are not signed", with("X-A: b\r\nReceived: from x\r\n", b"Hello\r\n")),
        ("long lines, which are wrapped", with("", format!("{}=\r\n", "x y ".repeat(700)).as_bytes())),
        ("30 MB", with("", &large)),
    ]
}

#[test]
fn signatures_are_right_for_all_that_goes_out_by_data_and_bdat() {
    if !have_python("dkim") || !have("opendkim") || !have("openssl") {
        return;
    }
    for chunking in [false, true] {
        let behind = Site::new("");
        let receiver = behind.listen(&["--deliver"]);
        let site = relay_to(&receiver, chunking, "");
        let smtpd = site.listen(&[]);
        for (number, (name, message)) in messages().into_iter().enumerate() {
            smtpd.client().submit("joe@signed.example", &["bob@example.com"], &message);
            let told = said(site.run(&["-v"]));
            wait_until("delivery", || behind.delivered().len() == number + 1);
            let delivered = behind.delivered().pop().unwrap();
            let right = ["signed.example rsa True", "signed.example ed True"];
            assert_eq!(verified(&site, &delivered), right, "{name}, chunking {chunking}: {told}");
            let verdict = opendkim_verifies(&site, &delivered);
            assert!(verdict.contains("verification (s=rsa, d=signed.example"), "{name}: {verdict}");
            assert!(verdict.contains("succeeded"), "{name}, chunking {chunking}: {verdict}");
        }
    }
}

#[test]
fn the_from_that_the_next_hop_gets_decides_and_foreign_signatures_stay() {
    if !have_python("dkim") || !have("openssl") {
        return;
    }
    let rewriting =
        "[[rewrite]]\nsenders = [\"printer@lan.example\"]\nfrom = \"printer@signed.example\"\nremove = [\"X-A\"]\n";
    let site = Site::new(rewriting);
    keys(&site);
    let smtpd = site.listen(&[]);
    let mut number = 0;
    let mut delivered = |sender: &str, message: &str| {
        smtpd.client().submit(sender, &["bob@example.com"], message.as_bytes());
        assert!(site.run(&[]).status.success());
        number += 1;
        let all = site.delivered();
        assert_eq!(all.len(), number);
        all.into_iter()
            .find(|one| memchr::memmem::find(one, message.lines().last().unwrap().as_bytes()).is_some())
            .unwrap()
    };
    let right = ["signed.example rsa True", "signed.example ed True"];
    let rewritten =
        delivered("printer@lan.example", "From: printer@lan.example\r\nX-A: b\r\nSubject: x\r\n\r\none\r\n");
    assert_eq!(verified(&site, &rewritten), right, "after the rewriting");
    for field in ["From: other@signed.example", "Subject: other", "Cc: other@example.com"] {
        let added = [field.as_bytes(), b"\r\n", &rewritten].concat();
        let wrong = ["signed.example rsa False", "signed.example ed False"];
        assert_eq!(verified(&site, &added), wrong, "with another field added: {field}");
    }
    for (sender, from, last) in [
        ("joe@signed.example", "From: joe@other.example", "two"),
        // A bounce of somebody else.
        ("", "From: MAILER-DAEMON@other.example", "three"),
        ("joe@signed.example", "Subject: nobody", "four"),
        ("joe@signed.example", "From: joe@signed.example\r\nFrom: joe@other.example", "five"),
        ("joe@signed.example", "From: joe@below.signed.example", "six"),
    ] {
        let message = delivered(sender, &format!("{from}\r\n\r\n{last}\r\n"));
        assert_eq!(verified(&site, &message), [""; 0], "{from}");
    }
    let foreign = "DKIM-Signature: v=1; a=rsa-sha256; d=client.example; s=x; h=from; bh=AA==; b=AA==\r\n";
    let own = delivered("joe@signed.example", &format!("{foreign}From: joe@signed.example\r\n\r\nseven\r\n"));
    let text = String::from_utf8_lossy(&own);
    assert_eq!((text.matches("DKIM-Signature:").count(), text.contains(foreign)), (3, true), "{text}");
    let excepted =
        fs::read_to_string(site.config()).unwrap().replace("key_file", "except = [\"127.0.0.0/8\"]\nkey_file");
    fs::write(site.config(), excepted).unwrap();
    let message = delivered("joe@signed.example", "From: joe@signed.example\r\n\r\neight\r\n");
    assert_eq!(verified(&site, &message), [""; 0], "an excepted network");
}

#[test]
fn nothing_leaves_without_its_signature_where_the_key_cannot_be_used() {
    if !have("openssl") {
        return;
    }
    let site = Site::new("");
    keys(&site);
    let smtpd = site.listen(&[]);
    let key = fs::read(site.path("ed.pem")).unwrap();
    fs::write(site.path("ed.pem"), "no key").unwrap();
    let told = said(site.run(&["--check"]));
    assert!(told.contains("dkim[1].key_file: DKIM key ed.pem: expected a private key in PEM"), "{told}");
    assert!(told.contains("spoolrun dkim-key"), "{told}");
    let message = b"From: joe@signed.example\r\nSubject: x\r\n\r\nhello\r\n";
    let id = smtpd.client().submit("joe@signed.example", &["bob@example.com"], message);
    assert!(site.run(&[]).status.success());
    assert_eq!((site.delivered().len(), site.shelf("queue").len()), (0, 1));
    let told = said(site.run(&["explain", &id]));
    assert!(told.contains("this host could not use the key") && told.contains("key_file in [[dkim]]"), "{told}");
    fs::write(site.path("ed.pem"), key).unwrap();
    assert!(site.run(&["flush"]).status.success());
    let delivered = site.delivered();
    assert_eq!(delivered.len(), 1);
    assert_eq!(String::from_utf8_lossy(&delivered[0]).matches("DKIM-Signature:").count(), 2);
}

#[test]
fn doctor_compares_the_record_in_the_dns_with_the_key() {
    if !have("openssl") {
        return;
    }
    let site = Site::new("");
    keys(&site);
    let records = fs::read_to_string(site.path("records")).unwrap();
    let text = records.lines().find_map(|line| line.strip_prefix("rsa._domainkey.signed.example ")).unwrap();
    let zone: String =
        text.as_bytes().chunks(200).map(|piece| format!(" \"{}\"", String::from_utf8_lossy(piece))).collect();
    let zone = format!("rsa._domainkey IN TXT{zone}\n");
    let Some(lab) = DnsLab::start(&[("signed.example", Signed::Insecure, &zone)]) else { return };
    let config = fs::read_to_string(site.config()).unwrap() + &format!("\n[dns]\nservers = [\"{}\"]\n", lab.address);
    fs::write(site.config(), config).unwrap();
    let told = said(site.run(&["doctor"]));
    assert!(told.contains("ok        record: rsa._domainkey.signed.example has the key"), "{told}");
    assert!(told.contains("fault     record: there is no TXT record at ed._domainkey.signed.example"), "{told}");
}
