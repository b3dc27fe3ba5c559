//! The host: its clock, its name, its standard streams. The one place for privileges, and for `unsafe` should it be needed.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::time::{ClockId, clock_gettime};

use crate::clock::{BootClock, Clock, Timestamp};

/// The host's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }
}

impl BootClock for SystemClock {
    fn since_boot(&self) -> Duration {
        let time = clock_gettime(ClockId::Boottime);
        let nanos = u32::try_from(time.tv_nsec).unwrap_or_default();
        Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), nanos)
    }

    fn boot_id(&self) -> [u8; 16] {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        u128::from_str_radix(&text.trim().replace('-', ""), 16).unwrap_or_default().to_be_bytes()
    }
}

/// What a super-server, a shell or nobody put on standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StandardInput {
    /// A connected socket: inetd, systemd with `Accept=yes`, tcpserver.
    Socket,
    /// A pipe.
    Pipe,
    /// A terminal, a file, the null device.
    Other,
}

/// Looks at standard input.
pub fn standard_input() -> StandardInput {
    match fstat(rustix::stdio::stdin()).map(|stat| FileType::from_raw_mode(stat.st_mode)) {
        Ok(FileType::Socket) => StandardInput::Socket,
        Ok(FileType::Fifo) => StandardInput::Pipe,
        _ => StandardInput::Other,
    }
}

/// inetd may give the client's socket as standard error too: what is written there would reach the client as a reply, so
/// it is then led to the null device. Answers whether it was.
///
/// # Errors
/// When the null device cannot be opened.
pub fn keep_stderr_from_client() -> io::Result<bool> {
    let identity = |fd: std::os::fd::BorrowedFd<'_>| fstat(fd).map(|stat| (stat.st_dev, stat.st_ino));
    let shared = identity(rustix::stdio::stdin()).is_ok_and(|input| identity(rustix::stdio::stderr()) == Ok(input));
    if shared {
        let null = open("/dev/null", OFlags::WRONLY, Mode::empty())?;
        rustix::stdio::dup2_stderr(null.as_fd())?;
    }
    Ok(shared)
}

/// Files are made for their owner only, whatever the caller's mask.
pub fn set_umask() {
    rustix::process::umask(Mode::from_bits_truncate(0o077));
}
