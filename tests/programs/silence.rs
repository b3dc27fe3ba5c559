//! Clients that say nothing: before they are greeted, and when the receiver ends.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use crate::client::Client;
use crate::site::{PATIENCE, Running, Site};
use crate::tls_and_logins::write_certificate;

const TLS: &str = "[tls]\ncertificate = \"cert\"\nkey = \"key\"\n";

/// What the other side says to a client that says only this.
fn answer_to(smtpd: &Running, octets: &[u8]) -> String {
    let mut stream = TcpStream::connect(smtpd.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(octets).unwrap();
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    String::from_utf8_lossy(&said).into_owned()
}

fn listening(site: &Site, address: &str) -> Running {
    let mut command = site.smtpd();
    command.args(["--listen", address]);
    let smtpd = Running::start(command);
    smtpd.wait_for_log("listening on");
    smtpd
}

#[test]
fn a_handshake_and_a_proxy_header_have_the_time_that_a_client_may_be_silent() {
    let site = Site::new(&format!("[limits]\nidle = \"2s\"\n[listen]\nproxy_from = [\"127.0.0.1\"]\n{TLS}"));
    write_certificate(&site);
    let smtpd = listening(&site, "tls:127.0.0.1:0");
    assert_eq!(answer_to(&smtpd, b""), "");
    smtpd.wait_for_log("no TLS handshake within 2 s");
    for octets in [&b""[..], b"PROXY TCP4 127."] {
        let smtpd = listening(&site, "proxy:127.0.0.1:0");
        assert_eq!(answer_to(&smtpd, octets), "");
        smtpd.wait_for_log("sent no PROXY header within 2 s");
    }
    let smtpd = listening(&site, "proxy:tls:127.0.0.1:0");
    assert_eq!(answer_to(&smtpd, b"PROXY TCP4 127.0.0.1 127.0.0.1 4711 25\r\n"), "");
    smtpd.wait_for_log("no TLS handshake within 2 s");
    let smtpd = listening(&site, "127.0.0.1:0");
    let mut client = smtpd.client();
    client.expect("EHLO x", "250");
    client.expect("STARTTLS", "220");
    assert_eq!(client.rest(), "");
    smtpd.wait_for_log("no TLS handshake within 2 s");
}

/// With the default `idle`, which is longer than any test waits.
#[test]
fn silent_handshakes_make_room_under_overload_for_a_client_that_sends() {
    let site = Site::new(&format!("[limits]\nsessions = 10\noverload_idle = \"1s\"\n{TLS}"));
    write_certificate(&site);
    let mut command = site.smtpd();
    command.args(["-vv", "--listen", "127.0.0.1:0", "--listen", "tls:127.0.0.1:0"]);
    let smtpd = Running::start(command);
    crate::site::wait_until("both listeners", || smtpd.log().matches("listening on").count() == 2);
    let log = smtpd.log();
    let tls = log.lines().filter_map(|line| line.split("listening on ").nth(1)).nth(1).unwrap();
    let tls: std::net::SocketAddr = tls.trim().parse().unwrap();
    let silent: Vec<_> = (0..8).map(|_| TcpStream::connect(tls).unwrap()).collect();
    // The ninth begins the overload, under which the others have no more than a second.
    crate::site::wait_until("all are taken", || smtpd.log().matches("connect from").count() >= 8);
    let mut ninth = smtpd.client();
    ninth.expect("EHLO x", "250");
    smtpd.wait_for_log("no TLS handshake within 1 s");
    smtpd.client().submit("a@example.com", &["b@example.com"], b"Subject: x\r\n");
    drop(silent);
}

#[test]
fn at_term_who_waits_is_told_at_once_also_within_a_transaction() {
    let site = Site::new("[limits]\nshutdown = \"10m\"\n[auth]\nany_password_from = [\"127.0.0.1\"]\n");
    let mut smtpd = site.listen(&[]);
    let hello = |lines: &[(&str, &str)]| {
        let mut client = smtpd.client();
        client.expect("EHLO x", "250");
        lines.iter().for_each(|(line, code)| drop(client.expect(line, code)));
        client
    };
    let (mail, rcpt) = (("MAIL FROM:<a@example.com>", "250"), ("RCPT TO:<b@example.com>", "250"));
    let mut half = hello(&[mail]);
    half.send(b"RCPT TO:<b@exa");
    let waiting: [Client; 5] =
        [hello(&[]), hello(&[mail]), hello(&[mail, rcpt]), hello(&[("AUTH LOGIN", "334")]), half];
    let opening = TcpStream::connect(smtpd.address()).unwrap();
    smtpd.terminate();
    for client in waiting {
        let farewell = client.rest();
        assert!(farewell.starts_with("421 4.3.2 "), "{farewell}");
    }
    assert!(smtpd.wait().success());
    drop(opening);
    assert!(site.shelf("queue").is_empty());
}

#[test]
fn at_term_only_a_message_that_moves_is_waited_for_and_not_without_end() {
    let site = Site::new("[limits]\nshutdown = \"4s\"\n");
    let mut smtpd = site.listen(&[]);
    let begin = || {
        let mut client = smtpd.client();
        client.begin("a@example.com", &["b@example.com"]);
        client
    };
    let (stopped, mut slow) = (begin(), TcpStream::connect(smtpd.address()).unwrap());
    let mut chunks = smtpd.client();
    chunks.expect("EHLO x", "250");
    chunks.expect("MAIL FROM:<a@example.com>", "250");
    chunks.expect("RCPT TO:<b@example.com>", "250");
    chunks.expect("BDAT 5\r\nX: ", "250");
    slow.read_exact(&mut [0; 4]).unwrap();
    slow.write_all(b"HELO x\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n").unwrap();
    let moving = thread::spawn(move || {
        while slow.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(100));
        }
    });
    smtpd.terminate();
    for client in [stopped, chunks] {
        let farewell = client.rest();
        assert!(farewell.starts_with("421 4.3.2 "), "{farewell}");
    }
    assert!(smtpd.wait().success(), "{}", smtpd.log());
    moving.join().unwrap();
    assert!(site.shelf("queue").is_empty());
}
