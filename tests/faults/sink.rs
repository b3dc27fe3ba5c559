//! A next hop that notes when it took which message, by the length of the block log at that moment.
//!
//! It notes before it answers, so whatever the forwarder does upon the answer comes later in the log. It takes whole
//! messages only: one that is not what was sent is noted as torn.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

use crate::traffic::{self, Arrived};

/// What was taken.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// For each message, or the bounce of it, how long the log was when it was first taken.
    pub(crate) at: HashMap<usize, u64>,
    /// How many were taken more than once.
    pub(crate) twice: usize,
    /// Notices of delay.
    pub(crate) delays: Vec<usize>,
    /// What came that nobody had sent so.
    pub(crate) torn: Vec<String>,
}

/// The next hop; it ends with the test.
pub(crate) struct Sink {
    pub(crate) address: SocketAddr,
    pub(crate) taken: Arc<Mutex<Taken>>,
}

impl Sink {
    pub(crate) fn start(log: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let sink = Self { address: listener.local_addr().unwrap(), taken: Arc::default() };
        let taken = Arc::clone(&sink.taken);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (taken, log) = (Arc::clone(&taken), log.clone());
                thread::spawn(move || serve(stream, &taken, &log));
            }
        });
        sink
    }
}

/// One session; whatever ends it is no matter of the sink.
fn serve(stream: TcpStream, taken: &Mutex<Taken>, log: &std::path::Path) -> Option<()> {
    let _ = stream.set_nodelay(true);
    let mut stream = BufReader::new(stream);
    stream.get_mut().write_all(b"220 sink\r\n").ok()?;
    let mut line = Vec::new();
    loop {
        line.clear();
        stream.read_until(b'\n', &mut line).ok().filter(|count| *count > 0)?;
        let command = String::from_utf8_lossy(&line).to_ascii_lowercase();
        let reply: &[u8] = match command.get(..4)? {
            "ehlo" => b"250-sink\r\n250 PIPELINING\r\n",
            "rcpt" if command.contains(traffic::LATER) => b"451 4.2.2 not now\r\n",
            "rcpt" if command.contains(traffic::NEVER) => b"550 5.1.1 nobody of that name\r\n",
            "data" => {
                stream.get_mut().write_all(b"354 go on\r\n").ok()?;
                let message = body(&mut stream)?;
                if message.is_empty() {
                    // Whose recipients were all refused while DATA was under way sends nothing (RFC 2920 3.1).
                    stream.get_mut().write_all(b"554 5.5.1 no valid recipients\r\n").ok()?;
                    continue;
                }
                let length = std::fs::metadata(log).ok()?.len();
                let mut taken = taken.lock().unwrap();
                match traffic::recognize(&message) {
                    Arrived::Delay(number) => taken.delays.push(number),
                    Arrived::Whole(number) | Arrived::Bounce(number) => {
                        taken.twice += usize::from(taken.at.contains_key(&number));
                        taken.at.entry(number).or_insert(length);
                    }
                    Arrived::Torn(why) => taken.torn.push(why),
                }
                b"250 2.0.0 taken\r\n"
            }
            "quit" => b"221 bye\r\n",
            _ => b"250 ok\r\n",
        };
        stream.get_mut().write_all(reply).ok()?;
    }
}

/// The octets of a message, without the dots that RFC 5321 4.5.2 adds.
fn body(stream: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let (mut message, mut line) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        stream.read_until(b'\n', &mut line).ok().filter(|count| *count > 0)?;
        match line.as_slice() {
            b".\r\n" => return Some(message),
            [b'.', rest @ ..] => message.extend_from_slice(rest),
            whole => message.extend_from_slice(whole),
        }
    }
}
