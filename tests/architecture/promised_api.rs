//! The public API that `docs/library.md` promises: each of its types, traits and functions is there, and its comment has an example.
//! The examples that it names are short.

use std::fs;
use std::path::{Path, PathBuf};

/// The public API, as the table of the page says: modules, and what of them.
fn promised() -> Vec<(Vec<String>, String)> {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/library.md")).unwrap();
    let (_, table) = page.split_once("| module | what of it |\n|---|---|\n").unwrap();
    let names = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let rows = table.lines().take_while(|line| line.starts_with('|'));
    rows.map(|row| (names(row.split('|').nth(1).unwrap()), row.split('|').nth(2).unwrap().to_owned())).collect()
}

/// The files of a module, without those of tests.
fn files_of(module: &str) -> Vec<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![source.join(module)];
    let mut files: Vec<_> =
        Some(source.join(format!("{module}.rs"))).into_iter().filter(|file| file.is_file()).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false if entry.path().extension().is_some_and(|end| end == "rs") => files.push(entry.path()),
                false => {}
            }
        }
    }
    files
}

/// The public types, traits and functions at the beginning of a line, each with whether its comment has an example.
fn items_of(module: &str) -> Vec<(String, bool)> {
    let mut items = Vec::new();
    for file in files_of(module) {
        let mut has_example = false;
        for line in fs::read_to_string(file).unwrap().lines() {
            let words: Vec<&str> = line.split([' ', '(', '<', ';', '{', ':']).collect();
            match words[..] {
                ["pub", "struct" | "enum" | "trait" | "fn", name, ..] => items.push((name.to_owned(), has_example)),
                _ if line.starts_with("///") => has_example |= line.contains("```"),
                _ if line.starts_with("#[") => {}
                _ => has_example = false,
            }
        }
    }
    items
}

#[test]
fn each_item_of_the_public_api_has_an_example() {
    let mut known = 0;
    for (modules, cell) in promised() {
        let named: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
        let items: Vec<_> = modules.iter().flat_map(|module| items_of(module)).collect();
        for name in &named {
            assert!(items.iter().any(|(item, _)| item == name), "{modules:?} has no {name}");
        }
        for (name, has_example) in items {
            let is_promised = named.is_empty() || named.contains(&name.as_str());
            assert!(!is_promised || has_example, "{modules:?}: {name} has no example in its comment");
            known += usize::from(is_promised);
        }
    }
    assert!(known > 60, "{known}");
}

#[test]
fn the_examples_have_thirty_lines_without_imports_and_comments() {
    for name in ["mail_store", "catch_all"] {
        let path = format!("{}/examples/{name}.rs", env!("CARGO_MANIFEST_DIR"));
        let text = fs::read_to_string(path).unwrap();
        let counts = |line: &&str| {
            let line = line.trim();
            !line.is_empty() && !["use ", "//"].iter().any(|start| line.starts_with(start))
        };
        let lines = text.lines().filter(counts).count();
        assert!(lines <= 30, "{name} has {lines}");
    }
}
