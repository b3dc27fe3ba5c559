//! `docs/conformance.md` names only what there is: each file and each test of its tables.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust sources below `src` and `tests`, as one text.
fn sources() -> String {
    let mut folders = vec![root().join("src"), root().join("tests")];
    let mut text = String::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text += &fs::read_to_string(path).unwrap();
            }
        }
    }
    text
}

/// What stands between backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_place_and_every_test_of_the_page_exists() {
    let page = fs::read_to_string(root().join("docs/conformance.md")).unwrap();
    let sources = sources();
    let mut rows = 0;
    for row in page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| demand")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        let [_, places, tests] = cells[..] else { panic!("a row has three cells: {row}") };
        assert!(!quoted(places).is_empty() && !quoted(tests).is_empty(), "{row}");
        for place in quoted(places) {
            assert!(root().join(place).exists(), "{place} is not there: {row}");
        }
        for test in quoted(tests) {
            let is_transcript = test.starts_with(|c: char| c.is_ascii_digit());
            let exists = if is_transcript {
                root().join(format!("tests/transcripts/{test}.txt")).exists()
            } else {
                sources.contains(&format!("fn {test}("))
            };
            assert!(exists, "there is no test {test}: {row}");
        }
        rows += 1;
    }
    assert!(rows > 50, "only {rows} rows were found");
}
