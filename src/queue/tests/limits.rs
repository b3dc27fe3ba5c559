//! The limits of a route: a pace and a number of connections, over all processes.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use proptest::prelude::*;

use crate::clock::BootClock;
use crate::queue::routes::pace::{Pace, RateDecision};
use crate::queue::{RouteLimits, SharedRouteLimits};
use crate::sys::SystemClock;

const SECOND: u64 = 1_000_000_000;
const A_MINUTE: Pace = Pace { messages: 25, per: Duration::from_secs(60) };

/// Nanoseconds, and how much further each look takes it; remembers what it said last.
#[derive(Default)]
struct Boot {
    now: Arc<AtomicU64>,
    step: u64,
    said: AtomicU64,
    id: [u8; 16],
}

impl BootClock for Boot {
    fn since_boot(&self) -> Duration {
        let now = self.now.fetch_add(self.step, Ordering::SeqCst);
        self.said.store(now, Ordering::SeqCst);
        Duration::from_nanos(now)
    }

    fn boot_id(&self) -> [u8; 16] {
        self.id
    }
}

fn at(folder: &Path, pace: Pace, seconds: u64) -> RateDecision {
    let clock = Boot { now: Arc::new((seconds * SECOND).into()), ..Boot::default() };
    SharedRouteLimits::new(folder, "main", 1, Some(pace), Arc::new(clock)).admit()
}

fn kept(pace: Pace, departures: impl IntoIterator<Item = u64>) {
    let departures: BTreeSet<u64> = departures.into_iter().collect();
    let departures: Vec<u64> = departures.into_iter().collect();
    let per = u64::try_from(pace.per.as_nanos()).unwrap();
    for stretch in departures.windows(usize::try_from(pace.messages).unwrap() + 1) {
        let lasted = stretch[stretch.len() - 1] - stretch[0];
        assert!(lasted >= per, "{} messages in {lasted} ns", stretch.len());
    }
}

#[test]
fn three_at_once_keep_the_pace_together_and_use_all_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let now = Arc::new(AtomicU64::new(77 * SECOND));
    let clock = || Arc::new(Boot { now: Arc::clone(&now), ..Boot::default() });
    let three: Vec<_> =
        (0..3).map(|_| SharedRouteLimits::new(folder.path(), "main", 4, Some(A_MINUTE), clock())).collect();
    let mut departures = Vec::new();
    let mut shares = [0; 3];
    let end = (77 + 3600) * SECOND;
    'hour: loop {
        let mut wait = None;
        for (number, limits) in three.iter().enumerate() {
            match limits.admit() {
                RateDecision::Now => {
                    departures.push(now.fetch_add(1, Ordering::SeqCst));
                    shares[number] += 1;
                }
                RateDecision::Wait(left) => wait = Some(left),
            }
        }
        if let Some(left) = wait {
            assert!(left <= A_MINUTE.per);
            now.fetch_add(u64::try_from(left.as_nanos()).unwrap(), Ordering::SeqCst);
        }
        if now.load(Ordering::SeqCst) >= end {
            break 'hour;
        }
    }
    kept(A_MINUTE, departures.iter().copied());
    assert_eq!(departures.len(), 60 * 25, "in an hour");
    assert!(shares.iter().all(|share| *share >= 400), "{shares:?}");
}

#[test]
fn threads_that_contend_keep_it_too() {
    let folder = tempfile::tempdir().unwrap();
    let pace = Pace { messages: 5, per: Duration::from_nanos(1_000) };
    let now = Arc::new(AtomicU64::new(1));
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let (sender, now, folder) = (sender.clone(), Arc::clone(&now), folder.path());
            scope.spawn(move || {
                let clock = Arc::new(Boot { now, step: 7, ..Boot::default() });
                let limits =
                    SharedRouteLimits::new(folder, "main", 4, Some(pace), Arc::clone(&clock) as Arc<dyn BootClock>);
                for _ in 0..2_000 {
                    if limits.admit() == RateDecision::Now {
                        sender.send(clock.said.load(Ordering::SeqCst)).unwrap();
                    }
                }
            });
        }
    });
    drop(sender);
    let departures: Vec<_> = receiver.iter().collect();
    assert!(
        departures.len() >= 200,
        "6,000 looks, one in 7 ns, are 210 times 5 messages' less the last: {}",
        departures.len()
    );
    kept(pace, departures);
}

#[test]
fn a_restart_of_the_host_or_another_pace_begins_no_wait_that_is_too_long() {
    let folder = tempfile::tempdir().unwrap();
    let pace = |messages| Pace { messages, per: Duration::from_secs(60) };
    assert_eq!(at(folder.path(), pace(2), 100), RateDecision::Now);
    assert_eq!(at(folder.path(), pace(2), 110), RateDecision::Now);
    let wait = |seconds| RateDecision::Wait(Duration::from_secs(seconds));
    assert_eq!(at(folder.path(), pace(2), 120), wait(40));
    // What left is remembered by a slower and by a faster pace.
    assert_eq!(at(folder.path(), pace(1), 120), wait(50));
    assert_eq!(at(folder.path(), pace(3), 120), RateDecision::Now);
    assert_eq!(at(folder.path(), pace(3), 121), RateDecision::Now);
    assert_eq!(at(folder.path(), pace(3), 122), wait(48), "110, 120 and 121; 100 was forgotten by the slow one");
    // The clock of another start.
    assert_eq!(at(folder.path(), pace(3), 5), RateDecision::Now);
    let clock = Boot { now: Arc::new((6 * SECOND).into()), id: [7; 16], ..Boot::default() };
    let after = SharedRouteLimits::new(folder.path(), "main", 1, Some(pace(1)), Arc::new(clock));
    assert_eq!((after.admit(), after.admit()), (RateDecision::Now, wait(60)));
}

#[test]
fn without_its_folder_the_limits_hold_within_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(Boot { now: Arc::new(SECOND.into()), ..Boot::default() });
    let pace = Pace { messages: 2, per: Duration::from_secs(60) };
    let limits = SharedRouteLimits::new(folder.path().join("missing"), "main", 2, Some(pace), clock);
    let slots = (limits.permit(), limits.permit(), limits.permit());
    assert!(slots.0.is_some() && slots.1.is_some() && slots.2.is_none());
    drop(slots);
    assert!(limits.permit().is_some());
    assert_eq!((limits.admit(), limits.admit()), (RateDecision::Now, RateDecision::Now));
    assert_eq!(limits.admit(), RateDecision::Wait(pace.per));
    assert!(limits.trouble().is_some() && limits.trouble().is_none(), "it is told once");
    // Neither a folder nor a link nor a pipe under the name does harm.
    fs::create_dir(folder.path().join("main.permit.0")).unwrap();
    std::os::unix::fs::symlink("/nowhere", folder.path().join("main.pace")).unwrap();
    let odd = SharedRouteLimits::new(folder.path(), "main", 1, Some(pace), Arc::new(Boot::default()));
    assert!(odd.permit().is_some() && odd.admit() == RateDecision::Now && odd.trouble().is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_file_stops_mail_for_longer_than_one_stretch(
        mut octets in prop::collection::vec(any::<u8>(), 0..300), ours: bool, flips in prop::collection::vec((0_usize..300, 1_u8..), 0..4),
        seconds in 1_u64..200,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("main.pace");
        if ours {
            for _ in 0..30 {
                let _full = at(folder.path(), A_MINUTE, 100);
            }
            octets = fs::read(&path).unwrap();
            let length = octets.len();
            for (place, bits) in flips {
                octets[place % length] ^= bits;
            }
        }
        fs::write(&path, &octets).unwrap();
        match at(folder.path(), A_MINUTE, seconds) {
            RateDecision::Now => {}
            RateDecision::Wait(left) => {
                prop_assert!(left <= A_MINUTE.per);
                prop_assert_eq!(at(folder.path(), A_MINUTE, seconds + 60), RateDecision::Now);
            }
        }
        prop_assert!(fs::metadata(&path).unwrap().len() <= 400);
    }
}

const ROLE: &str = "LEAFMAIL_TEST_TURNSTILE";

/// Another process: this program with this one test.
fn process(role: &str, folder: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "queue::tests::limits::as_another_process", "--nocapture"]);
    command.env(ROLE, format!("{role}:{}", folder.display())).stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().unwrap()
}

/// The lines that begin with `word`, without it.
fn lines(child: &mut Child, word: &'static str) -> impl Iterator<Item = String> + use<> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    // What the test harness says may stand before it on the line.
    lines.filter_map(move |line| line.split_once(word).map(|(_, rest)| rest.trim().to_owned()))
}

const QUICK: Pace = Pace { messages: 5, per: Duration::from_millis(20) };

/// Does nothing, unless another test started this as a process of its own.
#[test]
fn as_another_process() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let (role, folder) = role.split_once(':').unwrap();
    let mut out = std::io::stdout();
    if role == "hold" {
        let limits = SharedRouteLimits::new(folder, "main", 2, None, Arc::new(SystemClock));
        let permit = limits.permit();
        writeln!(out, "holds {}", permit.is_some()).unwrap();
        let _until_killed = std::io::stdin().read_line(&mut String::new());
        return;
    }
    struct Noting(AtomicU64);
    impl BootClock for Noting {
        fn since_boot(&self) -> Duration {
            let now = SystemClock.since_boot();
            self.0.store(u64::try_from(now.as_nanos()).unwrap(), Ordering::SeqCst);
            now
        }
        fn boot_id(&self) -> [u8; 16] {
            SystemClock.boot_id()
        }
    }
    let clock = Arc::new(Noting(AtomicU64::new(0)));
    let limits = SharedRouteLimits::new(folder, "main", 2, Some(QUICK), Arc::clone(&clock) as Arc<dyn BootClock>);
    for _ in 0..20 {
        while let RateDecision::Wait(left) = limits.admit() {
            std::thread::sleep(left);
        }
        writeln!(out, "left {}", clock.0.load(Ordering::SeqCst)).unwrap();
    }
    assert!(limits.trouble().is_none());
}

#[test]
fn three_processes_keep_the_pace_together() {
    let folder = tempfile::tempdir().unwrap();
    let mut processes: Vec<_> = (0..3).map(|_| process("pace", folder.path())).collect();
    let told: Vec<_> = processes.iter_mut().map(|process| lines(process, "left ")).collect();
    let departures: Vec<u64> = told.into_iter().flatten().map(|line| line.parse().unwrap()).collect();
    for mut process in processes {
        assert!(process.wait().unwrap().success());
    }
    assert_eq!(departures.len(), 60);
    kept(QUICK, departures);
}

#[test]
fn the_slot_of_a_killed_process_is_free_again() {
    let folder = tempfile::tempdir().unwrap();
    let ours = SharedRouteLimits::new(folder.path(), "main", 2, None, Arc::new(SystemClock));
    let mut other = process("hold", folder.path());
    assert_eq!(lines(&mut other, "holds ").next().as_deref(), Some("true"));
    let permit = ours.permit();
    assert!(permit.is_some() && ours.permit().is_none(), "one is theirs");
    other.kill().unwrap();
    other.wait().unwrap();
    let second = ours.permit();
    assert!(second.is_some() && ours.permit().is_none());
    drop(permit);
    assert!(ours.permit().is_some());
}

#[test]
fn no_more_connections_than_slots_over_many_handles() {
    let folder = tempfile::tempdir().unwrap();
    let handle = || SharedRouteLimits::new(folder.path(), "main", 3, None, Arc::new(SystemClock));
    let together = Barrier::new(8);
    let held = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let handle = handle();
                    together.wait();
                    handle.permit()
                })
            })
            .collect();
        threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(held.len(), 3);
}
