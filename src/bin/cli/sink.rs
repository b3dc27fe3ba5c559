//! Where the lines of the log go, in the thread that writes them: a sink may wait, as mail does not wait for it.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use leafmail::clock::Clock;
use leafmail::config::{LogSection, LogTo};
use leafmail::sys::SystemClock;
use leafmail::syslog::Sender;
use log::Level;

use super::style::Style;

/// How long a system log that is full is waited for; after that, each line is tried once, until one is taken.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(5);

/// Takes lines: writes them to standard error, or shows them on a terminal that shows something else too.
pub(crate) type Taker = Box<dyn FnMut(&[u8]) + Send>;

/// See the module.
pub(crate) enum Sink {
    Taker(Taker),
    File(PathBuf, File),
    System { sender: Sender, style: Arc<Style>, lost: u64 },
}

impl Sink {
    /// # Errors
    /// When the file cannot be opened. A system log that is not there may come later.
    pub(super) fn open(settings: &LogSection, style: Arc<Style>) -> io::Result<Self> {
        match (&settings.file, &settings.to) {
            (Some(path), _) => Ok(Self::File(path.clone(), open(path)?)),
            (None, LogTo::Stderr) => Ok(Self::Taker(standard_error())),
            (None, LogTo::System(log)) => Ok(Self::System { sender: Sender::new(log.clone()), style, lost: 0 }),
        }
    }

    pub(super) fn write(&mut self, lines: &[Vec<u8>]) {
        // A log that cannot be written must not stop mail, and there is no other place to say so.
        let _ = match self {
            Self::Taker(take) => {
                take(&lines.concat());
                Ok(())
            }
            Self::File(_, file) => file.write_all(&lines.concat()),
            Self::System { sender, style, lost } => {
                lines.iter().for_each(|line| pass_on(sender, style, lost, line));
                Ok(())
            }
        };
    }

    pub(super) fn reopen(&mut self) {
        if let Self::File(path, file) = self
            && let Ok(new) = open(path)
        {
            *file = new;
        }
    }
}

/// What takes lines where nothing else does.
pub(crate) fn standard_error() -> Taker {
    // A log that cannot be written must not stop mail.
    Box::new(|lines| drop(io::stderr().write_all(lines)))
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

fn pass_on(sender: &mut Sender, style: &Style, lost: &mut u64, line: &[u8]) {
    if *lost > 0 {
        let note = format!("{lost} log lines were dropped, as nobody took them");
        if sender.send(&style.line(Level::Warn, &note, SystemClock.now())).is_err() {
            *lost += 1;
            return;
        }
        *lost = 0;
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        match sender.send(line) {
            Ok(()) => return,
            Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < deadline => thread::sleep(PAUSE),
            Err(_) => {
                *lost += 1;
                return;
            }
        }
    }
}
