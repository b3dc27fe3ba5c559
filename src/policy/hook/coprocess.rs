//! A coprocess with many questions open at once, each with a number.
//!
//! Two threads serve it: one starts it and writes, the other reads. So no session waits for a pipe that is full. An answer
//! without a number is for the oldest open question, so that a script that answers in order needs no numbers; a question whose
//! time is over stays in that order until it is answered. Whatever is no answer ends the coprocess, and with it all open
//! questions; it is started again after a pause that grows.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::oneshot;

use crate::sys::Coprocess;

/// The longest answer, in octets.
const MAX_ANSWER: u64 = 1024 * 1024;
/// Questions that may be open at once.
const MOST_OPEN: usize = 1_000;
/// Questions that may wait to be written.
const MOST_UNWRITTEN: usize = 64;
/// The longest pause before it is started again.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

type Answer = Result<Vec<u8>, String>;

/// The coprocess of a command line. It is started with the first question.
pub(super) struct CoprocessPool {
    line: String,
    timeout: Duration,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    running: Option<Running>,
    /// Ends and starts without an answer in between.
    failures: u32,
    not_before: Option<Instant>,
    starts: u64,
    last_number: u64,
}

struct Running {
    /// Which start it is.
    start: u64,
    lines: SyncSender<String>,
    open: VecDeque<(u64, oneshot::Sender<Answer>)>,
    /// When it last answered.
    answered: Option<Instant>,
    /// To end it.
    stream: Option<UnixStream>,
}

impl CoprocessPool {
    pub(super) fn new(line: String, timeout: Duration) -> Self {
        Self { line, timeout, shared: Arc::default() }
    }

    /// Asks, and waits for the answer; the time limit is the caller's, who then calls [`CoprocessPool::note_late`].
    pub(super) async fn ask(&self, mut question: Value) -> Answer {
        let answer = {
            let mut shared = lock(&self.shared);
            if shared.running.is_none() {
                self.start(&mut shared)?;
            }
            shared.last_number += 1;
            let number = shared.last_number;
            question["id"] = Value::from(number);
            let Some(running) = &mut shared.running else { return Err("it does not run".to_owned()) };
            if running.open.len() >= MOST_OPEN {
                return Err(format!("{MOST_OPEN} questions are open"));
            }
            if running.lines.try_send(format!("{question}\n")).is_err() {
                return Err("it does not read its questions".to_owned());
            }
            let (sender, answer) = oneshot::channel();
            running.open.push_back((number, sender));
            answer
        };
        answer.await.unwrap_or_else(|_| Err("it ended".to_owned()))
    }

    /// A question that was asked at this time was not answered in time. If nothing else was answered since, it hangs.
    pub(super) fn note_late(&self, asked: Instant) {
        let mut shared = lock(&self.shared);
        if let Some(start) = shared
            .running
            .as_ref()
            .filter(|running| running.answered.is_none_or(|answered| answered <= asked))
            .map(|it| it.start)
        {
            shared.fail(start, "it hangs, and was ended");
        }
    }

    fn start(&self, shared: &mut Shared) -> Result<(), String> {
        if let Some(rest) = shared.not_before.and_then(|until| until.checked_duration_since(Instant::now())) {
            return Err(format!("it ended, and is started again in {} s", rest.as_secs() + 1));
        }
        shared.starts += 1;
        let start = shared.starts;
        let (lines, unwritten) = sync_channel(MOST_UNWRITTEN);
        let (line, kept, timeout) = (self.line.clone(), Arc::clone(&self.shared), self.timeout);
        let serving = thread::Builder::new().name("hook".to_owned()).spawn(move || {
            let cause = serve(&line, &kept, start, &unwritten, timeout);
            lock(&kept).fail(start, &cause);
        });
        serving.map_err(|error| format!("no thread for it: {error}"))?;
        shared.running = Some(Running { start, lines, open: VecDeque::new(), answered: None, stream: None });
        Ok(())
    }
}

impl Shared {
    /// That start of it is over.
    fn fail(&mut self, start: u64, cause: &str) {
        let Some(running) = self.running.take_if(|running| running.start == start) else { return };
        // The threads see that, and the end of their input.
        let _ = running.stream.map(|stream| stream.shutdown(Shutdown::Both));
        for (_, question) in running.open {
            let _ = question.send(Err(cause.to_owned()));
        }
        // One that answered before may have been restarted on purpose.
        let pause = self.failures.checked_sub(1).map(|earlier| Duration::from_secs(1 << earlier.min(6)));
        self.not_before = pause.map(|pause| Instant::now() + pause.min(LONGEST_PAUSE));
        self.failures += 1;
    }

    /// An answer of that start.
    fn answer(&mut self, start: u64, line: Vec<u8>) -> Result<(), String> {
        let Some(running) = self.running.as_mut().filter(|running| running.start == start) else { return Ok(()) };
        let value: Value =
            serde_json::from_slice(&line).map_err(|error| format!("it wrote a line that is not JSON: {error}"))?;
        let at = match value.get("id") {
            None | Some(Value::Null) => 0,
            Some(id) => match running.open.iter().position(|(number, _)| id.as_u64() == Some(*number)) {
                Some(at) => at,
                None => return Err("it answered a question that nobody asked".to_owned()),
            },
        };
        let Some((_, question)) = running.open.remove(at) else {
            return Err("it wrote an answer without a question".to_owned());
        };
        running.answered = Some(Instant::now());
        self.failures = 0;
        // Whoever waited for too long wants nothing.
        let _ = question.send(Ok(line));
        Ok(())
    }
}

/// Starts it, and writes to it until it ends; why it ended.
fn serve(line: &str, shared: &Arc<Mutex<Shared>>, start: u64, lines: &Receiver<String>, timeout: Duration) -> String {
    let process = match Coprocess::start(line) {
        Ok(process) => process,
        Err(error) => return error,
    };
    let clone = || process.stream.try_clone().ok();
    let (Some(ending), Some(reading)) = (clone(), clone()) else { return "no descriptors for it".to_owned() };
    let _ = process.stream.set_write_timeout(Some(timeout));
    match &mut lock(shared).running {
        Some(running) if running.start == start => running.stream = Some(ending),
        _ => return "it was given up".to_owned(),
    }
    let kept = Arc::clone(shared);
    let reader = thread::Builder::new().name("hook".to_owned()).spawn(move || {
        let cause = read(reading, &kept, start);
        lock(&kept).fail(start, &cause);
    });
    if reader.is_err() {
        return "no thread for it".to_owned();
    }
    // The sender is dropped when it failed.
    while let Ok(line) = lines.recv() {
        if (&process.stream).write_all(line.as_bytes()).is_err() {
            return "it ended, or does not read its questions".to_owned();
        }
    }
    "it ended".to_owned()
}

fn read(stream: UnixStream, shared: &Arc<Mutex<Shared>>, start: u64) -> String {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        match (&mut reader).take(MAX_ANSWER).read_until(b'\n', &mut line) {
            Ok(_) if line.ends_with(b"\n") => {}
            Ok(octets) if octets as u64 == MAX_ANSWER => return "it answered with too much".to_owned(),
            _ => return "it ended".to_owned(),
        }
        if let Err(error) = lock(shared).answer(start, line) {
            return error;
        }
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
