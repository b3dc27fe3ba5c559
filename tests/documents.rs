//! The documents name files and tests: each must exist.

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

/// The rows of a page's tables, in cells, without headings.
fn rows(page: &str) -> Vec<Vec<String>> {
    let cells = |row: &str| row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
    let lines: Vec<&str> = page.lines().collect();
    let is_row =
        |at: &usize| lines[*at].starts_with("| ") && !lines.get(at + 1).is_some_and(|next| next.starts_with("|--"));
    (0..lines.len()).filter(is_row).map(|at| cells(lines[at])).collect()
}

/// The last cell of each row names tests: functions, or transcripts, whose names begin with digits.
fn check_tests(page: &str, rows_at_least: usize) -> Vec<Vec<String>> {
    let sources = sources();
    let rows = rows(&fs::read_to_string(root().join(page)).unwrap());
    assert!(rows.len() >= rows_at_least, "{page}: only {} rows were found", rows.len());
    for row in &rows {
        let tests = quoted(row.last().unwrap());
        assert!(!tests.is_empty(), "{page}: {row:?} names no test");
        for test in tests {
            let exists = if test.starts_with(|c: char| c.is_ascii_digit()) {
                root().join(format!("tests/transcripts/{test}.txt")).exists()
            } else {
                sources.contains(&format!("fn {test}("))
            };
            assert!(exists, "{page}: there is no test {test}");
        }
    }
    rows
}

#[test]
fn every_direct_dependency_is_accounted_for() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let page = fs::read_to_string(root().join("docs/decisions/0001-dependencies.md")).unwrap();
    let section = manifest.split("[dependencies]\n").nth(1).unwrap().split("\n[").next().unwrap();
    let crates: Vec<&str> = section.lines().filter_map(|line| line.split_once(" = ").map(|(name, _)| name)).collect();
    assert!(crates.len() > 20);
    for name in crates {
        let is_word = |cell: &str| cell.split([' ', ',']).any(|word| word == name);
        let named = page.lines().any(|line| line.starts_with("| ") && is_word(line.split(" | ").next().unwrap()));
        assert!(named, "docs/decisions/0001-dependencies.md does not say why {name} is there");
    }
}

#[test]
fn every_configuration_in_readme_is_in_order() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let samples: Vec<&str> = readme.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(samples.len() >= 2);
    for sample in samples {
        let config = leafmail::config::Config::parse(sample, Path::new("README.md")).unwrap();
        config.check().unwrap();
    }
}

#[test]
fn the_faults_of_the_ancestor_are_watched_by_tests_that_exist() {
    check_tests("docs/heritage.md", 10);
}

#[test]
fn every_place_and_every_test_of_the_conformance_page_exists() {
    for row in check_tests("docs/conformance.md", 100) {
        let [_, places, _] = &row[..] else { panic!("a row has three cells: {row:?}") };
        assert!(!quoted(places).is_empty(), "{row:?}");
        for place in quoted(places) {
            assert!(root().join(place).exists(), "{place} is not there: {row:?}");
        }
    }
}
