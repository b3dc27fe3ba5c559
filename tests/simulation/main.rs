//! leafmail in a simulated world: receiver, runner and smarthost on a disk, a clock and a network that follow one seed.
//!
//! What is real: the session, the policy, the spool, the queue. What is simulated: whatever they touch, and the order in which
//! processes take their steps. Each seed is another life, with crashes, power cuts, failing calls, lost answers and
//! jumps of the clock in it. The short form lives a few hundred, the full one (`LEAFMAIL_LAB=full`) ten thousand; a seed that
//! finds a fault is named, and `LEAFMAIL_SEED=n` lives it again, exactly, and tells what happened.
#![allow(clippy::print_stderr, reason = "a seed tells what it found")]

mod disk;
mod disk_state;
mod episodes;
mod failure_rates;
mod judge;
mod month;
mod receiver;
mod runner;
mod sender;
mod smarthost;
#[path = "../support/mod.rs"]
mod support;
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use disk_state::Breakage;
use episodes::{Ending, live};
use judge::Figures;
use support::{lab, seeded};

/// Steps before the end that are reported of a life that found a fault; of one that was asked for, all.
const TOLD: usize = 80;

/// Lives the seeds from 1 on until one finds a fault; which, and what all before it have been through.
fn search(seeds: u64, breakage: Breakage) -> (Option<(u64, String)>, Figures) {
    let next = AtomicU64::new(1);
    let found: Mutex<(Option<(u64, String)>, Figures)> = Mutex::default();
    thread::scope(|scope| {
        // More than cores, as a life sometimes waits.
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed > seeds || found.lock().unwrap().0.as_ref().is_some_and(|(first, _)| *first < seed) {
                        return;
                    }
                    let ending = live(seed, breakage, false);
                    let mut found = found.lock().unwrap();
                    found.1.add(&ending.figures);
                    if let Some(what) = ending.found
                        && found.0.as_ref().is_none_or(|(first, _)| *first > seed)
                    {
                        found.0 = Some((seed, what));
                    }
                }
            });
        }
    });
    found.into_inner().unwrap()
}

/// Lives a seed again, and tells how it ended.
fn tell(seed: u64, breakage: Breakage) -> Option<String> {
    let Ending { trace, found, figures } = live(seed, breakage, true);
    let words = trace.words.unwrap();
    let told = if std::env::var_os("LEAFMAIL_SEED").is_some() { words.len() } else { TOLD };
    let last = words[words.len().saturating_sub(told)..].join("\n");
    eprintln!("{last}\n{figures:?}");
    found
}

#[test]
fn nothing_acknowledged_is_lost_torn_or_sent_twice_without_a_reason() {
    if let Ok(seed) = std::env::var("LEAFMAIL_SEED") {
        let found = tell(seed.parse().expect("LEAFMAIL_SEED is a number"), Breakage::Sound);
        assert_eq!(found, None, "seed {seed}");
        return;
    }
    let seeds = lab::either(300, 10_000);
    let (found, figures) = search(seeds, Breakage::Sound);
    if let Some((seed, what)) = found {
        tell(seed, Breakage::Sound);
        panic!("{what}\nto see it again: LEAFMAIL_SEED={seed} cargo test --test simulation");
    }
    eprintln!("{seeds} seeds: {figures:?}");
    // FailureRates that harms nobody proves nothing.
    let rare = seeds as usize / 30;
    for (what, count) in [
        ("acknowledged", figures.acknowledged),
        ("delivered", figures.delivered),
        ("second copies", figures.duplicates),
        ("bounces", figures.bounces),
        ("kills", figures.kills),
        ("power cuts", figures.power_cuts),
        ("failed calls", figures.faults),
    ] {
        assert!(count >= rare, "{seeds} seeds saw only {count} {what}");
    }
}

#[test]
fn a_seed_replays_exactly() {
    for seed in 1..=lab::either(12, 200) {
        let [one, other] = [(); 2].map(|()| live(seed, Breakage::Sound, true));
        assert!(one.trace.steps > 20, "seed {seed} did next to nothing");
        assert_eq!(one.trace, other.trace, "seed {seed}");
    }
}

/// How many seeds find out that the disk does this wrong.
fn control(breakage: Breakage) {
    let within = 200;
    let (found, _) = search(within, breakage);
    let Some((seed, what)) = found else { panic!("{breakage:?} stayed hidden in {within} seeds") };
    eprintln!("{breakage:?}: found by seed {seed}: {what}");
}

#[test]
fn a_disk_whose_syncs_do_nothing_is_found_out() {
    control(Breakage::SyncsNothing);
}

#[test]
fn a_disk_that_saves_no_names_is_found_out() {
    control(Breakage::SyncsNoFolders);
}

#[test]
fn a_disk_without_locks_is_found_out() {
    control(Breakage::IgnoresLocks);
}
