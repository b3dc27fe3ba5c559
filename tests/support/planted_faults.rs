//! The faults of `.ci/faults`: each can be planted, names a row of the conformance page, and a test of that row.
//!
//! `.ci/mutants` plants them and runs the tests; here only what they name is looked at.

use std::collections::BTreeSet;
use std::fs;

use super::{quoted, root, rows};

#[derive(Default)]
struct Fault {
    name: String,
    is_built_in: bool,
    is_always_run: bool,
    row: Option<(String, String)>,
    /// The program, the test, and the transcript, if it is one.
    test: (String, String, Option<String>),
    edits: Vec<Edit>,
}

#[derive(Default)]
struct Edit {
    file: String,
    after: String,
    old: Vec<String>,
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn fault(entry: &str) -> Fault {
    let mut fault = Fault::default();
    for line in entry.lines() {
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        let value = value.to_owned();
        match key {
            "fault:" => fault.name = value,
            "built-in:" => (fault.name, fault.is_built_in) = (value, true),
            "row:" => fault.row = value.split_once(" | ").map(|(page, row)| (page.to_owned(), row.to_owned())),
            "test:" => {
                let words: Vec<&str> = value.split(' ').collect();
                fault.test = (words[0].to_owned(), words[1].to_owned(), words.get(2).map(|&word| word.to_owned()));
            }
            "always" => fault.is_always_run = true,
            "file:" => fault.edits.push(Edit { file: value, ..Edit::default() }),
            "after:" => fault.edits.last_mut().unwrap().after = value,
            "-" => fault.edits.last_mut().unwrap().old.push(value),
            "+" => {}
            _ => panic!("cannot read {line}"),
        }
    }
    fault
}

fn faults() -> Vec<Fault> {
    let tables = ["notifications", "promises", "reception", "sending"];
    let texts = tables.map(|name| read(&format!(".ci/faults/{name}.txt")));
    let entries = texts.iter().flat_map(|text| text.trim_end().split("\n\n"));
    entries.filter(|entry| !entry.starts_with('#')).map(fault).collect()
}

/// How often the lines are there one after the other, whatever the white space before each.
fn count(text: &str, lines: &[String]) -> usize {
    let found: Vec<&str> = text.lines().map(str::trim).collect();
    let fits = |at: &usize| match lines {
        [one] => found[*at].contains(one.as_str()),
        [first, inner @ .., last] => {
            let after = &found[*at..];
            after.len() >= lines.len()
                && after[0].ends_with(first.as_str())
                && after[1..].iter().zip(inner).all(|(line, wanted)| line == wanted)
                && after[lines.len() - 1].starts_with(last.as_str())
        }
        [] => false,
    };
    (0..found.len()).filter(fits).count()
}

#[test]
fn every_planted_fault_has_its_place_in_the_sources() {
    let mut names = BTreeSet::new();
    for Fault { name, edits, is_built_in, .. } in faults() {
        assert!(names.insert(name.clone()), "there are two faults {name}");
        assert_eq!(is_built_in, edits.is_empty(), "{name}");
        for Edit { file, after, old } in edits {
            let text = read(&file);
            let (before, rest) = text.split_once(&after).unwrap_or_else(|| panic!("{name}: {file} has no {after:?}"));
            assert!(after.is_empty() || !rest.contains(&after) && before.len() < text.len(), "{name}: {after:?} twice");
            let places = count(rest, &old);
            assert!(places == 1 || places > 1 && !after.is_empty(), "{name}: {places} places in {file} are {old:?}");
        }
    }
    for built_in in read("src/mutant.rs").lines().filter_map(|line| line.trim().strip_prefix("Self::")) {
        if let Some((_, name)) = built_in.split_once(" => \"") {
            let name = name.trim_end_matches("\",");
            assert!(names.contains(name), "no test is named for the fault {name}");
        }
    }
}

#[test]
fn every_planted_fault_names_a_row_of_the_conformance_page_and_one_of_its_tests() {
    let page = read("docs/conformance.md");
    let mut held = BTreeSet::new();
    for Fault { name, row, test: (_, test, transcript), is_built_in, .. } in faults() {
        let Some((heading, begins)) = row else {
            assert!(is_built_in, "{name} names no row");
            continue;
        };
        let section = page.split("\n## ").find(|section| section.starts_with(&heading));
        let rows = rows(section.unwrap_or_else(|| panic!("{name}: no section begins with {heading}")));
        let found: Vec<_> = rows.iter().filter(|row| row[0].starts_with(&begins)).collect();
        let [row] = found[..] else { panic!("{name}: {} rows of {heading} begin with {begins}", found.len()) };
        let test = transcript.as_deref().unwrap_or(test.rsplit("::").next().unwrap());
        assert!(quoted(row.last().unwrap()).contains(&test), "{name}: the row does not name {test}: {row:?}");
        held.insert((heading, row[0].clone()));
    }
    assert!(held.len() >= 100, "only {} rows are shown to be held", held.len());
}

#[test]
fn the_tests_that_catch_planted_faults_exist() {
    let faults = faults();
    let always = faults.iter().filter(|fault| fault.is_always_run).count();
    assert!(always >= 30, "the gate plants {always} faults only");
    for Fault { name, test: (program, test, _), .. } in faults {
        let (modules, function) = test.rsplit_once("::").unwrap_or(("", &test));
        let folder = modules.replace("::", "/");
        let files = match (program.as_str(), folder.trim_end_matches("/tests")) {
            ("lib", module) => {
                vec![format!("src/{folder}.rs"), format!("src/{module}.rs"), format!("src/{module}/mod.rs")]
            }
            (_, "") => vec![format!("tests/{program}.rs")],
            _ => vec![format!("tests/{program}/{folder}.rs")],
        };
        let files: Vec<_> = files.iter().filter(|file| root().join(file).exists()).collect();
        let is_there = files.iter().any(|file| read(file).contains(&format!("fn {function}(")));
        assert!(is_there, "{name}: {files:?} have no {function}");
    }
}
