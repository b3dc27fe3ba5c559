//! The load generator: this many connections at once, each of which sends its share of messages, with PIPELINING.
//!
//! It runs on one thread. What it reaches into a bare sink is in the tables, too: a receiver that comes near that is faster than
//! what measures it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::Result;

/// Connections that are being made at the same time.
const AT_THE_DOOR: usize = 100;
/// How long a reply is waited for, on a machine that others make slow.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) connections: usize,
    /// In all.
    pub(crate) messages: usize,
    /// Octets of one.
    pub(crate) size: usize,
    pub(crate) recipients: usize,
}

/// Raises the limit of open files as far as it goes, for ourselves and for what we start.
pub(crate) fn allow_many_files() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?)
}

/// Sends all of it; how long that took, from the first connection to the last reply.
pub(crate) fn send(to: SocketAddr, load: Load) -> Result<Duration> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (commands, octets) = (Arc::new(commands(load.recipients)), Arc::new(message(load.size)));
    let started = Instant::now();
    runtime.block_on(async {
        let (mut clients, doors) = (JoinSet::new(), Arc::new(Semaphore::new(AT_THE_DOOR)));
        for number in 0..load.connections {
            let share = load.messages / load.connections + usize::from(number < load.messages % load.connections);
            let (commands, octets, doors) = (Arc::clone(&commands), Arc::clone(&octets), Arc::clone(&doors));
            clients.spawn(async move {
                let mut dialogue = connect(to, &doors).await?;
                client(&mut dialogue, share, &commands, &octets, load.recipients).await
            });
        }
        while let Some(done) = clients.join_next().await {
            done??;
        }
        Ok(started.elapsed())
    })
}

fn commands(recipients: usize) -> Vec<u8> {
    let mut text = "MAIL FROM:<joe@source.example>\r\n".to_owned();
    for number in 0..recipients {
        text.push_str(&format!("RCPT TO:<user{number}@sink.example>\r\n"));
    }
    (text + "DATA\r\n").into_bytes()
}

fn message(size: usize) -> Vec<u8> {
    let head = b"From: joe@source.example\r\nTo: amy@sink.example\r\nSubject: growth\r\n\r\n";
    let line = b"What is in here is of no interest, but its length is that of an ordinary line\r\n";
    let lines = size.saturating_sub(head.len()) / line.len();
    [&head[..], &line.repeat(lines), b".\r\n"].concat()
}

/// Comes in, with some others at most, as listen queues are short.
async fn connect(to: SocketAddr, doors: &Semaphore) -> Result<Dialogue> {
    let _turn = doors.acquire().await?;
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    let mut dialogue = Dialogue { stream, input: Vec::with_capacity(512) };
    dialogue.replies(1).await?;
    Ok(dialogue)
}

async fn client(
    dialogue: &mut Dialogue,
    share: usize,
    commands: &[u8],
    octets: &[u8],
    recipients: usize,
) -> Result<()> {
    dialogue.say(b"EHLO source.example\r\n", 1).await?;
    for _ in 0..share {
        dialogue.say(commands, recipients + 2).await?;
        dialogue.say(octets, 1).await?;
    }
    dialogue.say(b"QUIT\r\n", 1).await
}

struct Dialogue {
    stream: TcpStream,
    input: Vec<u8>,
}

impl Dialogue {
    async fn say(&mut self, octets: &[u8], replies: usize) -> Result<()> {
        self.stream.write_all(octets).await?;
        self.replies(replies).await
    }

    /// Waits for this many replies, none of which may be a refusal.
    async fn replies(&mut self, mut wanted: usize) -> Result<()> {
        while wanted > 0 {
            let Some(end) = memchr::memchr(b'\n', &self.input) else {
                if timeout(PATIENCE, self.stream.read_buf(&mut self.input)).await?? == 0 {
                    return Err("the relay hung up".into());
                }
                continue;
            };
            let line: Vec<u8> = self.input.drain(..=end).collect();
            if !matches!(line.first(), Some(b'2' | b'3')) {
                return Err(format!("refused: {}", String::from_utf8_lossy(&line).trim_end()).into());
            }
            wanted -= usize::from(line.get(3) == Some(&b' '));
        }
        Ok(())
    }
}
