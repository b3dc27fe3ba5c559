//! Room on the disk: what must stay free, and what drafts in flight may still write.
//!
//! A draft reserves before it writes, a step at a time, and the reservation is given back as the octets reach the disk or
//! the draft is dropped. So hundreds of sessions that each found enough space cannot fill the disk together, and what is
//! in the queue can always record what becomes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::spool::disk::Room;

/// What must stay free beside the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reserve {
    /// Octets.
    pub octets: u64,
    /// Inodes, where they are counted.
    pub inodes: u64,
}

impl Reserve {
    /// Nothing is kept free.
    pub const NONE: Self = Self { octets: 0, inodes: 0 };

    /// The default: the larger of 64 MB, twice the largest message, and 5 % of the disk (at most 1 GB); 5 % of the inodes.
    pub fn of(room: &Room, largest_message: u64) -> Self {
        let share = (room.octets / 20).min(1_000_000_000);
        Self { octets: share.max(64_000_000).max(largest_message.saturating_mul(2)), inodes: room.inodes / 20 }
    }
}

/// Why every message would be refused, where not even the reserve is free.
pub(in crate::spool) fn too_small(room: &Room, reserve: Reserve) -> Option<String> {
    if room.free_octets < reserve.octets {
        let (free, kept) = (room.free_octets / 1_000_000, reserve.octets.div_ceil(1_000_000));
        return Some(format!(
            "the spool's disk has {free} MB free, less than the reserve of {kept} MB: every message would be refused; \
             set reserve.space"
        ));
    }
    (room.inodes > 0 && room.free_inodes < reserve.inodes).then(|| {
        format!(
            "the spool's disk has {} inodes free, less than the reserve of {}: every message would be refused; \
             set reserve.inodes",
            room.free_inodes, reserve.inodes
        )
    })
}

/// What all drafts of a spool together may still write.
#[derive(Debug, Default)]
pub(in crate::spool) struct Reservations {
    octets: AtomicU64,
    inodes: AtomicU64,
    /// All that was ever reserved, also what was given back.
    asked: AtomicU64,
}

impl Reservations {
    /// Octets that were ever reserved: between two calls, at least as many as were written.
    pub(in crate::spool) fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    fn take(&self, octets: u64) {
        self.asked.fetch_add(octets, Ordering::SeqCst);
        self.octets.fetch_add(octets, Ordering::SeqCst);
    }

    /// What is short when `octets` more are wanted, if anything.
    pub(in crate::spool) fn shortage(&self, room: &Room, reserve: Reserve, octets: u64) -> Option<String> {
        let wanted = reserve.octets.saturating_add(self.octets.load(Ordering::SeqCst)).saturating_add(octets);
        if room.free_octets < wanted {
            return Some(format!("{} octets are free, and {wanted} are needed with the reserve", room.free_octets));
        }
        let wanted = reserve.inodes.saturating_add(self.inodes.load(Ordering::SeqCst));
        if room.inodes > 0 && room.free_inodes < wanted {
            return Some(format!("{} inodes are free, and {wanted} are needed with the reserve", room.free_inodes));
        }
        None
    }

    /// Sets octets and one inode aside.
    pub(in crate::spool) fn reserve(self: &Arc<Self>, octets: u64) -> Reservation {
        self.take(octets);
        self.inodes.fetch_add(1, Ordering::SeqCst);
        Reservation { ledger: Arc::clone(self), octets }
    }
}

/// What one draft may still write; given back when dropped.
#[derive(Debug)]
pub(in crate::spool) struct Reservation {
    ledger: Arc<Reservations>,
    octets: u64,
}

impl Reservation {
    pub(in crate::spool) fn octets(&self) -> u64 {
        self.octets
    }

    pub(in crate::spool) fn extend(&mut self, octets: u64) {
        self.ledger.take(octets);
        self.octets += octets;
    }

    /// This many octets are on the disk now, which counts them itself.
    pub(in crate::spool) fn spend(&mut self, octets: u64) {
        let spent = octets.min(self.octets);
        self.ledger.octets.fetch_sub(spent, Ordering::SeqCst);
        self.octets -= spent;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.ledger.octets.fetch_sub(self.octets, Ordering::SeqCst);
        self.ledger.inodes.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room { octets: 10_000, free_octets: 1_000, inodes: 100, free_inodes: 10 };

    #[test]
    fn the_default_reserve_is_the_largest_of_its_three_parts() {
        let disk = |octets| Room { octets, ..ROOM };
        assert_eq!(Reserve::of(&disk(100_000_000), 1).octets, 64_000_000);
        assert_eq!(Reserve::of(&disk(100_000_000), 35_000_000).octets, 70_000_000);
        assert_eq!(Reserve::of(&disk(10_000_000_000), 1).octets, 500_000_000);
        assert_eq!(Reserve::of(&disk(1_000_000_000_000), 1).octets, 1_000_000_000);
        assert_eq!(Reserve::of(&ROOM, 1).inodes, 5);
    }

    #[test]
    fn a_disk_that_has_its_reserve_and_no_more_is_no_reason_to_refuse_every_message() {
        let short = |octets, inodes| too_small(&ROOM, Reserve { octets, inodes }).is_some();
        assert!(!short(1_000, 10) && short(1_001, 10) && short(1_000, 11));
        let uncounted = Room { inodes: 0, free_inodes: 0, ..ROOM };
        assert_eq!(
            too_small(&uncounted, Reserve { octets: 0, inodes: 1 }),
            None,
            "a file system that counts no inodes"
        );
    }

    #[test]
    fn what_was_ever_asked_for_only_grows() {
        let ledger = Arc::new(Reservations::default());
        let mut draft = ledger.reserve(500);
        assert_eq!(ledger.asked(), 500);
        draft.extend(70);
        draft.spend(100);
        assert_eq!((ledger.asked(), draft.octets()), (570, 470));
        drop(draft);
        assert_eq!(ledger.asked(), 570);
    }

    #[test]
    fn what_drafts_reserved_counts_until_it_is_written_or_dropped() {
        let ledger = Arc::new(Reservations::default());
        let short = |octets| ledger.shortage(&ROOM, Reserve { octets: 100, inodes: 9 }, octets).is_some();
        assert!(!short(900) && short(901));
        let mut draft = ledger.reserve(500);
        assert!(!short(400) && short(401));
        draft.spend(200);
        assert!(!short(600) && short(601));
        let second = ledger.reserve(0);
        assert!(short(0), "two inodes and the nine of the reserve are more than ten");
        drop((draft, second));
        assert!(!short(900) && short(901));
    }

    #[test]
    fn a_disk_smaller_than_its_reserve_is_told_of_before_the_first_message() {
        let room = Room { octets: 50_000_000, free_octets: 40_000_000, inodes: 100, free_inodes: 10 };
        let reserve = Reserve::of(&room, 1);
        let said = too_small(&room, reserve).unwrap();
        assert!(
            said.contains("40 MB free, less than the reserve of 64 MB") && said.contains("reserve.space"),
            "{said}"
        );
        assert_eq!(too_small(&room, Reserve { octets: 40_000_000, inodes: 10 }), None);
        let said = too_small(&room, Reserve { octets: 0, inodes: 11 }).unwrap();
        assert!(said.contains("10 inodes free, less than the reserve of 11"), "{said}");
    }

    #[test]
    fn a_file_system_that_counts_no_inodes_is_never_short_of_them() {
        let room = Room { inodes: 0, free_inodes: 0, ..ROOM };
        assert_eq!(Reservations::default().shortage(&room, Reserve { octets: 0, inodes: 9 }, 0), None);
    }
}
