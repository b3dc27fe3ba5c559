//! Clients that send without end: what a session and a login may take of the memory, and what a flood may not break.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;

use crate::site::{PATIENCE, Site};
use crate::tls_and_logins::{PASSWORD, store};

/// Sends octets until they are all sent or the other side closes, reading all the while; answers all replies.
fn flood(address: SocketAddr, octets: &[&[u8]]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut greeting = [0];
    while greeting != *b"\n" {
        stream.read_exact(&mut greeting).unwrap();
    }
    let mut reading = stream.try_clone().unwrap();
    let reader = thread::spawn(move || {
        let mut replies = Vec::new();
        // A reset is an end too.
        let _ = reading.read_to_end(&mut replies);
        String::from_utf8_lossy(&replies).into_owned()
    });
    if octets.iter().all(|octets| stream.write_all(octets).is_ok()) {
        let _ = stream.shutdown(Shutdown::Write);
    }
    reader.join().unwrap()
}

/// This many pieces that are so long together, none of which ends with a line.
fn unaligned(text: &[u8], octets: usize) -> Vec<u8> {
    text.iter().copied().cycle().take(octets).collect()
}

#[test]
fn no_stage_of_a_session_takes_memory_for_what_a_client_sends_without_end() {
    const FLOOD: usize = 8_000_000;
    let site = Site::new(
        "[limits]\njunk_commands = 100000\nslow_after_errors = 1000\nclose_after_errors = 1000\n\
         auth_failures = 100\n[auth]\nany_password_from = [\"127.0.0.1\"]\n[recipients]\ndeny = [\"@denied.example\"]\n",
    );
    let text = std::fs::read_to_string(site.config()).unwrap();
    let lenient = "required_headers = [\"Subject\"]\nbare_newline = \"normalize\"";
    std::fs::write(site.config(), text.replace("required_headers = []", lenient)).unwrap();
    let hello = b"EHLO x\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\n";
    let line = [vec![b'y'; 998], b"\r\n".to_vec()].concat();
    let auth = [b"AUTH LOGIN\r\n".as_slice(), &[b'A'; 12_001], b"\r\n*\r\n"].concat();
    let header = [b"X-Flood: ".as_slice(), &line].concat();
    // As large as a header may be, all of it to be repaired; the second turns out to be text.
    let mended = format!("DATA\r\n{}{}Subject: x\r\n\r\n", "junk\r\n".repeat(90), "a  : b\r\n".repeat(32_000));
    let text = format!("DATA\r\n{}\r\n", "junk\r\n".repeat(43_000));
    // Each stage: its name, what leads to it, and what is sent again and again. The first makes a program ready.
    let stages: [(&str, &[u8], &[u8]); 16] = [
        ("body", b"DATA\r\nSubject: x\r\n\r\n", &line),
        ("commands", b"", b"NOOP xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n"),
        ("recipients", b"", b"RCPT TO:<b@example.com> NOTIFY=NEVER ORCPT=rfc822;xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n"),
        ("a line without end", b"", b"N"),
        ("AUTH", b"RSET\r\n", &auth),
        ("headers", b"DATA\r\n", &header),
        ("a header that is mended", mended.as_bytes(), &line),
        ("a header that is text", text.as_bytes(), &line),
        ("line feeds", b"DATA\r\nSubject: x\r\n\r\n", b"\n"),
        ("carriage returns", b"DATA\r\nSubject: x\r\n\r\n", b"\r"),
        ("chunks", b"", b"BDAT 8\r\nX: yyyy\r\n"),
        ("one chunk", b"BDAT 9000000\r\nSubject: x\r\n\r\n", &line),
        ("a chunk that is refused", b"RSET\r\nBDAT 9000000\r\n", &line),
        ("a message that is refused", b"DATA\r\nX: \0\r\n\r\n", &line),
        ("after a message that was refused", b"DATA\r\nX: \0\r\n.\r\n", b"NOOP xxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n"),
        ("recipients that are refused", b"", b"RCPT TO:<b@denied.example>\r\n"),
    ];
    for (stage, lead, again) in stages {
        // A program of its own, in which the others have left nothing.
        let smtpd = site.listen(&[]);
        let run = |(_, lead, again): (&str, &[u8], &[u8]), octets: usize| {
            flood(smtpd.address(), &[hello, lead, &unaligned(again, octets)])
        };
        for _ in 0..4 {
            run(stages[0], 300_000);
        }
        let before = smtpd.peak_memory();
        run((stage, lead, again), FLOOD);
        let growth = smtpd.peak_memory().saturating_sub(before);
        assert!(growth < 512, "{stage}: {FLOOD} octets made it grow by {growth} KiB");
    }
}

#[test]
fn a_client_that_is_refused_takes_no_memory_however_much_it_sends() {
    for more in ["[clients]\nnetworks = [\"10.0.0.0/8\"]\n", "[limits]\nsessions = 1\n"] {
        let site = Site::new(more);
        let smtpd = site.listen(&[]);
        let held = more.contains("sessions").then(|| smtpd.client());
        flood(smtpd.address(), &[b"NOOP\r\n"]);
        let before = smtpd.peak_memory();
        let replies = flood(smtpd.address(), &[&unaligned(b"NOOP\r\nMAIL FROM:<a@b>\r\nDATA\r\n", 8_000_000)]);
        assert!(!replies.contains("250 "), "{replies}");
        let growth = smtpd.peak_memory().saturating_sub(before);
        assert!(growth < 512, "{more}: it grew by {growth} KiB");
        drop(held);
    }
}

#[test]
fn the_same_recipient_again_and_again_ends_the_session() {
    let site = Site::new("");
    let smtpd = site.listen(&[]);
    let lead = b"EHLO x\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\n";
    let replies = flood(smtpd.address(), &[lead, &b"RCPT TO:<b@example.com>\r\n".repeat(105), b"DATA\r\n"]);
    assert!(replies.contains("\r\n354 "), "a few are none of a flood: {replies}");
    let site = Site::new("[limits]\nslow_after_errors = 20\n");
    let smtpd = site.listen(&[]);
    let replies = flood(smtpd.address(), &[lead, &b"RCPT TO:<b@example.com>\r\n".repeat(130), b"DATA\r\n"]);
    assert!(replies.contains("\r\n421 ") && !replies.contains("\r\n354 "), "{replies}");
}

#[test]
fn who_pipelines_more_recipients_than_there_may_be_loses_only_these() {
    let site = Site::new("");
    let smtpd = site.listen(&["--deliver"]);
    let recipients: String = (0..1_030).map(|n| format!("RCPT TO:<user{n}@example.com>\r\n")).collect();
    let text = format!("EHLO x\r\nMAIL FROM:<a@example.com>\r\n{recipients}DATA\r\n");
    let replies = flood(smtpd.address(), &[text.as_bytes(), b"Subject: x\r\n\r\ntext\r\n.\r\nQUIT\r\n"]);
    assert_eq!(replies.matches("\r\n250 2.1.5 ").count(), 1_000);
    assert_eq!(replies.matches("\r\n452 4.5.3 ").count(), 30);
    assert!(replies.contains("queued as") && replies.contains("\r\n221 "), "{replies}");
}

/// By hand, 1,000 logins (500 right, one after the other, and 500 wrong, 50 at a time) take no more than these.
#[test]
fn logins_right_and_wrong_leave_the_memory_as_it_was() {
    let site = Site::new(
        "[auth]\nusers = \"users\"\nclear_networks = [\"127.0.0.1\"]\n[limits]\nauth_failures = 100\nlockout = \"1s\"\n",
    );
    store(&site, "joe", PASSWORD, "argon2");
    let smtpd = site.listen(&[]);
    let address = smtpd.address();
    let login =
        |response: &str| flood(address, &[format!("EHLO x\r\nAUTH PLAIN {response}\r\n").as_bytes(), b"QUIT\r\n"]);
    let right = "AGpvZQBvcGVuIHNlc2FtZSA3IGRvb3Jz";
    let logins = std::env::var("LOGINS").ok().and_then(|count| count.parse().ok()).unwrap_or(60);
    for _ in 0..logins / 2 {
        assert!(login(right).contains("\r\n235 "));
    }
    let mut wrong = logins / 2;
    while wrong > 0 {
        let batch = wrong.min(50);
        thread::scope(|scope| {
            for number in 0..batch {
                // The user joe, and one who is unknown.
                let response = if number % 2 == 0 { "AGpvZQB4" } else { "AG5vYm9keQB4" };
                scope.spawn(move || assert!(login(response).contains("\r\n535 ")));
            }
        });
        wrong -= batch;
    }
    assert!(login(right).contains("\r\n235 "));
    let peak = smtpd.peak_memory();
    assert!(peak < 100_000, "{logins} logins made it grow to {peak} KiB");
}
