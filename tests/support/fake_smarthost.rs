//! A smarthost that does what a test tells it to, and remembers every octet that it was sent.
//!
//! `FakeSmarthost::start(Script::new().offers(["PIPELINING"]).refuses("b@x.example", "550 5.1.1 no"))` listens on a port
//! of 127.0.0.1. Each step of the dialogue (`greeting`, `EHLO`, `HELO`, `STARTTLS`, `handshake`, `login challenge`, `challenge`, `AUTH`,
//! `XFORWARD`, `XCLIENT`, `MAIL`, `RCPT`, `DATA`, `BDAT`, `body`, `end`, `RSET`, `QUIT`) takes the next [`Act`] that was scripted for it, else behaves well. A step's acts
//! are counted over all connections. A `handshake` passes, stalls or closes. Not for load: one thread per connection, one octet read at a time within commands.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustls::{ServerConnection, StreamOwned};

use super::fake_sasl;
pub(crate) use super::smarthost_script::{Act, Identity, Script, reply};

/// How long it takes nothing; longer than anybody who writes to it waits.
const CLOGGED: Duration = Duration::from_secs(60);

/// What the smarthost received, over all connections.
#[derive(Debug, Default, Clone)]
pub(crate) struct Record {
    /// Connections accepted.
    pub(crate) connections: usize,
    /// Where they came from.
    pub(crate) peers: Vec<SocketAddr>,
    /// Command lines, without CRLF; AUTH responses too.
    pub(crate) commands: Vec<String>,
    /// The messages that were ended by CR LF . CR LF, unstuffed.
    pub(crate) messages: Vec<Vec<u8>>,
    /// All octets, decrypted.
    pub(crate) octets: Vec<u8>,
    /// TLS handshakes that were completed.
    pub(crate) handshakes: usize,
}

impl Record {
    /// The commands that begin with this verb.
    pub(crate) fn verbs(&self, verb: &str) -> Vec<&str> {
        self.commands.iter().map(String::as_str).filter(|line| line.starts_with(verb)).collect()
    }

    /// Whether these octets were received anywhere.
    pub(crate) fn saw(&self, octets: &[u8]) -> bool {
        self.octets.windows(octets.len()).any(|window| window == octets)
    }
}

struct Shared {
    script: Mutex<Script>,
    record: Mutex<Record>,
}

/// A running smarthost; it ends with the test's process.
pub(crate) struct FakeSmarthost {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

impl FakeSmarthost {
    /// Listens and serves.
    pub(crate) fn start(script: Script) -> Self {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), script)
    }

    /// Listens at this address and serves.
    pub(crate) fn start_at(address: SocketAddr, script: Script) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { script: Mutex::new(script), record: Mutex::default() });
        let serving = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = serving.clone();
                let mut record = lock(&shared.record);
                record.connections += 1;
                record.peers.extend(stream.peer_addr());
                drop(record);
                // A peer that goes away ends its session with an error; what it did is in the record.
                thread::spawn(move || Session::run(stream, &shared));
            }
        });
        Self { address, shared }
    }

    /// What it received so far.
    pub(crate) fn record(&self) -> Record {
        lock(&self.shared.record).clone()
    }

    /// What it received once `enough` holds, or after five seconds: the last octets may still be on their way.
    pub(crate) fn record_when(&self, enough: impl Fn(&Record) -> bool) -> Record {
        let deadline = Instant::now() + Duration::from_secs(5);
        while !enough(&self.record()) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        self.record()
    }

    /// Adds an act while it runs.
    pub(crate) fn then_on(&self, step: &str, act: Act) {
        lock(&self.shared.script).acts.entry(step.to_owned()).or_default().push_back(act);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

enum Channel {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Channel {
    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &stream.sock,
        }
    }

    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(octets),
            Self::Tls(stream) => stream.read(octets),
        }
    }

    fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(octets),
            Self::Tls(stream) => stream.write_all(octets).and_then(|()| stream.flush()),
        }
    }
}

struct Session<'a> {
    channel: Option<Channel>,
    shared: &'a Shared,
    secured: bool,
    /// Whether MAIL was accepted, and how many recipients since.
    mailed: bool,
    accepted: usize,
    /// The chunks so far.
    chunked: Vec<u8>,
}

/// The session is over.
struct Over;

impl From<io::Error> for Over {
    fn from(_: io::Error) -> Self {
        Self
    }
}

impl<'a> Session<'a> {
    fn run(stream: TcpStream, shared: &'a Shared) {
        let _ = stream.set_nodelay(true);
        let channel = Some(Channel::Plain(stream));
        let mut session = Self { channel, shared, secured: false, mailed: false, accepted: 0, chunked: Vec::new() };
        let implicit = lock(&shared.script).implicit;
        if implicit && session.shake_hands().is_err() {
            return;
        }
        let _ = session.dialogue();
    }

    fn channel(&mut self) -> &mut Channel {
        self.channel.as_mut().unwrap()
    }

    fn dialogue(&mut self) -> Result<(), Over> {
        self.step("greeting", "220 fake.example ESMTP")?;
        loop {
            let line = self.line()?;
            let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
            match verb.as_str() {
                "EHLO" => {
                    let answer = lock(&self.shared.script).capabilities(self.secured);
                    self.step("EHLO", &answer)?;
                }
                "STARTTLS" => {
                    if self.step("STARTTLS", "220 go ahead")? {
                        self.shake_hands()?;
                    }
                }
                "AUTH" => self.auth(&line)?,
                "MAIL" => {
                    self.accepted = 0;
                    self.chunked.clear();
                    self.mailed = self.step("MAIL", "250 2.1.0 ok")?;
                }
                "RCPT" => self.rcpt(&line)?,
                "DATA" => self.data()?,
                "BDAT" => self.bdat(&line)?,
                "XCLIENT" => {
                    self.step("XCLIENT", "220 fake.example ESMTP")?;
                }
                "QUIT" => {
                    self.step("QUIT", "221 2.0.0 bye")?;
                    return Ok(());
                }
                "HELO" | "RSET" | "NOOP" | "XFORWARD" => {
                    self.step(&verb, "250 ok")?;
                }
                _ => self.send(b"500 5.5.1 what?\r\n")?,
            }
        }
    }

    /// Plays the server of each mechanism as far as it must; whoever gets to the end is let in, unless `AUTH` says else.
    fn auth(&mut self, line: &str) -> Result<(), Over> {
        let words: Vec<&str> = line.split(' ').collect();
        match (words[1].to_ascii_uppercase().as_str(), words.get(2)) {
            ("LOGIN", _) => {
                for usual in ["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6"] {
                    self.step("login challenge", usual)?;
                    self.line()?;
                }
            }
            ("CRAM-MD5", _) => {
                self.challenge("PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+")?;
            }
            ("SCRAM-SHA-256", Some(first)) => {
                let password = lock(&self.shared.script).scram_password.clone();
                let mut server = fake_sasl::ScramServer::new(first, &password);
                let last = self.challenge(&server.first())?;
                match server.last(&last) {
                    Some(signature) if self.challenge(&signature)?.is_empty() => {}
                    _ => return self.send(b"535 5.7.8 wrong proof\r\n"),
                }
            }
            (_, None) => {
                self.challenge("")?;
            }
            _ => {}
        }
        // A challenge that the script adds, such as a provider's complaint.
        if let Act::Send(octets) = self.next_act("challenge") {
            self.send(&octets)?;
            self.line()?;
        }
        self.step("AUTH", "235 2.7.0 welcome")?;
        Ok(())
    }

    /// The client's answer.
    fn challenge(&mut self, text: &str) -> Result<String, Over> {
        self.send(format!("334 {text}\r\n").as_bytes())?;
        self.line()
    }

    /// One chunk (RFC 3030 2).
    fn bdat(&mut self, line: &str) -> Result<(), Over> {
        let words: Vec<&str> = line.split(' ').collect();
        let octets: usize = words[1].parse().unwrap();
        for _ in 0..octets {
            let octet = self.octet()?;
            self.chunked.push(octet);
        }
        if words.get(2) == Some(&"LAST") && self.accepted == 0 {
            self.send(b"554 5.5.1 no valid recipients\r\n")?;
        } else if words.get(2) == Some(&"LAST") {
            let message = std::mem::take(&mut self.chunked);
            lock(&self.shared.record).messages.push(message);
            self.step("end", "250 2.0.0 queued as FAKE1")?;
        } else {
            self.step("BDAT", "250 2.0.0 go on")?;
        }
        Ok(())
    }

    fn rcpt(&mut self, line: &str) -> Result<(), Over> {
        if !self.mailed {
            return self.send(b"503 5.5.1 MAIL first\r\n");
        }
        let address = line.split(['<', '>']).nth(1).unwrap_or_default();
        let refusal = lock(&self.shared.script).refused.get(address).cloned();
        match refusal {
            Some(refusal) => self.send(format!("{refusal}\r\n").as_bytes()),
            None => {
                let behaved = self.step("RCPT", "250 2.1.5 ok")?;
                self.accepted += usize::from(behaved);
                Ok(())
            }
        }
    }

    fn data(&mut self) -> Result<(), Over> {
        let act = self.next_act("DATA");
        if self.accepted == 0 && matches!(act, Act::Pass) {
            return self.send(b"554 5.5.1 no valid recipients\r\n");
        }
        if !self.perform(act, "354 go on")? {
            return Ok(());
        }
        let body = self.next_act("body");
        if let Act::After(octets, act) = body {
            self.skip(octets)?;
            self.perform(*act, "")?;
        }
        let message = self.message()?;
        lock(&self.shared.record).messages.push(message);
        self.step("end", "250 2.0.0 queued as FAKE1")?;
        Ok(())
    }

    /// Whether the step behaved well.
    fn step(&mut self, step: &str, good: &str) -> Result<bool, Over> {
        let act = self.next_act(step);
        self.perform(act, good)
    }

    fn next_act(&self, step: &str) -> Act {
        lock(&self.shared.script).next_act(step)
    }

    fn perform(&mut self, act: Act, good: &str) -> Result<bool, Over> {
        match act {
            Act::Pass if good.is_empty() => Ok(true),
            Act::Pass => self.send(format!("{good}\r\n").as_bytes()).map(|()| true),
            Act::Send(octets) => {
                self.send(&octets)?;
                // A positive reply goes on as usual.
                Ok(matches!(octets.first(), Some(b'2' | b'3')))
            }
            Act::SendAndClose(octets) => {
                self.send(&octets)?;
                Err(Over)
            }
            Act::Late(delay, act) => {
                thread::sleep(delay);
                self.perform(*act, good)
            }
            Act::Close => Err(Over),
            Act::Reset => {
                // With linger 0, close sends RST.
                let _ = rustix::net::sockopt::set_socket_linger(self.channel().socket(), Some(Duration::ZERO));
                Err(Over)
            }
            Act::Stall => loop {
                self.octet()?;
            },
            Act::Clog => {
                thread::sleep(CLOGGED);
                Err(Over)
            }
            Act::After(octets, act) => {
                self.skip(octets)?;
                self.perform(*act, good)
            }
        }
    }

    fn send(&mut self, octets: &[u8]) -> Result<(), Over> {
        Ok(self.channel().write(octets)?)
    }

    fn octet(&mut self) -> Result<u8, Over> {
        let mut octet = [0];
        if self.channel().read(&mut octet)? == 0 {
            return Err(Over);
        }
        lock(&self.shared.record).octets.push(octet[0]);
        Ok(octet[0])
    }

    fn skip(&mut self, octets: usize) -> Result<(), Over> {
        (0..octets).try_for_each(|_| self.octet().map(|_| ()))
    }

    fn line(&mut self) -> Result<String, Over> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.push(self.octet()?);
        }
        line.truncate(line.len() - 2);
        let line = String::from_utf8_lossy(&line).into_owned();
        lock(&self.shared.record).commands.push(line.clone());
        Ok(line)
    }

    /// Up to CR LF . CR LF, unstuffed (RFC 5321 4.5.2).
    fn message(&mut self) -> Result<Vec<u8>, Over> {
        let (mut message, mut line) = (Vec::new(), Vec::new());
        loop {
            line.push(self.octet()?);
            if line.ends_with(b"\r\n") {
                if line == b".\r\n" {
                    return Ok(message);
                }
                message.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
                line.clear();
            }
        }
    }

    fn shake_hands(&mut self) -> Result<(), Over> {
        let config = lock(&self.shared.script).tls.clone().expect("a script that starts TLS has an identity");
        let Some(Channel::Plain(mut stream)) = self.channel.take() else { return Err(Over) };
        match self.next_act("handshake") {
            Act::Pass => {}
            Act::Stall => {
                io::copy(&mut stream, &mut io::sink())?;
                return Err(Over);
            }
            _ => return Err(Over),
        }
        let mut connection = ServerConnection::new(config).map_err(|_| Over)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        lock(&self.shared.record).handshakes += 1;
        self.channel = Some(Channel::Tls(Box::new(StreamOwned::new(connection, stream))));
        self.secured = true;
        Ok(())
    }
}
