//! The queue and the host in figures, added to what processes counted. Pure: whoever reads the spool hands them in.

use super::families as is;
use super::readings::{Readings, key};

/// What is in the spool now.
#[derive(Debug, Default)]
pub struct Figures {
    readings: Readings,
    oldest: Option<u64>,
}

/// A route as the figures show it.
#[derive(Debug, Clone, Default)]
pub struct RouteFigures {
    /// Its name.
    pub name: String,
    /// Whether it is paused by a fault.
    pub is_paused_by_fault: bool,
    /// Whether a person paused it.
    pub is_paused_by_hand: bool,
}

impl Figures {
    /// Of a spool in which nothing was looked at yet.
    pub fn new(version: &str) -> Self {
        let mut readings = Readings::default();
        readings.set(key(is::UP, &[]), 1);
        readings.set(key(is::BUILD, &[("version", version)]), 1);
        for queue in ["active", "deferred", "hold", "failed", "bad"] {
            readings.set(key(is::QUEUE, &[("queue", queue)]), 0);
        }
        readings.set(key(is::UNEXAMINED, &[]), 0);
        readings.set(key(is::OLDEST, &[]), 0);
        Self { readings, oldest: None }
    }

    /// A message: where it is (`active`, `deferred`, `hold` or `failed`), and its age in seconds.
    pub fn message(&mut self, queue: &str, age: u64) {
        self.more(key(is::QUEUE, &[("queue", queue)]));
        self.readings.observe(&key(is::QUEUE_AGE, &[("queue", queue)]), age);
        if matches!(queue, "active" | "deferred") {
            self.oldest = self.oldest.max(Some(age));
            self.readings.set(key(is::OLDEST, &[]), self.oldest.unwrap_or_default());
        }
    }

    /// The size of a message that was examined, and the routes that it takes, where it is in the queue.
    pub fn examined<'a>(&mut self, queue: &str, size: u64, age: u64, routes: impl Iterator<Item = &'a str>) {
        self.readings.observe(&key(is::QUEUE_SIZE, &[("queue", queue)]), size);
        for route in routes {
            self.more(key(is::ROUTE_MESSAGES, &[("route", route)]));
            let oldest = key(is::ROUTE_OLDEST, &[("route", route)]);
            let before = self.readings.value(&oldest).unwrap_or_default();
            self.readings.set(oldest, before.max(age));
        }
    }

    /// Messages that were not examined.
    pub fn unexamined(&mut self, messages: u64) {
        self.readings.set(key(is::UNEXAMINED, &[]), messages);
    }

    /// Files in `bad/`.
    pub fn bad(&mut self, files: u64) {
        self.readings.set(key(is::QUEUE, &[("queue", "bad")]), files);
    }

    /// A route; before its messages.
    pub fn route(&mut self, route: &RouteFigures) {
        let name = route.name.as_str();
        for (by, is_paused) in [("fault", route.is_paused_by_fault), ("hand", route.is_paused_by_hand)] {
            self.readings.set(key(is::PAUSED, &[("route", name), ("by", by)]), u64::from(is_paused));
        }
        for family in [is::ROUTE_MESSAGES, is::ROUTE_OLDEST] {
            self.readings.set(key(family, &[("route", name)]), 0);
        }
    }

    /// The room of the file system, and whether the spool accepts mail.
    pub fn room(&mut self, octets: u64, inodes: u64, accepts: bool) {
        self.readings.set(key(is::FREE_BYTES, &[]), octets);
        self.readings.set(key(is::FREE_INODES, &[]), inodes);
        self.readings.set(key(is::ACCEPTS, &[]), u64::from(accepts));
    }

    /// A program that is asked about mail, by the name that the configuration gives it.
    pub fn helper(&mut self, name: &str, is_down: bool) {
        self.readings.set(key(is::HELPER_DOWN, &[("helper", name)]), u64::from(is_down));
    }

    /// Together with what processes counted.
    #[must_use]
    pub fn and(self, counted: &Readings) -> Readings {
        self.readings.and(counted)
    }

    fn more(&mut self, key: String) {
        let before = self.readings.value(&key).unwrap_or_default();
        self.readings.set(key, before + 1);
    }
}
