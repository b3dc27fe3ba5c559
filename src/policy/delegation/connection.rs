//! Connections to a service, kept for the next question.
//!
//! A connection stays with the thread that made it, as its runtime is there. One that was kept may have been closed by the
//! service meanwhile: then a new one is made, once, so that a restart of the service is no trouble.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, ThreadId};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::settings::ServiceAddress;

/// The longest answer, in octets.
const MAX_ANSWER: usize = 16 * 1024;
/// Connections that are kept.
const MAX_KEPT: usize = 16;

/// A connection to another program of the site.
pub(in crate::policy) trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {
    /// Writes octets if there is room for them at once, and does not look at what comes of it.
    fn say_at_once(&self, octets: &[u8]);
}

impl Stream for TcpStream {
    fn say_at_once(&self, octets: &[u8]) {
        let _ = self.try_write(octets);
    }
}

impl Stream for UnixStream {
    fn say_at_once(&self, octets: &[u8]) {
        let _ = self.try_write(octets);
    }
}

/// The connections to one service.
pub(super) struct Pool {
    address: ServiceAddress,
    kept: Mutex<Vec<(ThreadId, Box<dyn Stream>)>>,
}

impl Pool {
    pub(super) fn new(address: ServiceAddress) -> Self {
        Self { address, kept: Mutex::default() }
    }

    /// Sends a question, and reads the answer up to its empty line. Without a time limit.
    pub(super) async fn exchange(&self, question: &[u8]) -> io::Result<Vec<u8>> {
        if let Some(mut stream) = self.take()
            && let Ok(answer) = talk(stream.as_mut(), question).await
        {
            self.keep(stream);
            return Ok(answer);
        }
        let mut stream = connect(&self.address).await?;
        let answer = talk(stream.as_mut(), question).await?;
        self.keep(stream);
        Ok(answer)
    }

    fn take(&self) -> Option<Box<dyn Stream>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let here = thread::current().id();
        let at = kept.iter().position(|(thread, _)| *thread == here)?;
        Some(kept.swap_remove(at).1)
    }

    fn keep(&self, stream: Box<dyn Stream>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < MAX_KEPT {
            kept.push((thread::current().id(), stream));
        }
    }
}

/// Connects to a program; without a time limit.
pub(in crate::policy) async fn connect(address: &ServiceAddress) -> io::Result<Box<dyn Stream>> {
    Ok(match address {
        ServiceAddress::Inet(host, port) => {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            stream.set_nodelay(true)?;
            Box::new(stream)
        }
        ServiceAddress::Unix(path) => Box::new(UnixStream::connect(path).await?),
    })
}

async fn talk(stream: &mut dyn Stream, question: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(question).await?;
    let mut answer = Vec::new();
    let mut piece = [0; 1024];
    loop {
        match stream.read(&mut piece).await? {
            0 => {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it closed the connection without an answer"));
            }
            octets => answer.extend_from_slice(&piece[..octets]),
        }
        if answer.ends_with(b"\n\n") {
            return Ok(answer);
        }
        // One answer is owed: whatever follows an empty line was not asked for.
        if answer.len() > MAX_ANSWER || answer.windows(2).any(|end| end == b"\n\n") {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it answered with too much"));
        }
    }
}
