//! The progress of a flush of many messages, as one line. Pure, except for the count, which only grows.
//!
//! A message counts once it was tried, whatever the outcome. It is remembered by its id, so a second attempt does not
//! count again.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::text::{cut, spell};
use crate::admin::routes::Routes;
use crate::event::{Event, Observer};
use crate::id::SpoolId;

/// Columns of the bar.
const BAR: usize = 20;

/// Counts the messages that were tried.
#[derive(Debug)]
pub struct Progress {
    total: usize,
    tried: Mutex<HashSet<SpoolId>>,
}

impl Progress {
    /// None of this many was tried yet.
    pub fn new(total: usize) -> Self {
        Self { total, tried: Mutex::default() }
    }

    /// How far it is, in at most `width` columns.
    pub fn line(&self, elapsed: Duration, routes: &Routes, width: usize) -> String {
        let done = self.tried.lock().unwrap_or_else(PoisonError::into_inner).len();
        // What came in meanwhile is worked on too.
        let total = self.total.max(done);
        let full = BAR * done / total.max(1);
        let bar = format!("[{}{}]", "#".repeat(full), "-".repeat(BAR - full));
        let rate = done as f64 / elapsed.as_secs_f64().max(0.001);
        let left = match done {
            0 => "?".to_owned(),
            // More than a century is as good as any.
            _ => spell(Duration::from_secs_f64(((total - done) as f64 / rate).min(3.2e9))),
        };
        let paused: Vec<&str> = routes.all().iter().filter(|route| route.pause().is_some()).map(|r| &*r.name).collect();
        let state = match &paused[..] {
            [] => "routes open".to_owned(),
            names => format!("paused: {}", names.join(", ")),
        };
        cut(&format!("{bar} {done}/{total}, {rate:.1}/s, {left} left, {state}"), width)
    }
}

impl Observer for Progress {
    fn observe(&self, event: &Event) {
        if let Event::Attempted { id, .. } | Event::Expired { id, .. } | Event::Removed { id } = event {
            self.tried.lock().unwrap_or_else(PoisonError::into_inner).insert(*id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::live::observer::tests::attempt;
    use crate::receipt::Outcome;

    #[test]
    fn a_message_counts_once_and_the_line_fits() {
        let progress = Progress::new(40);
        let line = |width| progress.line(Duration::from_secs(5), &Routes::default(), width);
        assert_eq!(line(80), "[--------------------] 0/40, 0.0/s, ? left, routes open");
        for number in [1, 2, 3, 3, 4, 5, 6, 7, 8, 9, 10] {
            progress.observe(&attempt(number, "relay", Outcome::Deferred));
        }
        assert_eq!(line(80), "[#####---------------] 10/40, 2.0/s, 15s left, routes open");
        assert_eq!((line(10), line(0)), ("[#####----".to_owned(), String::new()));
        (11..=90).for_each(|number| progress.observe(&attempt(number, "relay", Outcome::Delivered)));
        assert_eq!(line(80), "[####################] 90/90, 18.0/s, 0s left, routes open");
        assert!(Progress::new(0).line(Duration::ZERO, &Routes::default(), 80).contains("0/0"));
    }
}
