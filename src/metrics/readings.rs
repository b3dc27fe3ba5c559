//! Values of metrics by key, from any number of processes.
//!
//! A key is the name of a family with its labels, such as `leafmail_attempts{route="relay",status="sent"}`. In a histogram
//! each cell has a key: behind a blank is `le BOUND`, `le inf` or `sum`. A cell counts what is between its bound and the
//! one below. Keys of unknown families are kept out, so that no file can bring text of its own into a report.

use std::collections::BTreeMap;

use super::families::{Kind, family};

/// Keys that are kept at most: names of routes change over the years.
const MOST_KEYS: usize = 20_000;

/// Values by key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Readings(pub(super) BTreeMap<String, u64>);

/// A label's value as the text of metrics wants to have it.
fn escaped_label(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace(char::is_control, "?")
}

/// The key of a metric with these labels.
pub(super) fn key(name: &str, labels: &[(&str, &str)]) -> String {
    if labels.is_empty() {
        return name.to_owned();
    }
    let labels: Vec<_> =
        labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped_label(value).replace(' ', "_"))).collect();
    format!("{name}{{{}}}", labels.join(","))
}

/// The key of a cell of a histogram; `None`: what is beyond all bounds.
pub(super) fn bucket(key: &str, bound: Option<u64>) -> String {
    match bound {
        Some(bound) => format!("{key} le {bound}"),
        None => format!("{key} le inf"),
    }
}

/// The key of the sum of a histogram.
pub(super) fn sum(key: &str) -> String {
    format!("{key} sum")
}

/// The name of the family, and its labels in braces.
pub(super) fn split(series: &str) -> (&str, &str) {
    series.split_at(series.find('{').unwrap_or(series.len()))
}

fn kind(key: &str) -> Option<Kind> {
    let series = key.split(' ').next().unwrap_or_default();
    family(split(series).0).map(|family| family.kind)
}

/// Whether a process is still there that may change its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Process {
    Living,
    Ended,
}

impl Readings {
    /// Adds a value, by the rule of its family. A gauge of a process that ended counts for nothing.
    pub(super) fn merge(&mut self, key: &str, value: u64, process: Process) {
        let Some(kind) = kind(key) else { return };
        if kind == Kind::Gauge && process == Process::Ended {
            return;
        }
        if !self.0.contains_key(key) && self.0.len() >= MOST_KEYS {
            return;
        }
        let held = self.0.entry(key.to_owned()).or_default();
        *held = if kind == Kind::Latest { value.max(*held) } else { held.saturating_add(value) };
    }

    /// Sets what is known for certain now.
    pub(super) fn set(&mut self, key: String, value: u64) {
        self.0.insert(key, value);
    }

    /// One more value in a histogram.
    pub(super) fn observe(&mut self, key: &str, value: u64) {
        let Some(Kind::Histogram { bounds, .. }) = kind(key) else { return };
        let bound = bounds.iter().find(|bound| value <= **bound).copied();
        self.merge(&bucket(key, bound), 1, Process::Living);
        self.merge(&sum(key), value, Process::Living);
    }

    /// All of them.
    #[must_use]
    pub(super) fn and(mut self, others: &Self) -> Self {
        others.0.iter().for_each(|(key, value)| self.merge(key, *value, Process::Living));
        self
    }

    /// The value of a key, for tests and for whoever shows single figures.
    pub fn value(&self, key: &str) -> Option<u64> {
        self.0.get(key).copied()
    }
}
