//! Names of spool files: time-ordered, unguessable, printable.
//!
//! An id has 128 bits: 48 of milliseconds since the epoch, 16 of a sequence, 64 random ones, written as 26 digits of
//! Crockford's base 32 (the form of a ULID). Neither a process number nor a second is in it, so two messages of one
//! session in one second, or of twenty sessions at once, never share one. The id of a bounce is derived from what it reports.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU16, Ordering};

use sha2::{Digest, Sha256};

use crate::clock::Timestamp;

/// The identity of one message in the spool, and the name of its file.
///
/// ```
/// use leafmail::clock::Timestamp;
/// use leafmail::id::SpoolId;
///
/// let id = SpoolId::new(Timestamp::from_millis(1_795_000_000_000), 0, 7);
/// assert_eq!(id.to_string().len(), 26);
/// assert_eq!(id.to_string().parse(), Ok(id));
/// assert!(id < SpoolId::new(Timestamp::from_millis(1_795_000_000_001), 0, 0)); // they sort by time
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpoolId(u128);

const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const LENGTH: usize = 26;
/// The value of each octet as a digit; [`NO_DIGIT`] for most. A scan of a long queue reads millions of them.
const VALUES: [u8; 256] = values();
const NO_DIGIT: u8 = 0xFF;

const fn values() -> [u8; 256] {
    let mut values = [NO_DIGIT; 256];
    let mut digit = 0;
    while digit < DIGITS.len() {
        values[DIGITS[digit] as usize] = digit as u8;
        digit += 1;
    }
    values
}

impl SpoolId {
    /// An id from its parts; only the low 48 bits of the time are kept (they last until the year 10889).
    pub const fn new(time: Timestamp, sequence: u16, random: u64) -> Self {
        let millis = time.as_millis() & 0xFFFF_FFFF_FFFF;
        Self((millis as u128) << 80 | (sequence as u128) << 64 | random as u128)
    }

    /// The id of a message that is made because of this one and of `cause`: the same for the same two, so that making
    /// it twice makes it once. It sorts with this one, as it keeps the time.
    pub fn derived(self, cause: &[u8]) -> Self {
        let digest = Sha256::new().chain_update(self.0.to_be_bytes()).chain_update(cause).finalize();
        let mut low = [0; 16];
        low[6..].copy_from_slice(&digest[..10]);
        Self(self.0 >> 80 << 80 | u128::from_be_bytes(low))
    }

    /// When the message was accepted, to the millisecond, as the id tells it.
    pub const fn time(self) -> Timestamp {
        Timestamp::from_millis((self.0 >> 80) as u64)
    }

    /// The 128 bits.
    pub const fn to_bits(self) -> u128 {
        self.0
    }

    /// From the 128 bits.
    pub const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }
}

impl fmt::Display for SpoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; LENGTH];
        for (place, digit) in text.iter_mut().rev().enumerate() {
            *digit = DIGITS[(self.0 >> (5 * place)) as usize & 31];
        }
        f.pad(str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for SpoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not 26 digits of the id alphabet.
///
/// ```
/// use leafmail::id::{IdError, SpoolId};
///
/// assert_eq!("../../etc/passwd".parse::<SpoolId>(), Err(IdError));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a message id of 26 digits and capital letters")]
pub struct IdError;

impl FromStr for SpoolId {
    type Err = IdError;

    /// Strict: a file name has one spelling, so lower case and the look-alikes I, L, O, U are refused.
    fn from_str(text: &str) -> Result<Self, IdError> {
        if text.len() != LENGTH || text.as_bytes()[0] > b'7' {
            return Err(IdError);
        }
        text.bytes()
            .try_fold(0_u128, |bits, octet| match VALUES[usize::from(octet)] {
                NO_DIGIT => Err(IdError),
                digit => Ok(bits << 5 | u128::from(digit)),
            })
            .map(Self)
    }
}

/// Hands out ids: the sequence makes those of one process distinct, the random bits those of several.
///
/// ```
/// use leafmail::clock::Timestamp;
/// use leafmail::id::IdSource;
///
/// let (source, now) = (IdSource::default(), Timestamp::from_millis(1_795_000_000_000));
/// assert!(source.next(now, 7) < source.next(now, 7));
/// ```
#[derive(Debug, Default)]
pub struct IdSource {
    sequence: AtomicU16,
}

impl IdSource {
    /// The next id; `random` is fresh from the system's generator.
    pub fn next(&self, time: Timestamp, random: u64) -> SpoolId {
        SpoolId::new(time, self.sequence.fetch_add(1, Ordering::Relaxed), random)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let id = SpoolId::new(Timestamp::from_millis(1_795_226_607_123), 7, u64::MAX);
        assert_eq!(id.to_string().len(), 26);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.time().as_millis(), 1_795_226_607_123);
    }

    #[test]
    fn later_ids_sort_later_as_text() {
        let early = SpoolId::new(Timestamp::from_millis(1_000), 9, 9).to_string();
        let late = SpoolId::new(Timestamp::from_millis(1_001), 0, 0).to_string();
        assert!(early < late);
    }

    #[test]
    fn only_the_one_spelling_is_read() {
        let id = SpoolId::new(Timestamp::from_millis(1_795_226_607_123), 7, 99).to_string();
        for bad in [
            "",
            "../../etc/passwd",
            &id.to_lowercase(),
            &id[1..],
            &format!("{id}0"),
            &id.replace('0', "O"),
            &id.replacen('0', "8", 1),
        ] {
            assert_eq!(bad.parse::<SpoolId>(), Err(IdError), "{bad:?}");
        }
    }

    #[test]
    fn one_process_never_hands_out_an_id_twice_within_a_millisecond() {
        let source = IdSource::default();
        let ids: std::collections::HashSet<_> =
            (0..65_536).map(|_| source.next(Timestamp::from_millis(1), 0)).collect();
        assert_eq!(ids.len(), 65_536);
    }

    #[test]
    fn a_derived_id_depends_on_both_and_keeps_the_time() {
        let original = SpoolId::new(Timestamp::from_millis(1_000), 1, 1);
        assert_eq!(original.derived(b"bounce 0"), original.derived(b"bounce 0"));
        assert_ne!(original.derived(b"bounce 0"), original.derived(b"bounce 1"));
        assert_ne!(
            original.derived(b"bounce 0"),
            SpoolId::new(Timestamp::from_millis(1_000), 1, 2).derived(b"bounce 0")
        );
        assert_eq!(original.derived(b"bounce 0").time(), original.time());
    }
}
