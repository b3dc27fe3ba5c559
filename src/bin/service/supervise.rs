//! `smtpd --supervise`: the parent. It keeps the identity that it was started with, root's perhaps, so that a new worker can
//! read what only root can read; it opens nothing in folders of the workers' user on root's behalf.

use std::cell::RefCell;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;
use std::thread;

use leafmail::clock::Clock;
use leafmail::config::Config;
use leafmail::driver::Socket;
use leafmail::supervisor::{BackOff, Supervisor, SupervisorStatus};
use leafmail::sys::SystemClock;
use leafmail::sys::process::{self, Starter};
use sysexits::ExitCode;

use super::listening::{logs_for, pid_file, written};
use super::options::Options;
use super::sockets::{self, Unnamed};
use crate::cli::{self, Logging, OrExit};

/// Runs until TERM or INT.
pub(super) fn supervise(options: &Options, config: &Config) -> anyhow::Result<()> {
    let handed = sockets::of_systemd()?;
    let unnamed = Unnamed::of(!handed.is_empty());
    let pid_file = pid_file(options)?;
    let sockets = sockets::gather(config, handed, unnamed)?;
    let starter = options.service.daemon.then(process::detach).transpose().or_exit(ExitCode::OsErr)?;
    let _pid_file = written(pid_file)?;
    let starter = Rc::new(RefCell::new(starter));
    let ended =
        keep_going(options, config, (sockets.into_iter().map(|(socket, _)| socket).collect(), unnamed), &starter);
    if let Some(starter) = starter.borrow_mut().take() {
        let code = ended.as_ref().map_or_else(|error| u8::from(cli::exit::code_of(error)), |code| *code);
        starter.release(code);
    }
    match ended? {
        0 => Ok(()),
        // The worker has said why.
        code => std::process::exit(i32::from(code)),
    }
}

fn keep_going(
    options: &Options,
    config: &Config,
    (sockets, unnamed): (Vec<Socket>, Unnamed),
    starter: &Rc<RefCell<Option<Starter>>>,
) -> anyhow::Result<u8> {
    let program = std::env::current_exe().or_exit(ExitCode::OsErr)?;
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let logging = logging(options, config)?;
    let reopen = logging.reopener();
    let handed: Vec<String> = sockets.iter().map(Socket::to_string).collect();
    log::info!("supervising, with sockets {}", handed.join(", "));
    let (starter, is_daemon) = (Rc::clone(starter), options.service.daemon);
    let supervisor = Supervisor {
        sockets,
        serves_unnamed: unnamed == Unnamed::Served,
        command: Box::new(move || command(&program, &arguments)),
        renew: Box::new(move |sockets| {
            reopen();
            let renewed = renew(options, sockets, unnamed);
            // One line of the log, however much is wrong.
            renewed.map_err(|error| format!("reading the configuration again: {error:#}").replace('\n', "; "))
        }),
        ready: Box::new(move || {
            if let Some(starter) = starter.borrow_mut().take() {
                starter.release(0);
            }
            if is_daemon {
                let _ = process::close_stderr();
            }
        }),
        back_off: BackOff::new(config.process.restart_at_most, config.process.healthy_after),
        supervisor: SupervisorStatus {
            pid: std::process::id(),
            since: SystemClock.now().as_millis(),
            ..SupervisorStatus::default()
        },
    };
    let code = supervisor.run().or_exit(ExitCode::OsErr)?;
    log::info!("the supervisor is done");
    Ok(code)
}

/// The program may have been replaced by a newer one, or be about to.
fn command(program: &Path, arguments: &[OsString]) -> Command {
    let is_there = program.try_exists().unwrap_or(false);
    let mut command = Command::new(if is_there { program } else { Path::new("/proc/self/exe") });
    command.args(arguments);
    command
}

fn renew(options: &Options, sockets: &mut Vec<Socket>, unnamed: Unnamed) -> anyhow::Result<()> {
    let config = options.configured()?;
    config.check()?;
    // What fails must leave the sockets as they are, so the new ones are made beside them.
    let handed = sockets.iter().map(Socket::try_clone).collect::<std::io::Result<Vec<_>>>()?;
    let gathered = sockets::gather(&config, handed, unnamed)?;
    *sockets = gathered.into_iter().map(|(socket, _)| socket).collect();
    Ok(())
}

/// The log's file is opened with the rights of the workers' user, again and again, in a folder that may be his: by root's, a
/// link there would lead anywhere. So the log has a thread with these rights.
fn logging(options: &Options, config: &Config) -> anyhow::Result<Logging> {
    let reader = options.service.reader(config);
    let Some(identity) = logs_for(config)? else { return options.common.logging("smtpd", config, reader) };
    cli::confine::prepare(config, &identity);
    let begun = thread::scope(|scope| {
        let begin = || {
            identity.open_files_as().map_err(anyhow::Error::msg).or_exit(ExitCode::OsErr)?;
            options.common.logging("smtpd", config, reader)
        };
        scope.spawn(begin).join()
    });
    begun.unwrap_or_else(|_| Err(anyhow::anyhow!("starting the log failed")).or_exit(ExitCode::Software))
}
