//! The mail that flows while the block log grows, and the notes of those who sent it.
//!
//! Several clients send at the same time, and note for each message how long the log was once the 250 had come. Most is
//! taken by the next hop at once; some recipients it never takes, so that their messages stay and are written to; some it
//! refuses permanently, so that bounces are made.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::path::Path;
use std::sync::Mutex;
use std::thread;

use crate::client::original;
use crate::site::PATIENCE;

/// Part of the addresses that are not taken at present.
pub(crate) const LATER: &str = "later";
/// Part of the addresses that are never taken.
pub(crate) const NEVER: &str = "never";

/// What a message is.
#[derive(Debug)]
pub(crate) enum Arrived {
    /// What was sent under this number, octet by octet.
    Whole(usize),
    /// The notice that it failed.
    Bounce(usize),
    /// The notice that it is late.
    Delay(usize),
    /// Something that nobody sent.
    Torn(String),
}

/// A message that shows whether it is whole: its number, filling of a length that depends on it, and an end mark.
pub(crate) fn message(number: usize) -> String {
    // Some do not fit into memory and stream to the disk before the commit.
    let lines = if number.is_multiple_of(13) { 2500 } else { number * 37 % 150 };
    let filling = format!("filling of message {number}, line after line\r\n").repeat(lines);
    format!("Subject: {number}\r\n\r\n{filling}end of {number}\r\n")
}

pub(crate) fn recipients(number: usize) -> Vec<String> {
    match number % 9 {
        0 | 3 => vec![format!("{LATER}@example.net")],
        5 => vec!["bob@example.net".into(), format!("{LATER}@example.net")],
        7 => vec![format!("{NEVER}@example.net")],
        _ => vec!["bob@example.net".into()],
    }
}

/// Whether somebody of a message can never be reached at present, so that it stays in the queue.
pub(crate) fn stays(number: usize) -> bool {
    recipients(number).iter().any(|recipient| recipient.contains(LATER))
}

/// Whether somebody of a message is refused permanently, so that a bounce is made.
pub(crate) fn fails(number: usize) -> bool {
    recipients(number).iter().any(|recipient| recipient.contains(NEVER))
}

/// What a message is, by its octets.
pub(crate) fn recognize(octets: &[u8]) -> Arrived {
    let ours = original(octets);
    let text = String::from_utf8_lossy(ours);
    let number = |line: &str| line.strip_prefix("Subject: ")?.trim_end().parse::<usize>().ok();
    match text.lines().next().and_then(number) {
        Some(number) if ours == message(number).as_bytes() => Arrived::Whole(number),
        Some(number) => Arrived::Torn(format!("message {number} is not what was sent")),
        None => match text.lines().find_map(number) {
            Some(number) if text.contains("multipart/report") && text.trim_end().ends_with("--") => {
                if text.contains("\r\nAction: delayed\r\n") { Arrived::Delay(number) } else { Arrived::Bounce(number) }
            }
            _ => Arrived::Torn(format!("what is this? {:.300}", text)),
        },
    }
}

/// What a client knows of a message that was acknowledged.
pub(crate) struct Acknowledged {
    /// Its id, from the 250.
    pub(crate) id: String,
    /// How long the log was once the 250 had come.
    pub(crate) at: u64,
}

/// Sends the messages of these numbers by several clients.
pub(crate) fn send(
    address: SocketAddr,
    clients: usize,
    numbers: Range<usize>,
    log: &Path,
) -> HashMap<usize, Acknowledged> {
    let acknowledged = Mutex::new(HashMap::new());
    thread::scope(|scope| {
        for client in 0..clients {
            let (acknowledged, numbers) = (&acknowledged, numbers.clone().skip(client).step_by(clients));
            scope.spawn(move || {
                let sent = session(address, numbers, |number, reply| {
                    let at = std::fs::metadata(log).unwrap().len();
                    let id = reply.trim_end().rsplit(' ').next().unwrap().to_owned();
                    acknowledged.lock().unwrap().insert(number, Acknowledged { id, at });
                });
                assert!(sent.is_some(), "client {client} was not served to its end");
            });
        }
    });
    acknowledged.into_inner().unwrap()
}

fn session(address: SocketAddr, numbers: impl Iterator<Item = usize>, note: impl Fn(usize, &str)) -> Option<()> {
    let stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_nodelay(true).ok()?;
    let mut stream = BufReader::new(stream);
    let mut step = |octets: &[u8], code: &str| -> Option<String> {
        stream.get_mut().write_all(octets).ok()?;
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        line.starts_with(code).then_some(line)
    };
    step(b"", "220")?;
    step(b"HELO client.example\r\n", "250")?;
    for number in numbers {
        step(b"MAIL FROM:<alice@example.com>\r\n", "250")?;
        for recipient in recipients(number) {
            step(format!("RCPT TO:<{recipient}>\r\n").as_bytes(), "250")?;
        }
        step(b"DATA\r\n", "354")?;
        note(number, &step(format!("{}.\r\n", message(number)).as_bytes(), "250")?);
    }
    step(b"QUIT\r\n", "221").map(drop)
}
