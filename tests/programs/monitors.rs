//! Programs of others that read our `mailq` and our log: check_mailq, pflogsumm, and what was written for `postqueue -j`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::fake_smarthost::{FakeSmarthost, Script};
use crate::have::{have, have_perl};
use crate::site::Site;

fn text(output: &Output) -> String {
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "no warning");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// A program in the search path, with links followed.
fn which(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let found = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.exists());
    found.unwrap().canonicalize().unwrap()
}

/// `spoolrun` under the name `mailq`, where it finds its configuration by itself.
fn mailq(site: &Site) -> PathBuf {
    let link = site.path("mailq");
    symlink(env!("CARGO_BIN_EXE_spoolrun"), &link).unwrap();
    let wrapper = site.path("mailq.sh");
    let script = format!("#!/bin/sh\nLEAFMAIL_CONFIG={} exec {} \"$@\"\n", site.config().display(), link.display());
    fs::write(&wrapper, script).unwrap();
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
    wrapper
}

#[test]
fn check_mailq_counts_what_mailq_lists() {
    if !have("check_mailq") || !have("perl") {
        return;
    }
    let site = Site::new("");
    let mailq = mailq(&site);
    // The plug-in looks for its module beside itself; the path to mailq is written down in that.
    let plugin = which("check_mailq");
    let copy = site.path("check_mailq");
    fs::copy(&plugin, &copy).unwrap();
    let module = fs::read_to_string(plugin.parent().unwrap().join("utils.pm")).unwrap();
    let ours = format!("$PATH_TO_MAILQ = \"{}\"; #", mailq.display());
    fs::write(site.path("utils.pm"), module.replace("$PATH_TO_MAILQ ", &ours)).unwrap();
    let check = |warning: &str, critical: &str| {
        Command::new("perl")
            .arg("-w")
            .arg(&copy)
            .args(["-M", "postfix", "-w", warning, "-c", critical])
            .output()
            .unwrap()
    };
    let smtpd = site.listen(&[]);
    assert_eq!(text(&check("2", "4")), "OK: postfix mailq reports queue is empty|unsent=0;2;4;0\n");
    let mut client = smtpd.client();
    let ids: Vec<String> = (0..3)
        .map(|number| client.submit("a@example.com", &["b@example.com"], format!("Subject: {number}\r\n").as_bytes()))
        .collect();
    assert!(site.run(&["hold", &ids[0]]).status.success());
    let warned = check("2", "4");
    assert_eq!(
        (text(&warned), warned.status.code()),
        ("WARNING: postfix mailq is 3 (threshold w = 2)|unsent=3;2;4;0\n".to_owned(), Some(1))
    );
}

#[test]
fn pflogsumm_counts_what_came_and_what_went_and_finds_no_message_without_a_size() {
    if !have("pflogsumm") || !have_perl(&["Date::Calc"]) {
        return;
    }
    let site = Site::new("[recipients]\ndeny = [\"@refused.example\"]");
    let script = Script::new().refuses("later@example.com", "451 4.2.0 greylisted");
    let smarthost = FakeSmarthost::start(script.refuses("nobody@example.com", "550 5.1.1 no such user"));
    let relay = format!("smtp://{}?tls=none", smarthost.address);
    let log = site.path("mail.log");
    let log = log.to_str().unwrap();
    let smtpd = site.listen(&[]);
    let mut client = smtpd.client();
    client.submit("alice@example.com", &["bob@example.com", "nobody@example.com"], b"Subject: 1\r\n");
    let held = client.submit("alice@example.com", &["carol@example.com"], b"Subject: 2\r\n");
    let mut refused = smtpd.client();
    refused.expect("EHLO x", "250");
    refused.expect("MAIL FROM:<alice@example.com>", "250");
    refused.expect("RCPT TO:<dave@refused.example>", "550");
    assert!(site.run(&["-l", log, "hold", &held]).status.success());
    client.submit("alice@example.com", &["later@example.com"], b"Subject: 3\r\n");
    for _ in 0..2 {
        assert!(site.run(&["-l", log, "--relay", &relay]).status.success());
    }
    // Each wrote to a log of its own; a log daemon would have put them into one.
    fs::write(log, smtpd.log() + &fs::read_to_string(log).unwrap()).unwrap();
    let told = fs::read_to_string(log).unwrap();
    assert!(told.contains(&format!("{held}: held by hand, uid=")), "{told}");
    let summary = text(&Command::new("pflogsumm").args(["--syslog-name=leafmail", log]).output().unwrap());
    let totals: Vec<&str> = summary.lines().map(str::trim).collect();
    // Three from the client; delivered are the message of the one recipient, and the notification of the other.
    for line in ["3   received", "2   delivered", "1   deferred  (1  deferrals)", "1   bounced"] {
        assert!(totals.contains(&line), "{line} is not in\n{summary}\nof\n{told}");
    }
    assert!(totals.iter().any(|line| line.starts_with("1   rejected")), "{summary}");
    for absent in ["no size data", "0   bytes received", "0   bytes delivered"] {
        assert!(!totals.iter().any(|line| line.starts_with(absent) || line.contains("size data")), "{summary}");
    }
    assert!(summary.contains("Warnings: none"), "{summary}");
}

#[test]
fn what_reads_postqueue_j_reads_mailq_j() {
    if !have("jq") || !have("python3") {
        return;
    }
    let site = Site::new("");
    let mailq = mailq(&site);
    let smtpd = site.listen(&[]);
    let mut client = smtpd.client();
    let first = client.submit("alice@example.com", &["bob@example.net", "carol@example.org"], b"Subject: 1\r\n");
    client.submit("", &["dave@example.net"], b"Subject: 2\r\n");
    let pipe = |program: &str, arguments: &[&str]| {
        let mut list = Command::new(&mailq).arg("-j").stdout(Stdio::piped()).spawn().unwrap();
        let input = list.stdout.take().unwrap();
        let output = Command::new(program).args(arguments).stdin(input).output().unwrap();
        assert!(list.wait().unwrap().success());
        text(&output)
    };
    // As they are written for Postfix: who waits, by domain; and ids of a sender, for a removal.
    let by_domain = "[.recipients[].address | split(\"@\")[1]] | .[]";
    let mut domains: Vec<String> = pipe("jq", &["-r", by_domain]).lines().map(str::to_owned).collect();
    domains.sort();
    assert_eq!(domains, ["example.net", "example.net", "example.org"]);
    let ids = "select(.queue_name != \"hold\" and .sender == \"alice@example.com\") | .queue_id";
    assert_eq!(pipe("jq", &["-r", ids]).trim(), first);
    let script = "import sys, json\n\
                  for line in sys.stdin:\n\
                  \x20   m = json.loads(line)\n\
                  \x20   age = m['arrival_time'] + 0\n\
                  \x20   print(m['queue_name'], m['message_size'] > 0, m['forced_expire'], m['sender'] or 'MAILER-DAEMON',\n\
                  \x20         len(m['recipients']), [r.get('delay_reason', '') for r in m['recipients']][:1])\n";
    let lines = pipe("python3", &["-W", "error", "-c", script]);
    let mut lines: Vec<&str> = lines.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["incoming True False MAILER-DAEMON 1 ['']", "incoming True False alice@example.com 2 ['']"]);
}
