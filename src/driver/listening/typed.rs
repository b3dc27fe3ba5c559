//! What a person types as a client: on a terminal Enter is a line feed, where SMTP wants CR LF.
//!
//! Only a terminal is read like that; what comes from a socket or a pipe stays as it is.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// A terminal whose lines end in CR LF.
pub(super) struct Typed<R> {
    terminal: R,
    /// A line feed that did not fit.
    owed: bool,
}

impl<R> Typed<R> {
    pub(super) fn new(terminal: R) -> Self {
        Self { terminal, owed: false }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Typed<R> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() > 0 && std::mem::take(&mut self.owed) {
            buf.put_slice(b"\n");
            return Poll::Ready(Ok(()));
        }
        let mut octets = [0; 512];
        let room = (buf.remaining() / 2).max(1).min(octets.len());
        let mut typed = ReadBuf::new(&mut octets[..room]);
        ready!(Pin::new(&mut self.terminal).poll_read(cx, &mut typed))?;
        for octet in typed.filled() {
            match octet {
                b'\n' if buf.remaining() >= 2 => buf.put_slice(b"\r\n"),
                b'\n' => {
                    buf.put_slice(b"\r");
                    self.owed = true;
                }
                other => buf.put_slice(&[*other]),
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn each_line_feed_gets_its_carriage_return_however_little_is_read_at_a_time() {
        for room in [1, 2, 3, 1_000] {
            let mut typed = Typed::new(&b"EHLO me\n\nx\n.\n"[..]);
            let (mut read, mut piece) = (Vec::new(), vec![0; room]);
            while let Ok(octets @ 1..) = typed.read(&mut piece).await {
                read.extend_from_slice(&piece[..octets]);
            }
            assert_eq!(read, b"EHLO me\r\n\r\nx\r\n.\r\n", "{room} at a time");
        }
    }
}
