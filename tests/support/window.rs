//! Kills a forwarder at any moment, and tells by the receipts of which messages that may lead to a second copy.
//!
//! The process is stopped first, so that what it has open and what is in these files is what the kill finds. A message is in the
//! window if its file has a receipt *in doubt* that no later receipt ends: the end of the message may have been sent, and its
//! answer is not recorded.

use std::collections::HashMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use leafmail::annotation::HANDED_OVER;
use leafmail::queue::plan::ledger::{Account, Ledger, Standing};
use leafmail::receipt::Receipt;
use leafmail::spool::{DirSpool, Spool, SpoolSettings};
use leafmail::sys::SystemClock;
use rustix::process::{Pid, Signal, kill_process};

use super::site::PATIENCE;

/// The kills of a run, and what each of them hit.
#[derive(Debug, Default)]
pub(crate) struct Window {
    /// How many processes were killed at work.
    pub(crate) kills: usize,
    /// By message: how often it was in the window of a kill.
    pub(crate) hits: HashMap<String, usize>,
    /// By message: how many marks it had at the last of these.
    marks: HashMap<String, usize>,
}

impl Window {
    /// Ends a process, unless it has ended by itself.
    pub(crate) fn kill(&mut self, spool: &Path, child: &mut Child) {
        let shared = Mutex::new(std::mem::take(self));
        Self::kill_one_of_several(&shared, spool, child);
        *self = shared.into_inner().unwrap();
    }

    /// The same where several are killed at a time: on a busy machine each takes a while to stop.
    pub(crate) fn kill_one_of_several(window: &Mutex<Self>, spool: &Path, child: &mut Child) {
        let pid = child.id();
        let process = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        // One that has ended already is a zombie until it is waited for, and has nothing open.
        kill_process(process, Signal::STOP).unwrap();
        wait_until_stopped(pid);
        let opened = DirSpool::open(spool, SpoolSettings::default(), Arc::new(SystemClock)).unwrap();
        for name in open_in(pid, &spool.join("queue")) {
            // Before the kill: whoever gets the message next is counted after it.
            window.lock().unwrap().note(marks(&opened, &name), name);
        }
        kill_process(process, Signal::KILL).unwrap();
        let was_killed = child.wait().unwrap().signal().is_some();
        window.lock().unwrap().kills += usize::from(was_killed);
    }

    /// A message that a process had open, with its marks: those of earlier kills, if it was not sent again yet, are counted.
    fn note(&mut self, marks: usize, name: String) {
        if marks > self.marks.get(&name).copied().unwrap_or(0) {
            *self.hits.entry(name.clone()).or_default() += 1;
            self.marks.insert(name, marks);
        }
    }

    /// No message came more than once but for the kills that found it in the window. By id: how many copies came.
    pub(crate) fn assert_excuses<'a>(&self, copies: impl IntoIterator<Item = (&'a str, usize)>) -> usize {
        let mut twice = 0;
        for (id, copies) in copies {
            let hits = self.hits.get(id).copied().unwrap_or(0);
            assert!(copies <= 1 + hits, "{id}: {copies} copies, and {hits} of {} kills hit the window", self.kills);
            twice += copies.saturating_sub(1);
        }
        twice
    }

    /// How often any message was in the window of a kill.
    pub(crate) fn all(&self) -> usize {
        self.hits.values().sum()
    }
}

/// Whether a process has a message of this spool in hand.
pub(crate) fn is_at_work(spool: &Path, pid: u32) -> bool {
    !open_in(pid, &spool.join("queue")).is_empty()
}

/// No thread of it runs any more.
fn wait_until_stopped(pid: u32) {
    let start = Instant::now();
    let stops = |stat: &str| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['T', 't', 'Z', 'X']));
    loop {
        let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        // A thread that ends meanwhile has no file any more.
        let mut stats = threads.filter_map(|thread| fs::read_to_string(thread.path().join("stat")).ok());
        if stats.all(|stat| stops(&stat)) {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "{pid} does not stop");
        thread::sleep(Duration::from_micros(200));
    }
}

/// The names of the files in a folder that a process has open; what was removed is none of them.
fn open_in(pid: u32, folder: &Path) -> Vec<String> {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    let open = descriptors.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
    let folder = folder.canonicalize().unwrap();
    let mut names: Vec<String> = open
        .filter(|path| path.parent() == Some(&folder))
        .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
        .filter(|name| !name.ends_with(" (deleted)"))
        .collect();
    names.sort();
    names.dedup();
    names
}

/// How often a message was handed over, if the last time has no answer; else 0.
fn marks(spool: &DirSpool, name: &str) -> usize {
    let Ok(Some(glance)) = name.parse().map(|id| spool.peek(id).unwrap()) else { return 0 };
    let is_mark = |receipt: &Receipt| receipt.annotations.iter().any(|(name, _)| name == HANDED_OVER);
    let ledger = Ledger::fold(&glance.envelope, &glance.receipts, Duration::MAX);
    let in_doubt = |account: &Account<'_>| account.standing == Standing::Pending && account.in_doubt;
    if !ledger.accounts().iter().any(in_doubt) {
        return 0;
    }
    glance.receipts.iter().filter(|receipt| is_mark(receipt)).count()
}
