//! What worked a short while ago: it tells trouble of ours from trouble with one domain.
//!
//! A failed look-up and a network that cannot be reached look the same whether our link is down or one domain is broken. Where
//! it worked for another domain just now, it is not our link, and the route must not be paused for all.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::address::Domain;

/// A success proves nothing about us after that.
const RECENT: Duration = Duration::from_secs(5 * 60);

/// The last two domains that something worked for.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<[Option<(Domain, Instant)>; 2]>);

impl Recent {
    /// It works for this domain.
    pub(super) fn note(&self, domain: &Domain, now: Instant) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = last[0].as_ref().is_some_and(|(known, _)| known == domain);
        if !same {
            last.swap(0, 1);
        }
        last[0] = Some((domain.clone(), now));
    }

    /// Whether it worked for another domain a short while ago.
    pub(super) fn works_for_another(&self, domain: &Domain, now: Instant) -> bool {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.iter().flatten().any(|(known, at)| known != domain && now.saturating_duration_since(*at) < RECENT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_domain_and_a_short_while_count() {
        let (a, b): (Domain, Domain) = ("a.example".parse().unwrap(), "b.example".parse().unwrap());
        let (recent, start) = (Recent::default(), Instant::now());
        assert!(!recent.works_for_another(&a, start));
        recent.note(&a, start);
        recent.note(&a, start);
        assert!(!recent.works_for_another(&a, start) && recent.works_for_another(&b, start));
        recent.note(&b, start + RECENT / 2);
        let later = start + RECENT;
        assert!(recent.works_for_another(&a, later));
        assert!(!recent.works_for_another(&b, later), "a worked too long ago");
    }
}
