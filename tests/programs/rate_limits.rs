//! Rate limits over several processes: who has to wait, how long, and what the log and `explain` say of it.

use std::process::Command;

use crate::client::Client;
use crate::have::have;
use crate::site::{Running, Site};

const NETWORKS: &str =
    "[clients]\nnetworks = [\"127.0.0.0/8\", \"10.0.0.0/8\"]\n[listen]\nproxy_from = [\"127.0.0.1\"]\n";

const MESSAGE: &[u8] = b"From: a@example.com\r\nTo: b@example.com\r\nSubject: x\r\n\r\nhello\r\n";

fn receiver(site: &Site) -> Running {
    let mut command = site.smtpd();
    command.args(["--listen", "proxy:127.0.0.1:0"]);
    let smtpd = Running::start(command);
    smtpd.wait_for_log("listening on");
    smtpd
}

/// A client that a proxy announces.
fn client(smtpd: &Running, address: &str) -> Client {
    Client::connect_with(smtpd.address(), format!("PROXY TCP4 {address} 10.9.9.9 1 25\r\n").as_bytes())
}

/// What a client is greeted with.
fn greeting(smtpd: &Running, address: &str) -> String {
    let (mut stream, header) =
        (std::net::TcpStream::connect(smtpd.address()).unwrap(), format!("PROXY TCP4 {address} 10.9.9.9 1 25\r\n"));
    stream.set_read_timeout(Some(crate::site::PATIENCE)).unwrap();
    std::io::Write::write_all(&mut stream, header.as_bytes()).unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stream), &mut line).unwrap();
    line
}

#[test]
fn two_processes_limit_connections_messages_and_recipients_of_one_address_together() {
    let site = Site::new(&format!(
        "{NETWORKS}[limits]\nexempt = [\"10.0.0.9\"]\n\
         [[rate_limit]]\nconnections = [\"4/h\", \"1000/d\"]\nmessages = [\"3/h\"]\nrecipients = [\"4/h\"]\n"
    ));
    let [one, two] = [receiver(&site), receiver(&site)];
    for smtpd in [&one, &two] {
        let mut session = client(smtpd, "10.0.0.1");
        session.expect("EHLO x", "250");
        session.expect("MAIL FROM:<a@example.com>", "250");
        for to in ["b", "c"] {
            session.expect(&format!("RCPT TO:<{to}@example.com>"), "250");
        }
        session.expect("DATA", "354");
        session.finish(MESSAGE);
    }
    let mut session = client(&one, "10.0.0.1");
    session.expect("EHLO x", "250");
    session.expect("MAIL FROM:<a@example.com>", "250");
    let reply = session.expect("RCPT TO:<d@example.com>", "450 4.7.1 at most 4 recipients an hour are accepted");
    assert!(reply.contains("from this address; try again in ") && reply.contains("rate_limit.recipients"), "{reply}");
    session.expect("RSET", "250");
    session.expect("MAIL FROM:<a@example.com>", "450 4.7.1 at most 3 messages an hour");
    assert!(greeting(&two, "10.0.0.1").starts_with("220 "));
    for smtpd in [&one, &two, &one] {
        let said = greeting(smtpd, "10.0.0.1");
        assert!(
            said.starts_with("421 4.7.0 ") && said.contains("at most 4 connections an hour from this address"),
            "{said}"
        );
        assert!(said.contains("; try again in 6"), "61 to 66 minutes: {said}");
    }
    assert!(greeting(&one, "10.0.0.2").starts_with("220 "), "another address");
    for _ in 0..6 {
        assert!(greeting(&two, "10.0.0.9").starts_with("220 "), "an exempt one");
    }
    let log = one.log() + &two.log();
    let line = "unknown[10.0.0.1] exceeds the limit of 4 connections an hour for address 10.0.0.1";
    assert_eq!(log.matches(line).count(), 1, "once in a period, over both: {log}");
    let explained = site.run(&["explain", "--client", "10.0.0.1"]);
    let explained = String::from_utf8_lossy(&explained.stdout).into_owned();
    for expected in ["CONNECT refused with 421 4.7.0", "RCPT refused with 450 4.7.1", "(setting rate_limit.messages)"] {
        assert!(explained.contains(expected), "{explained}");
    }
}

#[test]
fn a_sender_is_limited_wherever_it_sends_from_and_bounces_are_not() {
    let site = Site::new(&format!("{NETWORKS}[[rate_limit]]\nby = \"sender\"\nmessages = [\"2/h\"]\n"));
    let smtpd = receiver(&site);
    for address in ["10.0.0.1", "10.0.0.2"] {
        client(&smtpd, address).submit("Joe@example.com", &["b@example.com"], MESSAGE);
    }
    let mut session = client(&smtpd, "10.0.0.3");
    session.expect("EHLO x", "250");
    let reply = session.expect("MAIL FROM:<joe@example.COM>", "450 4.7.1 at most 2 messages an hour");
    assert!(reply.contains("from this sender;"), "{reply}");
    smtpd.wait_for_log("exceeds the limit of 2 messages an hour for sender <joe@example.com>");
    for _ in 0..3 {
        session.expect("MAIL FROM:<>", "250");
        session.expect("RSET", "250");
    }
    session.expect("MAIL FROM:<amy@example.com>", "250");
}

#[test]
fn three_refused_messages_lock_an_address_out() {
    let site = Site::new(&format!("{NETWORKS}[limits]\nrefused_messages = 3\n"));
    // The configuration of tests wants no fields.
    let text = std::fs::read_to_string(site.config()).unwrap();
    std::fs::write(site.config(), text.replace("required_headers = []", "required_headers = [\"From\"]")).unwrap();
    let smtpd = receiver(&site);
    let refused = |session: &mut Client| {
        session.expect("MAIL FROM:<a@example.com>", "250");
        session.expect("RCPT TO:<b@example.com>", "250");
        session.expect("DATA", "354");
        session.send(b"To: b@example.com\r\n\r\nhello\r\n.\r\n");
        let reply = session.reply();
        assert!(reply.contains("554 5.6.0"), "{reply}");
    };
    let mut session = client(&smtpd, "10.0.0.1");
    session.expect("EHLO x", "250");
    // A refused recipient or a slip is no refused message.
    session.expect("RCPT TO:<b@example.com>", "503");
    (0..3).for_each(|_| refused(&mut session));
    session.expect("MAIL FROM:<a@example.com>", "421 4.7.0");
    smtpd.wait_for_log("is locked out after too many refused messages (limits.refused_messages)");
    assert!(greeting(&smtpd, "10.0.0.1").starts_with("421 4.7.0"));
    assert!(greeting(&smtpd, "10.0.0.2").starts_with("220 "));
    assert!(greeting(&receiver(&site), "10.0.0.1").starts_with("421 "), "another process knows it");
}

#[test]
fn without_limits_nothing_is_written() {
    let site = Site::new("[limits]\nexempt = []\n");
    let smtpd = site.listen(&[]);
    smtpd.client().submit("a@example.com", &["b@example.com"], MESSAGE);
    for name in ["clients.rates", "clients.failures"] {
        assert!(!site.spool().join("routes").join(name).exists());
    }
}

/// The load generator of Postfix sends as fast as it can; no more than the limit is taken.
#[test]
fn a_flood_of_smtp_source_is_cut_off_at_the_limit() {
    if !have("smtp-source") {
        return;
    }
    let site = Site::new("[limits]\nexempt = []\n[[rate_limit]]\nmessages = [\"20/h\"]\n");
    let smtpd = site.listen(&[]);
    let mut source = Command::new("smtp-source");
    // Without -d, a session for each message.
    source.args(["-c", "-s", "4", "-m", "60", "-l", "200", "-F"]).arg(site.path("message"));
    std::fs::write(site.path("message"), MESSAGE).unwrap();
    source.args(["-f", "a@example.com", "-t", "b@example.com", &smtpd.address().to_string()]);
    let _ = source.output().unwrap();
    // It gives up at the first refusal.
    let taken = site.shelf("queue").len();
    assert!(taken <= 20, "{taken}");
    let mut session = smtpd.client();
    session.expect("EHLO x", "250");
    for _ in taken..20 {
        session.expect("MAIL FROM:<a@example.com>", "250");
        session.expect("RSET", "250");
    }
    session.expect("MAIL FROM:<a@example.com>", "450 4.7.1");
}

#[test]
fn doctor_says_whether_clients_can_be_counted_and_whom_a_limit_counts() {
    let limits = "[[rate_limit]]\nmessages = [\"60/m\"]\n[[rate_limit]]\nby = \"login\"\nmessages = [\"60/m\"]\n";
    let said = |site: &Site| String::from_utf8(site.run(&["doctor"]).stdout).unwrap();
    let site = Site::new(&format!("{NETWORKS}{limits}"));
    let words = said(&site);
    assert!(words.contains("ok        counts: clients can be counted"), "{words}");
    assert!(words.contains("ok        limit: rate_limit[0] limits by address"), "{words}");
    assert!(words.contains("warning   limit: rate_limit[1] counts nobody: nobody can log in"), "{words}");
    // By default only this host may connect, which is exempt.
    let words = said(&Site::new(limits));
    assert!(
        words.contains("rate_limit[0] counts nobody: all networks that may connect are in limits.exempt"),
        "{words}"
    );
    std::fs::create_dir_all(site.spool().join("routes/clients.rates")).unwrap();
    let words = said(&site);
    assert!(words.contains("fault     counts: clients cannot be counted: "), "{words}");
}
