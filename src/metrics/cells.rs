//! The counters of one process in memory: cells in a fixed order, each with its key. Counting is one addition.

use std::sync::atomic::{AtomicU64, Ordering};

use super::families::{Kind, family};
use super::readings::{Process, Readings, bucket, key, sum};

/// The place of a cell.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell(usize);

/// The places of a histogram: a cell for each bound, one beyond, and the sum.
#[derive(Debug, Clone, Copy)]
pub(super) struct Buckets {
    first: usize,
    bounds: &'static [u64],
}

/// All cells; their number never changes once there are events.
#[derive(Debug, Default)]
pub(super) struct Cells {
    keys: Vec<String>,
    values: Vec<AtomicU64>,
}

impl Cells {
    pub(super) fn cell(&mut self, name: &str, labels: &[(&str, &str)]) -> Cell {
        self.add(key(name, labels))
    }

    pub(super) fn buckets(&mut self, name: &str, labels: &[(&str, &str)]) -> Buckets {
        let bounds = match family(name).map(|family| family.kind) {
            Some(Kind::Histogram { bounds, .. }) => bounds,
            _ => &[],
        };
        let (first, key) = (self.keys.len(), key(name, labels));
        for bound in bounds.iter().copied().map(Some).chain([None]) {
            self.add(bucket(&key, bound));
        }
        self.add(sum(&key));
        Buckets { first, bounds }
    }

    fn add(&mut self, key: String) -> Cell {
        self.keys.push(key);
        self.values.push(AtomicU64::new(0));
        Cell(self.keys.len() - 1)
    }

    pub(super) fn count(&self, cell: Cell) {
        self.values[cell.0].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn one_less(&self, cell: Cell) {
        let less = |now: u64| Some(now.saturating_sub(1));
        let _ = self.values[cell.0].fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    pub(super) fn at_least(&self, cell: Cell, value: u64) {
        self.values[cell.0].fetch_max(value, Ordering::Relaxed);
    }

    pub(super) fn observe(&self, buckets: Buckets, value: u64) {
        let Buckets { first, bounds } = buckets;
        let place = first + bounds.partition_point(|bound| *bound < value);
        self.values[place].fetch_add(1, Ordering::Relaxed);
        self.values[first + bounds.len() + 1].fetch_add(value, Ordering::Relaxed);
    }

    pub(super) fn keys(&self) -> &[String] {
        &self.keys
    }

    /// The values now, in the order of the keys.
    pub(super) fn values(&self) -> Vec<u64> {
        self.values.iter().map(|value| value.load(Ordering::Relaxed)).collect()
    }

    /// The values now, by key.
    pub(super) fn readings(&self) -> Readings {
        let mut readings = Readings::default();
        self.keys.iter().zip(self.values()).for_each(|(key, value)| readings.merge(key, value, Process::Living));
        readings
    }
}
