//! Programs under strace: which system calls they made, and the same run again in which one of them fails or is the last.
//!
//! A call is named by what it is and which of its kind it is in its thread, as strace counts. A program that waits for the
//! disk in one thread makes the same calls each time; where a call does not come, the run is like the one before.

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than any of these programs takes, also on a busy machine, and shorter than any wait that they give up after.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// One system call of a trace.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// The thread, in order of appearance.
    pub(crate) thread: usize,
    pub(crate) point: Point,
    /// What is between the parentheses, shortened.
    pub(crate) arguments: String,
    /// What came of it, such as `0` or `-1 EIO (Input/output error) (INJECTED)`; `?` where the process died in it.
    pub(crate) result: String,
}

impl Call {
    pub(crate) fn name(&self) -> &str {
        &self.point.call
    }

    /// Whether it was made, and went well.
    pub(crate) fn succeeded(&self) -> bool {
        !self.result.starts_with('-') && !self.result.starts_with('?')
    }

    pub(crate) fn was_made_to_fail(&self) -> bool {
        self.result.contains("(INJECTED)")
    }
}

/// Where something is to go wrong: at the n-th call of this name in a thread, from 1.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Point {
    pub(crate) call: String,
    pub(crate) nth: usize,
}

impl Point {
    /// The process is killed when it is about to make the call, which is not made any more.
    pub(crate) fn kill(&self) -> String {
        format!("{}:signal=SIGKILL:when={}", self.call, self.nth)
    }

    /// The call is not made, and fails with this error.
    pub(crate) fn fail(&self, error: &str) -> String {
        format!("{}:error={error}:when={}", self.call, self.nth)
    }
}

/// A program as it is run under strace, with what is injected.
pub(crate) fn traced(program: &Command, trace: &Path, injection: Option<&str>) -> Command {
    let mut command = Command::new("strace");
    command.args(["-f", "-s", "160", "-o"]).arg(trace);
    if let Some(injection) = injection {
        command.arg("-e").arg(format!("inject={injection}"));
    }
    command.arg(program.get_program()).args(program.get_args());
    if let Some(folder) = program.get_current_dir() {
        command.current_dir(folder);
    }
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// The calls of a trace in the order in which they began.
pub(crate) fn calls(trace: &Path) -> Vec<Call> {
    let text = String::from_utf8_lossy(&fs::read(trace).unwrap()).into_owned();
    let mut threads: Vec<&str> = Vec::new();
    let mut counts: HashMap<(usize, &str), usize> = HashMap::new();
    let mut open: HashMap<usize, usize> = HashMap::new();
    let mut calls: Vec<Call> = Vec::new();
    for line in text.lines() {
        let Some((process, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        let thread = threads.iter().position(|known| *known == process).unwrap_or_else(|| {
            threads.push(process);
            threads.len() - 1
        });
        if rest.starts_with("<...") {
            let call = open.remove(&thread).map(|at| &mut calls[at]);
            let result = rest.rsplit_once(" = ").map(|(_, result)| result);
            if let (Some(call), Some(result)) = (call, result) {
                call.arguments.push_str(rest);
                call.result = result.to_owned();
            }
            continue;
        }
        // What is no call is a signal or an end.
        let Some((name, rest)) = rest.split_once('(').filter(|(name, _)| !name.contains([' ', '+', '-'])) else {
            continue;
        };
        let nth = counts.entry((thread, name)).or_default();
        *nth += 1;
        let point = Point { call: name.to_owned(), nth: *nth };
        let (arguments, result) = match rest.rsplit_once(" = ").filter(|_| !rest.ends_with("<unfinished ...>")) {
            Some((arguments, result)) => (arguments, result),
            None => {
                open.insert(thread, calls.len());
                (rest, "?")
            }
        };
        calls.push(Call { thread, point, arguments: arguments.to_owned(), result: result.to_owned() });
    }
    calls
}

/// At which call of a trace the process was killed, if it was.
pub(crate) fn killed_at(calls: &[Call], point: &Point) -> Option<usize> {
    calls.iter().position(|call| call.point == *point && call.result.starts_with('?') && call.name() != "exit_group")
}

/// Each point of a trace once, in its order. The first call is that of strace itself.
pub(crate) fn points(calls: &[Call]) -> Vec<Point> {
    let mut points: Vec<Point> = Vec::new();
    let mut known = std::collections::HashSet::new();
    for call in calls.iter().filter(|call| call.name() != "execve") {
        if known.insert(&call.point) {
            points.push(call.point.clone());
        }
    }
    points
}

/// Whether a call is about the spool, the network or what is written: these are tried in the short form too.
pub(crate) fn is_of_the_disk(call: &Call) -> bool {
    match call.name() {
        "linkat" | "fsync" | "fdatasync" | "unlinkat" | "pwrite64" | "fallocate" | "flock" | "ftruncate"
        | "utimensat" | "renameat2" | "rename" => true,
        "openat" => call.arguments.contains("O_TMPFILE") || call.arguments.contains("O_RDWR"),
        "sendto" => ["queued as", r#", "\r\n.\r\n"#].iter().any(|text| call.arguments.contains(text)),
        "recvfrom" => call.arguments.contains("taken as"),
        _ => false,
    }
}

/// Waits for the end of a program, which must come.
pub(crate) fn end_of(child: &mut Child, what: &str) -> ExitStatus {
    let start = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status,
            Ok(None) if start.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(3)),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                panic!("{what}: it hangs");
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("{what}: {error}"),
        }
    }
}
