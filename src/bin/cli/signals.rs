//! Signals of a program that runs continuously: TERM and INT ask it to leave, HUP opens the log file again and renews what can be.

use std::thread;

use sysexits::ExitCode;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use super::{Logging, OrExit};

/// Waits for signals in a thread of its own; `leave` is called at each TERM or INT, `renew` at each HUP.
pub(crate) fn heed_signals(
    logging: &Logging,
    renew: impl Fn() + Send + 'static,
    leave: impl Fn() + Send + 'static,
) -> anyhow::Result<()> {
    let reopen = logging.reopener();
    let runtime = Builder::new_current_thread().enable_io().build().or_exit(ExitCode::OsErr)?;
    let inside = runtime.enter();
    let mut term = signal(SignalKind::terminate()).or_exit(ExitCode::OsErr)?;
    let mut int = signal(SignalKind::interrupt()).or_exit(ExitCode::OsErr)?;
    let mut hup = signal(SignalKind::hangup()).or_exit(ExitCode::OsErr)?;
    drop(inside);
    let heed = move || {
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = term.recv() => leave(),
                    _ = int.recv() => leave(),
                    _ = hup.recv() => {
                        reopen();
                        renew();
                    }
                }
            }
        })
    };
    thread::Builder::new().name("signals".to_owned()).spawn(heed).or_exit(ExitCode::OsErr)?;
    Ok(())
}
