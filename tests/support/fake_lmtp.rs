//! An LMTP server (RFC 2033) that gives each recipient the verdicts that a test scripted, and remembers what it was sent.
//!
//! It ends with the test's process.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// What the server received, over all connections.
#[derive(Debug, Default, Clone)]
pub(crate) struct LmtpRecord {
    pub(crate) connections: usize,
    pub(crate) commands: Vec<String>,
    /// Each message that a recipient got a positive verdict on.
    pub(crate) delivered: Vec<(String, Vec<u8>)>,
}

impl LmtpRecord {
    /// How many messages a recipient got.
    pub(crate) fn copies(&self, recipient: &str) -> usize {
        self.delivered.iter().filter(|(to, _)| to == recipient).count()
    }
}

/// What happens to the verdicts after the first ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    Close,
    Stall,
}

#[derive(Default)]
struct Shared {
    at_rcpt: Mutex<HashMap<String, String>>,
    at_end: Mutex<HashMap<String, String>>,
    breaks: Mutex<Option<(usize, Then)>>,
    record: Mutex<LmtpRecord>,
}

/// A running server.
pub(crate) struct FakeLmtp {
    pub(crate) url: String,
    shared: Arc<Shared>,
}

impl FakeLmtp {
    /// At a port of this host.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (url, shared) = (format!("lmtp://{}", listener.local_addr().unwrap()), Arc::<Shared>::default());
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&serving);
                thread::spawn(move || serve(stream.try_clone()?, stream, &shared));
            }
        });
        Self { url, shared }
    }

    /// At a Unix socket.
    pub(crate) fn start_at(path: &Path) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let (url, shared) = (format!("lmtp:{}", path.display()), Arc::<Shared>::default());
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&serving);
                thread::spawn(move || serve(stream.try_clone()?, stream, &shared));
            }
        });
        Self { url, shared }
    }

    /// The reply to RCPT for a recipient.
    pub(crate) fn at_rcpt(&self, recipient: &str, reply: &str) {
        lock(&self.shared.at_rcpt).insert(recipient.to_owned(), reply.to_owned());
    }

    /// The reply for a recipient after the message.
    pub(crate) fn at_end(&self, recipient: &str, reply: &str) {
        lock(&self.shared.at_end).insert(recipient.to_owned(), reply.to_owned());
    }

    /// What happens after this number of verdicts on a message.
    pub(crate) fn breaks(&self, when: Option<(usize, Then)>) {
        *lock(&self.shared.breaks) = when;
    }

    pub(crate) fn record(&self) -> LmtpRecord {
        lock(&self.shared.record).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One session, to its end.
fn serve(input: impl Read, mut output: impl Write, shared: &Shared) -> io::Result<()> {
    lock(&shared.record).connections += 1;
    let mut input = BufReader::new(input);
    let mut accepted: Vec<String> = Vec::new();
    output.write_all(b"220 store.example LMTP\r\n")?;
    let mut line = String::new();
    loop {
        line.clear();
        if input.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let command = line.trim_end().to_owned();
        lock(&shared.record).commands.push(command.clone());
        let reply = match command.split_whitespace().next().unwrap_or_default() {
            "LHLO" => "250-store.example\r\n250-PIPELINING\r\n250-ENHANCEDSTATUSCODES\r\n250 8BITMIME".to_owned(),
            "MAIL" | "RSET" => {
                accepted.clear();
                "250 2.1.0 ok".to_owned()
            }
            "RCPT" => {
                let recipient = command["RCPT TO:<".len()..].split('>').next().unwrap().to_owned();
                let reply = lock(&shared.at_rcpt).get(&recipient).cloned();
                let reply = reply.unwrap_or_else(|| "250 2.1.5 ok".to_owned());
                if reply.starts_with('2') {
                    accepted.push(recipient);
                }
                reply
            }
            "DATA" if accepted.is_empty() => "503 5.5.1 no recipient".to_owned(),
            "DATA" => {
                output.write_all(b"354 go on\r\n")?;
                let message = message(&mut input)?;
                if !verdicts(&mut output, &accepted, &message, shared)? {
                    return Ok(());
                }
                accepted.clear();
                continue;
            }
            "QUIT" => {
                output.write_all(b"221 bye\r\n")?;
                return Ok(());
            }
            _ => "500 5.5.1 this is LMTP".to_owned(),
        };
        output.write_all(format!("{reply}\r\n").as_bytes())?;
    }
}

fn message(input: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut message = Vec::new();
    loop {
        let from = message.len();
        input.read_until(b'\n', &mut message)?;
        match &message[from..] {
            b".\r\n" | b"" => {
                message.truncate(from);
                return Ok(message);
            }
            line if line.starts_with(b".") => {
                message.remove(from);
            }
            _ => {}
        }
    }
}

/// The verdicts on a message; whether the session goes on.
fn verdicts(output: &mut impl Write, accepted: &[String], message: &[u8], shared: &Shared) -> io::Result<bool> {
    for (at, recipient) in accepted.iter().enumerate() {
        match *lock(&shared.breaks) {
            Some((after, Then::Close)) if at >= after => return Ok(false),
            Some((after, Then::Stall)) if at >= after => return Ok(true),
            _ => {}
        }
        let reply = lock(&shared.at_end).get(recipient).cloned().unwrap_or_else(|| "250 2.0.0 saved".to_owned());
        if reply.starts_with('2') {
            lock(&shared.record).delivered.push((recipient.clone(), message.to_vec()));
        }
        output.write_all(format!("{reply}\r\n").as_bytes())?;
    }
    Ok(true)
}
