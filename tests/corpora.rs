//! What the fuzzer found worth keeping, run without a fuzzer: all of `fuzz/corpus`, each through its target.
//!
//! A finding is repaired with its octets in the corpus, so that it stays repaired here too.

#[path = "../fuzz/bodies/mod.rs"]
mod bodies;

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

fn corpus(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn every_target_stands_its_corpus() {
    for (target, body) in bodies::ALL {
        let inputs = corpus(target);
        assert!(inputs.len() >= 10, "only {} inputs for {target}", inputs.len());
        for input in inputs {
            let octets = fs::read(&input).unwrap();
            let stood = catch_unwind(|| {
                // Whole, and cut anywhere: what is broken off must be stood too.
                for end in (0..octets.len()).step_by(octets.len() / 16 + 1).chain([octets.len()]) {
                    body(&octets[..end]);
                }
            });
            assert!(stood.is_ok(), "{target} does not stand {}", input.display());
        }
    }
}

#[test]
fn every_corpus_is_of_a_target() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let names = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
    let folders: BTreeSet<String> = fs::read_dir(folder).unwrap().map(|entry| names(entry.unwrap())).collect();
    assert_eq!(folders, bodies::ALL.iter().map(|(target, _)| (*target).to_owned()).collect());
}
