//! What is known of the disk's room, so that not every message asks the system again.
//!
//! A look is believed for a moment, and only while far more is free than anybody wants: near the limit the disk is asked
//! each time. What others write within that moment is what the reserve is for; what our own drafts may have written
//! since is counted, and ends the belief too.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::spool::disk::Room;

/// How long a look is believed.
const MOMENT: Duration = Duration::from_secs(1);
/// Octets for which drafts may have asked since.
const ALLOWANCE: u64 = 32 << 20;
/// What must be free beyond all that is wanted: more than a moment's drafts can take, by the allowance.
const COMFORT: u64 = 2 * ALLOWANCE;
/// The same of inodes: a draft asks for 64 KiB at least.
const COMFORT_INODES: u64 = 1024;

/// The last look at the disk.
#[derive(Debug, Default)]
pub(in crate::spool) struct Gauge(Mutex<Option<Look>>);

#[derive(Debug, Clone, Copy)]
struct Look {
    room: Room,
    at: Instant,
    /// What drafts had asked for by then, since the start.
    asked: u64,
}

impl Gauge {
    /// Keeps a look; `asked` is what drafts had asked for before it.
    pub(in crate::spool) fn note(&self, room: Room, asked: u64, now: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Look { room, at: now, asked });
    }

    /// The room less a margin that makes up for its age; `None` when the disk should be asked.
    pub(in crate::spool) fn recent(&self, asked: u64, now: Instant) -> Option<Room> {
        let look = (*self.0.lock().unwrap_or_else(PoisonError::into_inner))?;
        let fresh = now.saturating_duration_since(look.at) < MOMENT && asked.wrapping_sub(look.asked) <= ALLOWANCE;
        fresh.then(|| Room {
            free_octets: look.room.free_octets.saturating_sub(COMFORT),
            free_inodes: look.room.free_inodes.saturating_sub(COMFORT_INODES),
            ..look.room
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_believed_for_a_moment_and_so_many_octets_and_less_a_margin() {
        let (gauge, now) = (Gauge::default(), Instant::now());
        assert_eq!(gauge.recent(0, now), None, "nobody has looked");
        let room = Room { octets: 1 << 40, free_octets: COMFORT + 7, inodes: 9_000, free_inodes: COMFORT_INODES + 3 };
        gauge.note(room, 100, now);
        let known = gauge.recent(100 + ALLOWANCE, now + MOMENT / 2).unwrap();
        assert_eq!((known.free_octets, known.free_inodes, known.inodes), (7, 3, 9_000));
        assert_eq!(gauge.recent(101 + ALLOWANCE, now), None, "drafts have asked for too much since");
        assert_eq!(gauge.recent(100, now + MOMENT), None, "it is too old");
    }
}
