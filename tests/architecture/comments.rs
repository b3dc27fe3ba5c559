//! Comments are plain English too: no phrase in them that makes a reader stop.

use std::fs;
use std::path::{Path, PathBuf};

use crate::phrases::forbidden;

/// The comments of a source, each as one text; what follows code on its line is one of its own.
fn comments(source: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in source.lines() {
        let text = line.trim_start();
        match text.strip_prefix("//") {
            Some(text) => {
                let text = text.trim_start_matches(['/', '!']);
                match found.last_mut().filter(|_| goes_on) {
                    Some(last) => last.push_str(text),
                    None => found.push(text.to_owned()),
                }
                goes_on = true;
            }
            None => {
                found.extend(line.split_once("; // ").map(|(_, text)| text.to_owned()));
                goes_on = false;
            }
        }
    }
    found
}

#[test]
fn no_comment_has_a_phrase_that_makes_a_reader_stop() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders: Vec<PathBuf> =
        ["src", "tests", "benches", "examples", "fuzz/bodies"].iter().map(|folder| root.join(folder)).collect();
    let (mut found, mut seen) = (Vec::new(), 0);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                for comment in comments(&fs::read_to_string(&path).unwrap()) {
                    seen += 1;
                    let said = forbidden(&comment).into_iter();
                    found.extend(said.map(|phrase| format!("{}: \"{phrase}\" in: {comment}", path.display())));
                }
            }
        }
    }
    found.sort();
    assert!(seen > 5000, "only {seen} comments were found");
    assert!(found.is_empty(), "say these in plain words:\n{}", found.join("\n"));
}

#[test]
fn a_phrase_is_found_across_lines_and_stands_for_is_none() {
    let found = |source: &str| comments(source).iter().flat_map(|comment| forbidden(comment)).collect::<Vec<_>>();
    assert_eq!(found("/// It runs for\n/// good.\nfn f() {}\n"), ["for good"]);
    assert_eq!(found(&format!("let a = 1; {} It lies.\n", "//")), ["it lies"]);
    assert!(found("// One for all.\nlet b = 2;\n// Good.\n// It stands for another.\n").is_empty());
}
