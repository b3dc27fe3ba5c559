//! Clients that send all the time, and a next hop that takes what they sent: who was promised what, and what arrived.
//!
//! A message is known by its Subject, `soak CLIENT-NUMBER`, and is sent once, whatever becomes of the connection: what was
//! answered with 250 must be somewhere, what was not answered may be.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the clients were told.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// Subject to id, of what was answered with 250.
    pub(crate) accepted: Mutex<BTreeMap<String, String>>,
    /// Connections that were broken off, or answered with 4xx: allowed.
    pub(crate) broken: AtomicUsize,
    /// Connections that were refused: never allowed.
    pub(crate) refused: AtomicUsize,
}

/// Clients at work.
pub(crate) struct Traffic {
    stop: Arc<AtomicBool>,
    /// While it is set, nothing new is sent.
    pub(crate) rest: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
    pub(crate) answers: Arc<Answers>,
}

impl Traffic {
    /// This many clients, each with such a pause between its messages.
    pub(crate) fn start(address: SocketAddr, clients: usize, pause: Duration) -> Self {
        let (stop, rest, answers) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default(), Arc::default());
        let client = |client: usize| {
            let (stop, rest, answers) = (Arc::clone(&stop), Arc::clone(&rest), Arc::<Answers>::clone(&answers));
            thread::spawn(move || {
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let subject = format!("soak {client}-{number}");
                    match submit(address, &subject, &format!("r{client}-{number}@dest.example")) {
                        Ok(Some(id)) => drop(answers.accepted.lock().unwrap().insert(subject, id)),
                        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                            answers.refused.fetch_add(1, Ordering::Relaxed);
                        }
                        Ok(None) | Err(_) => {
                            answers.broken.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    thread::sleep(pause);
                    while rest.load(Ordering::Relaxed) && !stop.load(Ordering::Relaxed) {
                        thread::sleep(Duration::from_millis(10));
                    }
                }
            })
        };
        let clients = (0..clients).map(client).collect();
        Self { stop, rest, clients, answers }
    }

    /// How many messages were promised so far.
    pub(crate) fn accepted(&self) -> usize {
        self.answers.accepted.lock().unwrap().len()
    }

    /// Ends the clients after what they have in hand.
    pub(crate) fn finish(self) -> Arc<Answers> {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.into_iter().for_each(|client| client.join().unwrap());
        self.answers
    }
}

/// One message over one connection; the id of its 250, or `None` where the server put it off.
fn submit(address: SocketAddr, subject: &str, recipient: &str) -> io::Result<Option<String>> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let message = format!("Subject: {subject}\r\n\r\nhello\r\n.\r\n");
    let steps = [
        ("", "220"),
        ("EHLO client.example\r\n", "250"),
        ("MAIL FROM:<sender@lan.example>\r\n", "250"),
        (&format!("RCPT TO:<{recipient}>\r\n"), "250"),
        ("DATA\r\n", "354"),
        (&message, "250"),
    ];
    let mut reply = String::new();
    for (command, code) in steps {
        stream.get_mut().write_all(command.as_bytes())?;
        reply = read_reply(&mut stream)?;
        if !reply.starts_with(code) {
            assert!(!reply.starts_with('5'), "{command}: {reply}");
            return Ok(None);
        }
    }
    let id = reply.trim().rsplit(' ').next().unwrap().to_owned();
    let _ = stream.get_mut().write_all(b"QUIT\r\n");
    Ok(Some(id))
}

fn read_reply(stream: &mut impl BufRead) -> io::Result<String> {
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if line.as_bytes().get(3) != Some(&b'-') {
            return Ok(line);
        }
    }
}

/// What the next hop took.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// Subject to how many times.
    pub(crate) delivered: BTreeMap<String, usize>,
    /// Id of the spool to how many times, also of notices.
    pub(crate) copies: BTreeMap<String, usize>,
    /// Subjects that notices of failure tell of.
    pub(crate) bounced: BTreeSet<String>,
    /// Recipients that were deferred once.
    pub(crate) deferred: BTreeSet<String>,
    /// Recipients that were refused.
    pub(crate) refused: BTreeSet<String>,
}

/// A next hop that defers 5 % of the recipients at the first time, refuses 1 % permanently, and takes all the rest.
pub(crate) struct Sink {
    pub(crate) address: SocketAddr,
    pub(crate) taken: Arc<Mutex<Taken>>,
}

impl Sink {
    /// Listens until the test ends.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (address, taken) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Taken::default())));
        let shared = Arc::clone(&taken);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                // A sender that was killed ends its session with an error.
                thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { address, taken }
    }
}

fn serve(stream: TcpStream, taken: &Mutex<Taken>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let (mut line, mut is_notice) = (String::new(), false);
    stream.get_mut().write_all(b"220 sink.example ESMTP\r\n")?;
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let reply = match line.get(..4).unwrap_or("").to_ascii_uppercase().as_str() {
            "EHLO" => "250-sink.example\r\n250-PIPELINING\r\n250 8BITMIME",
            "MAIL" => {
                is_notice = line.contains("<>");
                "250 2.1.0 ok"
            }
            "RCPT" => judge(&line, is_notice, &mut taken.lock().unwrap()),
            "DATA" => {
                stream.get_mut().write_all(b"354 go on\r\n")?;
                let message = body(&mut stream)?;
                note(&message, is_notice, &mut taken.lock().unwrap());
                // So that kills come between this and the answer.
                thread::sleep(Duration::from_millis(3));
                "250 2.0.0 taken"
            }
            "QUIT" => "221 2.0.0 bye",
            _ => "250 2.0.0 ok",
        };
        stream.get_mut().write_all(format!("{reply}\r\n").as_bytes())?;
        if reply.starts_with("221") {
            return Ok(());
        }
    }
}

/// By a sum of the recipient's octets, so that each time the same is said of the same.
fn judge(line: &str, is_notice: bool, taken: &mut Taken) -> &'static str {
    let recipient = line.split(['<', '>']).nth(1).unwrap_or("").to_owned();
    // FNV-1a; its upper bits are the well-mixed ones.
    let mix = |hash: u64, octet: u8| (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3);
    let share = (recipient.bytes().fold(0xcbf2_9ce4_8422_2325, mix) >> 20) % 100;
    if is_notice {
        return "250 2.1.5 ok";
    }
    if share == 50 {
        taken.refused.insert(recipient);
        return "550 5.1.1 nobody here by that name";
    }
    if share < 5 && taken.deferred.insert(recipient) {
        return "450 4.2.1 come back later";
    }
    "250 2.1.5 ok"
}

fn body(stream: &mut impl BufRead) -> io::Result<String> {
    let mut text = String::new();
    loop {
        let start = text.len();
        if stream.read_line(&mut text)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if &text[start..] == ".\r\n" {
            text.truncate(start);
            return Ok(text);
        }
    }
}

/// Notes a message before its 250 leaves: what was counted and then not answered is delivered again, which is counted too.
fn note(message: &str, is_notice: bool, taken: &mut Taken) {
    // Our own Received comes first, and names the file.
    let id = message.split(" id ").nth(1).and_then(|rest| rest.get(..26));
    if let Some(id) = id.filter(|_| message.starts_with("Received: ")) {
        *taken.copies.entry(id.to_owned()).or_default() += 1;
    }
    let subjects = message.lines().filter_map(|line| line.strip_prefix("Subject: ")).map(str::to_owned);
    let mut subjects = subjects.filter(|subject| subject.starts_with("soak "));
    if is_notice {
        taken.bounced.extend(subjects);
    } else if let Some(subject) = subjects.next() {
        *taken.delivered.entry(subject).or_default() += 1;
    }
}
