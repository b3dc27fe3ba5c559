//! Trouble of the host: a disk that fails, is full, or may not be written to, no descriptors, a clock that jumps.
//!
//! Each time the client gets the right reply, what was acknowledged before is intact, nothing is bounced that should not
//! be, and once the trouble is over, reception and delivery go on by themselves.

mod clock;
mod failing;
mod full;
mod no_descriptors;
mod read_only;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use leafmail::spool::{Claim, Claimed, DirSpool, Folder, Spool, SpoolSettings};
use leafmail::sys::SystemClock;

use crate::sink::Sink;
use crate::site::{PATIENCE, Site, wait_until};
use crate::traffic::{self, Arrived};

/// A site, a next hop, and what was acknowledged.
struct Scene {
    site: Site,
    sink: Sink,
    acknowledged: BTreeSet<usize>,
    next: usize,
    kinds: Kinds,
}

/// Which messages are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kinds {
    All,
    /// Nobody is refused permanently, which would lead to a bounce.
    NoneThatFails,
    /// Everybody takes them at once, so that no receipt need be kept.
    DeliveredAtOnce,
}

impl Scene {
    /// `more` is added to the configuration.
    fn new(more: &str) -> Self {
        let site = Site::new(more);
        let sink = Sink::start(site.config());
        Self { site, sink, acknowledged: BTreeSet::new(), next: 1, kinds: Kinds::All }
    }

    /// Another reserve than the one of [`Site`].
    fn reserve(&self, reserve: &str) {
        let text = std::fs::read_to_string(self.site.config()).unwrap();
        let text = text.replace("space = \"1MB\"\ninodes = 1", reserve);
        std::fs::write(self.site.config(), text).unwrap();
    }

    /// Offers the next message; answers the last reply, which is that to the message where all goes well.
    fn offer(&mut self, address: SocketAddr) -> String {
        let wanted = |number: &usize| match self.kinds {
            Kinds::All => true,
            Kinds::NoneThatFails => !traffic::fails(*number),
            Kinds::DeliveredAtOnce => !traffic::fails(*number) && !traffic::stays(*number),
        };
        let mut numbers = (self.next..).filter(wanted);
        let number = numbers.next().unwrap();
        self.next = number + 1;
        let reply = offer(address, &traffic::recipients(number), &traffic::message(number));
        if reply.starts_with("DATA: 250 ") {
            self.acknowledged.insert(number);
        }
        reply
    }

    /// Offers this many, which must be taken.
    fn accept(&mut self, address: SocketAddr, messages: usize) {
        for _ in 0..messages {
            let reply = self.offer(address);
            assert!(reply.starts_with("DATA: 250 "), "{reply}");
        }
    }

    fn relay(&self) -> String {
        format!("smtp://{}?tls=none", self.sink.address)
    }

    /// `spoolrun` towards the next hop, once over the queue, waiting times or not.
    fn flush(&self) -> Command {
        let mut command = self.site.spoolrun();
        command.args(["--relay", &self.relay(), "flush"]);
        command
    }

    /// The messages that are in the queue, whole.
    fn queued(&self) -> BTreeSet<usize> {
        let clock = std::sync::Arc::new(SystemClock);
        let spool = DirSpool::open(&self.site.spool(), SpoolSettings::default(), clock).unwrap();
        let entries = spool.entries(Folder::Queue).unwrap();
        let numbers = entries.iter().filter_map(|entry| {
            let mut number = None;
            // A child that another test forks holds the files that this process had open, until it starts its program.
            wait_until("no process holds the message", || match spool.claim(entry.id).unwrap() {
                Claimed::Ours(claim) => {
                    number = number_of(&claim);
                    true
                }
                Claimed::Busy => false,
                Claimed::Gone => panic!("{} is gone", entry.id),
            });
            number
        });
        numbers.collect()
    }

    /// Nothing that was acknowledged is missing, and nothing is anywhere that it should not be.
    fn assert_intact(&self) {
        let taken = self.sink.taken.lock().unwrap();
        assert!(taken.torn.is_empty(), "torn: {:?}", taken.torn);
        assert!(self.site.shelf("bad").is_empty() && self.site.shelf("failed").is_empty(), "set aside");
        let queued = self.queued();
        let lost = |number: &&usize| match traffic::stays(**number) {
            true => !queued.contains(*number),
            false => !queued.contains(*number) && !taken.at.contains_key(*number),
        };
        let lost: Vec<_> = self.acknowledged.iter().filter(lost).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    }

    /// The same, and nothing is left to do; nothing was sent twice.
    fn assert_drained(&self) {
        self.assert_drained_but(0);
    }

    /// The same, but for this many that may have been sent twice.
    fn assert_drained_but(&self, twice: usize) {
        self.assert_intact();
        let left: Vec<usize> = self.queued().into_iter().filter(|number| !traffic::stays(*number)).collect();
        assert!(left.is_empty(), "still in the queue: {left:?}");
        assert!(self.sink.taken.lock().unwrap().twice <= twice, "sent twice");
    }
}

/// The message that a file is, or is the bounce of; `None` for the notice of a delay.
fn number_of(claim: &impl Claim) -> Option<usize> {
    let mut octets = vec![0; claim.size() as usize];
    let mut done = 0;
    while done < octets.len() {
        done += claim.read_at(done as u64, &mut octets[done..]).unwrap();
    }
    match traffic::recognize(&octets) {
        Arrived::Whole(number) | Arrived::Bounce(number) => Some(number),
        Arrived::Delay(_) => None,
        Arrived::Torn(why) => panic!("{why}"),
    }
}

/// One session with one message: the last reply, after the name of the step that it answers.
fn offer(address: SocketAddr, recipients: &[String], message: &str) -> String {
    session(address, recipients, message).unwrap_or_else(|| "no reply".to_owned())
}

fn session(address: SocketAddr, recipients: &[String], message: &str) -> Option<String> {
    let stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut stream = BufReader::new(stream);
    let mut steps = vec![("greeting", String::new()), ("HELO", "HELO client.example\r\n".to_owned())];
    steps.push(("MAIL", "MAIL FROM:<alice@example.com>\r\n".to_owned()));
    steps.extend(recipients.iter().map(|recipient| ("RCPT", format!("RCPT TO:<{recipient}>\r\n"))));
    steps.push(("DATA", "DATA\r\n".to_owned()));
    steps.push(("DATA", format!("{message}.\r\n")));
    let mut last = None;
    for (name, octets) in steps {
        // A server that leaves may close while it is written to; what it said before counts.
        let _ = stream.get_mut().write_all(octets.as_bytes());
        let mut line = String::new();
        match stream.read_line(&mut line) {
            Ok(count) if count > 0 => {}
            _ => return last.filter(|reply: &String| !reply.contains(": 2") && !reply.contains(": 3")),
        }
        let reply = format!("{name}: {}", line.trim_end());
        let goes_on = line.starts_with('2') || line.starts_with('3');
        last = Some(reply);
        if !goes_on {
            break;
        }
    }
    last
}

/// Runs it to its end, which must be a good one; answers its log.
fn succeed(mut command: Command) -> String {
    let output = command.output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {log}");
    log
}

/// How many octets and inodes are free at a place.
fn free(at: &Path) -> (u64, u64) {
    let room = rustix::fs::statvfs(at).unwrap();
    (room.f_bavail * room.f_frsize, room.f_favail)
}
