//! Each system call of both binaries that is about files or sockets fails once, one run for each: there is never a 250 without
//! a durable file, never a hang, and afterwards everything acknowledged is delivered.
//!
//! strace makes the call fail without making it. What it cannot do, a write that takes less than it was given, the kernel
//! does where a limit is set to the size of files.

use std::sync::Mutex;

use crate::forwarding_run::{Pass, copies_of};
use crate::have::have;
use crate::lab::{self, either};
use crate::next_hop::NextHop;
use crate::parallel::in_parallel;
use crate::receiving_run::Reception;
use crate::strace::{Call, Point, is_of_the_disk, points};

/// The errors that a call may end with; none where it is about neither files nor sockets. `close` is left out: the kernel
/// closes whatever it answers, and strace would keep the descriptor, with its lock, open.
fn errors_of(call: &str) -> &'static [&'static str] {
    match call {
        "pwrite64" | "write" | "fallocate" | "fsync" | "fdatasync" | "ftruncate" | "utimensat" => {
            &["EIO", "ENOSPC", "EDQUOT", "EINTR"]
        }
        "linkat" | "unlinkat" | "mkdirat" | "rename" | "renameat2" | "fchmodat" => {
            &["ENOSPC", "EIO", "EDQUOT", "EINTR"]
        }
        "open" | "openat" => &["EMFILE", "EIO", "ENOSPC", "EDQUOT", "EINTR"],
        "socket" | "socketpair" | "epoll_create1" | "eventfd2" | "fcntl" | "pipe2" => &["EMFILE", "EINTR"],
        "pread64" | "read" | "fstat" | "newfstatat" | "statx" | "fstatfs" | "flock" | "getdents64" | "lseek" => {
            &["EIO", "EINTR"]
        }
        "connect" | "sendto" | "recvfrom" | "epoll_ctl" | "epoll_wait" | "getsockname" | "getpeername" | "shutdown"
        | "setsockopt" | "getsockopt" | "ioctl" | "poll" => &["EIO", "EINTR"],
        _ => &[],
    }
}

/// What is tried: every error at every call; in the short form one error at the calls that count, and at some others.
fn tried(calls: &[Call]) -> Vec<(Point, &'static str)> {
    let counts = |point: &Point| calls.iter().any(|call| call.point == *point && is_of_the_disk(call));
    let candidates = points(calls).into_iter().filter(|point| !errors_of(&point.call).is_empty()).enumerate();
    let faults = candidates.flat_map(|(number, point)| {
        let errors = errors_of(&point.call);
        let one = &errors[number % errors.len()..][..1];
        let chosen = either(if number % 9 == 0 || counts(&point) { one } else { &[] }, errors);
        chosen.iter().map(move |error| (point.clone(), *error))
    });
    faults.collect()
}

/// How many faults were tried, and how many came to pass.
#[derive(Debug, Default)]
struct Tally {
    tried: usize,
    failed: usize,
    second_copies: usize,
}

impl Tally {
    fn note(&mut self, calls: &[Call], second_copies: usize) {
        self.tried += 1;
        self.failed += usize::from(calls.iter().any(Call::was_made_to_fail));
        self.second_copies += second_copies;
    }

    fn report(&self, program: &str) {
        let Self { tried, failed, second_copies } = self;
        let figure = format!("{failed} of {tried} failed as meant, {second_copies} copies too many, each unanswered");
        lab::report(&format!("{program}, each call fails"), &figure);
        assert!(10 * self.failed >= 9 * self.tried, "too few calls failed: {self:?}");
    }
}

#[test]
fn smtpd_says_250_to_nothing_that_is_not_safe_whatever_call_fails() {
    if !have("strace") {
        return;
    }
    let tally = Mutex::new(Tally::default());
    in_parallel(
        &tried(&Reception::under(None).calls),
        || (),
        |(), (point, error)| {
            let injection = point.fail(error);
            let reception = Reception::under(Some(&injection));
            let second_copies = reception.check(&injection);
            tally.lock().unwrap().note(&reception.calls, second_copies);
        },
    );
    tally.into_inner().unwrap().report("smtpd");
}

#[test]
fn spoolrun_delivers_everything_once_whatever_call_fails() {
    if !have("strace") {
        return;
    }
    let tally = Mutex::new(Tally::default());
    let faults = tried(&Pass::under(&NextHop::start(), None).calls);
    in_parallel(&faults, NextHop::start, |hop, (point, error)| {
        let injection = point.fail(error);
        let pass = Pass::under(hop, Some(&injection));
        let twice = pass.check(&injection);
        for copy in &twice {
            let unread = |name: &str| {
                let answer = format!("taken as {name}\\r\\n");
                let read = |call: &Call| call.name() == "recvfrom" && call.arguments.contains(&answer);
                !pass.calls.iter().any(|call| read(call) && call.succeeded())
            };
            let excused = pass.taken.iter().any(|taken| copies_of(taken).contains(copy) && unread(&taken.name));
            assert!(excused, "{injection}: {copy:?} came twice, though its answer was read");
        }
        tally.lock().unwrap().note(&pass.calls, twice.len());
    });
    tally.into_inner().unwrap().report("spoolrun");
}
