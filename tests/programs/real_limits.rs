//! A message to a thousand recipients through servers that limit recipients, errors, messages and their rate: each gets it once,
//! and whoever is refused by name is in the notice to the sender, once.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::have::{have, skip};
use crate::real_servers::{Exim, Postfix, may_run, open_to_all, which};
use crate::recipient_sink::RecipientSink;
use crate::site::{Running, Site, free_port, wait_until};

/// One in this number is refused by name.
const REFUSED: usize = 20;
/// A server that sends a thousand copies on is busy for a while.
const LONGEST: Duration = Duration::from_secs(120);

/// The addresses, of which those with an `x` are unknown.
fn thousand() -> (Vec<String>, Vec<String>) {
    let name = |index: usize| format!("{}{index}@there.example", if index.is_multiple_of(REFUSED) { 'x' } else { 'r' });
    (0..1_000).map(name).partition(|address| address.starts_with('r'))
}

/// A site whose `[relay]` has these lines.
fn site_with(relay: &str) -> Site {
    let site = Site::new("[queue]\nretry = [\"1s\"]");
    open_to_all(&site);
    let text = fs::read_to_string(site.config()).unwrap();
    fs::write(site.config(), text.replace("[relay]\n", &format!("[relay]\n{relay}\n#"))).unwrap();
    site
}

/// Sends one message to all through the server, and sees who got it.
fn goes_to_a_thousand(relay: &str, sink: &RecipientSink, server: impl Fn() -> String) {
    let site = site_with(relay);
    let (known, unknown) = thousand();
    let all: Vec<&str> = known.iter().chain(&unknown).map(String::as_str).collect();
    let smtpd = site.listen(&[]);
    smtpd.client().submit("alice@here.example", &all, b"Subject: letter 1\r\n\r\nhello\r\n");
    let (start, mut said) = (Instant::now(), String::new());
    while !site.shelf("queue").is_empty() {
        assert!(start.elapsed() < LONGEST, "{said}\n{}\n{}", site.states(), server());
        said += &String::from_utf8_lossy(&site.run(&["flush"]).stderr);
        // Some limit the rate by the second.
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(site.shelf("failed").is_empty(), "{said}");
    let wanted: Vec<(usize, String)> = known.iter().map(|address| (1, address.clone())).collect();
    let copies = sink.copies(&wanted, server);
    let odd: Vec<_> = copies
        .iter()
        .filter(|((number, address), copies)| **copies != 1 || *number != 1 || !address.starts_with('r'))
        .take(5)
        .collect();
    assert!(
        odd.is_empty() && copies.len() == wanted.len(),
        "{} pairs, and these are odd: {odd:?}\n{said}",
        copies.len()
    );
    let mut unknown = unknown;
    unknown.sort();
    let (told, notices) = sink.failures(unknown.len());
    assert_eq!(told, unknown, "{notices} notices");
}

fn url(port: u16) -> String {
    format!("url = \"smtp://127.0.0.1:{port}?tls=none\"\n")
}

/// Postfix, which refuses addresses with an `x`, with these limits.
fn through_postfix(limits: &str) {
    if !may_run("postfix-master") {
        return;
    }
    let (sink, site) = (RecipientSink::start(), Site::new(""));
    open_to_all(&site);
    let access = site.path("access");
    fs::write(&access, "/^x/ 550 5.1.1 User unknown\n").unwrap();
    let more = format!(
        "smtpd_recipient_restrictions = check_recipient_access regexp:{}\nsmtpd_error_sleep_time = 0\n{limits}",
        access.display()
    );
    let postfix = Postfix::start(&site.path("postfix"), sink.port, &more);
    goes_to_a_thousand(&url(postfix.port), &sink, || postfix.log());
}

#[test]
fn a_thousand_get_it_once_through_a_postfix_that_limits_recipients() {
    through_postfix("smtpd_recipient_limit = 30\nsmtpd_recipient_overshoot_limit = 10");
}

#[test]
fn a_thousand_get_it_once_through_a_postfix_that_limits_errors() {
    through_postfix("smtpd_soft_error_limit = 3\nsmtpd_hard_error_limit = 7");
}

#[test]
fn a_thousand_get_it_once_through_a_postfix_that_limits_the_rate() {
    through_postfix(
        "smtpd_recipient_limit = 50\nsmtpd_client_message_rate_limit = 6\nanvil_rate_time_unit = 2s\n\
         smtpd_client_event_limit_exceptions =",
    );
}

#[test]
fn a_thousand_get_it_once_through_an_exim_that_limits_recipients_and_messages() {
    if !may_run("exim4") {
        return;
    }
    let (sink, site) = (RecipientSink::start(), Site::new(""));
    open_to_all(&site);
    let more = "tls_advertise_hosts =\nrecipients_max = 40\nsmtp_accept_max_per_connection = 3";
    let exim = Exim::start(&site.path("exim"), sink.port, more, "");
    goes_to_a_thousand(&url(exim.port), &sink, || exim.log());
}

/// OpenSMTPD has its folders where it was built to have them: in a name space of its own they are empty.
fn opensmtpd(folder: &Path, relay_port: u16) -> (Running, u16) {
    let port = free_port();
    let configuration = folder.join("smtpd.conf");
    let text = format!(
        "smtp limit max-rcpt 40\nsmtp limit max-mails 3\nlisten on 127.0.0.1 port {port} hostname opensmtpd.example\n\
         action \"out\" relay host smtp://127.0.0.1:{relay_port}\n\
         match from any rcpt-to regex \"^x\" for any reject\nmatch from any for any action \"out\"\n"
    );
    fs::write(&configuration, text).unwrap();
    let script = format!(
        "set -e; for folder in /var/spool /var/lib /run; do mount -t tmpfs -o mode=755 tmpfs $folder; done\n\
         mkdir -p /var/lib/opensmtpd/empty; mkdir -m 711 /var/spool/smtpd\nexec {} -d -f {}",
        which("opensmtpd").display(),
        configuration.display()
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "--fork", "--kill-child", "sh", "-c", &script]);
    let running = Running::start(command);
    wait_until("OpenSMTPD to listen", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    (running, port)
}

#[test]
fn a_thousand_get_it_once_through_an_opensmtpd_that_limits_recipients_and_messages() {
    if !may_run("opensmtpd") || !have("unshare") {
        return;
    }
    if !Command::new("unshare").args(["--mount", "true"]).status().is_ok_and(|status| status.success()) {
        return skip("a mount name space of its own");
    }
    let (sink, site) = (RecipientSink::start(), Site::new(""));
    let (running, port) = opensmtpd(&site.path(""), sink.port);
    goes_to_a_thousand(&url(port), &sink, || running.log());
}

/// Dovecot passes pipelined recipients on before it has counted those before, answers 451 to the first that are too many, and
/// delivers to them all the same: a client that sends these again, as it must, makes a second copy. Either key avoids that.
#[test]
fn a_thousand_get_it_once_through_a_dovecot_that_limits_recipients() {
    if !may_run("dovecot") {
        return;
    }
    let (sink, site, port) = (RecipientSink::start(), Site::new(""), free_port());
    open_to_all(&site);
    let (configuration, log) = (site.path("dovecot.conf"), site.path("dovecot.log"));
    let text = format!(
        "protocols = submission\nbase_dir = {folder}/run\nstate_dir = {folder}/state\nlog_path = {log}\nssl = no\n\
         disable_plaintext_auth = no\nlisten = 127.0.0.1\nhostname = dovecot.example\nsubmission_max_recipients = 40\n\
         submission_relay_host = 127.0.0.1\nsubmission_relay_port = {relay}\nmail_location = maildir:{folder}/mail\n\
         passdb {{\n  driver = static\n  args = password=secret\n}}\n\
         userdb {{\n  driver = static\n  args = uid=nobody gid=nogroup home=/nonexistent\n}}\n\
         service submission-login {{\n  inet_listener submission {{\n    port = {port}\n  }}\n}}\n",
        folder = site.path("dovecot").display(),
        log = log.display(),
        relay = sink.port,
    );
    fs::create_dir_all(site.path("dovecot/state")).unwrap();
    fs::write(&configuration, text).unwrap();
    let mut command = Command::new("dovecot");
    command.arg("-F").arg("-c").arg(&configuration);
    let _dovecot = Running::start(command);
    wait_until("Dovecot to listen", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    for key in ["recipients_per_message = 40", "discard_extensions = [\"PIPELINING\"]"] {
        let relay = format!("url = \"smtp://me@127.0.0.1:{port}?tls=none\"\npassword_command = \"echo secret\"\n{key}");
        goes_to_a_thousand(&relay, &sink, || fs::read_to_string(&log).unwrap_or_default());
        sink.forget();
    }
}
