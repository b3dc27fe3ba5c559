//! Wall-clock time as a value, and intervals that vary.
//!
//! The caller supplies each [`Timestamp`]: nothing here, and none of the pure stages, reads the current time. A
//! [`Clock`] reads it; the binaries give one to the drivers, so tests can simulate days in a second. Wall-clock time
//! is what is recorded; waiting is always monotonic.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

use chrono::{DateTime, Local, SecondsFormat, TimeZone, Utc};

/// Milliseconds since 1970-01-01T00:00:00Z, without leap seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

/// The last instant that chrono formats with a four-digit year; later times print as this one.
const END_OF_9999: u64 = 253_402_300_799_000;

impl Timestamp {
    /// From milliseconds since the epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to this, or zero when `earlier` is later: wall clocks jump.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// As a header field has it (RFC 5322 3.3), in local time with the numeric zone: `Sat, 21 Nov 2026 02:03:27 +0000`.
    pub fn rfc5322(self) -> String {
        Local.from_utc_datetime(&self.utc().naive_utc()).format("%a, %d %b %Y %H:%M:%S %z").to_string()
    }

    /// As a log line or a listing in JSON has it (RFC 3339), in UTC with milliseconds.
    pub fn rfc3339(self) -> String {
        self.utc().to_rfc3339_opts(SecondsFormat::Millis, true)
    }

    /// As the queue listing has it, in local time: `Sat Nov 21 02:03:27`.
    pub fn listing(self) -> String {
        Local.from_utc_datetime(&self.utc().naive_utc()).format("%a %b %e %H:%M:%S").to_string()
    }

    /// As a person reads it on a clock, in local time: `02:03:27`.
    pub fn time_of_day(self) -> String {
        Local.from_utc_datetime(&self.utc().naive_utc()).format("%H:%M:%S").to_string()
    }

    /// As a line for syslog has it (RFC 3164 4.1.2), in local time: `Nov 21 02:03:27`.
    pub fn rfc3164(self) -> String {
        Local.from_utc_datetime(&self.utc().naive_utc()).format("%b %e %H:%M:%S").to_string()
    }

    fn utc(self) -> DateTime<Utc> {
        i64::try_from(self.0.min(END_OF_9999)).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default()
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(later.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339())
    }
}

/// Something that knows what time it is. The host's clock is [`crate::sys::SystemClock`].
pub trait Clock: Send + Sync {
    /// The current time.
    fn now(&self) -> Timestamp;
}

/// A clock that only goes forward and that all processes of a host share: it counts from the host's start, also while the
/// host sleeps. The host's is [`crate::sys::SystemClock`].
pub trait BootClock: Send + Sync {
    /// The time since the host was started.
    fn since_boot(&self) -> Duration;

    /// Tells one start of the host from another; zeros where that is not known.
    fn boot_id(&self) -> [u8; 16];
}

/// By how much an interval varies either way, in thousandths of it. Where many wait for the same interval, they do not all
/// return at once.
const JITTER: u32 = 200;

/// `interval` changed by up to 20 % either way, always alike for the same `seed` and `step`.
pub fn varied(interval: Duration, seed: u64, step: u32) -> Duration {
    // The finalizer of SplitMix64 (Steele, Lea, Flood 2014): each bit of the input reaches every bit of the result.
    let mut mixed = seed.wrapping_add(u64::from(step).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    let permille = 1000 - JITTER + u32::try_from((mixed ^ mixed >> 31) % u64::from(2 * JITTER + 1)).unwrap_or(JITTER);
    interval.saturating_mul(permille) / 1000
}

/// The longest that [`varied`] makes of an interval.
pub fn longest_varied(interval: Duration) -> Duration {
    interval.saturating_mul(1000 + JITTER) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_the_form_of_rfc_5322() {
        let date = Timestamp::from_millis(1_795_226_607_123).rfc5322();
        assert!(DateTime::parse_from_rfc2822(&date).is_ok(), "{date}");
        assert_eq!(date.len(), 31, "{date}: day of week, two-digit day, month name, four-digit year, zone");
        assert!(date[26..].starts_with(['+', '-']), "{date}: the zone is numeric");
    }

    #[test]
    fn far_times_do_not_panic() {
        for millis in [0, u64::MAX, END_OF_9999] {
            let time = Timestamp::from_millis(millis);
            assert!(!time.rfc5322().is_empty() && !time.rfc3339().is_empty() && !time.listing().is_empty());
        }
        assert_eq!(Timestamp::from_millis(5).since(Timestamp::from_millis(9)), Duration::ZERO);
    }

    #[test]
    fn an_interval_varies_within_its_bounds_and_reaches_them() {
        let minute = Duration::from_secs(60);
        let varied: Vec<_> = (0..20_000).map(|seed| varied(minute, seed, 1)).collect();
        assert_eq!(varied.iter().max(), Some(&longest_varied(minute)));
        assert_eq!(varied.iter().min(), Some(&Duration::from_secs(48)));
        assert_eq!(longest_varied(minute), Duration::from_secs(72));
    }
}
