//! A next hop that takes letters but for two recipients, and remembers what it took from whom for whom.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::sample_messages::{LATER, NEVER};
use crate::site::{Site, wait_until};

/// A message that was taken.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    pub(crate) sender: String,
    pub(crate) recipients: Vec<String>,
    pub(crate) message: Vec<u8>,
    /// What the final reply calls it: `T` and a number.
    pub(crate) name: String,
}

/// See the module. It ends with the test's process.
pub(crate) struct NextHop {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    taken: Mutex<Vec<Taken>>,
    sessions: AtomicUsize,
    lenient: AtomicBool,
}

impl NextHop {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, shared) = (listener.local_addr().unwrap(), Arc::<Shared>::default());
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&serving);
                shared.sessions.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || {
                    // A client that is killed ends it with an error or in the middle.
                    let _ = serve(stream, &shared);
                    shared.sessions.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, shared }
    }

    /// Forgets what was taken, and refuses again who is to be refused for now.
    pub(crate) fn begin(&self) {
        self.shared.taken.lock().unwrap().clear();
        self.shared.lenient.store(false, Ordering::SeqCst);
    }

    /// From now on only the recipient is refused who is refused permanently.
    pub(crate) fn relent(&self) {
        self.shared.lenient.store(true, Ordering::SeqCst);
    }

    /// What was taken since the beginning, once all clients have left.
    pub(crate) fn taken(&self) -> Vec<Taken> {
        wait_until("the end of the next hop's sessions", || self.shared.sessions.load(Ordering::SeqCst) == 0);
        self.shared.taken.lock().unwrap().clone()
    }

    /// A site that has one connection to it at most, so that one thread does all the work.
    pub(crate) fn site(&self) -> Site {
        let site = Site::new("");
        let text = std::fs::read_to_string(site.config()).unwrap();
        let route = format!("url = \"smtp://{}?tls=none\"\nconnections = 1", self.address);
        let text = text.replace(&format!("url = \"maildir:{}\"", site.inbox().display()), &route);
        std::fs::write(site.config(), text).unwrap();
        site
    }
}

fn serve(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    stream.get_mut().write_all(b"220 hop.example\r\n")?;
    let (mut line, mut sender, mut recipients) = (String::new(), String::new(), Vec::new());
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let address = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
        let reply = match line.get(..4).unwrap_or_default() {
            "EHLO" => "250-hop.example\r\n250 PIPELINING\r\n".to_owned(),
            "MAIL" => {
                (sender, recipients) = (address, Vec::new());
                "250 2.1.0 ok\r\n".to_owned()
            }
            "RCPT" if address == NEVER => "550 5.1.1 nobody of that name\r\n".to_owned(),
            "RCPT" if address == LATER && !shared.lenient.load(Ordering::SeqCst) => "450 4.2.0 not now\r\n".to_owned(),
            "RCPT" => {
                recipients.push(address);
                "250 2.1.5 ok\r\n".to_owned()
            }
            // RFC 2920 3.1: it may have come in one flight with recipients of whom none was taken.
            "DATA" if recipients.is_empty() => "554 5.5.1 no valid recipients\r\n".to_owned(),
            "DATA" => {
                stream.get_mut().write_all(b"354 go on\r\n")?;
                let Some(message) = message(&mut stream)? else { return Ok(()) };
                let mut taken = shared.taken.lock().unwrap();
                let name = format!("T{}", taken.len() + 1);
                let reply = format!("250 2.0.0 taken as {name}\r\n");
                taken.push(Taken { sender: sender.clone(), recipients: recipients.clone(), message, name });
                reply
            }
            "QUIT" => {
                stream.get_mut().write_all(b"221 2.0.0 bye\r\n")?;
                return Ok(());
            }
            _ => "250 2.0.0 ok\r\n".to_owned(),
        };
        stream.get_mut().write_all(reply.as_bytes())?;
    }
}

/// Up to CR LF . CR LF, unstuffed; `None` where the client left before.
fn message(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<Vec<u8>>> {
    let (mut message, mut line) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        if stream.read_until(b'\n', &mut line)? == 0 || !line.ends_with(b"\n") {
            return Ok(None);
        }
        if line == b".\r\n" {
            return Ok(Some(message));
        }
        message.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
    }
}
