//! Real filters that are killed, stopped or garbled in the middle of a message: nothing is lost, nothing is accepted that
//! should wait, and sessions that wait for them cost bounded memory.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::client::Client;
use crate::have::have;
use crate::milters::{MESSAGE, clamav};
use crate::site::{Running, Site, wait_until};
use crate::support::peers::rspamd::Rspamd;

fn signal(process: &Running, name: &str) {
    let id = process.pid().to_string();
    assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
}

/// Passes octets on between smtpd and a filter; from then on that `garbles` is set, it answers garbage in the place of the filter.
fn garbling(port: u16, garbles: &Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap().port();
    let garbles = Arc::clone(garbles);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(near) = stream else { return };
            // Without the filter the connection just ends.
            let Ok(far) = TcpStream::connect(("127.0.0.1", port)) else { continue };
            let (mut near_in, mut far_out) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut near_in, &mut far_out));
            let (mut near, mut far, garbles) = (near, far, Arc::clone(&garbles));
            thread::spawn(move || {
                let mut octets = [0; 4096];
                while let Ok(read @ 1..) = far.read(&mut octets) {
                    let garbage: &[u8] = b"\xff\xff\xff\xf0\r\n250 ok\r\nX: y\r\n";
                    let answer = if garbles.load(Ordering::SeqCst) { garbage } else { &octets[..read] };
                    if near.write_all(answer).is_err() {
                        return;
                    }
                }
            });
        }
    });
    own
}

/// A client that has sent the header of a message and the beginning of its body.
fn half(smtpd: &Running) -> Client {
    let mut client = smtpd.client();
    wait_until("it is asked again", || {
        client.expect("EHLO device", "250");
        client.send(b"MAIL FROM:<joe@example.com>\r\n");
        let is_asked = client.reply().starts_with("250");
        if !is_asked {
            // The filter is left alone for ten seconds, and the errors of a session are limited.
            thread::sleep(Duration::from_millis(500));
            client = smtpd.client();
        }
        is_asked
    });
    client.expect("RCPT TO:<amy@example.org>", "250");
    client.expect("DATA", "354");
    client.send(b"From: joe@example.com\r\nTo: amy@example.org\r\nSubject: x\r\n\r\nthe beginning\r\n");
    client
}

fn rest(client: &mut Client) -> String {
    client.send(b"\r\nrest\r\n.\r\n");
    client.reply()
}

const LIMITS: &str = "connect_timeout = \"2s\"\ncommand_timeout = \"2s\"\ncontent_timeout = \"2s\"\n";

fn site_at(address: &str) -> Site {
    Site::new(&format!("[[milter]]\naddress = \"{address}\"\n{LIMITS}"))
}

#[test]
fn rspamd_killed_stopped_or_garbled_within_a_message_costs_no_mail() {
    if !have("rspamd") {
        return;
    }
    let rspamd = Rspamd::start();
    let garbles = Arc::new(AtomicBool::new(false));
    let site = site_at(&format!("inet:127.0.0.1:{}", garbling(rspamd.milter, &garbles)));
    let smtpd = site.listen(&[]);
    smtpd.client().submit("joe@example.com", &["amy@example.org"], MESSAGE);
    for trouble in ["garbled", "STOP", "KILL"] {
        let mut client = half(&smtpd);
        match trouble {
            "garbled" => garbles.store(true, Ordering::SeqCst),
            name => rspamd.signal(name),
        }
        let reply = rest(&mut client);
        assert!(reply.starts_with("451 4.3.5"), "{trouble}: {reply}");
        assert_eq!(site.shelf("queue").len(), 1, "{trouble}");
        match trouble {
            "garbled" => garbles.store(false, Ordering::SeqCst),
            "STOP" => rspamd.signal("CONT"),
            _ => {}
        }
    }
    let log = smtpd.log();
    assert!(!log.contains("250 ok") && log.contains("clients are deferred with 451"), "{log}");
}

#[test]
fn clamd_that_dies_or_hangs_behind_its_milter_lets_no_mail_in() {
    if !have("clamd") || !have("clamav-milter") {
        return;
    }
    for name in ["KILL", "STOP"] {
        let folder = tempfile::tempdir().unwrap();
        let (scanner, _milter, socket) = clamav(folder.path());
        let site = site_at(&format!("unix:{}", socket.display()));
        let smtpd = site.listen(&[]);
        smtpd.client().submit("joe@example.com", &["amy@example.org"], MESSAGE);
        let mut client = half(&smtpd);
        signal(&scanner, name);
        let reply = rest(&mut client);
        assert!(reply.starts_with("451 "), "{name}: {reply}");
        assert_eq!(site.shelf("queue").len(), 1, "{name}");
        if name == "STOP" {
            signal(&scanner, "CONT");
        }
    }
}

#[test]
fn fifty_sessions_with_a_stopped_filter_cost_bounded_memory() {
    const SESSIONS: usize = 50;
    const EACH: usize = 1_000_000;
    if !have("rspamd") {
        return;
    }
    let rspamd = Rspamd::start();
    let site = site_at(&format!("inet:127.0.0.1:{}", rspamd.milter));
    let smtpd = site.listen(&[]);
    smtpd.client().submit("joe@example.com", &["amy@example.org"], MESSAGE);
    let mut clients: Vec<Client> = (0..SESSIONS).map(|_| half(&smtpd)).collect();
    let before = smtpd.peak_memory();
    rspamd.signal("STOP");
    let line = [b'x'; 998];
    let body: Vec<u8> = std::iter::repeat_n([&line[..], b"\r\n"].concat(), EACH / 1_000).flatten().collect();
    let replies: Vec<String> = thread::scope(|scope| {
        let body = &body;
        let sending = clients.iter_mut().map(|client| {
            scope.spawn(move || {
                client.send(body);
                rest(client)
            })
        });
        sending.collect::<Vec<_>>().into_iter().map(|sent| sent.join().unwrap()).collect()
    });
    assert!(replies.iter().all(|reply| reply.starts_with("451 4.3.5")), "{replies:?}");
    assert_eq!(site.shelf("queue").len(), 1);
    let grown = smtpd.peak_memory() - before;
    assert!(grown < 50 * 512, "{grown} KiB");
    rspamd.signal("CONT");
}
