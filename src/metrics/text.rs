//! Readings as text that Prometheus scrapes: the text format 0.0.4, or OpenMetrics 1.0.0. Pure.
//!
//! Each family appears once, with its help and type, and its samples are together. Only families of the table appear.

use std::fmt::Write;

use super::accept::MetricsFormat;
use super::families::{FAMILIES, Family, Kind, REJECTED};
use super::readings::{Readings, bucket, split, sum};

/// The whole text.
pub fn metrics_text(readings: &Readings, format: MetricsFormat) -> String {
    let mut text = String::new();
    for family in FAMILIES {
        let series = series_of(readings, family);
        if !series.is_empty() {
            write_family(&mut text, readings, family, &series, format);
        }
    }
    if format == MetricsFormat::OpenMetrics {
        text.push_str("# EOF\n");
    }
    text
}

/// The series of a family: names with labels, each once.
fn series_of<'a>(readings: &'a Readings, family: &Family) -> Vec<&'a str> {
    let of_family = readings.0.range(family.name.to_owned()..).take_while(|(key, _)| key.starts_with(family.name));
    let mut series: Vec<&str> = of_family
        // Of the many pairs of command and code only those that occurred are of interest.
        .filter(|(_, value)| family.name != REJECTED || **value > 0)
        .map(|(key, _)| key.split(' ').next().unwrap_or_default())
        .filter(|series| split(series).0 == family.name)
        .collect();
    series.dedup();
    series
}

fn write_family(text: &mut String, readings: &Readings, family: &Family, series: &[&str], format: MetricsFormat) {
    let Family { name, kind, help } = family;
    let total = if *kind == Kind::Counter { "_total" } else { "" };
    // OpenMetrics names the family of a counter, the older format its samples.
    let headed = if format == MetricsFormat::OpenMetrics { (*name).to_owned() } else { format!("{name}{total}") };
    let word = match kind {
        Kind::Counter => "counter",
        Kind::Gauge | Kind::Latest => "gauge",
        Kind::Histogram { .. } => "histogram",
    };
    // Writing to a String cannot fail.
    let _ = writeln!(text, "# HELP {headed} {help}\n# TYPE {headed} {word}");
    for series in series {
        let labels = split(series).1;
        match kind {
            Kind::Histogram { bounds, per_unit } => write_histogram(text, readings, series, bounds, *per_unit),
            _ => {
                let _ = writeln!(text, "{name}{total}{labels} {}", readings.value(series).unwrap_or_default());
            }
        }
    }
}

fn write_histogram(text: &mut String, readings: &Readings, series: &str, bounds: &[u64], per_unit: u64) {
    let (name, labels) = split(series);
    let inner = labels.trim_start_matches('{').trim_end_matches('}');
    let comma = if inner.is_empty() { "" } else { "," };
    let mut count = 0_u64;
    for bound in bounds.iter().copied().map(Some).chain([None]) {
        count = count.saturating_add(readings.value(&bucket(series, bound)).unwrap_or_default());
        let bound = bound.map_or("+Inf".to_owned(), |bound| decimal(bound, per_unit));
        let _ = writeln!(text, "{name}_bucket{{{inner}{comma}le=\"{bound}\"}} {count}");
    }
    let sum = decimal(readings.value(&sum(series)).unwrap_or_default(), per_unit);
    let _ = writeln!(text, "{name}_sum{labels} {sum}\n{name}_count{labels} {count}");
}

/// `value / per_unit`, exactly, with a fraction of one digit at least: the form that OpenMetrics wants of bounds.
fn decimal(value: u64, per_unit: u64) -> String {
    let digits = per_unit.ilog10() as usize;
    let fraction = format!("{:0digits$}", value % per_unit);
    let fraction = if digits == 0 { "" } else { fraction.trim_end_matches('0') };
    format!("{}.{}", value / per_unit, if fraction.is_empty() { "0" } else { fraction })
}

/// A value by name and labels, as a text shows it; for tests of others.
#[cfg(test)]
pub(super) fn samples(text: &str) -> std::collections::BTreeMap<String, String> {
    let sample = |line: &str| line.rsplit_once(' ').map(|(name, value)| (name.to_owned(), value.to_owned()));
    text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect()
}

#[cfg(test)]
mod tests {
    use super::super::readings::{Process, key};
    use super::*;

    #[test]
    fn a_histogram_is_cumulative_and_ends_with_all() {
        let mut readings = Readings::default();
        let key = key("leafmail_delivery_delay_seconds", &[("stage", "transmission")]);
        for milliseconds in [1, 2, 2_500, 200_000_000] {
            readings.observe(&key, milliseconds);
        }
        let samples = samples(&metrics_text(&readings, MetricsFormat::Prometheus));
        let of = |le: &str| {
            samples[&format!("leafmail_delivery_delay_seconds_bucket{{stage=\"transmission\",le=\"{le}\"}}")].as_str()
        };
        assert_eq!(
            [of("0.001"), of("0.01"), of("1.0"), of("10.0"), of("172800.0"), of("+Inf")],
            ["1", "2", "2", "3", "3", "4"]
        );
        assert_eq!(samples["leafmail_delivery_delay_seconds_sum{stage=\"transmission\"}"], "200002.503");
        assert_eq!(samples["leafmail_delivery_delay_seconds_count{stage=\"transmission\"}"], "4");
    }

    #[test]
    fn counters_are_named_as_each_format_wants_and_zero_refusals_are_left_out() {
        let mut readings = Readings::default();
        let refused = |code| key("leafmail_rejected", &[("stage", "RCPT"), ("code", code)]);
        readings.merge(&refused("550"), 2, Process::Living);
        readings.merge(&refused("554"), 0, Process::Living);
        let old = metrics_text(&readings, MetricsFormat::Prometheus);
        assert!(
            old.contains(
                "# TYPE leafmail_rejected_total counter\nleafmail_rejected_total{stage=\"RCPT\",code=\"550\"} 2\n"
            ),
            "{old}"
        );
        assert!(!old.contains("554") && !old.contains("EOF"), "{old}");
        let new = metrics_text(&readings, MetricsFormat::OpenMetrics);
        assert!(new.contains("# TYPE leafmail_rejected counter\nleafmail_rejected_total{"), "{new}");
        assert!(new.ends_with("# EOF\n"), "{new}");
    }

    #[test]
    fn keys_that_are_not_of_the_table_never_appear() {
        let mut readings = Readings::default();
        readings.merge("leafmail_evil{x=\"y\"}", 1, Process::Ended);
        readings.merge("leafmail_acceptedx", 1, Process::Ended);
        assert_eq!(metrics_text(&readings, MetricsFormat::Prometheus), "");
    }
}
