//! The image that a power cut leaves, mounted and judged: is everything there that was promised, and nothing torn?

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use leafmail::clock::{Clock, Timestamp};
use leafmail::spool::{Claim, Claimed, DirSpool, Folder, Spool, SpoolErrorKind, SpoolSettings};
use leafmail::sys::SystemClock;

use super::recording::Recording;
use crate::block_devices::{Mounted, run};
use crate::traffic::{self, Arrived};

/// What was found in one image, or in many.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) images: usize,
    /// Images that lack writes after the last flush.
    pub(crate) reordered: usize,
    /// Messages that could be claimed, in all images.
    pub(crate) whole: usize,
    /// Files that are known as incomplete and set aside.
    pub(crate) set_aside: usize,
    /// What was said of them.
    pub(crate) why_set_aside: BTreeSet<String>,
    /// Claimed messages of which the next hop had taken a copy: they would be sent twice.
    pub(crate) twice: usize,
    /// Said to be removed, and there again.
    pub(crate) came_back: Vec<String>,
    /// Acknowledged, not delivered, and not there.
    pub(crate) lost: Vec<String>,
    /// Claimed, but not what was sent.
    pub(crate) torn: Vec<String>,
}

/// A place where the images of a recording are made, one after the other, in the order of the log.
pub(crate) struct Cutter<'a> {
    recording: &'a Recording,
    /// The image that no cut can take back: up to `done`, always just behind a flush.
    settled: PathBuf,
    done: usize,
    image: PathBuf,
    at: PathBuf,
    pub(crate) findings: Findings,
}

impl<'a> Cutter<'a> {
    pub(crate) fn new(recording: &'a Recording) -> Self {
        let path = |name: &str| recording.folder.path().join(name);
        let (settled, image, at) = (path("settled"), path("image"), path("mounted"));
        copy(&recording.base, &settled);
        Self { recording, settled, done: 0, image, at, findings: Findings::default() }
    }

    /// Judges the image of the cut after `entries`, without those that `lost` names among the writes in flight.
    pub(crate) fn cut(&mut self, entries: usize, lost: impl Fn(usize) -> bool) {
        let log = &self.recording.log;
        let settled = log.settled(entries);
        assert!(settled >= self.done, "cuts come in the order of the log");
        let write = |range: std::ops::Range<usize>, to: &File| range.for_each(|index| log.write(index, to));
        write(self.done..settled, &open(&self.settled));
        self.done = settled;
        copy(&self.settled, &self.image);
        let file = open(&self.image);
        let kept = (settled..entries).filter(|index| !(log.may_be_lost(*index) && lost(*index)));
        let kept: BTreeSet<usize> = kept.collect();
        kept.iter().for_each(|index| log.write(*index, &file));
        drop(file);
        self.findings.images += 1;
        self.findings.reordered += usize::from(kept.len() < entries - settled);
        self.judge(entries);
    }

    fn judge(&mut self, entries: usize) {
        let Recording { kind, acknowledged, taken, .. } = self.recording;
        let due = |number: usize| acknowledged.get(&number).is_some_and(|at| *at <= entries);
        let mounted = Mounted::try_new(*kind, &self.image, &self.at);
        let found = match &mounted {
            Ok(_) => self.thaw(entries),
            // A cut before the file system was first mounted is none of ours; one that breaks it loses all.
            Err(why) => {
                self.findings.torn.push(format!("after {entries} entries it cannot be mounted: {why}"));
                HashSet::new()
            }
        };
        for number in acknowledged.keys().copied().filter(|number| due(*number)) {
            let settled = taken.get(&number).is_some_and(|at| *at < entries) && !traffic::stays(number);
            match found.contains(&number) {
                false if !settled => self.findings.lost.push(format!("{number} in the cut after {entries}")),
                true if settled => self.findings.twice += 1,
                _ => {}
            }
        }
    }

    /// Claims everything, and answers the numbers of the messages that are there, or whose bounces are.
    fn thaw(&mut self, entries: usize) -> HashSet<usize> {
        let mut found = HashSet::new();
        let spool = match DirSpool::open(&self.at, SpoolSettings::default(), Arc::new(NextDay)) {
            Ok(spool) => spool,
            Err(error) => {
                self.findings.torn.push(format!("in the cut after {entries}: {error}"));
                return found;
            }
        };
        for entry in spool.entries(Folder::Queue).unwrap() {
            match spool.claim(entry.id) {
                Ok(Claimed::Ours(claim)) => match traffic::recognize(&octets(&claim)) {
                    Arrived::Whole(number) => {
                        self.findings.whole += 1;
                        found.insert(number);
                        if self.recording.removed.get(&number).is_some_and(|at| *at <= entries) {
                            self.findings.came_back.push(format!("{number} in the cut after {entries}"));
                        }
                    }
                    Arrived::Bounce(number) => {
                        self.findings.whole += 1;
                        found.insert(number);
                    }
                    Arrived::Delay(_) => {}
                    Arrived::Torn(why) => self.findings.torn.push(format!("in the cut after {entries}: {why}")),
                },
                Err(error) if matches!(error.kind, SpoolErrorKind::Torn(_) | SpoolErrorKind::Corrupt(_)) => {
                    self.findings.set_aside += 1;
                    self.findings.why_set_aside.insert(error.kind.to_string());
                }
                other => self.findings.torn.push(format!("in the cut after {entries}: {other:?}")),
            }
        }
        found
    }
}

/// The time at which the power is back: whatever was about to be locked by its maker is not any more.
struct NextDay;

impl Clock for NextDay {
    fn now(&self) -> Timestamp {
        SystemClock.now() + Duration::from_secs(86_400)
    }
}

fn octets(claim: &impl Claim) -> Vec<u8> {
    let mut octets = vec![0; claim.size() as usize];
    let mut done = 0;
    while done < octets.len() {
        match claim.read_at(done as u64, &mut octets[done..]).unwrap() {
            0 => break,
            count => done += count,
        }
    }
    octets
}

fn open(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

/// A copy with the same holes.
fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_file(to);
    run(Command::new("cp").arg("--sparse=auto").args([from, to]));
}
