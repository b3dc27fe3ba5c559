//! Programs that are killed at any moment: nothing acknowledged is lost, nothing incomplete is ever delivered.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::client::original;
use crate::fake_smarthost::{FakeSmarthost, Script};
use crate::site::{Running, Site, wait_until};
use crate::support::window::Window;

/// A message that shows whether it is whole: its number, filling of a length that depends on it, and an end mark.
fn message(number: usize) -> String {
    // Some small, as they stay in memory until the commit, and some that stream to the disk.
    let lines = if number.is_multiple_of(3) { 3000 } else { number % 40 };
    format!(
        "Subject: {number}\r\n\r\n{}end of {number}\r\n",
        "filling of the message, line after line\r\n".repeat(lines)
    )
}

fn number(delivered: &[u8]) -> usize {
    let text = String::from_utf8_lossy(original(delivered)).into_owned();
    let number = text.lines().next().unwrap().strip_prefix("Subject: ").unwrap().parse().unwrap();
    assert_eq!(text, message(number), "message {number} is not what was sent");
    number
}

/// Sends messages until the other side is gone; notes each that was acknowledged. Any error is the crash.
fn send_until_it_dies(address: SocketAddr, numbers: &AtomicUsize, acknowledged: &Mutex<HashSet<usize>>) -> Option<()> {
    let stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(crate::site::PATIENCE)).ok()?;
    let mut stream = BufReader::new(stream);
    let mut step = |octets: &[u8], code: &str| -> Option<()> {
        stream.get_mut().write_all(octets).ok()?;
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        line.starts_with(code).then_some(())
    };
    step(b"", "220")?;
    step(b"HELO client.example\r\n", "250")?;
    loop {
        let number = numbers.fetch_add(1, Ordering::SeqCst);
        step(b"MAIL FROM:<alice@example.com>\r\n", "250")?;
        step(b"RCPT TO:<bob@example.com>\r\n", "250")?;
        step(b"DATA\r\n", "354")?;
        step(format!("{}.\r\n", message(number)).as_bytes(), "250")?;
        acknowledged.lock().unwrap().insert(number);
    }
}

#[test]
fn killing_smtpd_loses_nothing_acknowledged_and_delivers_nothing_incomplete() {
    let site = Site::new("");
    let numbers = Arc::new(AtomicUsize::new(1));
    let acknowledged = Arc::new(Mutex::new(HashSet::new()));
    for round in 0..25_u64 {
        let smtpd = site.listen(&[]);
        let address = smtpd.address();
        let senders: Vec<_> = (0..4)
            .map(|_| {
                let (numbers, acknowledged) = (Arc::clone(&numbers), Arc::clone(&acknowledged));
                thread::spawn(move || send_until_it_dies(address, &numbers, &acknowledged))
            })
            .collect();
        // Every other time, once something was acknowledged: on a busy machine that takes a while.
        let before = acknowledged.lock().unwrap().len();
        wait_until("a message is acknowledged", || round % 2 == 0 || acknowledged.lock().unwrap().len() > before);
        // Moments that differ from round to round, also within the arrival of a large message.
        thread::sleep(Duration::from_micros(3_000 + 1_700 * round));
        smtpd.kill();
        for sender in senders {
            sender.join().unwrap();
        }
    }
    let acknowledged = acknowledged.lock().unwrap().clone();
    assert!(acknowledged.len() > 10, "only {} were acknowledged before the kills", acknowledged.len());
    assert!(site.run(&["flush"]).status.success());
    let delivered: HashSet<usize> = site.delivered().iter().map(|message| number(message)).collect();
    let lost: Vec<_> = acknowledged.difference(&delivered).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    assert!(site.shelf("queue").is_empty() && site.shelf("bad").is_empty(), "a kill leaves nothing torn");
}

#[test]
fn killing_spoolrun_loses_nothing_and_repeats_at_most_what_it_had_in_hand() {
    let smarthost = FakeSmarthost::start(Script::new());
    let site = Site::new("");
    let relay = format!("smtp://{}?tls=none", smarthost.address);
    let smtpd = site.listen(&[]);
    let mut client = smtpd.client();
    let ids: Vec<String> = (0..400)
        .map(|number| client.submit("alice@example.com", &["bob@example.com"], message(3 * number + 1).as_bytes()))
        .collect();
    let mut window = Window::default();
    while !site.shelf("queue").is_empty() {
        // `flush`, as what was in hand at a kill counts as an attempt and would otherwise rest for a minute.
        let mut command = site.spoolrun();
        command.args(["--relay", &relay, "flush"]);
        let mut spoolrun = Running::start(command);
        // Moments that differ, and become later, so that it ends on a slow machine too.
        let kills = window.kills as u64;
        thread::sleep(Duration::from_millis(10 + 7 * kills % 30 + kills / 4));
        window.kill(&site.spool(), spoolrun.child());
        assert!(kills < 1000, "it never gets done");
    }
    assert!(window.kills > 2, "only {} kills: too few messages for this machine", window.kills);
    let mut copies: HashMap<&str, usize> = HashMap::new();
    for message in smarthost.record().messages {
        *copies.entry(&ids[(number(&message) - 1) / 3]).or_default() += 1;
    }
    assert_eq!(copies.len(), ids.len(), "every message arrived");
    window.assert_excuses(copies);
    assert!(site.shelf("bad").is_empty() && site.shelf("failed").is_empty());
}
