//! Commands of the configuration, run by the shell: where a password comes from, who is notified of an alarm.
//!
//! A command has a limited time, is ended with all that it started when that is over, and is always reaped. Where this
//! process is locked in, a helper outside does it (see `outside`).

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};

/// The most that a command may get on its standard input.
pub const MAX_INPUT: usize = 768 * 1024;
/// What a pipe takes without waiting for its reader (POSIX: PIPE_BUF).
const UNREAD: usize = 4096;
/// What a command or a program prints beyond this is lost.
const MAX_OUTPUT: u64 = 64 * 1024;
/// How long output may stay open after the command ended.
pub(super) const LAST_OUTPUT: Duration = Duration::from_secs(1);
/// How long commands may go on once the program ends.
pub(super) const LAST_MOMENT: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(5);

/// All variables that a command may get. The process that asks the helper may be in the hands of a stranger: by a name of his choice,
/// such as `LD_PRELOAD` or `PATH`, he could run what he likes outside of the sandbox.
const VARIABLES: [&str; 5] =
    ["LEAFMAIL_ALARM", "LEAFMAIL_ALARM_CONDITION", "LEAFMAIL_ALARM_STATE", "LEAFMAIL_ALARM_HOST", "LEAFMAIL_RECIPIENT"];

/// The groups of the commands that run. Each is taken out in one step with reaping its leader, so that none means another.
static RUNNING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// A command to be run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShellCommand {
    /// The line for the shell.
    pub line: String,
    /// Variables besides those of this process.
    pub environment: Vec<(String, String)>,
    /// What it gets on its standard input, at most [`MAX_INPUT`]; it need not read it.
    #[serde(skip)]
    pub input: Vec<u8>,
    /// Whether its standard output is wanted, up to 64 KiB.
    pub wants_output: bool,
    /// How long it may take.
    pub patience: Duration,
}

impl ShellCommand {
    /// Runs it to its end as a child of this process, and hands out what it printed.
    pub(super) fn run_here(&self) -> Result<Vec<u8>, String> {
        check_names(&self.environment, &VARIABLES)?;
        let mut command = Command::new("sh");
        command.arg("-c").arg(&self.line).envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(if self.input.is_empty() { Stdio::null() } else { Stdio::piped() });
        command.stdout(if self.wants_output { Stdio::piped() } else { Stdio::null() });
        if !self.wants_output {
            command.stderr(Stdio::null());
        }
        // A group of its own, so that what the shell started ends with it.
        let mut child = command.process_group(0).spawn().map_err(|error| error.to_string())?;
        note_running(&child);
        if let Some(mut stdin) = child.stdin.take() {
            // A command that reads nothing is fine, and must not be waited for: its end closes the pipe.
            if self.input.len() <= UNREAD {
                let _ = stdin.write_all(&self.input);
            } else {
                let input = self.input.clone();
                thread::spawn(move || stdin.write_all(&input));
            }
        }
        let output = drain(&mut child);
        match wait(&mut child, self.patience) {
            Ok(Some(status)) if status.success() => {}
            Ok(Some(status)) => return Err(status.to_string()),
            Ok(None) => {
                end(&mut child);
                return Err(format!("not done within {} s", self.patience.as_secs_f32()));
            }
            Err(error) => return Err(error.to_string()),
        }
        let Some(output) = output else { return Ok(Vec::new()) };
        output.recv_timeout(LAST_OUTPUT).map_err(|_| "its output stays open".to_owned())
    }
}

/// Whether nothing but these names is set.
pub(super) fn check_names(environment: &[(String, String)], allowed: &[&str]) -> Result<(), String> {
    match environment.iter().find(|(name, _)| !allowed.contains(&name.as_str())) {
        Some((name, _)) => Err(format!("the variable {name} may not be set for it")),
        None => Ok(()),
    }
}

pub(super) fn wait(child: &mut Child, patience: Duration) -> std::io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + patience;
    loop {
        let mut running = running();
        match child.try_wait()? {
            None if Instant::now() < deadline => {
                drop(running);
                thread::sleep(LOOK);
            }
            None => return Ok(None),
            ended => {
                running.retain(|group| Some(*group) != group_of(child));
                return Ok(ended);
            }
        }
    }
}

/// For the end of a program: gives the commands that run here a moment, and then ends them with all that they started. Whoever runs
/// one reaps it.
pub(super) fn end_commands() {
    are_over_within(LAST_MOMENT);
    for group in running().iter() {
        let _already_ended = kill_process_group(*group, Signal::KILL);
    }
    are_over_within(LAST_MOMENT);
}

fn are_over_within(patience: Duration) {
    let deadline = Instant::now() + patience;
    while !running().is_empty() && Instant::now() < deadline {
        thread::sleep(LOOK);
    }
}

/// Notes a child that leads a group of its own; [`wait`] and [`end`] take it out.
pub(super) fn note_running(child: &Child) {
    running().extend(group_of(child));
}

fn running() -> MutexGuard<'static, Vec<Pid>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn group_of(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

/// Reads on a thread, as a child that cannot write would never end.
fn drain(child: &mut Child) -> Option<mpsc::Receiver<Vec<u8>>> {
    Some(drain_from(child.stdout.take()?, false))
}

/// The same, from where a child writes; `to_its_end`: beyond the limit, too, so that a child that prints more is not ended by SIGPIPE.
pub(super) fn drain_from(mut output: impl Read + Send + 'static, to_its_end: bool) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut octets = Vec::new();
        // What was read before an error is judged by the caller; a receiver that left wants nothing.
        let _ = output.by_ref().take(MAX_OUTPUT).read_to_end(&mut octets);
        let _ = sender.send(octets);
        if to_its_end {
            let _ = std::io::copy(&mut output, &mut std::io::sink());
        }
    });
    receiver
}

pub(super) fn end(child: &mut Child) {
    let mut running = running();
    let group = group_of(child);
    let _already_ended = group.map(|group| kill_process_group(group, Signal::KILL));
    let _ = child.wait();
    running.retain(|other| Some(*other) != group);
}
