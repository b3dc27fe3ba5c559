//! One session on standard input, as a super-server hands it over.
//!
//! Where it cannot begin, the client hears a 421 that tells nothing of the inside, and the system's log hears why: nobody
//! reads the standard error of such a program, and its own log is not there yet. Neither is waited for.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use leafmail::clock::Clock;
use leafmail::config::{Config, LogTo, Task};
use leafmail::driver::{DiskWait, Receiver, Shutdown, serve_standard_input};
use leafmail::smtp::{Enhanced, catalogue};
use leafmail::spool::DirSpool;
use leafmail::sys::{self, StandardInput, SystemClock};
use leafmail::syslog::{Sender, Severity, SystemLog};
use sysexits::ExitCode;
use tokio::runtime::{Builder, Runtime};

use super::receiver;
use crate::cli::screen::Screen;
use crate::cli::{self, Common, Logging, OrExit, Reader};
use crate::security::{certificate, security};

/// What a session needs.
struct Ready {
    receiver: Receiver<DirSpool>,
    spool: Arc<DirSpool>,
    runtime: Runtime,
    screen: Option<Screen>,
    _logging: Logging,
}

/// Serves it.
pub(crate) fn serve_one(common: &Common, config: &Config, reader: Reader) -> anyhow::Result<()> {
    let ready = get_ready(common, config, reader).inspect_err(|error| turn_away(Some(config), error))?;
    let served = ready.runtime.block_on(serve_standard_input(&ready.receiver)).or_exit(ExitCode::OsErr);
    // A thread may still wait for a pipe that nobody writes to.
    ready.runtime.shutdown_background();
    cli::end_shared_observers();
    ready.screen.into_iter().for_each(Screen::end);
    served.and_then(|()| cli::sound(&ready.spool))
}

fn get_ready(common: &Common, config: &Config, reader: Reader) -> anyhow::Result<Ready> {
    let certificate = certificate(config)?;
    cli::assume(config)?;
    let spool = cli::open_spool(config)?;
    let told = cli::lock_in(config, Task::Receive)?;
    let logging = common.logging("smtpd", config, reader)?;
    told.log(cli::Stay::Short);
    let is_person = reader == Reader::Person;
    let screen = is_person.then(|| Screen::begin(false, 0, BTreeMap::new())).flatten();
    screen.iter().filter(|_| std::io::stdin().is_terminal()).for_each(Screen::invite);
    let observer = screen.as_ref().map_or_else(|| cli::log_observer(config), Screen::observer);
    let observers: Vec<_> =
        [observer].into_iter().chain(receiver::client_record(config)).chain(cli::shared_observers(config)).collect();
    let security = security(config, certificate)?;
    let receiver = receiver::build(config, Arc::clone(&spool), Shutdown::default(), security, Arc::new(observers))?;
    let receiver = Receiver { disk_wait: DiskWait::Here, ..receiver };
    let runtime = Builder::new_current_thread().enable_all().build().or_exit(ExitCode::OsErr)?;
    Ok(Ready { receiver, spool, runtime, screen, _logging: logging })
}

/// Whether a client is on standard input, if the command line asks for nothing else.
pub(crate) fn has_client() -> bool {
    let may_be = match sys::standard_input() {
        StandardInput::Socket => true,
        StandardInput::Pipe => !std::io::stdout().is_terminal(),
        StandardInput::Other => false,
    };
    may_be && !super::sockets_are_handed_over()
}

/// The client comes again later; the administrator learns why.
pub(crate) fn turn_away(config: Option<&Config>, error: &anyhow::Error) {
    let hostname = config.map_or_else(|| Config::default().hostname, |config| config.hostname.clone());
    let mut reply = Vec::new();
    catalogue::out_of_order(&hostname).write(&mut reply, Enhanced::Shown);
    let (input, output) = (std::io::stdin(), std::io::stdout());
    let client: BorrowedFd<'_> =
        if sys::standard_input() == StandardInput::Socket { input.as_fd() } else { output.as_fd() };
    cli::exit::write_soon(client, &reply);
    let log = match config.map(|config| &config.log.to) {
        Some(LogTo::System(log)) => log.clone(),
        _ => SystemLog::Syslog(SystemLog::SYSLOG.into()),
    };
    let text = format!("a client was turned away: {error:#}").replace('\n', "; ");
    let datagram = log.datagram(Severity::Error, SystemClock.now(), "smtpd", std::process::id(), &text);
    // Where nobody listens, there is nobody to tell.
    let _ = Sender::new(log).send(&datagram);
}
