//! A clock that jumps under both programs: mail goes on, and no jump makes anything old enough to be given up.
//!
//! Between two attempts a jump counts as the longest interval, two hours: a few jumps can make a message late, of which
//! its sender is notified, but 48 would be needed to make it four days old.
//! The wall clock of the processes is libfaketime's, told by a file that the test changes; waiting is monotonic, and that
//! clock stays as it is.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::{Kinds, Scene};
use crate::have::lacks;
use crate::lab;
use crate::site::{Running, wait_until};
use crate::traffic;

/// Where Debian has it, on any architecture.
fn libfaketime() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.map_while(Result::ok);
    folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1")).find(|path| path.exists())
}

/// The same command, by the clock in a file.
fn by_clock(mut command: Command, library: &Path, clock: &Path) -> Command {
    // The library reads its file again and again, which no program of ours has a reason to.
    command.args(["--sandbox", "off"]);
    command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", clock);
    for name in ["FAKETIME_NO_CACHE", "FAKETIME_DONT_FAKE_MONOTONIC", "DONT_FAKE_MONOTONIC", "NO_FAKE_STAT"] {
        command.env(name, "1");
    }
    command
}

/// Mail flows while the clock goes from one of `times` to the next; what the log said.
fn a_clock_that_goes(times: &[&str]) {
    let Some(library) = libfaketime() else { return lacks("libfaketime") };
    let mut scene = Scene::new("");
    scene.kinds = Kinds::NoneThatFails;
    let clock = scene.site.path("clock");
    let set = |time: &str| {
        // Replaced as a whole: it is read at any moment.
        let fresh = clock.with_extension("new");
        fs::write(&fresh, format!("{time}\n")).unwrap();
        fs::rename(&fresh, &clock).unwrap();
    };
    set("+0");
    let mut smtpd = scene.site.smtpd();
    smtpd.args(["--listen", "127.0.0.1:0"]);
    let smtpd = Running::start(by_clock(smtpd, &library, &clock));
    smtpd.wait_for_log("listening on");
    let mut spoolrun = scene.site.spoolrun();
    spoolrun.args(["--relay", &scene.relay(), "watch"]);
    let watch = Running::start(by_clock(spoolrun, &library, &clock));
    for (sent, time) in times.iter().enumerate() {
        let mut across = smtpd.client();
        across.begin("alice@example.com", &["bob@example.net"]);
        set(time);
        // One that goes to whom the next hop takes.
        let number = 900_001 + 9 * sent;
        across.finish(traffic::message(number).as_bytes());
        scene.acknowledged.insert(number);
        scene.accept(smtpd.address(), 9);
        let staying = scene.acknowledged.iter().filter(|number| traffic::stays(**number)).count();
        wait_until("the mail to leave", || scene.site.shelf("queue").len() <= staying);
        // Runs from cron, which find everything due that could be.
        for _ in 0..2 {
            let mut run = scene.site.spoolrun();
            run.args(["--relay", &scene.relay()]);
            let output = by_clock(run, &library, &clock).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        thread::sleep(Duration::from_millis(lab::either(200, 5_000)));
    }
    let log = watch.log();
    // As they would leave, since what libfaketime keeps in /dev/shm stays after a kill.
    for mut program in [smtpd, watch] {
        program.terminate();
        program.wait();
    }
    assert!(!log.contains("expired") && !log.contains("bounced"), "{log}");
    // Or else nothing was shown.
    let minutes: BTreeSet<&str> = log.lines().filter_map(|line| line.get(..16)).collect();
    let different: BTreeSet<&&str> = times.iter().collect();
    assert!(minutes.len() >= different.len().max(3), "the clock did not go as it was told: {minutes:?}");
    scene.assert_drained();
}

#[test]
fn a_clock_ten_days_slow_loses_and_bounces_nothing() {
    a_clock_that_goes(&["+0", "-10d", "+0", "-20d", "+0", "-30d"]);
}

#[test]
fn a_clock_ten_days_fast_loses_and_bounces_nothing() {
    // As many jumps as it takes attempts to give a message up.
    a_clock_that_goes(&["+0", "+10d", "+20d", "+30d", "+40d", "+50d", "+60d", "+0", "+10d"]);
}

#[test]
fn a_clock_five_years_fast_loses_and_bounces_nothing() {
    a_clock_that_goes(&["+0", "+5y", "+10y", "+15y", "+20y", "+25y", "+30y", "+0", "+5y"]);
}

#[test]
fn a_clock_that_runs_a_thousand_times_as_fast_loses_and_bounces_nothing() {
    a_clock_that_goes(&["+0 x1000", "+0 x1000", "+0 x1000"]);
}
