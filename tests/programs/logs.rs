//! The log in all its forms and places: that other programs count it rightly, that it hides what it must, and that a reader
//! who hangs holds up nothing.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

use crate::client::Client;
use crate::fake_smarthost::{FakeSmarthost, Script};
use crate::have::have;
use crate::site::{Running, Site, free_port, wait_until};
use crate::tls_and_logins::{ENCODED, PASSWORD, secured};

const DENY: &str = "[recipients]\ndeny = [\"spam@example.com\"]\n";

/// Mail of every fate: of three messages accepted and one refused, one is sent, one deferred, and one bounced, whose notice is
/// sent.
fn every_fate(site: &Site, address: SocketAddr, arguments: &[&str]) {
    let script = Script::new().refuses("full@example.com", "452 4.2.2 mailbox full");
    let smarthost = FakeSmarthost::start(script.refuses("nobody@example.com", "550 5.1.1 no such user here"));
    let mut client = Client::connect(address);
    client.expect("EHLO client.example", "250");
    client.expect("MAIL FROM:<alice@example.com>", "250");
    client.expect("RCPT TO:<spam@example.com>", "550");
    client.expect("RSET", "250");
    for recipient in ["bob@example.com", "full@example.com", "nobody@example.com"] {
        client.submit("alice@example.com", &[recipient], b"Subject: x\r\n\r\ntext\r\n");
    }
    client.expect("QUIT", "221");
    let relay = format!("smtp://{}?tls=none", smarthost.address);
    for _ in 0..2 {
        // The bounce may have been written after the first pass had looked at the queue.
        let run = site.run(&[arguments, &["--relay", &relay]].concat());
        assert!(run.status.success(), "{run:?}");
    }
}

/// What pflogsumm makes of a log; it must not complain.
fn summary(log: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mail.log");
    fs::write(&file, log).unwrap();
    let output = Command::new("pflogsumm").args(["--syslog-name", "leafmail"]).arg(file).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn counts_every_fate(log: &str) {
    let summary = summary(log);
    let counted = |what: &str| {
        let line = summary.lines().find(|line| line.split_whitespace().nth(1) == Some(what));
        line.and_then(|line| line.split_whitespace().next()).unwrap_or("no line").to_owned()
    };
    for (what, count) in [("received", "3"), ("delivered", "2"), ("deferred", "1"), ("bounced", "1"), ("rejected", "1")]
    {
        assert_eq!(counted(what), count, "{what}:\n{summary}\n{log}");
    }
    for expected in ["Warnings: none", "Fatal Errors: none", "no such user here", "mailbox full"] {
        assert!(summary.contains(expected), "{expected} is missing:\n{summary}\n{log}");
    }
}

#[test]
fn pflogsumm_counts_every_fate_in_a_log_file() {
    if !have("pflogsumm") {
        return;
    }
    let site = Site::new(DENY);
    let smtpd = site.listen(&[]);
    every_fate(&site, smtpd.address(), &["-l", "forward.log"]);
    let log = smtpd.log() + &fs::read_to_string(site.path("forward.log")).unwrap();
    counts_every_fate(&log);
}

/// A daemon that takes datagrams until it is dropped.
struct Daemon {
    taken: Arc<Mutex<Vec<String>>>,
}

impl Daemon {
    fn listen(site: &Site) -> Self {
        let socket = UnixDatagram::bind(site.path("log.socket")).unwrap();
        let taken = Arc::<Mutex<Vec<String>>>::default();
        let keep = Arc::clone(&taken);
        thread::spawn(move || {
            let mut octets = [0; 65_536];
            while let Ok(count) = socket.recv(&mut octets) {
                keep.lock().unwrap().push(String::from_utf8(octets[..count].to_vec()).unwrap());
            }
        });
        Self { taken }
    }

    fn lines(&self) -> Vec<String> {
        self.taken.lock().unwrap().clone()
    }

    fn wait_for(&self, text: &str) {
        wait_until(&format!("{text} among {:?}", self.lines()), || self.lines().iter().any(|line| line.contains(text)));
    }
}

/// A site whose log goes to a socket of this kind.
fn logging_to(kind: &str, more: &str) -> Site {
    let site = Site::new(more);
    let text = fs::read_to_string(site.config()).unwrap();
    let to = format!("{kind}:{}", site.path("log.socket").display());
    fs::write(site.config(), format!("{text}\n[log]\nto = \"{to}\"\n")).unwrap();
    site
}

/// `smtpd`, of which standard error says nothing.
fn silent_smtpd(site: &Site, arguments: &[&str]) -> (Running, SocketAddr) {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut command = site.smtpd();
    command.args(["--listen", &address.to_string()]).args(arguments);
    let smtpd = Running::start(command);
    wait_until("smtpd listens", || TcpStream::connect(address).is_ok());
    (smtpd, address)
}

#[test]
fn syslog_gets_lines_of_the_mail_facility_that_pflogsumm_counts() {
    let site = logging_to("syslog", DENY);
    let daemon = Daemon::listen(&site);
    let (smtpd, address) = silent_smtpd(&site, &[]);
    every_fate(&site, address, &[]);
    daemon.wait_for("status=bounced");
    assert_eq!(smtpd.log(), "", "nothing is told twice");
    let lines = daemon.lines();
    let mut log = String::new();
    for line in &lines {
        let (priority, rest) = line.strip_prefix('<').and_then(|line| line.split_once('>')).unwrap();
        assert!(["19", "20", "22"].contains(&priority), "not facility mail (2): {line}");
        assert!(!rest.contains('\n'), "{line:?}");
        // As a daemon writes it down: with the name of the host after the time.
        let (time, message) = rest.split_at("Nov 21 02:03:27".len());
        log += &format!("{time} relay{message}\n");
    }
    assert!(log.contains(" leafmail/smtpd[") && log.contains(" leafmail/spoolrun["), "{log}");
    if have("pflogsumm") {
        counts_every_fate(&log);
    }
}

#[test]
fn the_journal_gets_fields() {
    let site = logging_to("journal", DENY);
    let daemon = Daemon::listen(&site);
    let (_smtpd, address) = silent_smtpd(&site, &[]);
    every_fate(&site, address, &[]);
    daemon.wait_for("status=sent");
    for entry in daemon.lines() {
        let names: Vec<&str> = entry.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
        let fields = ["PRIORITY", "SYSLOG_FACILITY", "SYSLOG_IDENTIFIER", "SYSLOG_PID", "MESSAGE"];
        assert_eq!(names, fields, "{entry}");
    }
}

#[test]
fn json_lines_have_the_fields_of_every_event() {
    let site = Site::new(DENY);
    let mut command = site.smtpd();
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    command.args(["--listen", &address.to_string(), "--log-format", "json"]);
    let smtpd = Running::start(command);
    smtpd.wait_for_log("listening on");
    every_fate(&site, address, &["--log-format", "json", "-l", "forward.log"]);
    smtpd.wait_for_log("\"event\":\"rejected\"");
    let log = smtpd.log() + &fs::read_to_string(site.path("forward.log")).unwrap();
    let objects: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    for object in &objects {
        let text =
            |name: &str| object[name].as_str().unwrap_or_else(|| panic!("{name} is missing: {object}")).to_owned();
        assert!(text("ts").len() == "2026-11-21T02:03:27.123Z".len() && text("ts").ends_with('Z'), "{object}");
        assert!(["error", "warn", "info"].contains(&text("level").as_str()), "{object}");
        assert!(object["event"].is_string() != object["message"].is_string(), "either an event or a text: {object}");
    }
    let of = |event: &str| objects.iter().filter(|object| object["event"] == event).collect::<Vec<_>>();
    let mut fates: Vec<_> = of("attempted").iter().map(|one| one["status"].as_str().unwrap()).collect();
    fates.sort_unstable();
    assert_eq!(fates, ["bounced", "deferred", "sent", "sent"], "{log}");
    assert!(of("attempted").iter().all(|one| one["relay"].is_string() && one["delay"].is_number()), "{log}");
    let refused = of("rejected");
    assert_eq!((refused.len(), &refused[0]["code"], &refused[0]["to"]), (1, &550.into(), &"spam@example.com".into()));
    let accepted: Vec<_> = of("accepted").into_iter().filter(|one| one["client"] == "127.0.0.1").collect();
    assert!(accepted.len() == 3 && accepted.iter().all(|one| one["recipients"] == 1 && one["size"].is_u64()), "{log}");
}

#[test]
fn a_log_daemon_that_hangs_holds_up_no_mail() {
    let site = logging_to("syslog", "");
    // Bound, and never read.
    let _daemon = UnixDatagram::bind(site.path("log.socket")).unwrap();
    let (_smtpd, address) = silent_smtpd(&site, &["-vv"]);
    let mut client = Client::connect(address);
    for _ in 0..100 {
        client.submit("a@example.com", &["b@example.com"], b"Subject: x\r\n");
    }
    assert_eq!(site.shelf("queue").len(), 100);
}

#[test]
fn a_traced_client_is_shown_without_its_password_and_its_message() {
    if !have("python3") {
        return;
    }
    const SCRIPT: &str = "
import smtplib, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
for mechanism in ('PLAIN', 'LOGIN', 'CRAM-MD5'):
    with smtplib.SMTP('localhost', int(sys.argv[1]), local_hostname='client.example', timeout=30) as smtp:
        smtp.starttls(context=context)
        smtp.ehlo()
        smtp.user, smtp.password = 'joe', sys.argv[3]
        smtp.auth(mechanism, getattr(smtp, 'auth_' + mechanism.lower().replace('-', '_')))
        smtp.sendmail('a@example.com', ['b@example.com'], 'Subject: hidden\\n\\nof nobody else')
";
    for (network, is_traced) in [("127.0.0.0/8", true), ("127.0.0.1", true), ("192.0.2.1", false)] {
        let site = secured("cram", "");
        let mut smtpd = site.listen(&["--trace", network]);
        let mut python = Command::new("python3");
        python.args(["-c", SCRIPT, &smtpd.address().port().to_string()]).arg(site.path("cert")).arg(PASSWORD);
        let output = python.output().unwrap();
        assert!(output.status.success(), "{output:?}\n{}", smtpd.log());
        smtpd.terminate();
        smtpd.wait();
        let log = smtpd.log();
        let shown = [
            "< ehlo client.example",
            "< AUTH PLAIN ***",
            "< mail FROM:",
            "> 334 ***",
            "< (message of ",
            "> 250 2.0.0 ",
            "> 235 ",
        ];
        for line in shown {
            let is_line = |told: &str| told.contains("127.0.0.1 (session ") && told.contains(&format!(") {line}"));
            assert_eq!(log.lines().any(is_line), is_traced, "{line}:\n{log}");
        }
        for hidden in ENCODED.iter().chain(&[PASSWORD, "hidden", "of nobody else"]) {
            assert!(!log.contains(hidden), "{hidden}:\n{log}");
        }
    }
}

#[test]
fn a_traced_route_is_shown_even_by_a_run_from_cron_and_an_unknown_one_is_an_error() {
    let smarthost = FakeSmarthost::start(Script::new());
    let site = Site::new("");
    let smtpd = site.listen(&[]);
    smtpd.client().submit("a@example.com", &["b@example.com"], b"Subject: hidden\r\n\r\ntext\r\n");
    let relay = format!("smtp://{}?tls=none", smarthost.address);
    let unknown = site.run(&["--relay", &relay, "--trace", "reley"]);
    let words = String::from_utf8(unknown.stderr).unwrap();
    assert!(unknown.status.code() == Some(78) && words.contains("there is no route \"reley\""), "{words}");
    let traced = site.run(&["--relay", &relay, "--trace", "relay"]);
    let words = String::from_utf8(traced.stderr).unwrap();
    assert!(traced.status.success() && smarthost.record().messages.len() == 1, "{words}");
    for shown in ["> EHLO relay.example", "> MAIL FROM:<a@example.com>", "> (message of ", "< 250 "] {
        assert!(words.contains(shown), "{shown} is missing:\n{words}");
    }
    assert!(!words.contains("hidden") && !words.contains("status=sent"), "{words}");
}

#[test]
fn each_line_of_a_dialogue_names_its_connection() {
    let smarthost = FakeSmarthost::start(Script::new());
    let site = Site::new("");
    let smtpd = site.listen(&["-v"]);
    for number in 0..2 {
        smtpd.client().submit("a@example.com", &["b@example.com"], format!("Subject: {number}\r\n").as_bytes());
    }
    for session in ["127.0.0.1 (session 1) < ", "127.0.0.1 (session 2) < "] {
        let message = format!("{session}(message of ");
        smtpd.wait_for_log(&message);
        assert_eq!(smtpd.log().matches(&message).count(), 1, "{}", smtpd.log());
    }
    let relay = format!("smtp://{}?tls=none", smarthost.address);
    let run = site.run(&["-v", "--relay", &relay, "flush"]);
    let words = String::from_utf8(run.stderr).unwrap();
    let at = |text: &str| words.find(text).unwrap_or_else(|| panic!("{text} is missing:\n{words}"));
    assert!(at("> (message of ") < at("status=sent"), "{words}");
    let prefix = format!("127.0.0.1[127.0.0.1]:{} (from port ", smarthost.address.port());
    let ports: Vec<&str> = words.split(&prefix).skip(1).filter_map(|rest| rest.split(')').next()).collect();
    assert!(ports.len() > 10 && ports.iter().all(|port| port.parse::<u16>().is_ok_and(|port| port > 0)), "{words}");
    assert!(!words.contains("Summary {"), "{words}");
}

#[test]
fn descriptors_that_ran_out_are_told_once_and_not_ten_times_a_second() {
    let site = Site::new("");
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 48; exec \"$0\" --listen 127.0.0.1:0 --config \"$1\""]);
    command.arg(env!("CARGO_BIN_EXE_smtpd")).arg(site.config()).stdout(Stdio::null());
    let smtpd = Running::start(command);
    smtpd.wait_for_log("listening on");
    let held: Vec<_> = (0..60).map(|_| TcpStream::connect(smtpd.address()).unwrap()).collect();
    smtpd.wait_for_log("taking a connection: ");
    // Time for several attempts to take one.
    thread::sleep(std::time::Duration::from_millis(600));
    assert_eq!(smtpd.log().matches("taking a connection: ").count(), 1, "{}", smtpd.log());
    drop(held);
    smtpd.client().expect("NOOP", "250");
}
