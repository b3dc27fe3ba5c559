//! A helper process outside the sandbox, which runs the commands of the configuration and nothing else.
//!
//! Helpers that ask a key ring or send a text message need files, programs and privileges that nobody can guess, while
//! the process that talks to strangers needs none of them. So the helper is split off before the sandbox is entered; it
//! knows the command lines from then on, and refuses any other. It ends with its parent.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

use super::coprocess::{Coprocess, Kept, keep, spawn};
use super::process::{self, Forked};
use super::program::{HowEnded, ProgramCall, ProgramEnd};
use super::shell::{LAST_MOMENT, MAX_INPUT, ShellCommand, end_commands};

/// Of a request.
const MAX_REQUEST: u64 = 1 << 20;
/// Of the line of a coprocess.
const MAX_LINE: usize = 64 * 1024;
/// Beyond what a command may take, until its helper is given up.
const GRACE: Duration = Duration::from_secs(5);

static HELPER: OnceLock<Helper> = OnceLock::new();

/// The way to the helper.
struct Helper {
    control: OwnedFd,
}

impl ShellCommand {
    /// Runs it to its end, here or by the helper, and hands out what it printed.
    ///
    /// # Errors
    /// In words: why it could not be started, how it failed, or that it took too long.
    pub fn run(&self) -> Result<Vec<u8>, String> {
        if self.input.len() > MAX_INPUT {
            return Err(format!("its input is longer than {MAX_INPUT} octets"));
        }
        match HELPER.get() {
            Some(helper) => helper.run(self),
            None => self.run_here(),
        }
    }
}

/// Splits the helper off; from now on, these command lines are run by it. To be called while there is one thread only.
///
/// # Errors
/// When the system gives no process or no descriptor.
pub fn split_off_helper(lines: Vec<String>) -> io::Result<()> {
    // A packet each, so that requests of several threads cannot mix.
    let (control, other) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    match process::fork()? {
        Forked::Child => {
            // Listening sockets and locks are none of its business.
            process::close_all_but(other.as_fd());
            let _ = rustix::thread::set_name(c"errands");
            // What a terminal sends to its foreground is not meant for it: it ends with its parent.
            let _ = rustix::process::setpgid(None, None);
            serve(&other, &lines);
            std::process::exit(0);
        }
        Forked::Parent(_) => {
            let _ = HELPER.set(Helper { control });
            Ok(())
        }
    }
}

impl Helper {
    /// Has it run.
    fn run(&self, command: &ShellCommand) -> Result<Vec<u8>, String> {
        self.ask(command).map_err(|error| format!("asking the helper process: {error}"))?
    }

    fn ask(&self, command: &ShellCommand) -> io::Result<Result<Vec<u8>, String>> {
        let (mut ours, theirs) = UnixStream::pair()?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let sent = [theirs.as_fd()];
        ancillary.push(SendAncillaryMessage::ScmRights(&sent));
        sendmsg(&self.control, &[IoSlice::new(RUN)], &mut ancillary, SendFlags::NOSIGNAL)?;
        drop(theirs);
        ours.set_read_timeout(Some(command.patience + GRACE))?;
        ours.write_all(&serde_json::to_vec(command)?)?;
        // JSON of one line; what follows is the command's.
        ours.write_all(b"\n")?;
        ours.write_all(&command.input)?;
        ours.shutdown(Shutdown::Write)?;
        let mut verdict = [0];
        ours.read_exact(&mut verdict)?;
        let mut octets = Vec::new();
        ours.take(MAX_REQUEST).read_to_end(&mut octets)?;
        Ok(if verdict == *b"+" { Ok(octets) } else { Err(String::from_utf8_lossy(&octets).into_owned()) })
    }
}

impl Coprocess {
    /// Starts a command line of the configuration, here or by the helper.
    ///
    /// # Errors
    /// In words: why it could not be started.
    pub fn start(line: &str) -> Result<Self, String> {
        match HELPER.get() {
            Some(helper) => helper.start(line).map_err(|error| format!("asking the helper process: {error}"))?,
            None => Self::start_here(line),
        }
    }
}

impl Helper {
    /// Has a coprocess started.
    fn start(&self, line: &str) -> io::Result<Result<Coprocess, String>> {
        let (ours, Kept { stdio, lifeline }) = Coprocess::pair()?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let sent = [lifeline.as_fd(), stdio.as_fd()];
        ancillary.push(SendAncillaryMessage::ScmRights(&sent));
        sendmsg(&self.control, &[IoSlice::new(KEEP)], &mut ancillary, SendFlags::NOSIGNAL)?;
        drop((stdio, lifeline));
        let mut way = ours.lifeline();
        way.set_read_timeout(Some(GRACE))?;
        way.write_all(&u32::try_from(line.len()).unwrap_or(u32::MAX).to_be_bytes())?;
        way.write_all(line.as_bytes())?;
        let mut verdict = [0];
        way.read_exact(&mut verdict)?;
        Ok(if verdict == *b"+" { Ok(ours) } else { Err("it cannot be started".to_owned()) })
    }
}

impl ProgramCall {
    /// Runs it to its end, here or by the helper, with `input` as its standard input.
    ///
    /// # Errors
    /// In words, when nobody knows how it ended.
    pub fn run(&self, input: OwnedFd) -> Result<ProgramEnd, String> {
        let Some(helper) = HELPER.get() else { return Ok(self.run_here(input)) };
        let not_asked = |error: io::Error| {
            let how = HowEnded::NotStarted(format!("asking the helper process: {error}"));
            ProgramEnd { how, output: Vec::new() }
        };
        match helper.call(self, &input) {
            Ok(mut answer) => {
                let mut octets = Vec::new();
                let read = answer.set_read_timeout(Some(self.patience + GRACE));
                let read = read.and_then(|()| answer.read_to_end(&mut octets));
                read.map_err(|error| format!("the helper process gave no answer: {error}"))?;
                serde_json::from_slice(&octets).map_err(|_| "the helper process ended".to_owned())
            }
            Err(error) => Ok(not_asked(error)),
        }
    }
}

impl Helper {
    /// Has a program run; its end is read from the stream.
    fn call(&self, call: &ProgramCall, input: &OwnedFd) -> io::Result<UnixStream> {
        let (mut ours, theirs) = UnixStream::pair()?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let sent = [theirs.as_fd(), input.as_fd()];
        ancillary.push(SendAncillaryMessage::ScmRights(&sent));
        // The request first, so that a helper that has the descriptors has it too.
        ours.write_all(&serde_json::to_vec(call)?)?;
        ours.shutdown(Shutdown::Write)?;
        sendmsg(&self.control, &[IoSlice::new(CALL)], &mut ancillary, SendFlags::NOSIGNAL)?;
        Ok(ours)
    }
}

/// Requests: run a command to its end, with one descriptor; keep a coprocess, or run a program, with two.
const RUN: &[u8; 1] = b"!";
const KEEP: &[u8; 1] = b"&";
const CALL: &[u8; 1] = b">";

/// The coprocesses that are kept.
static KEPT: AtomicUsize = AtomicUsize::new(0);

/// Until the other side is gone. Each command has a thread, so that one that hangs holds up no other.
fn serve(control: &OwnedFd, lines: &[String]) {
    while let Ok(Some((what, mut request))) = next_request(control) {
        let lines = lines.to_vec();
        let Some(second) = request.pop() else { continue };
        let _ = match request.pop() {
            Some(first) if what == *CALL => {
                thread::Builder::new().spawn(move || answer_call(UnixStream::from(first), second, &lines))
            }
            None => thread::Builder::new().spawn(move || answer(UnixStream::from(second), &lines)),
            Some(first) => thread::Builder::new().spawn(move || {
                KEPT.fetch_add(1, Ordering::SeqCst);
                keep_coprocess(UnixStream::from(first), second, &lines);
                KEPT.fetch_sub(1, Ordering::SeqCst);
            }),
        };
    }
    let deadline = Instant::now() + 2 * LAST_MOMENT;
    end_commands();
    // Coprocesses have seen the end of their input, and their keepers that of the parent.
    while KEPT.load(Ordering::SeqCst) > 0 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(10));
    }
}

fn keep_coprocess(mut lifeline: UnixStream, stdio: OwnedFd, lines: &[String]) {
    let mut read = || -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        lifeline.read_exact(&mut length)?;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        let mut line = vec![0; length.min(MAX_LINE)];
        lifeline.read_exact(&mut line)?;
        Ok(line)
    };
    let line = read().ok().and_then(|line| String::from_utf8(line).ok()).filter(|line| lines.contains(line));
    match line.and_then(|line| spawn(&line, stdio).ok()) {
        Some(child) => {
            let _ = lifeline.write_all(b"+");
            keep(child, &lifeline);
        }
        None => {
            let _ = lifeline.write_all(b"-");
        }
    }
}

/// What is asked for next, and the descriptors that go with it: one or two.
fn next_request(control: &OwnedFd) -> io::Result<Option<([u8; 1], Vec<OwnedFd>)>> {
    loop {
        let mut octet = [0];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::io::retry_on_intr(|| {
            recvmsg(control, &mut [IoSliceMut::new(&mut octet)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)
        })?;
        if received.bytes == 0 {
            return Ok(None);
        }
        let sent: Vec<OwnedFd> = ancillary.drain().flat_map(descriptors).collect();
        if sent.len() == if octet == *RUN { 1 } else { 2 } {
            return Ok(Some((octet, sent)));
        }
    }
}

fn descriptors(message: RecvAncillaryMessage<'_>) -> Vec<OwnedFd> {
    match message {
        RecvAncillaryMessage::ScmRights(sent) => sent.collect(),
        _ => Vec::new(),
    }
}

/// A request: the command as one line of JSON, and then its input.
fn request(octets: &[u8]) -> Option<ShellCommand> {
    let end = octets.iter().position(|octet| *octet == b'\n')?;
    let command: ShellCommand = serde_json::from_slice(&octets[..end]).ok()?;
    Some(ShellCommand { input: octets[end + 1..].to_vec(), ..command })
}

fn answer_call(mut stream: UnixStream, input: OwnedFd, lines: &[String]) {
    let mut octets = Vec::new();
    let read = (&stream).take(MAX_REQUEST).read_to_end(&mut octets);
    let call = read.ok().and_then(|_| serde_json::from_slice::<ProgramCall>(&octets).ok());
    let ended = match call {
        // As for commands.
        Some(call) if lines.contains(&call.line) => call.run_here(input),
        _ => {
            let how = HowEnded::NotStarted("it is no program of the configuration".to_owned());
            ProgramEnd { how, output: Vec::new() }
        }
    };
    // One who no longer waits wants nothing.
    let _ = serde_json::to_vec(&ended).map(|ended| stream.write_all(&ended));
}

fn answer(mut stream: UnixStream, lines: &[String]) {
    let mut octets = Vec::new();
    let read = (&stream).take(MAX_REQUEST).read_to_end(&mut octets);
    let command = read.ok().and_then(|_| request(&octets));
    let done = match command {
        // Whoever took the other process over shall not run what he likes.
        Some(command) if lines.contains(&command.line) => command.run_here(),
        _ => Err("it is no command of the configuration".to_owned()),
    };
    let (verdict, octets) = match done {
        Ok(octets) => (b"+", octets),
        Err(text) => (b"-", text.into_bytes()),
    };
    // One who no longer waits wants nothing.
    let _ = stream.write_all(verdict).and_then(|()| stream.write_all(&octets));
}
