//! The documents name tests: each must exist.

use std::fs;
use std::path::{Path, PathBuf};

/// All Rust sources of the project.
fn sources() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src"), root.join("tests")];
    let mut text = String::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text += &fs::read_to_string(&path).unwrap();
            }
        }
    }
    text
}

#[test]
fn every_test_that_a_document_names_exists() {
    let sources = sources();
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/heritage.md")).unwrap();
    let cells: Vec<&str> = page.lines().filter_map(|line| line.strip_suffix(" |")?.rsplit(" | ").next()).collect();
    let names: Vec<&str> = cells.iter().flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    assert!(names.len() >= 10, "only {} tests are named", names.len());
    for name in names {
        assert!(sources.contains(&format!("fn {name}(")), "docs/heritage.md names {name}, which is no test");
    }
}
