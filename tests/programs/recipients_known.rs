//! Recipients that exist, to smtpd as it is built: by a file, by a command outside of the sandbox, and by a callout to a next hop.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::fake_smarthost::{Act, FakeSmarthost, Script, reply};
use crate::real_servers::{Postfix, may_run, open_to_all};
use crate::site::{Running, Site, free_port, wait_until};

fn known_by(site: &Site, source: &str, more: &str) {
    let text = fs::read_to_string(site.config()).unwrap();
    let section = format!("[recipients]\nsource = \"{source}\"\nsource_domains = [\"example.lan\"]\n{more}\n");
    fs::write(site.config(), text + &section).unwrap();
}

/// The replies to RCPT for these addresses.
fn asked(smtpd: &Running, addresses: &[&str]) -> Vec<String> {
    let mut client = smtpd.client();
    client.expect("EHLO device", "250");
    client.expect("MAIL FROM:<a@example.com>", "250");
    let ask = |address: &&str| {
        client.send(format!("RCPT TO:<{address}>\r\n").as_bytes());
        client.reply().trim_end().to_owned()
    };
    addresses.iter().map(ask).collect()
}

fn expect(smtpd: &Running, answers: &[(&str, &str)]) {
    let addresses: Vec<&str> = answers.iter().map(|(address, _)| *address).collect();
    for (said, (address, expected)) in asked(smtpd, &addresses).iter().zip(answers) {
        assert!(said.starts_with(expected), "{address}: {said}");
    }
}

/// A route to `port` for the domain that is asked about.
fn callout_site(port: u16, more: &str) -> Site {
    let route = "[[route]]\nname = \"inside\"\nrecipients = [\"@example.lan\"]\n";
    let site = Site::new(&format!("{route}url = \"smtp://127.0.0.1:{port}?tls=none\"\n"));
    known_by(&site, "callout:inside", more);
    site
}

#[test]
fn a_file_says_who_exists_to_rcpt_and_vrfy_and_is_read_again() {
    let site = Site::new("[verify]\nsource = true\naddresses = [\"list@example.lan\"]\n");
    let path = site.path("recipients");
    known_by(&site, &format!("file:{}", path.display()), "");
    fs::write(&path, "joe@example.lan\n").unwrap();
    let smtpd = site.listen(&[]);
    expect(
        &smtpd,
        &[
            ("joe@example.lan", "250"),
            ("amy@example.lan", "550 5.1.1 there is no mailbox amy@example.lan"),
            ("amy@elsewhere.example", "250"),
            ("postmaster@example.lan", "250"),
        ],
    );
    let mut client = smtpd.client();
    client.expect("EHLO device", "250");
    client.expect("VRFY joe@example.lan", "250");
    client.expect("VRFY <amy@example.lan>", "550 5.1.1");
    client.expect("VRFY list@example.lan", "250");
    for other in ["amy@elsewhere.example", "amy"] {
        client.send(format!("VRFY {other}\r\n").as_bytes());
        assert!(client.reply().starts_with("252"), "{other}");
    }
    fs::write(&path, "amy@example.lan\n").unwrap();
    expect(&smtpd, &[("joe@example.lan", "550 5.1.1"), ("amy@example.lan", "250")]);
    fs::write(&path, "what is this\n").unwrap();
    expect(&smtpd, &[("amy@example.lan", "250")]);
    smtpd.wait_for_log("line 1: expected an address or @ and a domain; the version before stays in use");
    let checked = site.smtpd().arg("--check").output().unwrap();
    assert!(!checked.status.success(), "--check reads it");
}

#[test]
fn a_command_outside_of_the_sandbox_says_who_exists() {
    let site = Site::new("");
    let script = site.path("exists");
    fs::write(&script, "#!/bin/sh\ncase \"$1\" in yes*) exit 0;; no*) exit 1;; *) exit 75;; esac\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    known_by(&site, &format!("command:{}", script.display()), "");
    let smtpd = site.listen(&[]);
    let answers = [
        ("yes@example.lan", "250"),
        ("no@example.lan", "550 5.1.1"),
        ("later@example.lan", "451 4.3.0"),
        ("\"yes; touch x\"@example.lan", "451 4.3.0"),
    ];
    expect(&smtpd, &answers);
    smtpd.wait_for_log("recipients.source: the command ended with the exit code 75");
    let told = site.run(&["doctor"]);
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(
        told.contains("ok        answer: it knows that leafmail-doctor-nobody does not exist")
            || told.contains("it gives no answer"),
        "{told}"
    );
    assert!(!Path::new("x").exists() && !site.path("x").exists());
}

#[test]
fn a_callout_asks_once_and_takes_only_a_word_about_the_mailbox_for_a_no() {
    let script = Script::new()
        .refuses("no@example.lan", "550 5.1.1 \u{1b}[31mnobody\u{7}")
        .refuses("relay@example.lan", "550 5.7.1 relaying denied")
        .refuses("full@example.lan", "452 4.2.2 mailbox full");
    let smarthost = FakeSmarthost::start(script);
    let site = callout_site(smarthost.address.port(), "");
    let smtpd = site.listen(&[]);
    for _ in 0..2 {
        let answers = [
            ("yes@example.lan", "250"),
            ("no@example.lan", "550 5.1.1 there is no mailbox no@example.lan"),
            ("relay@example.lan", "451 4.3.0"),
            ("full@example.lan", "451 4.3.0"),
        ];
        expect(&smtpd, &answers);
    }
    let record = smarthost.record();
    assert_eq!((record.verbs("RCPT").len(), record.verbs("DATA").len()), (4, 0), "{:?}", record.commands);
    assert!(record.verbs("MAIL").iter().all(|mail| mail.contains("FROM:<>")), "{:?}", record.commands);
    assert!(!smtpd.log().contains(['\u{1b}', '\u{7}']), "{}", smtpd.log());
}

#[test]
fn a_next_hop_that_is_gone_or_silent_defers_or_lets_pass_as_it_is_set() {
    for (no_answer, expected) in [("defer", "451 4.3.0"), ("accept", "250")] {
        let more = format!("source_timeout = \"1s\"\nsource_no_answer = \"{no_answer}\"");
        let gone = callout_site(free_port(), &more);
        expect(&gone.listen(&[]), &[("joe@example.lan", expected)]);
        let silent = FakeSmarthost::start(Script::new());
        silent.then_on("RCPT", Act::Stall);
        let site = callout_site(silent.address.port(), &more);
        expect(&site.listen(&[]), &[("joe@example.lan", expected), ("x@elsewhere.example", "250")]);
        let odd = FakeSmarthost::start(Script::new());
        odd.then_on("RCPT", reply("what?"));
        let site = callout_site(odd.address.port(), &more);
        expect(&site.listen(&[]), &[("joe@example.lan", expected)]);
    }
}

#[test]
fn postfix_is_asked_who_exists() {
    if !may_run("postfix-master") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let open = Site::new("");
    open_to_all(&open);
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let known = "relay_domains = example.lan\nrelay_recipient_maps = inline:{known@example.lan=x}\n";
    let postfix = Postfix::start(&folder.path().join("postfix"), free_port(), known);
    let site = callout_site(postfix.port, "");
    let smtpd = site.listen(&[]);
    expect(&smtpd, &[("known@example.lan", "250"), ("unknown@example.lan", "550 5.1.1")]);
    wait_until("Postfix has logged it", || postfix.log().contains("User unknown in relay recipient table"));
    let told = site.run(&["doctor"]);
    assert!(String::from_utf8_lossy(&told.stdout).contains("it knows that leafmail-doctor-nobody does not exist"));
}
