//! Processes and the descriptors that they inherit: splitting off, detaching, taking over. With `fork` and descriptors by
//! their number, here is all that is `unsafe`; each place says why it is sound.
//!
//! Nothing here may run once there are threads: the child of `fork` would have one of them only, and locks that nobody opens.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::fs::{Mode, OFlags, open};
use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
use rustix::process::{Pid, setsid};

/// Which of the two a process is after [`fork`].
pub enum Forked {
    /// The one that was split off.
    Child,
    /// The one that called, with the id of the other.
    Parent(Pid),
}

/// Splits a process off.
///
/// # Errors
/// When there are threads already, or the system gives no process.
pub fn fork() -> io::Result<Forked> {
    if threads() > 1 {
        return Err(io::Error::other("there are threads already"));
    }
    // SAFETY: this is the only thread, so that no lock or allocator is left in the middle of something in the child.
    #[allow(unsafe_code, reason = "there is no safe way to fork; that there is one thread was checked")]
    let forked = unsafe { nix::unistd::fork() }?;
    match forked {
        nix::unistd::ForkResult::Child => Ok(Forked::Child),
        nix::unistd::ForkResult::Parent { child } => {
            Pid::from_raw(child.as_raw()).map(Forked::Parent).ok_or_else(|| io::Error::other("a child without an id"))
        }
    }
}

/// Threads of this process; 1 where `/proc` is not there.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count)
}

/// Closes every descriptor above standard error but one, in a process that was split off: what its parent had open is
/// none of its business. Whatever owned them must never be used again.
pub(super) fn close_all_but(kept: BorrowedFd<'_>) {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return };
    let open: Vec<RawFd> = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    for fd in open.into_iter().filter(|fd| *fd > 2 && *fd != kept.as_raw_fd()) {
        // SAFETY: the child does nothing but serve `kept` and then ends without running destructors of what it inherited.
        #[allow(unsafe_code, reason = "descriptors by their number")]
        unsafe {
            libc::close(fd);
        }
    }
}

/// Takes over a descriptor that this process was started with, by its number, as [`leave_open`] or systemd left it.
/// Children do not inherit it.
///
/// # Errors
/// When there is none with that number, or it is a standard stream.
pub fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    if number <= 2 {
        return Err(io::Error::other("standard streams are not handed over"));
    }
    // SAFETY: nothing in this process has opened or owns it: the numbers come from whoever started it, are asked for once, and
    // before anything is opened. Whether it is open is looked at before it is owned.
    #[allow(unsafe_code, reason = "descriptors by their number")]
    let fd = unsafe {
        fcntl_getfd(BorrowedFd::borrow_raw(number))?;
        OwnedFd::from_raw_fd(number)
    };
    fcntl_setfd(&fd, FdFlags::CLOEXEC)?;
    Ok(fd)
}

/// Lets the next child inherit a descriptor, under the number that is handed out.
///
/// # Errors
/// When the system refuses.
pub fn leave_open(fd: impl AsFd) -> io::Result<RawFd> {
    let fd = fd.as_fd();
    fcntl_setfd(fd, FdFlags::empty())?;
    Ok(fd.as_raw_fd())
}

/// The end of the starter that waits in [`detach`]: an octet says how the program ends; none, that it was killed.
#[derive(Debug)]
pub struct Starter(OwnedFd);

impl Starter {
    /// Lets the starter end with this exit code.
    pub fn release(self, code: u8) {
        // Nobody may be there any more.
        let _ = rustix::io::write(&self.0, &[code]);
    }
}

/// Goes into the background: what returns is a process without a terminal, a session or standard streams, while the one that
/// was started waits, and ends with the exit code that [`Starter::release`] is given, or 70 where this process ends before.
/// Standard error is left open until then, if `keep_stderr` is set: see [`close_stderr`].
///
/// # Errors
/// When the system refuses.
pub fn detach() -> io::Result<Starter> {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    if let Forked::Parent(_) = fork()? {
        drop(write);
        let mut code = [0];
        let told = rustix::io::retry_on_intr(|| rustix::io::read(&read, &mut code));
        std::process::exit(if told == Ok(1) { i32::from(code[0]) } else { 70 });
    }
    drop(read);
    setsid()?;
    // A second time, as only the first process of a session could get a terminal again.
    if let Forked::Parent(_) = fork()? {
        std::process::exit(0);
    }
    let null = open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    Ok(Starter(write))
}

/// Leads standard error to the null device, once what went wrong at the start was said there.
///
/// # Errors
/// When the null device cannot be opened.
pub fn close_stderr() -> io::Result<()> {
    let null = open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    Ok(rustix::stdio::dup2_stderr(&null)?)
}

/// Signals a process by its id; one that is gone is an error.
///
/// # Errors
/// When there is none, or it is not ours.
pub fn signal(pid: u32, signal: rustix::process::Signal) -> io::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(|| io::Error::other("no process id"))?;
    Ok(rustix::process::kill_process(pid, signal)?)
}

/// Whether there is a process with this id.
pub fn is_alive(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
    !matches!(rustix::process::test_kill_process(pid), Err(rustix::io::Errno::SRCH))
}

/// When a process was started, in clock ticks since boot, which distinguishes it from a later one with the same id; `None` where
/// there is none.
pub fn birth(pid: u32) -> Option<u64> {
    let text = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    // proc(5): the name is in parentheses and may hold anything; the start is the 20th field after it.
    let after = &text[text.iter().rposition(|octet| *octet == b')')? + 1..];
    std::str::from_utf8(after).ok()?.split_whitespace().nth(19)?.parse().ok()
}
