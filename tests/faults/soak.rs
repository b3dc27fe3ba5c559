//! The soak: clients send all the time, the next hop puts off 5 % and refuses 1 %, both programs are killed now and then. In
//! the end every accepted message is delivered, queued or bounced, by its own name; and what lives does not grow.
//!
//! Full form: ten minutes. The figures go to standard error.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use crate::accounting::{Answers, Sink, Taken, Traffic};
use crate::lab;
use crate::site::{Running, Site, wait_until};
use crate::supervisor::{signal, wait_for_workers};

const CLIENTS: usize = 4;
/// What a process may grow by after its warm-up: allocators keep what they had once.
const GROWTH_KIB: u64 = 12 * 1024;
const GROWTH_DESCRIPTORS: usize = 12;

/// Memory in KiB, and open descriptors.
#[derive(Debug, Clone, Copy)]
struct Sample {
    memory: u64,
    descriptors: usize,
}

fn sample(pid: u32) -> Option<Sample> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let memory = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(Sample { memory, descriptors: fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() })
}

/// The middle of some samples, so that a short peak is no growth.
fn middle(samples: &[Sample]) -> Sample {
    let (mut memory, mut descriptors): (Vec<u64>, Vec<usize>) =
        samples.iter().map(|sample| (sample.memory, sample.descriptors)).unzip();
    memory.sort_unstable();
    descriptors.sort_unstable();
    Sample { memory: memory[memory.len() / 2], descriptors: descriptors[descriptors.len() / 2] }
}

struct Life {
    name: &'static str,
    pid: u32,
    samples: Vec<Sample>,
}

impl Life {
    fn new(name: &'static str, pid: u32) -> Self {
        Self { name, pid, samples: Vec::new() }
    }

    /// From the second quarter of its life to the last.
    fn check(&self) -> String {
        let quarter = self.samples.len() / 4;
        assert!(quarter > 0, "{}: too few samples", self.name);
        let (early, late) = (middle(&self.samples[quarter..2 * quarter]), middle(&self.samples[3 * quarter..]));
        let told = format!("{}: {early:?} to {late:?}", self.name);
        assert!(late.memory <= early.memory + GROWTH_KIB, "memory grows: {told}");
        assert!(late.descriptors <= early.descriptors + GROWTH_DESCRIPTORS, "descriptors grow: {told}");
        told
    }
}

#[test]
fn everything_accepted_is_delivered_queued_or_bounced_and_nothing_grows() {
    let (killing, steady) = lab::either((10, 10), (300, 300));
    let sink = Sink::start();
    let site = Site::new(
        "[queue]\nretry = [\"1s\"]\n[notices]\nper_hour = 100000\n[process]\nrestart_at_most = \"1s\"\nhealthy_after = \"1s\"\n",
    );
    let text = fs::read_to_string(site.config()).unwrap();
    let url = format!("url = \"smtp://{}?tls=none\"", sink.address);
    fs::write(site.config(), text.replace(&format!("url = \"maildir:{}\"", site.inbox().display()), &url)).unwrap();
    let mut command = site.smtpd();
    command.args(["--supervise", "--listen", "127.0.0.1:0"]);
    let mut receiver = Running::start(command);
    let mut worker = wait_for_workers(&receiver, 1);
    receiver.wait_for_log("listening on ");
    let mut forwarder = site.watch(&[]);
    let traffic =
        Traffic::start(receiver.address(), CLIENTS, lab::either(Duration::from_millis(10), Duration::from_millis(20)));

    let (start, mut kills) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_secs(killing) {
        thread::sleep(lab::either(Duration::from_millis(900), Duration::from_secs(5)));
        signal(worker, "-KILL");
        kills += 1;
        worker = wait_for_workers(&receiver, kills + 1);
        std::mem::replace(&mut forwarder, site.watch(&[])).kill();
    }

    let mut lives = [("supervisor", receiver.pid()), ("worker", worker), ("spoolrun watch", forwarder.pid())]
        .map(|(name, pid)| Life::new(name, pid));
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(steady) {
        thread::sleep(Duration::from_millis(250));
        for life in &mut lives {
            life.samples.push(sample(life.pid).unwrap_or_else(|| panic!("{} died:\n{}", life.name, receiver.log())));
        }
    }
    let answers = traffic.finish();
    // What was deferred is due a second later. What remains counts as queued.
    let deadline = Instant::now() + Duration::from_secs(20);
    while !site.shelf("queue").is_empty() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(100));
    }
    forwarder.terminate();
    assert!(forwarder.wait().success());
    receiver.terminate();
    assert!(receiver.wait().success());
    wait_until("the next hop has noted all", || sink.taken.try_lock().is_ok());

    let grown: Vec<String> = lives.iter().map(Life::check).collect();
    let told = account(&site, &answers, &sink.taken.lock().unwrap(), kills);
    let _ = writeln!(std::io::stderr(), "soak: {told}\nsoak: {}", grown.join("\nsoak: "));
}

/// Each accepted message is in exactly one place; those that were not answered may be in one.
fn account(site: &Site, answers: &Answers, taken: &Taken, kills: usize) -> String {
    assert_eq!(answers.refused.load(Ordering::Relaxed), 0, "connections were refused");
    assert!(site.shelf("bad").is_empty() && site.shelf("failed").is_empty(), "files were set aside");
    let accepted = answers.accepted.lock().unwrap();
    let queued: BTreeSet<String> = site.shelf("queue").into_iter().collect();
    let (mut lost, mut twice) = (Vec::new(), Vec::new());
    for (subject, id) in accepted.iter() {
        let is_delivered = taken.delivered.contains_key(subject);
        let places = [is_delivered, queued.contains(id) && !is_delivered, taken.bounced.contains(subject)];
        match places.iter().filter(|is_there| **is_there).count() {
            0 => lost.push(subject),
            1 => {}
            _ => twice.push(subject),
        }
    }
    assert!(lost.is_empty(), "{} of {} accepted messages are nowhere: {lost:?}", lost.len(), accepted.len());
    assert!(twice.is_empty(), "in two places: {twice:?}");
    let copies: usize = taken.delivered.values().map(|count| count - 1).sum();
    // One for each connection of a forwarder that was killed between the last reply and the unlink.
    assert!(copies <= 4 * kills, "{copies} copies after {kills} kills");
    let unanswered = taken.delivered.keys().filter(|subject| !accepted.contains_key(*subject)).count();
    let bounced = accepted.keys().filter(|subject| taken.bounced.contains(*subject)).count();
    let delivered = accepted.keys().filter(|subject| taken.delivered.contains_key(*subject)).count();
    assert!(!taken.refused.is_empty() && !taken.deferred.is_empty() && bounced > 0, "the next hop was too kind");
    format!(
        "{} accepted = {delivered} delivered + {} queued + {bounced} bounced; {kills} kills of each program, {copies} copies, \
         {} put off once, {} not answered, of which {unanswered} were stored",
        accepted.len(),
        accepted.len() - delivered - bounced,
        taken.deferred.len(),
        answers.broken.load(Ordering::Relaxed),
    )
}
