//! Where `smtpd` listens.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use super::error::unexpected;
use super::values::FromText;

/// An address to listen at: TCP with its port, or a Unix socket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// `127.0.0.1:2525` or `[::1]:2525`; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// `unix:/run/leafmail/smtp.sock`.
    Unix(PathBuf),
}

const EXPECTED: &str = "an address such as 127.0.0.1:2525, [::1]:2525 or unix:/run/leafmail/smtp.sock";

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("unix:") {
            Some(path) if !path.is_empty() && !path.contains('\0') => Ok(Self::Unix(path.into())),
            Some(_) => Err(unexpected(EXPECTED, text)),
            None => text.parse().map(Self::Tcp).map_err(|_| unexpected(EXPECTED, text)),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl FromText for ListenAddress {
    const EXPECTED: &'static str = EXPECTED;

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_printed_as_it_was_read() {
        for good in ["127.0.0.1:2525", "[::1]:25", "0.0.0.0:0", "unix:/run/leafmail/smtp.sock", "unix:smtp.sock"] {
            assert_eq!(good.parse::<ListenAddress>().unwrap().to_string(), good);
        }
        for bad in ["", "2525", "localhost:25", "127.0.0.1", "::1:25", "unix:", "127.0.0.1:65536"] {
            assert!(bad.parse::<ListenAddress>().is_err(), "{bad:?} was accepted");
        }
    }
}
