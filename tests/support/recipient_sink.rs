//! What is behind a real server: takes everything, and counts the copies that each recipient gets of each message.
//!
//! A message is known by the number in its `Subject: letter N`. An address that begins with `x` is refused by name, for servers
//! that ask what is behind them.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::site::wait_until;

#[derive(Debug, Default)]
struct Taken {
    /// By the number of the message and the address.
    copies: BTreeMap<(usize, String), usize>,
    /// Messages without a sender.
    notices: Vec<String>,
}

/// A running sink; it ends with the test's process.
pub(crate) struct RecipientSink {
    pub(crate) port: u16,
    taken: Arc<Mutex<Taken>>,
}

impl RecipientSink {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, taken) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::default()));
        let serving = Arc::clone(&taken);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let taken = Arc::clone(&serving);
                // A client that goes away ends its session with an error.
                thread::spawn(move || serve(stream, &taken));
            }
        });
        Self { port, taken }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins again.
    pub(crate) fn forget(&self) {
        *self.taken() = Taken::default();
    }

    /// How many copies each recipient got of each message, once all of these have one.
    pub(crate) fn copies(
        &self,
        wanted: &[(usize, String)],
        server: impl Fn() -> String,
    ) -> BTreeMap<(usize, String), usize> {
        wait_until(&format!("all recipients; the server says:\n{}", server()), || {
            let taken = self.taken();
            wanted.iter().all(|one| taken.copies.contains_key(one))
        });
        self.taken().copies.clone()
    }

    /// The addresses that notices say have failed, once there are as many, and the number of notices.
    pub(crate) fn failures(&self, count: usize) -> (Vec<String>, usize) {
        let failures = || -> Vec<String> {
            let taken = self.taken();
            let lines = taken.notices.iter().flat_map(|text| text.lines());
            lines.filter_map(|line| line.strip_prefix("Final-Recipient: rfc822; ")).map(str::to_owned).collect()
        };
        wait_until("the notices", || failures().len() >= count);
        let mut failures = failures();
        failures.sort();
        (failures, self.taken().notices.len())
    }
}

fn serve(stream: TcpStream, taken: &Mutex<Taken>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    stream.get_mut().write_all(b"220 behind.example ESMTP\r\n")?;
    let (mut sender, mut recipients) = (String::new(), Vec::new());
    loop {
        let line = line(&mut stream)?;
        let address = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
        let reply = match line.get(..4).unwrap_or_default().to_ascii_uppercase().as_str() {
            "EHLO" => "250-behind.example\r\n250-PIPELINING\r\n250 8BITMIME",
            "MAIL" => {
                (sender, recipients) = (address, Vec::new());
                "250 ok"
            }
            "RCPT" if address.starts_with('x') => "550 5.1.1 no such user",
            "RCPT" => {
                recipients.push(address);
                "250 ok"
            }
            "DATA" if recipients.is_empty() => "554 no recipients",
            "DATA" => {
                stream.get_mut().write_all(b"354 go on\r\n")?;
                let text = message(&mut stream)?;
                taken.lock().unwrap_or_else(PoisonError::into_inner).note(&sender, &recipients, text);
                "250 ok"
            }
            "QUIT" => return stream.get_mut().write_all(b"221 bye\r\n"),
            _ => "250 ok",
        };
        stream.get_mut().write_all(format!("{reply}\r\n").as_bytes())?;
    }
}

/// The next line without its end.
fn line(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = Vec::new();
    match stream.read_until(b'\n', &mut line)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned()),
    }
}

fn message(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut text = String::new();
    loop {
        let line = line(stream)?;
        if line == "." {
            return Ok(text);
        }
        text += line.strip_prefix('.').unwrap_or(&line);
        text += "\n";
    }
}

impl Taken {
    fn note(&mut self, sender: &str, recipients: &[String], text: String) {
        if sender.is_empty() {
            return self.notices.push(text);
        }
        let number =
            text.lines().find_map(|line| line.strip_prefix("Subject: letter ")).and_then(|text| text.parse().ok());
        let number: usize = number.unwrap_or(usize::MAX);
        for recipient in recipients {
            *self.copies.entry((number, recipient.clone())).or_default() += 1;
        }
    }
}
