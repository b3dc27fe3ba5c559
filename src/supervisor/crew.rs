//! The parent's loop: one worker serves, one may be about to take over, and older ones finish what they have in hand.
//!
//! The sockets stay open here, so that a connection waits where no worker is; the next one takes it. A new worker that does
//! not get ready changes nothing: the old one goes on.

use std::io;
use std::os::fd::AsFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Signal;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::worker_env::VARIABLE;
use super::{BackOff, SupervisorStatus, WorkerEnv, tell_ready, tell_reloading, tell_stopping};
use crate::driver::Socket;
use crate::sys::process;

/// A worker that is not ready by then is ended.
const GETTING_READY: Duration = Duration::from_secs(90);
/// A day that never comes.
const NEVER: Duration = Duration::from_secs(30 * 24 * 3600);

/// Changes the sockets for those of the configuration as it is now, or says in words why everything stays as it is.
type Renew<'a> = dyn FnMut(&mut Vec<Socket>) -> Result<(), String> + 'a;

/// What the supervisor is given.
pub struct Supervisor<'a> {
    /// The sockets that all workers share.
    pub sockets: Vec<Socket>,
    /// Whether those that the configuration does not name are served too: systemd's.
    pub serves_unnamed: bool,
    /// A worker's command line.
    pub command: Box<dyn Fn() -> Command + 'a>,
    /// Called at HUP, before the new worker is started.
    pub renew: Box<Renew<'a>>,
    /// Called once the first worker is ready.
    pub ready: Box<dyn FnMut() + 'a>,
    /// The pauses.
    pub back_off: BackOff,
    /// Of this process; its `pid` and `since`.
    pub supervisor: SupervisorStatus,
}

struct Worker {
    child: Child,
    number: u64,
    started: Instant,
}

/// What goes on.
struct Crew<'a> {
    supervisor: Supervisor<'a>,
    serving: Option<Worker>,
    coming: Option<Worker>,
    draining: Vec<Worker>,
    /// When the next is started, where one died.
    due: Option<Instant>,
    was_ready: bool,
    leaving: bool,
    again: bool,
    number: u64,
    told: mpsc::UnboundedSender<u64>,
}

impl Supervisor<'_> {
    /// Keeps a worker going until TERM or INT; hands out the exit code. That is the worker's, where the first did not get ready.
    ///
    /// # Errors
    /// When the system gives no signals, or no first process.
    pub fn run(self) -> io::Result<u8> {
        Builder::new_current_thread().enable_all().build()?.block_on(self.keep_going())
    }

    async fn keep_going(self) -> io::Result<u8> {
        let mut term = signal(SignalKind::terminate())?;
        let mut int = signal(SignalKind::interrupt())?;
        let mut hup = signal(SignalKind::hangup())?;
        let mut child = signal(SignalKind::child())?;
        let (told, mut ready) = mpsc::unbounded_channel();
        let watchdog = sd_notify::watchdog_enabled().map(|limit| limit / 2);
        let mut alive = Instant::now();
        let mut crew = Crew {
            supervisor: self,
            serving: None,
            coming: None,
            draining: Vec::new(),
            due: None,
            was_ready: false,
            leaving: false,
            again: false,
            number: 0,
            told,
        };
        crew.start()?;
        loop {
            let never = Instant::now() + NEVER;
            let late = crew.coming.as_ref().map_or(never, |worker| worker.started + GETTING_READY);
            tokio::select! {
                _ = term.recv() => crew.leave(),
                _ = int.recv() => crew.leave(),
                _ = hup.recv() => crew.reload(),
                _ = child.recv() => {}
                Some(number) = ready.recv() => crew.change_over(number),
                () = sleep_until(crew.due.unwrap_or(never)) => crew.replace(),
                () = sleep_until(late) => crew.give_up_on_the_coming(),
                () = sleep_until(watchdog.map_or(never, |pause| alive + pause)) => {
                    alive = Instant::now();
                    super::tell(&[sd_notify::NotifyState::Watchdog]);
                }
            }
            // Signals of several children may be one.
            if let Some(code) = crew.reap() {
                crew.supervisor.sockets.iter().for_each(Socket::remove_name);
                return Ok(code);
            }
        }
    }
}

impl Crew<'_> {
    /// Starts a worker, which takes over once it is ready.
    fn start(&mut self) -> io::Result<()> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let sockets = self.supervisor.sockets.iter().map(process::leave_open).collect::<io::Result<_>>()?;
        let orders = WorkerEnv {
            supervisor: self.supervisor.supervisor.clone(),
            sockets,
            serves_unnamed: self.supervisor.serves_unnamed,
            ready: process::leave_open(write.as_fd())?,
        };
        let child = (self.supervisor.command)()
            .env(VARIABLE, serde_json::to_string(&orders)?)
            // What systemd wants to hear, it hears from here.
            .env_remove("NOTIFY_SOCKET")
            .env_remove("WATCHDOG_USEC")
            .env_remove("LISTEN_FDS")
            .stdin(Stdio::null())
            .spawn()?;
        self.number += 1;
        let (number, told) = (self.number, self.told.clone());
        let mut pipe = pipe::Receiver::from_owned_fd(read)?;
        tokio::spawn(async move {
            // Without an octet the worker ended, which is seen elsewhere.
            if pipe.read_u8().await.is_ok() {
                let _ = told.send(number);
            }
        });
        log::info!("worker {} started", child.id());
        self.coming = Some(Worker { child, number, started: Instant::now() });
        Ok(())
    }

    /// The coming worker serves from now on, and the one before it retires.
    fn change_over(&mut self, number: u64) {
        let Some(ready) = self.coming.take_if(|worker| worker.number == number) else { return };
        log::info!("worker {} takes the connections", ready.child.id());
        if let Some(old) = self.serving.replace(ready) {
            old.signal(Signal::USR1);
            self.draining.push(old);
        }
        if !std::mem::replace(&mut self.was_ready, true) {
            (self.supervisor.ready)();
        }
        if self.leaving {
            self.tell_all(Signal::TERM);
        } else {
            tell_ready();
        }
        if std::mem::take(&mut self.again) {
            self.reload();
        }
    }

    fn reload(&mut self) {
        if self.leaving {
            return;
        }
        if self.coming.is_some() {
            self.again = true;
            return;
        }
        tell_reloading();
        // The worker that is started learns of it; whether it takes over is seen later.
        self.supervisor.supervisor.reloads += 1;
        let renewed = (self.supervisor.renew)(&mut self.supervisor.sockets);
        let started = renewed.and_then(|()| self.start().map_err(|error| format!("starting a worker: {error}")));
        match started {
            Ok(()) => self.due = None,
            Err(reason) => {
                self.supervisor.supervisor.note_failed_reload();
                log::error!("{reason}; everything stays as it was");
                tell_ready();
            }
        }
    }

    /// In the place of one that died.
    fn replace(&mut self) {
        self.due = None;
        if self.leaving || self.coming.is_some() {
            return;
        }
        self.supervisor.supervisor.restarts += 1;
        if let Err(error) = self.start() {
            log::error!("starting a worker: {error}");
            self.wait(Duration::ZERO);
        }
    }

    fn wait(&mut self, lived: Duration) {
        let pause = self.supervisor.back_off.after(lived);
        self.due = Some(Instant::now() + pause);
        log::info!("a worker is started again in {} s", pause.as_secs_f32());
    }

    fn leave(&mut self) {
        tell_stopping();
        (self.leaving, self.due) = (true, None);
        self.tell_all(Signal::TERM);
    }

    fn tell_all(&self, what: Signal) {
        let all = self.serving.iter().chain(&self.coming).chain(&self.draining);
        all.for_each(|worker| worker.signal(what));
    }

    fn give_up_on_the_coming(&mut self) {
        if let Some(worker) = &mut self.coming {
            log::error!("worker {} did not get ready in {} s", worker.child.id(), GETTING_READY.as_secs());
            // It is reaped as any other.
            let _ = worker.child.kill();
            worker.started = Instant::now();
        }
    }

    /// Looks who ended; hands out the exit code where nothing is left to do.
    fn reap(&mut self) -> Option<u8> {
        self.draining.retain_mut(|worker| match worker.ended() {
            None => true,
            Some(status) => {
                log::info!("worker {} is done: {status}", worker.child.id());
                false
            }
        });
        let mut code = 0;
        if let Some(status) = self.coming.as_mut().and_then(Worker::ended)
            && let Some(worker) = self.coming.take()
        {
            if !self.was_ready {
                return Some(exit_code(status));
            }
            let goes_on = if self.serving.is_some() { "; the old one goes on" } else { "" };
            log::error!("worker {} ended before it was ready: {status}{goes_on}", worker.child.id());
            if self.serving.is_none() {
                self.died(status, worker.started.elapsed());
            } else {
                self.supervisor.supervisor.note_failed_reload();
                tell_ready();
            }
        }
        if let Some(status) = self.serving.as_mut().and_then(Worker::ended)
            && let Some(worker) = self.serving.take()
        {
            code = exit_code(status);
            if self.leaving {
                log::info!("worker {} is done: {status}", worker.child.id());
            } else {
                log::error!("worker {} died: {status}", worker.child.id());
                self.died(status, worker.started.elapsed());
            }
        }
        let is_over = self.leaving && self.serving.is_none() && self.coming.is_none() && self.draining.is_empty();
        is_over.then_some(code)
    }

    fn died(&mut self, status: ExitStatus, lived: Duration) {
        self.supervisor.supervisor.last_end = Some(status.to_string());
        if !self.leaving && self.coming.is_none() {
            self.wait(lived);
        }
    }
}

impl Worker {
    /// How it ended, if it did.
    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    fn signal(&self, what: Signal) {
        // It is not reaped yet, so that the id is its own; and one that is gone needs no signal.
        let _ = process::signal(self.child.id(), what);
    }
}

/// 70 for one that was killed.
fn exit_code(status: ExitStatus) -> u8 {
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(70)
}
