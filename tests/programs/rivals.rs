//! The comparison with other relays makes its tables and its judgement from results; measuring itself needs root and time.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::have::have;

const RESULTS: &str = r#"{"versions": {"postfix": "3.7", "leafmail": "0.1"}, "machine": "a machine", "runs": [
    {"cell": "accept 4 KiB, 10 sessions, many per connection", "relay": "postfix", "round": 0, "rate": 1000, "cpu": 0.8},
    {"cell": "accept 4 KiB, 10 sessions, many per connection", "relay": "leafmail", "round": 0, "rate": 4100, "cpu": 0.21},
    {"cell": "accept 4 KiB, 10 sessions, many per connection", "relay": "postfix", "round": 1, "rate": 900, "cpu": 0.8},
    {"cell": "accept 4 KiB, 10 sessions, many per connection", "relay": "leafmail", "round": 1, "rate": 4500, "cpu": 0.19},
    {"cell": "accept 4 KiB, 10 sessions, many per connection", "relay": "bare", "round": 0, "rate": 5000, "cpu": 0.14},
    {"cell": "accept 4 KiB, 100 sessions, one per connection", "relay": "postfix", "round": 0, "rate": 1000, "cpu": 0.8},
    {"cell": "accept 4 KiB, 100 sessions, one per connection", "relay": "leafmail", "round": 0, "rate": 2500, "cpu": 0.3},
    {"cell": "accept 4 KiB, 100 sessions, one per connection", "relay": "bare", "round": 0, "rate": 3000, "cpu": 0.15},
    {"cell": "drain, sink at once", "relay": "postfix", "round": 0, "error": "it fell over"},
    {"cell": "idle", "relay": "leafmail", "round": 0, "pss_0": 7000000, "banner_ms": 5}]}"#;

#[test]
fn the_comparison_judges_ratios_within_a_round() {
    if !have("python3") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("results.json");
    fs::write(&kept, RESULTS).unwrap();
    let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/rivals/run");
    let output = Command::new("python3").arg(run).arg("--show").arg(&kept).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for line in [
        "| accept 4 KiB, 10 sessions, many per connection | 950 (900-1000) | 4300 (4100-4500) |",
        "| accept 4 KiB, 10 sessions, many per connection | >= 4.00 x postfix | 4.55 (4.10-5.00) | 5.00 | yes |",
        "| accept 4 KiB, 100 sessions, one per connection | >= 3.50 x postfix | 2.50 | 3.00 | **no** |",
        "| CPU: accept 4 KiB, 100 sessions, one per connection | <= 0.25 x postfix | 0.37 | 0.19 | **no** |",
        "| accept 4 KiB, 100 sessions, one per connection | 83 % | 2.0 |",
        "| CPU: accept 4 KiB, 10 sessions, many per connection | <= 0.25 x postfix | 0.25 (0.24-0.26) | 0.18 | yes |",
        "| memory (PSS), idle | <= 6 MB | 7.0 | - | **no** |",
        "- failed: postfix, drain, sink at once, round 1: it fell over",
    ] {
        assert!(text.contains(line), "{line}\n{text}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}
