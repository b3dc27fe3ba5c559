//! Addresses that fail too often, over several processes, and who is not locked out with them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::Stdio;

use super::tls_and_logins::{ENCODED, PASSWORD, store};
use crate::client::Client;
use crate::site::{PATIENCE, Running, Site};

const USERS: &str = "[auth]\nusers = \"users\"\nclear_networks = [\"127.0.0.0/8\", \"10.0.0.0/8\"]\n";

/// What one process, as inetd starts it, says to these commands.
fn one_session(site: &Site, commands: &[&str]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let socket = OwnedFd::from(listener.accept().unwrap().0);
    let mut command = site.smtpd();
    command.stdin(socket.try_clone().unwrap()).stdout(socket).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    drop(command);
    // Octets before the greeting are refused.
    let mut said = [0; 4];
    stream.read_exact(&mut said).unwrap();
    let lines: String = commands.iter().map(|command| format!("{command}\r\n")).collect();
    stream.write_all(format!("{lines}QUIT\r\n").as_bytes()).unwrap();
    let mut replies = String::from_utf8_lossy(&said).into_owned();
    let _ = stream.read_to_string(&mut replies);
    assert!(child.wait().unwrap().success());
    replies
}

/// The first reply to a client whom a proxy announces.
fn greeting(address: SocketAddr, client: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(format!("PROXY TCP4 {client} 10.9.9.9 1 25\r\n").as_bytes()).unwrap();
    let mut reply = [0; 4];
    stream.read_exact(&mut reply).unwrap();
    String::from_utf8_lossy(&reply).into_owned()
}

#[test]
fn processes_of_inetd_lock_an_address_out_together() {
    let site = Site::new(USERS);
    store(&site, "joe", PASSWORD, "cram");
    assert!(one_session(&site, &["EHLO x", &format!("AUTH PLAIN {}", ENCODED[1])]).contains("\r\n235 "));
    let file = site.spool().join("routes/clients.failures");
    assert!(!file.exists(), "nobody failed");
    for _ in 0..3 {
        assert!(one_session(&site, &["EHLO x", "AUTH PLAIN AGpvZQB4"]).contains("\r\n535 "));
    }
    let right = format!("AUTH PLAIN {}", ENCODED[1]);
    let replies = one_session(&site, &["EHLO x", &right, "MAIL FROM:<a@b>"]);
    assert!(replies.contains("\r\n454 4.7.0 ") && replies.contains("\r\n250 2.1.0 "), "{replies}");
    // A receiver that listens, with the same spool, knows it too.
    let smtpd = site.listen(&[]);
    let mut client = smtpd.client();
    client.expect("EHLO x", "250");
    client.expect(&right, "454");
    assert!(std::fs::metadata(&file).unwrap().len() < 1 << 20);
}

#[test]
fn a_login_forgives_its_own_user_and_not_others() {
    let site = Site::new(USERS);
    for user in ["joe", "amy"] {
        store(&site, user, PASSWORD, "cram");
    }
    let right = format!("AUTH PLAIN {}", ENCODED[1]);
    let [joe, amy] = ["AUTH PLAIN AGpvZQB4", "AUTH PLAIN AGFteQB4"];
    let session = |commands: &[&str], code: &str| {
        let replies = one_session(&site, &[&["EHLO x"], commands].concat());
        assert!(replies.contains(&format!("\r\n{code} ")), "{commands:?}: {replies}");
    };
    // A person who mistypes and then succeeds has no failures left, as often as that happens.
    for _ in 0..3 {
        session(&[joe, joe], "535");
        session(&[&right], "235");
    }
    // One who has an account and guesses amy's password does not.
    session(&[amy, amy], "535");
    session(&[&right], "235");
    session(&[amy], "535");
    session(&[&right], "454");
}

#[test]
fn refused_recipients_lock_out_the_address_that_named_them_and_no_other() {
    let site = Site::new(
        "[recipients]\ndeny = [\"@nowhere.example\"]\n[senders]\ndeny = [\"@spam.example\"]\n\
         [clients]\nnetworks = [\"127.0.0.0/8\", \"10.0.0.0/8\"]\n[listen]\nproxy_from = [\"127.0.0.1\"]\n\
         [limits]\nrefusals = 3\nexempt = [\"10.0.0.99\"]\n",
    );
    let mut command = site.smtpd();
    command.args(["--listen", "proxy:127.0.0.1:0"]);
    let smtpd = Running::start(command);
    smtpd.wait_for_log("listening on");
    let fail = |client: &str| {
        let mut session =
            Client::connect_with(smtpd.address(), format!("PROXY TCP4 {client} 10.9.9.9 1 25\r\n").as_bytes());
        session.expect("EHLO x", "250");
        // Whom a host names that is not trusted with XCLIENT is not struck; nor is a slip of the syntax one of an address.
        session.expect("XCLIENT ADDR=10.0.0.2", "502");
        session.expect("MAIL FROM:<a@@>", "501");
        session.expect("MAIL FROM:<a@spam.example>", "553");
        session.expect("MAIL FROM:<a@b>", "250");
        session.expect("RCPT TO:<one@nowhere.example>", "550");
        session.expect("RCPT TO:<two@nowhere.example>", "550");
        // The transaction that has begun goes on.
        session.expect("RCPT TO:<c@d>", "250");
        session.expect("DATA", "354");
        session.finish(b"Subject: x\r\n\r\n");
        session
    };
    let mut session = fail("10.0.0.1");
    smtpd.wait_for_log("unknown[10.0.0.1] is locked out after too many refused senders or recipients");
    session.expect("MAIL FROM:<a@b>", "421 4.7.0");
    assert_eq!(greeting(smtpd.address(), "10.0.0.1"), "421 ");
    assert_eq!(greeting(smtpd.address(), "10.0.0.2"), "220 ");
    drop(fail("10.0.0.99"));
    assert_eq!(greeting(smtpd.address(), "10.0.0.99"), "220 ");
    // It does not lock out of itself who is not counted: AUTH has its own count.
    drop(smtpd);
    let mut command = site.smtpd();
    command.args(["--listen", "proxy:127.0.0.1:0"]);
    let again = Running::start(command);
    again.wait_for_log("listening on");
    assert_eq!(greeting(again.address(), "10.0.0.1"), "421 ", "another process knows it");
}

#[test]
fn whom_a_trusted_host_names_by_xclient_is_struck_and_the_host_is_not() {
    let site = Site::new(&format!(
        "{USERS}[clients]\nnetworks = [\"127.0.0.0/8\", \"10.0.0.0/8\"]\nxclient = [\"127.0.0.1\"]\n"
    ));
    store(&site, "joe", PASSWORD, "cram");
    let smtpd = site.listen(&[]);
    let speak_for = |client: &str, commands: &[(&str, &str)]| {
        let mut session = smtpd.client();
        session.expect("EHLO x", "250");
        session.expect(&format!("XCLIENT ADDR={client}"), "220");
        session.expect("EHLO x", "250");
        commands.iter().for_each(|(command, code)| drop(session.expect(command, code)));
    };
    let right = format!("AUTH PLAIN {}", ENCODED[1]);
    speak_for("10.0.0.1", &[("AUTH PLAIN AGpvZQB4", "535"), ("AUTH PLAIN AGpvZQB4", "535")]);
    speak_for("10.0.0.1", &[("AUTH PLAIN AGpvZQB4", "535"), (&right, "454")]);
    speak_for("10.0.0.2", &[(&right, "235")]);
    let mut session = smtpd.client();
    session.expect("EHLO x", "250");
    session.expect(&right, "235");
}

#[test]
fn no_limit_of_refusals_writes_nothing_and_locks_nobody_out() {
    let site = Site::new("[recipients]\ndeny = [\"@nowhere.example\"]\n[limits]\nexempt = []\n");
    let smtpd = site.listen(&[]);
    for _ in 0..5 {
        let mut session = smtpd.client();
        session.expect("EHLO x", "250");
        session.expect("MAIL FROM:<a@b>", "250");
        session.expect("RCPT TO:<one@nowhere.example>", "550");
    }
    assert!(!site.spool().join("routes/clients.failures").exists());
}
