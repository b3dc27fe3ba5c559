//! A next hop that takes every message and keeps none, in a thread of its own; it tells when the first came, and the last.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::Result;

/// What came.
#[derive(Debug)]
pub(crate) struct Counts {
    begun: Instant,
    /// Nanoseconds after `begun`; 0: none yet.
    first: AtomicU64,
    last: AtomicU64,
}

/// A sink that runs as long as the process does.
pub(crate) struct Sink {
    pub(crate) address: SocketAddr,
    pub(crate) counts: Arc<Counts>,
}

impl Sink {
    pub(crate) fn start() -> Result<Self> {
        let counts = Arc::new(Counts { begun: Instant::now(), first: AtomicU64::new(0), last: AtomicU64::new(0) });
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        // A thousand connect at once, and who does not find room waits for a second or for ever.
        rustix::net::listen(&listener, 4096)?;
        listener.set_nonblocking(true)?;
        let (address, shared) = (listener.local_addr()?, Arc::clone(&counts));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::spawn(move || runtime.block_on(listen(listener, shared)));
        Ok(Self { address, counts })
    }
}

impl Counts {
    /// When the first one came.
    pub(crate) fn first(&self) -> Option<Instant> {
        Some(self.first.load(Ordering::SeqCst))
            .filter(|nanos| *nanos > 0)
            .map(|nanos| self.begun + Duration::from_nanos(nanos))
    }

    /// From the first to the last.
    pub(crate) fn span(&self) -> Duration {
        Duration::from_nanos(self.last.load(Ordering::SeqCst).saturating_sub(self.first.load(Ordering::SeqCst)))
    }

    fn note(&self) {
        let now = self.begun.elapsed().as_nanos() as u64;
        // Only the first sets it.
        let _ = self.first.compare_exchange(0, now, Ordering::SeqCst, Ordering::SeqCst);
        self.last.store(now, Ordering::SeqCst);
    }
}

async fn listen(listener: std::net::TcpListener, counts: Arc<Counts>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    while let Ok((stream, _)) = listener.accept().await {
        let counts = Arc::clone(&counts);
        // A client that breaks off is not our business.
        tokio::spawn(async move { drop(serve(stream, &counts).await) });
    }
}

async fn serve(mut stream: TcpStream, counts: &Counts) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    stream.write_all(b"220 sink.example ESMTP\r\n").await?;
    let (mut input, mut replies, mut in_message) = (Vec::with_capacity(8192), Vec::new(), false);
    while stream.read_buf(&mut input).await? > 0 {
        let mut at = 0;
        loop {
            if in_message {
                let Some(end) = memchr::memmem::find(&input[at..], b"\r\n.\r\n") else {
                    // What may be the begin of the end is kept.
                    at = input.len().saturating_sub(4).max(at);
                    break;
                };
                at += end + 5;
                in_message = false;
                counts.note();
                replies.extend_from_slice(b"250 2.0.0 taken\r\n");
            }
            let Some(end) = memchr::memchr(b'\n', &input[at..]) else { break };
            let verb = input[at..at + end].first_chunk::<4>();
            at += end + 1;
            match verb {
                Some(b"EHLO") => replies.extend_from_slice(b"250-sink.example\r\n250-PIPELINING\r\n250 8BITMIME\r\n"),
                Some(b"DATA") => {
                    in_message = true;
                    replies.extend_from_slice(b"354 go ahead\r\n");
                    // The CR LF before the final dot may be the one that ends this line.
                    at -= 2;
                }
                Some(b"QUIT") => {
                    replies.extend_from_slice(b"221 2.0.0 bye\r\n");
                    return stream.write_all(&replies).await;
                }
                _ => replies.extend_from_slice(b"250 2.0.0 ok\r\n"),
            }
        }
        input.drain(..at);
        stream.write_all(&replies).await?;
        replies.clear();
    }
    Ok(())
}
