//! A score: a number in millionths, so that thresholds can be compared and kept exactly.

use std::fmt;

/// How much a message looks like spam: of bogofilter from 0 to 1, of rspamd any number. More is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SpamScore(i64);

const MILLION: f64 = 1_000_000.0;
/// The largest, either way.
const MOST: f64 = 1_000_000.0;

impl SpamScore {
    /// The score; `None` for what is no number.
    pub fn new(score: f64) -> Option<Self> {
        #[allow(clippy::cast_possible_truncation, reason = "it is within bounds")]
        let millionths = (score.clamp(-MOST, MOST) * MILLION).round() as i64;
        score.is_finite().then_some(Self(millionths))
    }

    /// As a number.
    pub fn value(self) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "it came from such a number")]
        let millionths = self.0 as f64;
        millionths / MILLION
    }
}

impl fmt::Display for SpamScore {
    /// Without needless digits, such as `0.99`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.value())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_kept_exactly_and_shown_shortly() {
        for (number, shown) in
            [(0.99, "0.99"), (6.0, "6"), (9.8e-12, "0"), (-3.25, "-3.25"), (1e300, "1000000"), (0.520_000_1, "0.52")]
        {
            assert_eq!(SpamScore::new(number).unwrap().to_string(), shown);
        }
        assert_eq!((SpamScore::new(f64::NAN), SpamScore::new(f64::INFINITY)), (None, None));
        assert!(SpamScore::new(0.99) < SpamScore::new(0.990_001));
    }
}
