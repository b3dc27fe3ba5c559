//! What was found out about next hops: which rest after a failure, which of their addresses do, how many recipients they take, and
//! what they do not get on with.
//!
//! Processes share it through a [`HopMemory`], so that runs from cron know what the run before found out. Times are of the wall
//! clock; what lies further ahead than anything is remembered is from another clock, and does not count.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::lessons::{Lesson, Lessons};
use crate::sys::millis_since_epoch;

/// How long a limit of recipients and a lesson are remembered.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);
/// How long an address rests that did not work.
const ADDRESS_RESTS: Duration = Duration::from_secs(5 * 60);
/// Addresses that are kept of one hop.
const MOST_ADDRESSES: usize = 32;

/// What is known of one next hop. Times are in milliseconds since the epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HopNote {
    /// Failures in a row.
    #[serde(skip_serializing_if = "is_zero")]
    pub failures: u64,
    /// Until when it is left alone.
    #[serde(skip_serializing_if = "is_zero")]
    pub rests_until: u64,
    /// How many recipients it takes in one transaction; 0: not known.
    #[serde(skip_serializing_if = "is_zero")]
    pub recipients: u64,
    /// Until when that counts.
    #[serde(skip_serializing_if = "is_zero")]
    pub recipients_until: u64,
    /// Until when each of its addresses is tried after the others.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub addresses: BTreeMap<IpAddr, u64>,
    /// Until when it is spoken to without each of these.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub without: BTreeMap<String, u64>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// By the URL of the next hop.
pub type HopNotes = BTreeMap<String, HopNote>;

/// Something that was learned of a next hop, and counts at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Learned {
    /// The URL of the next hop.
    pub hop: String,
    /// What it did, and what is done instead.
    pub what: String,
    /// Until when that counts, in milliseconds since the epoch.
    pub until: u64,
}

/// What these notes have that changes how a next hop is spoken to, at `now` in milliseconds since the epoch.
pub fn learned(notes: &HopNotes, now: u64) -> Vec<Learned> {
    let of = |(hop, note): (&String, &HopNote)| {
        let recipients =
            left(note.recipients_until, now, REMEMBERED).filter(|_| note.recipients > 0).map(|_| Learned {
                hop: hop.clone(),
                what: format!("took no more than {} recipients: messages with more are split", note.recipients),
                until: note.recipients_until,
            });
        let lesson = |lesson: Lesson| Learned {
            hop: hop.clone(),
            what: lesson.said().to_owned(),
            until: note.without.get(lesson.name()).copied().unwrap_or_default(),
        };
        note.lessons(now).each().map(lesson).chain(recipients).collect::<Vec<_>>()
    };
    notes.iter().flat_map(of).collect()
}

impl HopNote {
    /// The lessons that count at present.
    fn lessons(&self, now: u64) -> Lessons {
        let counts = |lesson: &Lesson| {
            self.without.get(lesson.name()).is_some_and(|until| left(*until, now, REMEMBERED).is_some())
        };
        Lesson::ALL.into_iter().filter(counts).fold(Lessons::NONE, Lessons::with)
    }
}

/// Where what is known of the next hops of a route is kept.
pub trait HopMemory: Send + Sync + std::fmt::Debug {
    /// What is known; nothing where it cannot be read.
    fn load(&self) -> HopNotes;

    /// Changes it, while no other process does. Where it cannot be kept, the log says so, and mail goes on.
    fn change(&self, change: &mut dyn FnMut(&mut HopNotes));

    /// The time by which it forgets, in milliseconds since the epoch.
    fn now(&self) -> u64 {
        millis_since_epoch()
    }
}

/// Keeps it for this process.
#[derive(Debug, Default)]
pub(super) struct OwnMemory(Mutex<HopNotes>);

impl HopMemory for OwnMemory {
    fn load(&self) -> HopNotes {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: &mut dyn FnMut(&mut HopNotes)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// What is known of one next hop.
#[derive(Debug, Clone)]
pub(super) struct HopRecord {
    memory: Arc<dyn HopMemory>,
    hop: String,
}

impl HopRecord {
    pub(super) fn new(memory: Arc<dyn HopMemory>, hop: String) -> Self {
        Self { memory, hop }
    }

    /// Of a next hop that nothing is kept of.
    pub(super) fn forgetful() -> Self {
        Self::new(Arc::new(OwnMemory::default()), String::new())
    }

    fn after(&self, rest: Duration) -> u64 {
        self.memory.now().saturating_add(u64::try_from(rest.as_millis()).unwrap_or(u64::MAX))
    }

    fn note(&self) -> HopNote {
        self.memory.load().remove(&self.hop).unwrap_or_default()
    }

    fn change(&self, mut change: impl FnMut(&mut HopNote)) {
        self.memory.change(&mut |notes| {
            let mut note = notes.remove(&self.hop).unwrap_or_default();
            change(&mut note);
            if note != HopNote::default() {
                notes.insert(self.hop.clone(), note);
            }
        });
    }

    /// Its failures in a row, and how long it still rests; `None` where it does not.
    pub(super) fn rest(&self, longest: Duration) -> Option<(u32, Duration)> {
        let note = self.note();
        let left = left(note.rests_until, self.memory.now(), longest)?;
        Some((u32::try_from(note.failures).unwrap_or(u32::MAX), left))
    }

    /// It failed this number of times in a row, and rests.
    pub(super) fn set_rest(&self, failures: u32, rest: Duration) {
        let until = self.after(rest);
        self.change(|note| (note.failures, note.rests_until) = (failures.into(), until));
    }

    /// It works.
    pub(super) fn end_rest(&self) {
        self.change(|note| (note.failures, note.rests_until) = (0, 0));
    }

    /// How many recipients it takes, where that was learned.
    pub(super) fn recipients(&self) -> Option<usize> {
        let note = self.note();
        left(note.recipients_until, self.memory.now(), REMEMBERED)?;
        usize::try_from(note.recipients).ok().filter(|most| *most > 0)
    }

    pub(super) fn set_recipients(&self, most: usize) {
        let until = self.after(REMEMBERED);
        self.change(|note| (note.recipients, note.recipients_until) = (most as u64, until));
    }

    /// What it is spoken to without.
    pub(super) fn lessons(&self) -> Lessons {
        self.note().lessons(self.memory.now())
    }

    /// It does not get on with this.
    pub(super) fn learn(&self, lesson: Lesson) {
        let (now, until) = (self.memory.now(), self.after(REMEMBERED));
        self.change(|note| {
            note.without.retain(|_, until| left(*until, now, REMEMBERED).is_some());
            note.without.insert(lesson.name().to_owned(), until);
        });
    }

    /// Whether this address did not work a short while ago.
    pub(super) fn address_rests(&self) -> impl Fn(IpAddr) -> bool + use<> {
        let (addresses, now) = (self.note().addresses, self.memory.now());
        move |address| addresses.get(&address).is_some_and(|until| left(*until, now, ADDRESS_RESTS).is_some())
    }

    /// This address does not work.
    pub(super) fn rest_address(&self, address: IpAddr) {
        let (now, until) = (self.memory.now(), self.after(ADDRESS_RESTS));
        self.change(|note| {
            note.addresses.retain(|_, until| left(*until, now, ADDRESS_RESTS).is_some());
            if note.addresses.len() < MOST_ADDRESSES {
                note.addresses.insert(address, until);
            }
        });
    }

    /// This address works.
    pub(super) fn wake_address(&self, address: IpAddr) {
        if self.note().addresses.contains_key(&address) {
            self.change(|note| {
                note.addresses.remove(&address);
            });
        }
    }
}

/// How long until then; `None` once it is over, and where it is further than `longest`.
fn left(until: u64, now: u64, longest: Duration) -> Option<Duration> {
    let left = Duration::from_millis(until.saturating_sub(now));
    (!left.is_zero() && left <= longest).then_some(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn hops_are_told_apart_and_what_is_over_is_forgotten() {
        let memory: Arc<dyn HopMemory> = Arc::new(OwnMemory::default());
        let of = |hop: &str| HopRecord::new(Arc::clone(&memory), hop.to_owned());
        of("a").set_rest(3, HOUR);
        of("a").set_recipients(50);
        assert!(of("a").rest(HOUR).is_some_and(|(failures, left)| failures == 3 && left <= HOUR));
        assert_eq!((of("a").recipients(), of("b").recipients(), of("b").rest(HOUR)), (Some(50), None, None));
        assert_eq!(of("a").rest(HOUR / 2), None, "no rest is as long: the clock went back");
        of("a").end_rest();
        assert_eq!((of("a").rest(HOUR), of("a").recipients()), (None, Some(50)));
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        of("b").rest_address(address);
        assert!(of("b").address_rests()(address) && !of("a").address_rests()(address));
        of("b").wake_address(address);
        assert!(!of("b").address_rests()(address));
        assert_eq!(memory.load().len(), 1, "nothing is kept of b");
    }

    #[test]
    fn a_lesson_counts_for_a_day_and_a_name_of_a_later_version_is_none() {
        let memory: Arc<dyn HopMemory> = Arc::new(OwnMemory::default());
        let hop = HopRecord::new(Arc::clone(&memory), "a".to_owned());
        let told = || learned(&memory.load(), memory.now());
        assert_eq!((hop.lessons(), told()), (Lessons::NONE, Vec::new()));
        hop.learn(Lesson::Pipelining);
        hop.learn(Lesson::Ehlo);
        hop.set_recipients(50);
        let known = hop.lessons();
        assert!(
            known.contains(Lesson::Ehlo) && known.contains(Lesson::Pipelining) && !known.contains(Lesson::Chunking)
        );
        assert_eq!(told().iter().filter(|one| one.hop == "a" && one.until > memory.now()).count(), 3, "{:?}", told());
        let soon = hop.after(HOUR);
        hop.change(|note| {
            let times = [("EHLO".to_owned(), 1), ("PIPELINING".to_owned(), u64::MAX), ("NEWS".to_owned(), soon)];
            note.without = times.into();
        });
        assert_eq!(hop.lessons(), Lessons::NONE, "over, of another clock, and unheard of");
    }
}
