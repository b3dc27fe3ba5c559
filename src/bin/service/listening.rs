//! What takes connections continuously: alone, or as the worker of a supervisor.
//!
//! The order at the start: sockets and certificate while this may be root, then the user, then the spool, then the sandbox,
//! and only then threads.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use leafmail::clock::Clock;
use leafmail::config::{Config, Task};
use leafmail::driver::{Listener, Shutdown, Socket, listen};
use leafmail::event::Observer;
use leafmail::supervisor::{self, Board, BoardFolder, PidFile, SupervisorStatus, WorkerEnv};
use leafmail::sys::process::{self, Starter};
use leafmail::sys::{SystemClock, identity};
use sysexits::ExitCode;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use super::options::Options;
use super::receiver;
use super::sockets::{self, Fronted, Unnamed};
use super::telling::Telling;
use crate::cli::{self, Logging, OrExit};
use crate::security::{certificate, later_remark, security};

/// Who is to know that connections are taken.
enum Waiting {
    /// The supervisor, at the other end of a pipe.
    Supervisor(OwnedFd, SupervisorStatus),
    /// systemd perhaps, and the process that went into the background.
    Starter(Option<Starter>),
}

/// Serves what the supervisor hands over.
pub(super) fn as_worker(options: &Options, config: &Config, orders: &WorkerEnv) -> anyhow::Result<()> {
    let (handed, ready) = orders.take().or_exit(ExitCode::OsErr)?;
    let handed: Vec<Socket> = handed.into_iter().filter_map(|socket| Socket::handed_over(socket).ok()).collect();
    let sockets = sockets::gather(config, handed, Unnamed::of(orders.serves_unnamed))?;
    serve(options, config, sockets, &mut Waiting::Supervisor(ready, orders.supervisor.clone()))
}

/// Serves by itself.
pub(super) fn alone(options: &Options, config: &Config) -> anyhow::Result<()> {
    let handed = sockets::of_systemd()?;
    // Before the ports: of two daemons, the second is to hear who the first is.
    let pid_file = pid_file(options)?;
    let sockets = sockets::gather(config, handed, Unnamed::Served)?;
    let mut waiting =
        Waiting::Starter(options.service.daemon.then(process::detach).transpose().or_exit(ExitCode::OsErr)?);
    let _pid_file = written(pid_file)?;
    let served = serve(options, config, sockets, &mut waiting);
    if let (Err(error), Waiting::Starter(Some(starter))) = (&served, waiting) {
        starter.release(u8::from(cli::exit::code_of(error)));
    }
    served
}

/// Takes the pid file, so that nobody else starts.
pub(super) fn pid_file(options: &Options) -> anyhow::Result<Option<PidFile>> {
    let taken = options.service.pid_file.as_deref().map(PidFile::take).transpose();
    taken.or_else(|error| {
        let is_held = error.kind() == std::io::ErrorKind::WouldBlock;
        Err(error).or_exit(if is_held { ExitCode::Unavailable } else { ExitCode::CantCreat })
    })
}

/// Once this is the process that stays.
pub(super) fn written(mut file: Option<PidFile>) -> anyhow::Result<Option<PidFile>> {
    file.as_mut().map(PidFile::write).transpose().or_exit(ExitCode::IoErr)?;
    Ok(file)
}

fn serve(options: &Options, config: &Config, sockets: Vec<Fronted>, waiting: &mut Waiting) -> anyhow::Result<()> {
    let mut telling = Telling::to(options.service.reader(config), config, options.deliver, &sockets);
    let certificate = certificate(config)?;
    cli::assume(config)?;
    if let Waiting::Supervisor(..) = waiting {
        // After the change of user, which undoes it. Without its supervisor nobody would replace it.
        let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM));
    }
    let spool = cli::open_spool(config)?;
    let task = if options.deliver { Task::Forward } else { Task::Receive };
    let told = cli::lock_in(config, task)?;
    let logging = options.common.logging("smtpd", config, telling.reader())?;
    let remarks = certificate.remark.iter().cloned().chain(later_remark(config)).chain(cli::shortage(config));
    telling.confined(&told, remarks);
    telling.spool(&spool);
    let mut runner = if options.deliver { Some(cli::runner(config, Arc::clone(&spool))?) } else { None };
    // It takes connections only; sessions have threads of their own.
    let runtime = Builder::new_current_thread().enable_all().build().or_exit(ExitCode::OsErr)?;
    let listeners = {
        let _inside = runtime.enter();
        let serving = |(socket, front)| Listener::serving(socket, front);
        sockets.into_iter().map(serving).collect::<std::io::Result<Vec<_>>>().or_exit(ExitCode::OsErr)?
    };
    let shutdown = Shutdown::default();
    let leave_too = shutdown.clone();
    let security = security(config, certificate)?;
    let tls = security.tls.clone();
    let renew = move || {
        if let Some(Err(error)) = tls.as_ref().map(|tls| tls.renew()) {
            log::error!("{error}");
        }
    };
    let board = board(config, waiting);
    let mut observers = vec![telling.observer(runner.as_mut())];
    observers.extend(board.clone().map(|board| board as Arc<dyn Observer>));
    observers.extend(receiver::client_record(config));
    observers.extend(cli::shared_observers(config));
    let receiver =
        Arc::new(receiver::build(config, Arc::clone(&spool), shutdown.clone(), security, Arc::new(observers))?);
    let replaced = Arc::new(AtomicBool::new(false));
    if let Waiting::Supervisor(..) = waiting {
        let replaced = Arc::clone(&replaced);
        let stop = runner.as_ref().map(|runner| Arc::clone(&runner.stop));
        let (retiring, board) = (shutdown.clone(), board.clone());
        runtime.block_on(async {
            heed_retirement(move || {
                log::info!("finishing the sessions under way, as another worker takes the connections");
                replaced.store(true, Ordering::SeqCst);
                retiring.retire();
                stop.iter().for_each(|stop| stop.raise());
                board.iter().for_each(|board| board.drain());
            })
        })?;
    }
    heed_signals(&logging, renew, telling.stopping(), shutdown)?;
    // Whoever reads this may send signals from now on.
    telling.listening(&listeners, waiting.is_for_the_first());
    waiting.is_over(options.service.daemon);
    let listened = thread::scope(|scope| {
        let delivering = runner.as_ref().map(|runner| {
            scope.spawn(move || {
                cli::watch(runner, config);
                // It leaves by itself only where the disk cannot be trusted any more, or where another worker delivers.
                if runner.spool.is_poisoned() {
                    leave_too.raise();
                }
            })
        });
        let listened = runtime.block_on(listen(receiver, listeners));
        if let Some(runner) = &runner {
            runner.stop.raise();
        }
        // A runner that panicked has told of it already.
        let _ = delivering.map(thread::ScopedJoinHandle::join);
        listened
    });
    board.iter().for_each(|board| board.end());
    listened.or_exit(ExitCode::OsErr)?;
    cli::end_shared_observers();
    telling.stopped(&spool, &logging, replaced.load(Ordering::SeqCst));
    cli::sound(&spool)
}

fn heed_signals(
    logging: &Logging,
    renew: impl Fn() + Send + 'static,
    stopping: impl Fn() + Send + 'static,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    cli::heed_signals(logging, renew, move || {
        stopping();
        supervisor::tell_stopping();
        shutdown.raise();
    })
}

/// USR1 is how a supervisor says that another worker takes the connections. Within the runtime.
fn heed_retirement(retire: impl Fn() + Send + 'static) -> anyhow::Result<()> {
    let mut usr1 = signal(SignalKind::user_defined1()).or_exit(ExitCode::OsErr)?;
    tokio::spawn(async move {
        usr1.recv().await;
        retire();
    });
    Ok(())
}

/// A worker's record on the scoreboard.
fn board(config: &Config, waiting: &Waiting) -> Option<Arc<Board>> {
    let Waiting::Supervisor(_, supervisor) = waiting else { return None };
    let now = SystemClock.now().as_millis();
    match Board::begin(BoardFolder::of_spool(&config.spool), supervisor, now) {
        Ok(board) => {
            let board = Arc::new(board);
            let kept = Arc::clone(&board);
            // Where there is no thread, there is no scoreboard.
            let _ = thread::Builder::new().name("scoreboard".to_owned()).spawn(move || kept.keep());
            Some(board)
        }
        Err(error) => {
            log::warn!("the scoreboard cannot be written: {error}");
            None
        }
    }
}

impl Waiting {
    /// Whether no worker of the same supervisor took connections before.
    fn is_for_the_first(&self) -> bool {
        match self {
            Self::Supervisor(_, supervisor) => supervisor.restarts == 0 && supervisor.reloads == 0,
            Self::Starter(_) => true,
        }
    }

    /// Tells whoever waits that connections are taken.
    fn is_over(&mut self, is_daemon: bool) {
        match self {
            Self::Supervisor(ready, _) => {
                let _ = rustix::io::write(ready, b"!");
            }
            Self::Starter(starter) => {
                supervisor::tell_ready();
                if let Some(starter) = starter.take() {
                    starter.release(0);
                }
            }
        }
        if is_daemon {
            let _ = process::close_stderr();
        }
    }
}

/// Whether the files of the log are written on behalf of another user than this process's.
pub(super) fn logs_for(config: &Config) -> anyhow::Result<Option<identity::Identity>> {
    Ok(cli::confine::identity(config)?.filter(|_| identity::is_root()))
}
