//! The events that wait to be reported, and the batches that are made of them. Both are bounded in number and in octets.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Octets of all events that wait.
const MAX_WAITING: usize = 4 * 1024 * 1024;
/// Octets of the events of a batch.
const MAX_BATCH: usize = 256 * 1024;

/// What waits.
#[derive(Default)]
pub(super) struct Waiting {
    /// Each as JSON.
    events: VecDeque<String>,
    octets: usize,
    /// Since when the first of them waits.
    since: Option<Instant>,
    /// Events that found no room, or were given up, and were not reported as such yet.
    dropped: u64,
}

/// What is reported at once.
#[derive(Default)]
pub(super) struct Batch {
    events: Vec<String>,
    dropped: u64,
}

impl Waiting {
    /// Adds an event, if there is room.
    pub(super) fn add(&mut self, event: String, most: usize) {
        if self.events.len() >= most || self.octets + event.len() > MAX_WAITING || event.len() > MAX_BATCH {
            self.dropped += 1;
            return;
        }
        self.octets += event.len();
        self.since.get_or_insert_with(Instant::now);
        self.events.push_back(event);
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// How long the next batch has to wait yet; `None` if there is nothing to report.
    pub(super) fn due_in(&self, now: Instant, batch: usize, gather: Duration) -> Option<Duration> {
        let since = self.since?;
        let is_full = self.events.len() >= batch || self.octets >= MAX_BATCH;
        Some(if is_full { Duration::ZERO } else { (since + gather).saturating_duration_since(now) })
    }

    /// Takes the next batch out.
    pub(super) fn take(&mut self, most: usize) -> Batch {
        let (mut events, mut octets) = (Vec::new(), 0);
        while events.len() < most
            && let Some(event) = self.events.pop_front_if(|event| octets + event.len() <= MAX_BATCH)
        {
            octets += event.len();
            events.push(event);
        }
        self.octets -= octets;
        self.since = (!self.events.is_empty()).then(Instant::now);
        Batch { events, dropped: std::mem::take(&mut self.dropped) }
    }

    /// Gives a batch up.
    pub(super) fn drop_batch(&mut self, batch: &Batch) {
        self.dropped += batch.dropped + batch.events.len() as u64;
    }

    /// What is lost if it ends now, with what is under way.
    pub(super) fn lost(&self, under_way: usize) -> u64 {
        self.dropped + (self.events.len() + under_way) as u64
    }
}

impl Batch {
    /// How many events.
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// The report: one line of JSON.
    pub(super) fn body(&self, host: &str, process: &str) -> String {
        let (host, process) = (Value::from(host), Value::from(process));
        let (dropped, events) = (self.dropped, self.events.join(","));
        format!("{{\"host\":{host},\"process\":{process},\"dropped\":{dropped},\"events\":[{events}]}}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_in_number_and_octets_and_what_is_dropped_is_counted() {
        let mut waiting = Waiting::default();
        (0..5).for_each(|number| waiting.add(format!("{number}"), 3));
        assert_eq!((waiting.len(), waiting.lost(0)), (3, 5));
        let batch = waiting.take(2);
        assert_eq!(batch.body("h\"", "p"), "{\"host\":\"h\\\"\",\"process\":\"p\",\"dropped\":2,\"events\":[0,1]}\n");
        assert_eq!(waiting.take(2).body("h", "p"), "{\"host\":\"h\",\"process\":\"p\",\"dropped\":0,\"events\":[2]}\n");
        waiting.drop_batch(&batch);
        assert_eq!(waiting.lost(0), 4);
        let large = "x".repeat(MAX_BATCH);
        (0..20).for_each(|_| waiting.add(large.clone(), 100));
        waiting.add(large.clone() + "x", 100);
        assert_eq!(waiting.len(), MAX_WAITING / MAX_BATCH);
        assert_eq!(waiting.take(100).len(), 1, "a batch is bounded in octets");
        assert_eq!(waiting.octets, MAX_WAITING - MAX_BATCH);
    }

    #[test]
    fn a_batch_waits_for_others_until_it_is_full() {
        let mut waiting = Waiting::default();
        let (now, gather) = (Instant::now(), Duration::from_secs(3600));
        assert_eq!(waiting.due_in(now, 2, gather), None);
        waiting.add("1".to_owned(), 10);
        assert!(waiting.due_in(now, 2, gather).is_some_and(|rest| rest >= gather));
        waiting.add("2".to_owned(), 10);
        assert_eq!(waiting.due_in(now, 2, gather), Some(Duration::ZERO));
    }
}
