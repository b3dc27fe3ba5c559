//! Both binaries are killed at every system call that they make, one run for each, and started again: nothing acknowledged is
//! lost, nothing torn is delivered, the sender is notified once, and a second copy comes only where SMTP knows no better.
//!
//! The short form takes all calls that are about the spool or the answers that count, and some of the others.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::forwarding_run::{Pass, copies_of, expected_of_a_whole_pass};
use crate::have::have;
use crate::lab::{self, either};
use crate::next_hop::NextHop;
use crate::parallel::in_parallel;
use crate::receiving_run::Reception;
use crate::sample_messages::{LETTERS, counted};
use crate::strace::{Call, Point, is_of_the_disk, killed_at, points};

/// What is tried: all that counts, and of the rest each one or each so-and-so-manieth.
fn tried(calls: &[Call]) -> Vec<Point> {
    let stride = either(7, 1);
    let counts = |point: &Point| calls.iter().any(|call| call.point == *point && is_of_the_disk(call));
    let all = points(calls).into_iter().enumerate();
    all.filter(|(number, point)| number % stride == 0 || counts(point)).map(|(_, point)| point).collect()
}

/// What came of the trials.
#[derive(Debug, Default)]
struct Tally {
    points: usize,
    killed: usize,
    second_copies: usize,
}

#[test]
fn smtpd_killed_at_any_system_call_loses_nothing_acknowledged() {
    if !have("strace") {
        return;
    }
    let baseline = Reception::under(None);
    assert_eq!(baseline.handed.numbers(), LETTERS.map(|letter| letter.number));
    assert_eq!(baseline.check("with no kill"), 0);
    let points = tried(&baseline.calls);
    let tally = Mutex::new(Tally { points: points.len(), ..Tally::default() });
    in_parallel(
        &points,
        || (),
        |(), point| {
            let what = format!("killed at {}", point.kill());
            let reception = Reception::under(Some(&point.kill()));
            let second_copies = reception.check(&what);
            let mut tally = tally.lock().unwrap();
            tally.killed += usize::from(killed_at(&reception.calls, point).is_some());
            tally.second_copies += second_copies;
        },
    );
    report("smtpd", &tally.into_inner().unwrap());
}

#[test]
fn spoolrun_killed_at_any_system_call_loses_nothing_and_repeats_only_unmarked() {
    if !have("strace") {
        return;
    }
    let hop = NextHop::start();
    let baseline = Pass::under(&hop, None);
    assert_eq!(counted(baseline.taken.iter().flat_map(copies_of)), counted(expected_of_a_whole_pass()));
    assert!(baseline.check("with no kill").is_empty());
    let points = tried(&baseline.calls);
    let tally = Mutex::new(Tally { points: points.len(), ..Tally::default() });
    let after_a_reply = AtomicUsize::new(0);
    in_parallel(
        &points,
        || Arc::new(NextHop::start()),
        |hop, point| {
            let what = format!("killed at {}", point.kill());
            let pass = Pass::under(hop, Some(&point.kill()));
            let twice = pass.check(&what);
            let killed = killed_at(&pass.calls, point);
            if !twice.is_empty() {
                let last = pass.taken.last().unwrap_or_else(|| panic!("{what}: {twice:?} came twice later"));
                assert!(twice.iter().all(|copy| copies_of(last).contains(copy)), "{what}: {twice:?} came twice");
                after_a_reply.fetch_add(in_the_window(&pass.calls, killed, &last.name, &what), Ordering::SeqCst);
            }
            let mut tally = tally.lock().unwrap();
            tally.killed += usize::from(killed.is_some());
            tally.second_copies += twice.len();
        },
    );
    let after_a_reply = after_a_reply.into_inner();
    // Three messages and a notice: one system call after each final reply.
    assert!(after_a_reply <= 4, "{after_a_reply} system calls after a final reply lead to second copies");
    report("spoolrun", &tally.into_inner().unwrap());
}

#[test]
fn spoolrun_killed_again_while_it_clears_up_after_a_kill_loses_nothing_either() {
    if !have("strace") {
        return;
    }
    let calls = Pass::under(&NextHop::start(), None).calls;
    let counts = |point: &Point| calls.iter().any(|call| call.point == *point && is_of_the_disk(call));
    let points: Vec<Point> = points(&calls).into_iter().filter(counts).collect();
    // Strides that have no factor in common with most numbers: the pairs differ.
    let pair = |number: usize| (&points[number * 37 % points.len()], &points[(number * 101 + 13) % points.len()]);
    let pairs: Vec<_> = (0..either(12, 400)).map(pair).collect();
    let killed_twice = AtomicUsize::new(0);
    in_parallel(&pairs, NextHop::start, |hop, (first, second)| {
        let what = format!("killed at {} and then at {}", first.kill(), second.kill());
        let mut pass = Pass::under(hop, Some(&first.kill()));
        let last = pass.taken.len();
        pass.again_under(&second.kill());
        let in_hand = [pass.taken[..last].last(), pass.taken.last()];
        let twice = pass.check(&what);
        let was_in_hand = |copy| in_hand.iter().flatten().any(|taken| copies_of(taken).contains(copy));
        assert!(twice.iter().all(was_in_hand), "{what}: {twice:?} came twice");
        killed_twice.fetch_add(usize::from(killed_at(&pass.calls, second).is_some()), Ordering::SeqCst);
    });
    let figure = format!("{} of {} pairs of kills", killed_twice.into_inner(), pairs.len());
    lab::report("spoolrun, killed again while it clears up", &figure);
}

/// That a second copy is nobody's fault: the answer was not read, or it was read just before. Answers how many calls after the
/// answer this is about: 0 or 1.
fn in_the_window(calls: &[Call], killed: Option<usize>, name: &str, what: &str) -> usize {
    let killed = killed.unwrap_or_else(|| panic!("{what}: a second copy of {name} without a kill"));
    let answer = format!("taken as {name}\\r\\n");
    let read = |call: &Call| call.name() == "recvfrom" && call.succeeded() && call.arguments.contains(&answer);
    let Some(read) = calls.iter().position(read) else { return 0 };
    let next = calls.iter().enumerate().skip(read + 1).find(|(_, call)| call.thread == calls[read].thread);
    let (next, call) = next.unwrap_or_else(|| panic!("{what}: nothing comes after the answer"));
    assert_eq!(next, killed, "{what}: {name} came twice, though {} came after its answer", call.name());
    assert!(["unlinkat", "pwrite64"].contains(&call.name()), "{what}: {call:?} comes after the answer");
    1
}

fn report(program: &str, tally: &Tally) {
    let Tally { points, killed, second_copies } = tally;
    let figure = format!("{killed} kills at {points} calls, {second_copies} copies too many, each where it may be");
    lab::report(&format!("{program}, killed at each call"), &figure);
    // Where the log's thread comes to a point first, the kill is elsewhere; most are where they are meant to be.
    assert!(10 * tally.killed >= 9 * tally.points, "too few kills: {tally:?}");
}
