//! LMTP as the programs speak it: with a store that a test scripts, and with the Dovecot of Debian.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::have::skip;
use crate::real_servers::{may_run, open_to_all};
use crate::site::{Running, Site, names, wait_until};
use crate::support::fake_lmtp::{FakeLmtp, Then};

const MESSAGE: &[u8] = b"Subject: x\r\n\r\nhello\r\n";

fn submit(site: &Site, recipients: &[&str], message: &[u8]) {
    let smtpd = site.listen(&[]);
    smtpd.client().submit("me@example.com", recipients, message);
}

#[test]
fn killed_between_two_verdicts_it_loses_nothing_and_repeats_no_recorded_delivery() {
    let (site, store) = (Site::new(""), FakeLmtp::start());
    let recipients = ["a@x.example", "b@x.example", "c@x.example"];
    submit(&site, &recipients, MESSAGE);
    store.breaks(Some((1, Then::Stall)));
    let mut command = site.spoolrun();
    command.args(["--relay", &store.url, "flush"]);
    let killed = Running::start(command);
    wait_until("the first verdict", || store.record().copies("a@x.example") == 1);
    killed.kill();
    assert_eq!(site.shelf("queue").len(), 1);
    // Two get it now, and the third later: only the third is offered again.
    store.breaks(None);
    store.at_end("c@x.example", "452 4.2.2 over quota");
    site.run(&["--relay", &store.url, "flush"]);
    store.at_end("c@x.example", "250 2.0.0 saved");
    let output = site.run(&["--relay", &store.url, "flush"]);
    assert!(output.status.success(), "{output:?}");
    assert!(site.shelf("queue").is_empty());
    let record = store.record();
    assert_eq!(recipients.map(|recipient| record.copies(recipient)), [2, 1, 1], "{record:?}");
}

#[test]
fn killed_at_any_moment_it_leaves_an_mbox_with_every_message_whole_and_once() {
    let site = Site::new("");
    let (smtpd, path) = (site.listen(&[]), site.path("mbox"));
    let (url, lock) = (format!("mbox:{}", path.display()), site.path("mbox.lock"));
    let rounds = 16_u64;
    for round in 0..rounds {
        let filling = "From a line that is to be quoted, again and again\r\n".repeat(40_000);
        let message = format!("Subject: {round}.\r\n\r\n{filling}end of {round}.\r\n");
        smtpd.client().submit("me@example.com", &["amy@x.example"], message.as_bytes());
        let mut command = site.spoolrun();
        command.args(["--relay", &url, "flush"]);
        let mut flushing = Running::start(command);
        // It may be done before anybody looks.
        wait_until("the lock", || lock.exists() || flushing.child().try_wait().unwrap().is_some());
        std::thread::sleep(std::time::Duration::from_micros(1_500 * round));
        flushing.kill();
    }
    let output = site.run(&["--relay", &url, "flush"]);
    assert!(site.shelf("queue").is_empty() && !lock.exists(), "{output:?}");
    let text = fs::read_to_string(&path).unwrap();
    let count = |what: &str| text.matches(what).count();
    for round in 0..rounds {
        let found = (count(&format!("\nSubject: {round}.\n")), count(&format!("\nend of {round}.\n\n")));
        assert_eq!(found, (1, 1), "message {round} of {}", path.display());
    }
    let begins = usize::from(text.starts_with("From ")) + count("\n\nFrom me@example.com ");
    assert_eq!((begins, count("\n>From a line")), (16, 16 * 40_000));
}

/// Dovecot's LMTP at a socket, with the mailboxes of amy and bob, and one of joe that is full.
struct Dovecot {
    folder: PathBuf,
    running: Option<Running>,
}

impl Dovecot {
    fn new(site: &Site) -> Self {
        let folder = site.path("dovecot");
        let mail = folder.join("mail");
        fs::create_dir_all(&mail).unwrap();
        fs::create_dir_all(folder.join("state")).unwrap();
        open_to_all(site);
        fs::set_permissions(&mail, fs::Permissions::from_mode(0o777)).unwrap();
        let user = |name: &str, more: &str| format!("{name}:{{plain}}x:65534:65534::{}::{more}\n", mail.display());
        let users = user("amy", "") + &user("bob", "") + &user("joe", "userdb_quota_rule=*:storage=1B");
        fs::write(folder.join("users"), users).unwrap();
        let configuration = format!(
            "base_dir = {folder}/run\nstate_dir = {folder}/state\nlog_path = {folder}/log\nprotocols = lmtp\nssl = no\n\
             mail_location = maildir:{folder}/mail/%n\nfirst_valid_uid = 1\nauth_username_format = %n\n\
             passdb {{\n  driver = static\n  args = nopassword=y\n}}\n\
             userdb {{\n  driver = passwd-file\n  args = username_format=%n {folder}/users\n}}\n\
             plugin {{\n  quota = maildir:User quota\n}}\nprotocol lmtp {{\n  mail_plugins = quota\n}}\n\
             service lmtp {{\n  unix_listener {folder}/lmtp {{\n    mode = 0666\n  }}\n}}\n",
            folder = folder.display()
        );
        fs::write(folder.join("conf"), configuration).unwrap();
        Self { folder, running: None }
    }

    fn start(&mut self) {
        let _ = fs::remove_file(self.socket());
        let mut command = Command::new("dovecot");
        command.arg("-F").arg("-c").arg(self.folder.join("conf"));
        self.running = Some(Running::start(command));
        wait_until("Dovecot to listen", || std::os::unix::net::UnixStream::connect(self.socket()).is_ok());
    }

    fn stop(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.terminate();
            running.wait();
        }
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("lmtp")
    }

    fn url(&self) -> String {
        format!("lmtp:{}", self.socket().display())
    }

    fn mailbox(&self, user: &str) -> Vec<String> {
        let new = self.folder.join("mail").join(user).join("new");
        let read = |name: &String| fs::read_to_string(new.join(name)).unwrap();
        names(Path::new(&new)).iter().map(read).collect()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        // Its master ends its children; killed, it would leave them.
        if let Some(running) = &self.running {
            running.terminate();
            let pid = running.pid();
            wait_until("Dovecot to end", || {
                fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "))
            });
        }
    }
}

#[test]
fn dovecot_gives_each_recipient_its_verdict_and_gets_the_rest_when_it_is_back() {
    if !may_run("dovecot") {
        return;
    }
    if !Path::new("/usr/lib/dovecot/lmtp").exists() {
        return skip("the LMTP server of Dovecot");
    }
    let site = Site::new("[notices]\nadmin = \"postmaster@example.com\"\n");
    let mut dovecot = Dovecot::new(&site);
    dovecot.start();
    let url = dovecot.url();
    let doctor = site.run(&["--relay", &url, "doctor", "--sender", "me@example.com", "--recipient", "amy@example.com"]);
    let told = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(told.contains("LHLO") && told.contains("<amy@example.com>: 250"), "{told}\n{}", dovecot.log());
    submit(&site, &["amy@example.com", "bob@example.com", "joe@example.com", "nobody@example.com"], MESSAGE);
    let flushed = site.run(&["--relay", &url, "flush"]);
    let context = || format!("{flushed:?}\n{}", dovecot.log());
    for user in ["amy", "bob"] {
        let [one] = &dovecot.mailbox(user)[..] else { panic!("{user}: {}", context()) };
        assert!(one.contains("Return-Path: <me@example.com>") && one.contains("Subject: x"), "{one}");
    }
    assert!(dovecot.mailbox("joe").is_empty(), "{}", context());
    // The notices about joe and nobody go to a mailbox that is not there, or wait; nobody is delivered to twice.
    site.run(&["--relay", &url, "flush"]);
    assert_eq!((dovecot.mailbox("amy").len(), dovecot.mailbox("bob").len()), (1, 1), "{}", context());
    dovecot.stop();
    submit(&site, &["amy@example.com"], MESSAGE);
    site.run(&["--relay", &url, "flush"]);
    assert_eq!(dovecot.mailbox("amy").len(), 1);
    dovecot.start();
    site.run(&["--relay", &url, "flush"]);
    assert_eq!(dovecot.mailbox("amy").len(), 2, "{}", dovecot.log());
}

#[test]
fn dovecot_says_by_a_callout_who_exists() {
    if !may_run("dovecot") {
        return;
    }
    if !Path::new("/usr/lib/dovecot/lmtp").exists() {
        return skip("the LMTP server of Dovecot");
    }
    let site = Site::new(
        "[[route]]\nname = \"store\"\nrecipients = [\"@example.com\"]\nurl = \"lmtp:SOCKET\"\n[recipients]\nsource = \"callout:store\"\nsource_domains = [\"example.com\"]\n",
    );
    let mut dovecot = Dovecot::new(&site);
    dovecot.start();
    let text = fs::read_to_string(site.config()).unwrap();
    fs::write(site.config(), text.replace("lmtp:SOCKET", &dovecot.url())).unwrap();
    let smtpd = site.listen(&[]);
    let mut client = smtpd.client();
    client.expect("EHLO device", "250");
    client.expect("MAIL FROM:<a@example.net>", "250");
    client.expect("RCPT TO:<amy@example.com>", "250");
    client.expect("RCPT TO:<nobody@example.com>", "550");
}
