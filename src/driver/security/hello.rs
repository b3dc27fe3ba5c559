//! What a client offers in the first octets of its handshake, so that the log can say why it fails with old devices.
//!
//! Nothing here decides: rustls alone makes the handshake. The octets are hostile and bounded; what is not understood says
//! nothing.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// More than the first record of any client that knows no TLS 1.2.
const MAX_KEPT: usize = 2048;

/// A connection that keeps a copy of the first octets that it reads, until the handshake is done.
pub(in crate::driver) struct Recorded<IO> {
    io: IO,
    kept: Option<Vec<u8>>,
}

impl<IO> Recorded<IO> {
    pub(super) fn new(io: IO) -> Self {
        Self { io, kept: Some(Vec::new()) }
    }

    /// The copy; from now on none is kept.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.kept.take().unwrap_or_default()
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Recorded<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { io, kept } = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(io).poll_read(cx, buffer);
        if let Some(kept) = kept {
            let new = &buffer.filled()[before..];
            kept.extend_from_slice(&new[..new.len().min(MAX_KEPT - kept.len())]);
        }
        read
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Recorded<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, octets)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(cx, octets)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

/// Why a client cannot use our TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TooOld {
    /// The highest version that it knows.
    Version(u16),
    /// TLS 1.2, but only cipher suites without forward secrecy or without authenticated encryption.
    Ciphers,
}

impl fmt::Display for TooOld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(SSL_3) => f.write_str("the client knows no TLS, but SSL 3.0 alone"),
            Self::Version(version) => {
                write!(f, "the client knows no TLS above 1.{}", version.saturating_sub(TLS_1_0))
            }
            Self::Ciphers => f.write_str(
                "the client knows TLS 1.2, but only old cipher suites (RSA key exchange or CBC), and none of this relay",
            ),
        }?;
        f.write_str("; this relay speaks 1.2 and 1.3")
    }
}

const SSL_3: u16 = 0x0300;
const TLS_1_0: u16 = 0x0301;
const TLS_1_2: u16 = 0x0303;

/// What is too old in a first flight, if that is what ended the handshake.
pub(super) fn too_old(octets: &[u8]) -> Option<TooOld> {
    let hello = Hello::read(octets)?;
    if (SSL_3..TLS_1_2).contains(&hello.version) {
        return Some(TooOld::Version(hello.version));
    }
    (hello.version == TLS_1_2 && !hello.suites.is_empty() && !hello.suites.iter().any(|suite| is_ours(*suite)))
        .then_some(TooOld::Ciphers)
}

/// Those of TLS 1.2 that rustls knows: ECDHE with AES-GCM or ChaCha20-Poly1305.
fn is_ours(suite: u16) -> bool {
    matches!(suite, 0xc02b | 0xc02c | 0xc02f | 0xc030 | 0xcca8 | 0xcca9)
}

/// The parts of a ClientHello (RFC 5246 7.4.1.2, RFC 8446 4.1.2) that are looked at.
struct Hello {
    version: u16,
    suites: Vec<u16>,
}

impl Hello {
    /// One in a single record, which may be cut off, or in the form of SSL 2 (RFC 5246 E.2).
    fn read(octets: &[u8]) -> Option<Self> {
        let mut rest = Rest(octets);
        match rest.number(1)? {
            0x16 => {
                rest.skip(4)?;
                (rest.number(1)? == 1).then_some(())?;
                rest.skip(3)?;
                Self::body(rest)
            }
            first if first & 0x80 != 0 => {
                rest.skip(1)?;
                (rest.number(1)? == 1).then_some(())?;
                Some(Self { version: u16::try_from(rest.number(2)?).ok()?, suites: Vec::new() })
            }
            _ => None,
        }
    }

    fn body(mut rest: Rest<'_>) -> Option<Self> {
        let mut version = u16::try_from(rest.number(2)?).ok()?;
        rest.skip(32)?;
        rest.block(1)?;
        let suites = rest.block(2)?;
        rest.block(1)?;
        // Extensions may be absent.
        let mut extensions = Rest(rest.block(2).unwrap_or_default());
        while let (Some(kind), Some(content)) = (extensions.number(2), extensions.block(2)) {
            /// supported_versions (RFC 8446 4.2.1).
            const SUPPORTED_VERSIONS: usize = 43;
            if kind == SUPPORTED_VERSIONS {
                let known = numbers(content.get(1..)?).filter(|version| version >> 8 == 3).max();
                version = known.unwrap_or(version);
            }
        }
        Some(Self { version, suites: numbers(suites).collect() })
    }
}

fn numbers(octets: &[u8]) -> impl Iterator<Item = u16> {
    octets.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
}

/// What is still to be read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.take(count).map(|_| ())
    }

    fn number(&mut self, octets: usize) -> Option<usize> {
        Some(self.take(octets)?.iter().fold(0, |number, octet| number << 8 | usize::from(*octet)))
    }

    /// Octets that follow their own count.
    fn block(&mut self, octets: usize) -> Option<&'a [u8]> {
        let count = self.number(octets)?;
        self.take(count)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A ClientHello of this version with these cipher suites, and with supported_versions if any.
    fn hello(version: u16, suites: &[u16], supported: &[u16]) -> Vec<u8> {
        let be = |numbers: &[u16]| numbers.iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<u8>>();
        let mut body = [&version.to_be_bytes()[..], &[7; 32], &[0]].concat();
        body.extend(be(&[u16::try_from(suites.len() * 2).unwrap()]));
        body.extend(be(suites));
        body.extend([1, 0]);
        if !supported.is_empty() {
            let length = u16::try_from(supported.len() * 2).unwrap();
            body.extend(be(&[length + 5, 43, length + 1]));
            body.push(u8::try_from(length).unwrap());
            body.extend(be(supported));
        }
        let length = u8::try_from(body.len()).unwrap();
        [&[0x16, 3, 1, 0, length + 4, 1, 0, 0, length][..], &body].concat()
    }

    #[test]
    fn old_versions_and_old_ciphers_are_told_from_current_ones() {
        for (octets, expected) in [
            (hello(0x0300, &[0x0005], &[]), Some("SSL 3.0 alone")),
            (hello(0x0301, &[0x002f, 0xc014], &[]), Some("no TLS above 1.0; this relay speaks 1.2 and 1.3")),
            (hello(0x0302, &[0x002f], &[]), Some("no TLS above 1.1;")),
            (hello(0x0303, &[0xc02f], &[0x0302, 0x0301]), Some("no TLS above 1.1;")),
            (hello(0x0303, &[0x002f, 0x009c, 0xc013], &[]), Some("only old cipher suites")),
            (hello(0x0303, &[0x002f, 0xc030], &[]), None),
            (hello(0x0303, &[0x1301], &[0x7a7a, 0x0304, 0x0303]), None),
            (b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10".to_vec(), Some("no TLS above 1.0;")),
            (b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10".to_vec(), None),
            (b"EHLO x\r\n".to_vec(), None),
            (Vec::new(), None),
        ] {
            let found = too_old(&octets).map(|found| found.to_string());
            let fits = match (&found, expected) {
                (Some(found), Some(expected)) => found.contains(expected),
                (found, expected) => found.is_none() && expected.is_none(),
            };
            assert!(fits, "{expected:?}: {found:?}");
        }
    }

    proptest! {
        #[test]
        fn no_octets_of_a_client_make_it_panic(octets in proptest::collection::vec(any::<u8>(), 0..120), cut in 0_usize..90) {
            let whole = hello(0x0301, &[0x002f, 0xc014], &[0x0301]);
            let spoilt = [&whole[..cut.min(whole.len())], &octets].concat();
            let _ = (too_old(&octets).map(|found| found.to_string()), too_old(&spoilt));
        }
    }
}
