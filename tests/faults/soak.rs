//! The soak: clients send all the time, the next hop puts off 5 % and refuses 1 %, both programs are killed now and then. In
//! the end every accepted message is delivered, queued or bounced, by its own name; a second copy came only of what was in the
//! window of a kill; and what lives does not grow.
//!
//! Full form: two minutes of kills, 50,000 messages of warm-up (at most ten minutes), and ten minutes over which the slope of the
//! memory is taken. The figures go to standard error.

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
use crate::support::window::Window;

const CLIENTS: usize = 4;
/// What a process may grow by in the short form, whose slope says nothing: allocators keep what they had once.
const GROWTH_KIB: u64 = 1024;
const GROWTH_DESCRIPTORS: usize = 12;
/// What a process may grow by in ten minutes, in octets per message.
const SLOPE: f64 = 1.0;
/// By then allocators have what they will keep.
const WARM_UP: usize = 50_000;
/// Clients rest while more messages than these wait, as what waits takes memory.
const MOST_QUEUED: usize = 200;

/// Memory in KiB and open descriptors, once this many messages had been accepted.
#[derive(Debug, Clone, Copy)]
struct Sample {
    messages: usize,
    memory: u64,
    descriptors: usize,
}

/// The memory is what the process wrote: pages of its file that are read for the first time are no growth.
fn sample(pid: u32, messages: usize) -> Option<Sample> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("RssAnon:"))?;
    let memory = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(Sample { messages, memory, descriptors: fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() })
}

/// Heaps that threads have for themselves, as glibc makes them: 64 MiB of addresses each, most of them without a page.
fn heaps_of_threads(pid: u32) -> usize {
    const SIZE: u64 = 64 << 20;
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let ranges: Vec<[u64; 2]> = maps
        .lines()
        .filter_map(|line| {
            let (start, end) = line.split_whitespace().next()?.split_once('-')?;
            Some([start, end].map(|address| u64::from_str_radix(address, 16).unwrap()))
        })
        .collect();
    let is_heap = |pair: &[[u64; 2]]| {
        let [[start, middle], [next, end]] = [pair[0], pair[1]];
        start % SIZE == 0 && middle == next && end - start == SIZE
    };
    ranges.windows(2).filter(|pair| is_heap(pair)).count()
}

/// The slope of the least squares: octets of memory per message.
fn slope(samples: &[Sample]) -> f64 {
    let points = samples.iter().map(|sample| (sample.messages as f64, sample.memory as f64 * 1024.0));
    let count = samples.len() as f64;
    let (x, y) = points.clone().fold((0.0, 0.0), |(x, y), point| (x + point.0 / count, y + point.1 / count));
    let (above, below) = points.fold((0.0, 0.0), |(above, below), point| {
        (above + (point.0 - x) * (point.1 - y), below + (point.0 - x) * (point.0 - x))
    });
    above / below
}

/// The middle of some samples, so that a short peak is no growth.
fn middle(samples: &[Sample]) -> Sample {
    let messages = samples[samples.len() / 2].messages;
    let (mut memory, mut descriptors): (Vec<u64>, Vec<usize>) =
        samples.iter().map(|sample| (sample.memory, sample.descriptors)).unzip();
    memory.sort_unstable();
    descriptors.sort_unstable();
    Sample { messages, memory: memory[memory.len() / 2], descriptors: descriptors[descriptors.len() / 2] }
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

    /// From the second quarter of its life to the last, and in the full form by the slope of all of it.
    fn check(&self) -> String {
        let quarter = self.samples.len() / 4;
        assert!(quarter > 0, "{}: too few samples", self.name);
        let (early, late) = (middle(&self.samples[quarter..2 * quarter]), middle(&self.samples[3 * quarter..]));
        let slope = slope(&self.samples);
        let told = format!("{}: {early:?} to {late:?}, {slope:.2} octets a message", self.name);
        assert!(late.memory <= early.memory + GROWTH_KIB, "memory grows: {told}");
        assert!(!lab::full() || slope <= SLOPE, "memory grows: {told}");
        assert!(late.descriptors <= early.descriptors + GROWTH_DESCRIPTORS, "descriptors grow: {told}");
        told
    }
}

#[test]
fn everything_accepted_is_delivered_queued_or_bounced_and_nothing_grows() {
    let (killing, warming, steady) = lab::either((10, 0, 10), (120, 600, 600));
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
    let traffic = Traffic::start(receiver.address(), CLIENTS, Duration::from_millis(2));
    let keep_pace = || traffic.rest.store(site.shelf("queue").len() > MOST_QUEUED, Ordering::Relaxed);

    let (start, mut window) = (Instant::now(), Window::default());
    while start.elapsed() < Duration::from_secs(killing) {
        keep_pace();
        thread::sleep(lab::either(Duration::from_millis(900), Duration::from_secs(2)));
        signal(worker, "-KILL");
        window.kill(&site.spool(), forwarder.child());
        worker = wait_for_workers(&receiver, window.kills + 1);
        forwarder = site.watch(&[]);
    }

    let mut lives = [("supervisor", receiver.pid()), ("worker", worker), ("spoolrun watch", forwarder.pid())]
        .map(|(name, pid)| Life::new(name, pid));
    let (start, before) = (Instant::now(), traffic.accepted());
    while start.elapsed() < Duration::from_secs(warming) && traffic.accepted() < before + WARM_UP {
        keep_pace();
        thread::sleep(Duration::from_millis(250));
    }
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(steady) {
        keep_pace();
        thread::sleep(Duration::from_millis(250));
        for life in &mut lives {
            let sample = sample(life.pid, traffic.accepted());
            life.samples.push(sample.unwrap_or_else(|| panic!("{} died:\n{}", life.name, receiver.log())));
        }
    }
    assert_eq!(heaps_of_threads(forwarder.pid()), 0, "threads of the forwarder have heaps of their own");
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
    let told = account(&site, &answers, &sink.taken.lock().unwrap(), &window);
    let _ = writeln!(std::io::stderr(), "soak: {told}\nsoak: {}", grown.join("\nsoak: "));
}

/// Each accepted message is in exactly one place; those that were not answered may be in one.
fn account(site: &Site, answers: &Answers, taken: &Taken, window: &Window) -> String {
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
    let of_accepted = accepted.values().filter(|id| taken.copies.contains_key(*id)).count();
    assert!(of_accepted > accepted.len() / 2, "few were known by their ids: {of_accepted} of {}", accepted.len());
    let copies = window.assert_excuses(taken.copies.iter().map(|(id, count)| (id.as_str(), *count)));
    let by_subject: usize = taken.delivered.values().map(|count| count - 1).sum();
    assert!(by_subject <= copies, "{by_subject} by the subjects, {copies} by the ids");
    let unanswered = taken.delivered.keys().filter(|subject| !accepted.contains_key(*subject)).count();
    let bounced = accepted.keys().filter(|subject| taken.bounced.contains(*subject)).count();
    let delivered = accepted.keys().filter(|subject| taken.delivered.contains_key(*subject)).count();
    assert!(!taken.refused.is_empty() && !taken.deferred.is_empty() && bounced > 0, "the next hop was too kind");
    format!(
        "{} accepted = {delivered} delivered + {} queued + {bounced} bounced; {} kills of each program, {} messages in the window of \
         one, {copies} second copies, each of one of these, {} put off once, {} not answered, of which {unanswered} were stored",
        accepted.len(),
        accepted.len() - delivered - bounced,
        window.kills,
        window.all(),
        taken.deferred.len(),
        answers.broken.load(Ordering::Relaxed),
    )
}
