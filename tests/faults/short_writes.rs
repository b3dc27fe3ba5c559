//! Writes that take less than they were given: the kernel does that where a file reaches the limit that is set to the size of
//! files, and fails the next write.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::forwarding_run::Pass;
use crate::have::have;
use crate::lab::{self, either};
use crate::next_hop::NextHop;
use crate::parallel::in_parallel;
use crate::receiving_run::Reception;
use crate::strace::Call;

/// The same program, with no file larger than this.
fn limited(program: Command, octets: usize) -> Command {
    let mut command = Command::new("prlimit");
    command.arg(format!("--fsize={octets}")).arg(program.get_program()).args(program.get_args());
    if let Some(folder) = program.get_current_dir() {
        command.current_dir(folder);
    }
    command.env_remove("LEAFMAIL_CONFIG");
    command
}

/// Whether a write took some of what it was given, and not all.
fn is_short(call: &Call) -> bool {
    let given = call.arguments.rsplit(", ").nth(1).and_then(|given| given.parse().ok());
    let taken = call.result.parse().ok();
    call.name() == "pwrite64" && given.zip(taken).is_some_and(|(given, taken): (usize, usize)| taken < given)
}

#[test]
fn smtpd_says_250_to_nothing_that_was_written_short() {
    if !have("strace") || !have("prlimit") {
        return;
    }
    let baseline = Reception::under(None);
    let sizes: Vec<usize> = baseline.calls.iter().filter(|call| call.name() == "fallocate").map(size_before).collect();
    let largest = *sizes.iter().max().unwrap();
    // Around each length of a file and of a buffer, and in between.
    let around = sizes.iter().chain(&[64 * 1024]).flat_map(|size| [size - 1, *size, size + 1]);
    let step = largest / either(5, 120);
    let limits: Vec<usize> = around.chain((1..largest).step_by(step)).collect();
    let short = AtomicUsize::new(0);
    in_parallel(
        &limits,
        || (),
        |(), limit| {
            let what = format!("with files of {limit} octets at most");
            let reception = Reception::of(|smtpd| limited(smtpd, *limit), None);
            assert_eq!(reception.check(&what), 0, "{what}");
            let count = reception.calls.iter().filter(|call| is_short(call)).count();
            short.fetch_add(count, Ordering::SeqCst);
        },
    );
    let short = short.into_inner();
    lab::report("short writes", &format!("{short} under {} limits to the size of files", limits.len()));
    assert!(short >= limits.len() / 2, "only {short} short writes under {} limits", limits.len());
}

/// The size of a message's file, behind which room is reserved.
fn size_before(call: &Call) -> usize {
    call.arguments.rsplit(", ").nth(1).and_then(|size| size.parse().ok()).unwrap()
}

#[test]
fn spoolrun_outlives_files_that_may_not_grow() {
    if !have("strace") || !have("prlimit") {
        return;
    }
    let hop = NextHop::start();
    for limit in [1, 600, 1000, 100_000] {
        let what = format!("with files of {limit} octets at most");
        let pass = Pass::of(&hop, |spoolrun| limited(spoolrun, limit), None);
        assert!(pass.status.code().is_some(), "{what}: {:?}", pass.status);
        // Whose delivery cannot be written down is tried again: the only recipient of a letter is removed with it.
        let twice = pass.check(&what);
        assert!(twice.iter().all(|(letter, _)| ["1", "3"].contains(&letter.as_str())), "{what}: {twice:?} came twice");
    }
}
