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
use std::thread;

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

use super::process::{self, Forked};
use super::shell::{MAX_INPUT, ShellCommand};

/// Of a request.
const MAX_REQUEST: u64 = 1 << 20;
/// Beyond what a command may take, until its helper is given up.
const GRACE: std::time::Duration = std::time::Duration::from_secs(5);

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
        sendmsg(&self.control, &[IoSlice::new(b"!")], &mut ancillary, SendFlags::NOSIGNAL)?;
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

/// Until the other side is gone. Each command has a thread, so that one that hangs holds up no other.
fn serve(control: &OwnedFd, lines: &[String]) {
    while let Ok(Some(request)) = next_request(control) {
        let lines = lines.to_vec();
        let _ = thread::Builder::new().spawn(move || answer(UnixStream::from(request), &lines));
    }
}

fn next_request(control: &OwnedFd) -> io::Result<Option<OwnedFd>> {
    loop {
        let mut octet = [0];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::io::retry_on_intr(|| {
            recvmsg(control, &mut [IoSliceMut::new(&mut octet)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)
        })?;
        if received.bytes == 0 {
            return Ok(None);
        }
        let sent = ancillary.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut sent) => sent.next(),
            _ => None,
        });
        if sent.is_some() {
            return Ok(sent);
        }
    }
}

/// A request: the command as one line of JSON, and then its input.
fn request(octets: &[u8]) -> Option<ShellCommand> {
    let end = octets.iter().position(|octet| *octet == b'\n')?;
    let command: ShellCommand = serde_json::from_slice(&octets[..end]).ok()?;
    Some(ShellCommand { input: octets[end + 1..].to_vec(), ..command })
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
