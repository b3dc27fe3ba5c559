//! The logs of the system: the socket of syslog, in the form of RFC 3164, and that of the journal, in its native
//! protocol.
//!
//! Each line is one datagram. Nothing here waits: if a log is missing or does not accept the line, that is an error,
//! which the caller counts. The next line tries again, so a log daemon may be restarted. The crates for this wait in
//! `send`.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use crate::clock::Timestamp;

/// How grave a line is (RFC 3164 4.1.1, syslog(3)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Action must be taken immediately.
    Alert = 1,
    /// An error.
    Error = 3,
    /// A warning.
    Warning = 4,
    /// Normal, but significant.
    Notice = 5,
    /// For information.
    Info = 6,
    /// For those who look for a fault.
    Debug = 7,
}

/// `LOG_MAIL`.
const FACILITY: u8 = 2;
/// Octets of one line; what is longer is cut. Above what RFC 3164 4.1 allows on the wire, as local daemons take more, and
/// below what the kernel takes in one datagram.
const MAX_LINE: usize = 8 * 1024;

/// Which of them, and where it listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SystemLog {
    /// syslog's socket.
    Syslog(PathBuf),
    /// The journal's socket.
    Journal(PathBuf),
}

impl SystemLog {
    /// Where syslog listens on most systems.
    pub const SYSLOG: &'static str = "/dev/log";
    /// Where the journal of systemd listens.
    pub const JOURNAL: &'static str = "/run/systemd/journal/socket";

    fn path(&self) -> &Path {
        let (Self::Syslog(path) | Self::Journal(path)) = self;
        path
    }

    /// One line as it wants to have it. `program` is such as `smtpd`.
    pub fn datagram(&self, severity: Severity, now: Timestamp, program: &str, pid: u32, text: &str) -> Vec<u8> {
        let text = one_line(text);
        match self {
            Self::Syslog(_) => {
                let priority = FACILITY * 8 + severity as u8;
                format!("<{priority}>{} leafmail/{program}[{pid}]: {text}", now.rfc3164()).into_bytes()
            }
            // The journal adds the time, and the process by what the kernel says of it.
            Self::Journal(_) => format!(
                "PRIORITY={}\nSYSLOG_FACILITY={FACILITY}\nSYSLOG_IDENTIFIER=leafmail/{program}\nSYSLOG_PID={pid}\n\
                 MESSAGE={text}\n",
                severity as u8
            )
            .into_bytes(),
        }
    }
}

/// Without control characters, and not too long.
fn one_line(text: &str) -> String {
    let end = text.floor_char_boundary(MAX_LINE);
    text[..end].trim_end().chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// A connection to a log that comes and goes.
#[derive(Debug)]
pub struct Sender {
    log: SystemLog,
    socket: Option<UnixDatagram>,
}

impl Sender {
    /// Not connected yet.
    pub fn new(log: SystemLog) -> Self {
        Self { log, socket: None }
    }

    /// Sends a datagram; the daemon may have been restarted since the last.
    ///
    /// # Errors
    /// When nobody listens, or takes nothing at present.
    pub fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        if let Some(socket) = &self.socket {
            match socket.send(datagram) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
                Err(_gone) => self.socket = None,
            }
        }
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.connect(self.log.path())?;
        socket.send(datagram)?;
        self.socket = Some(socket);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(log: &SystemLog, text: &str) -> String {
        String::from_utf8(log.datagram(Severity::Warning, Timestamp::from_millis(0), "smtpd", 7, text)).unwrap()
    }

    #[test]
    fn each_log_gets_its_own_form_and_no_line_becomes_two() {
        let (syslog, journal) = (SystemLog::Syslog("/dev/log".into()), SystemLog::Journal("/j".into()));
        let line = datagram(&syslog, "a\nb\u{1b}\n");
        assert!(line.starts_with("<20>") && line.ends_with(" leafmail/smtpd[7]: a?b?"), "{line}");
        assert_eq!(
            datagram(&journal, "a\nPRIORITY=0\n"),
            "PRIORITY=4\nSYSLOG_FACILITY=2\nSYSLOG_IDENTIFIER=leafmail/smtpd\nSYSLOG_PID=7\nMESSAGE=a?PRIORITY=0\n"
        );
        assert!(datagram(&syslog, &"ü".repeat(MAX_LINE)).len() < MAX_LINE + 100);
    }

    #[test]
    fn a_log_that_is_full_or_gone_is_an_error_at_once_and_a_new_one_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut sender = Sender::new(SystemLog::Syslog(path.clone()));
        assert!(sender.send(b"x").is_err(), "nobody listens");
        let daemon = UnixDatagram::bind(&path).unwrap();
        sender.send(b"first").unwrap();
        let sent = (0..100_000).take_while(|_| sender.send(b"flood").is_ok()).count();
        assert!(sent < 100_000, "the queue of a socket ends somewhere");
        drop(daemon);
        std::fs::remove_file(&path).unwrap();
        let daemon = UnixDatagram::bind(&path).unwrap();
        sender.send(b"second").unwrap();
        let mut octets = [0; 16];
        let count = daemon.recv(&mut octets).unwrap();
        assert_eq!(&octets[..count], b"second");
    }
}
