//! The virtual time of a month, and what happens when.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use leafmail::clock::{BootClock, Clock, Timestamp};

/// 2026-11-21, as in the rest of the simulation.
const BEGINNING: u64 = 1_795_226_607_123;
/// In milliseconds.
pub(super) const MINUTE: u64 = 60_000;

/// A clock that goes on only when somebody moves it. Invariant: it never goes back.
#[derive(Debug)]
pub(super) struct Calendar(AtomicU64);

impl Calendar {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(BEGINNING))
    }

    pub(super) fn millis(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    pub(super) fn advance(&self, millis: u64) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }

    pub(super) fn advance_to(&self, millis: u64) {
        self.0.fetch_max(millis, Ordering::SeqCst);
    }
}

impl Clock for Calendar {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.millis())
    }
}

impl BootClock for Calendar {
    fn since_boot(&self) -> Duration {
        Duration::from_millis(self.millis() - BEGINNING + 1_000)
    }

    fn boot_id(&self) -> [u8; 16] {
        [7; 16]
    }
}

/// When the provider's first host is out of order, and when the password is another.
#[derive(Debug, Clone)]
pub(super) struct Timetable {
    /// It says that it is closing.
    pub(super) closing: Range<u64>,
    /// It breaks each connection off.
    pub(super) broken: Range<u64>,
    /// The provider changes the password.
    pub(super) changed: u64,
    /// The administrator learns that.
    pub(super) mended: u64,
}

impl Timetable {
    pub(super) fn of(start: u64, length: u64) -> Self {
        let at = |percent: u64| start + length / 100 * percent;
        Self { closing: at(20)..at(30), broken: at(60)..at(70), changed: at(40), mended: at(45) }
    }

    pub(super) fn password(&self, now: u64) -> &'static str {
        if now < self.changed { super::relay::OLD_PASSWORD } else { super::relay::NEW_PASSWORD }
    }
}
