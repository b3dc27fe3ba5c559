//! Packets of the milter protocol: a length of 4 octets, a letter, and data. What a milter sends is hostile.
//!
//! What is sent is gathered and leaves by one write before an answer is waited for: a step in two writes would wait for a
//! delayed acknowledgement on TCP.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::time::timeout;

use crate::policy::delegation::connection::Stream;

/// The largest packet from a milter, in octets: a header field has 64 KiB at most.
const MAX_PACKET: usize = 128 * 1024;
/// What is gathered before it is written without waiting for an answer.
const MAX_GATHERED: usize = 64 * 1024;

/// A packet from a milter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) letter: u8,
    pub(super) data: Vec<u8>,
}

/// A connection to a milter.
pub(super) struct Wire {
    stream: BufReader<Box<dyn Stream>>,
    gathered: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WireError {
    /// It took too long.
    Late(Duration),
    /// The connection is of no use any more.
    Broken(String),
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        Self::Broken(match error.kind() {
            io::ErrorKind::UnexpectedEof => "it closed the connection without an answer".to_owned(),
            _ => error.to_string(),
        })
    }
}

impl std::fmt::Display for WireError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Late(limit) => write!(f, "no answer within {} s", limit.as_secs()),
            Self::Broken(why) => f.write_str(why),
        }
    }
}

impl Wire {
    pub(super) fn new(stream: Box<dyn Stream>) -> Self {
        Self { stream: BufReader::with_capacity(4096, stream), gathered: Vec::new() }
    }

    /// Puts a packet behind those that are to be sent.
    pub(super) fn gather(&mut self, letter: u8, data: &[&[u8]]) {
        let length: usize = 1 + data.iter().map(|part| part.len()).sum::<usize>();
        self.gathered.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        self.gathered.push(letter);
        data.iter().for_each(|part| self.gathered.extend_from_slice(part));
    }

    /// Sends what was gathered, if it is much.
    pub(super) async fn send_much(&mut self, limit: Duration) -> Result<(), WireError> {
        if self.gathered.len() < MAX_GATHERED { Ok(()) } else { self.send(limit).await }
    }

    /// Sends what was gathered.
    pub(super) async fn send(&mut self, limit: Duration) -> Result<(), WireError> {
        let Self { stream, gathered } = self;
        let sent = timeout(limit, stream.get_mut().write_all(gathered)).await;
        gathered.clear();
        // A session that waits holds little.
        gathered.shrink_to(4096);
        Ok(sent.map_err(|_| WireError::Late(limit))??)
    }

    /// The next packet.
    pub(super) async fn receive(&mut self, limit: Duration) -> Result<Packet, WireError> {
        let stream = &mut self.stream;
        let read = async {
            let length = stream.read_u32().await? as usize;
            if !(1..=MAX_PACKET).contains(&length) {
                return Err(io::Error::other(format!("it sent a packet of {length} octets")));
            }
            let letter = stream.read_u8().await?;
            let mut data = Vec::new();
            // What is announced is reserved only as it comes.
            stream.take(length as u64 - 1).read_to_end(&mut data).await?;
            if data.len() < length - 1 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok(Packet { letter, data })
        };
        Ok(timeout(limit, read).await.map_err(|_| WireError::Late(limit))??)
    }

    /// Whether nothing has come that was not asked for, not even the end.
    pub(super) async fn is_quiet(&mut self) -> bool {
        let stream = &mut self.stream;
        // One look, without waiting.
        stream.buffer().is_empty() && timeout(Duration::ZERO, stream.read_u8()).await.is_err()
    }

    /// Sends a packet without data if there is room for it at once, and does not look at what comes of it.
    pub(super) fn say_at_once(&self, letter: u8) {
        self.stream.get_ref().say_at_once(&[0, 0, 0, 1, letter]);
    }
}
