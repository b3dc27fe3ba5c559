//! Work that may take long, in a thread of its own: it is waited for, but not for long once it is time to leave.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::transport::leaving::Leaving;

/// Why there is no result.
pub(super) enum Unfinished {
    /// The thread could not be started, in words.
    NotStarted(String),
    /// It was not waited for any longer, or it ended without a result.
    Left,
}

const LOOK: Duration = Duration::from_millis(100);

/// The result of the work, which has a limit of its own: nobody waits for a thread that is left.
pub(super) fn in_another_thread<T: Send + 'static>(
    leaving: &Leaving,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Unfinished> {
    let (sender, receiver) = mpsc::channel();
    thread::Builder::new()
        .spawn(move || sender.send(work()))
        .map_err(|error| Unfinished::NotStarted(error.to_string()))?;
    let mut over = None;
    loop {
        match receiver.recv_timeout(LOOK) {
            Ok(result) => return Ok(result),
            Err(mpsc::RecvTimeoutError::Disconnected) => return Err(Unfinished::Left),
            Err(mpsc::RecvTimeoutError::Timeout) if !leaving.is_raised() => {}
            Err(mpsc::RecvTimeoutError::Timeout) => {
                if Instant::now() >= *over.get_or_insert_with(|| Instant::now() + leaving.patience()) {
                    return Err(Unfinished::Left);
                }
            }
        }
    }
}
