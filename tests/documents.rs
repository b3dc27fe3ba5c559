//! The documents and the table of planted faults name files and tests: each must exist.

#[path = "support/phrases.rs"]
mod phrases;
#[path = "support/planted_faults.rs"]
mod planted_faults;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use leafmail::annotation;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files below these folders.
fn rust_files(folders: &[&str]) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files
}

/// All Rust sources below `src` and `tests`, as one text.
fn sources() -> String {
    rust_files(&["src", "tests"]).iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

/// What is between backticks.
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

/// The configurations that a page shows.
fn samples(page: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(page)).unwrap();
    text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn every_configuration_that_a_page_shows_is_in_order() {
    for (page, at_least) in [
        ("README.md", 1),
        ("docs/install.md", 3),
        ("docs/tls-and-logins.md", 1),
        ("docs/routes.md", 6),
        ("docs/chat.md", 6),
        ("docs/uucp.md", 1),
        ("docs/monitoring.md", 6),
    ] {
        let samples = samples(page);
        assert!(samples.len() >= at_least, "{page}: only {} configurations were found", samples.len());
        for sample in samples {
            let config = leafmail::config::Config::parse(&sample, Path::new(page)).unwrap();
            config.check().unwrap();
        }
    }
}

#[test]
fn the_limits_of_presets_are_those_that_the_page_of_routes_tells() {
    let rows = rows(&fs::read_to_string(root().join("docs/routes.md")).unwrap());
    for (name, region) in [("microsoft365", ""), ("gmail", ""), ("ses", "region = \"region\"")] {
        let row = rows.iter().find(|row| quoted(&row[0])[0] == name).unwrap();
        let text = format!("[relay]\npreset = \"{name}\"\nuser = \"u\"\npassword_env = \"P\"\n{region}");
        let config = leafmail::config::Config::parse(&text, Path::new("preset")).unwrap();
        config.check().unwrap();
        let hop = config.routes().pop().unwrap().hops.remove(0);
        assert_eq!(hop.next_hop.to_string(), format!("smtp://u@{}", row[1].to_lowercase()));
        assert_eq!(hop.connections.to_string(), row[2]);
        assert_eq!(format!("{}MB", hop.max_size.unwrap() / 1_000_000), row[4]);
        let paced = text + &format!("\npace = \"{}\"", row[3].split([' ', ';', ',']).next().unwrap());
        let told = leafmail::config::Config::parse(&paced, Path::new("preset")).unwrap();
        assert_eq!(config.routes()[0].pace, told.routes()[0].pace, "{name}");
    }
}

#[test]
fn the_faults_of_the_ancestor_are_watched_by_tests_that_exist() {
    check_tests("docs/heritage.md", 65);
}

#[test]
fn every_device_is_played_by_a_test_that_exists() {
    for row in check_tests("docs/devices.md", 25) {
        assert_eq!(row.len(), 5, "a row has five cells: {row:?}");
    }
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

#[test]
fn the_annotations_of_the_format_page_are_those_of_the_code() {
    let page = fs::read_to_string(root().join("docs/spool-format.md")).unwrap();
    let (_, section) = page.split_once("### Annotations").unwrap();
    let rows = rows(section.split("\n#").next().unwrap());
    let named = |whose: &str| {
        let theirs = rows.iter().filter(|row| row[0].starts_with(whose));
        theirs.map(|row| quoted(&row[1])[0].to_owned()).collect::<BTreeSet<_>>()
    };
    let known = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(named("envelope"), known(&annotation::OF_ENVELOPES));
    assert_eq!(named("receipt"), known(&annotation::OF_RECEIPTS));
    let notice = rows.iter().find(|row| quoted(&row[1])[0] == annotation::NOTICE).unwrap();
    let kinds = quoted(&notice[2]).into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
    assert_eq!(kinds, known(&annotation::KINDS_OF_NOTICES));
}

#[test]
fn no_two_test_files_have_one_name() {
    let mut seen = BTreeMap::new();
    for path in rust_files(&["tests"]) {
        let name = path.file_name().unwrap().to_owned();
        if name != "main.rs" && name != "mod.rs" {
            let other = seen.insert(name, path.clone());
            assert!(other.is_none(), "{} and {} have one name", path.display(), other.unwrap().display());
        }
    }
}

#[test]
fn names_of_tests_have_at_most_80_characters() {
    for path in rust_files(&["src", "tests"]) {
        for line in fs::read_to_string(&path).unwrap().lines() {
            let name = line.trim_start().strip_prefix("fn ").and_then(|rest| rest.split(['(', '<']).next());
            assert!(name.is_none_or(|name| name.len() <= 80), "{}: {line}", path.display());
        }
    }
}

/// The pages that people read: those of the root, of `docs/`, of the tests and of the benches.
fn pages() -> Vec<PathBuf> {
    let folders = ["", "docs", "docs/decisions", "docs/performance", "tests", "benches/rivals"];
    let entries = folders.iter().flat_map(|folder| fs::read_dir(root().join(folder)).unwrap());
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut pages: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|kind| kind == "md")).collect();
    pages.sort();
    assert!(pages.len() > 30, "only {} pages were found", pages.len());
    pages
}

/// The anchor that a heading gets.
fn anchor(heading: &str) -> String {
    let kept =
        heading.trim_start_matches('#').trim().chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn every_link_within_the_documents_leads_somewhere() {
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if link.contains("://") || link.contains(' ') {
                continue;
            }
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { page.clone() } else { page.parent().unwrap().join(path) };
            assert!(target.exists(), "{}: there is no {link}", page.display());
            if !heading.is_empty() {
                let headings = fs::read_to_string(&target).unwrap();
                let found = headings.lines().any(|line| line.starts_with('#') && anchor(line) == heading);
                assert!(found, "{}: there is no heading for {link}", page.display());
            }
        }
    }
}

#[test]
fn the_index_names_every_page_of_the_documents() {
    let index = fs::read_to_string(root().join("docs/README.md")).unwrap();
    for page in pages().iter().filter(|page| page.parent() == Some(&root().join("docs"))) {
        let name = page.file_name().unwrap().to_str().unwrap();
        assert!(name == "README.md" || index.contains(&format!("({name})")), "docs/README.md does not name {name}");
    }
}

#[test]
fn the_readme_is_short() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let words = readme.split_whitespace().count();
    assert!(words <= 850, "README.md has {words} words: move something to docs/");
}

#[test]
fn the_comparison_finds_its_place_in_each_page_that_it_writes() {
    for page in ["README.md", "docs/performance.md", "docs/performance/notebook.md"] {
        let text = fs::read_to_string(root().join(page)).unwrap();
        for mark in ["<!-- rivals: made by benches/rivals/run -->\n", "<!-- end of rivals -->"] {
            assert_eq!(text.matches(mark).count(), 1, "{page}: {mark}");
        }
    }
}

/// The tests of a program below `tests/`, by their full names.
fn tests_of(program: &str) -> Vec<String> {
    let (file, folder) = (root().join(format!("tests/{program}.rs")), format!("tests/{program}"));
    let files = if file.exists() { vec![file] } else { rust_files(&[&folder]) };
    let mut names = Vec::new();
    for path in files {
        let module = path.strip_prefix(root().join(&folder)).unwrap_or(Path::new("main.rs")).with_extension("");
        let parts: Vec<&str> = module.iter().filter_map(|part| part.to_str()).collect();
        let module: String =
            parts.iter().filter(|part| !["main", "mod"].contains(part)).map(|part| format!("{part}::")).collect();
        let text = fs::read_to_string(path).unwrap();
        for rest in text.split("#[test]").skip(1) {
            let name = rest.split("fn ").nth(1).and_then(|rest| rest.split('(').next()).unwrap();
            names.push(format!("{module}{name}"));
        }
    }
    names
}

#[test]
fn every_command_of_the_reliability_page_runs_a_test() {
    let page = fs::read_to_string(root().join("docs/reliability.md")).unwrap();
    let mut commands = 0;
    for command in page.split("cargo test").skip(1).filter_map(|rest| rest.split(['`', '\n', '#']).next()) {
        let words: Vec<&str> = command.split_whitespace().take_while(|word| *word != "--").collect();
        let Some(at) = words.iter().position(|word| *word == "--test") else { continue };
        let names = tests_of(words[at + 1]);
        assert!(!names.is_empty(), "docs/reliability.md: there is no {command}");
        if let Some(filter) = words.get(at + 2).filter(|word| !word.starts_with("--")) {
            let found = names.iter().any(|name| name.contains(filter));
            assert!(found, "docs/reliability.md: cargo test{command} runs no test");
        }
        commands += 1;
    }
    assert!(commands > 30, "only {commands} commands were found");
}

#[test]
fn no_document_and_no_help_has_a_phrase_that_makes_a_reader_stop() {
    let is_prose = |page: &PathBuf| {
        let path = page.strip_prefix(root()).unwrap();
        ![Path::new("CONTRIBUTING.md"), Path::new("CHANGELOG.md")].contains(&path)
    };
    let mut texts: Vec<(String, String)> = Vec::new();
    for page in pages().into_iter().filter(is_prose).chain([root().join("docs/leafmail.toml")]) {
        texts.push((page.display().to_string(), fs::read_to_string(&page).unwrap()));
    }
    for program in [env!("CARGO_BIN_EXE_smtpd"), env!("CARGO_BIN_EXE_spoolrun")] {
        let help = |arguments: &[&str]| {
            let output = std::process::Command::new(program).args(arguments).arg("--help").output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        let general = help(&[]);
        let verbs = general.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
        let verbs = verbs.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        for verb in verbs.filter_map(|line| line.split_whitespace().next()).filter(|verb| *verb != "help") {
            texts.push((format!("{program} {verb} --help"), help(&[verb])));
        }
        texts.push((format!("{program} --help"), general));
    }
    assert!(texts.len() > 35, "only {} texts were found", texts.len());
    let mut found = Vec::new();
    for (name, text) in texts {
        found.extend(
            phrases::forbidden(&text).into_iter().map(|phrase| format!("{name}: say \"{phrase}\" in plain words")),
        );
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_path_that_a_page_names_exists() {
    let folders = ["src/", "tests/", "docs/", "benches/", "fuzz/", "examples/", "contrib/", ".ci/"];
    let mut seen = 0;
    for page in pages().iter().filter(|page| !page.starts_with(root().join("docs/decisions"))) {
        let text = fs::read_to_string(page).unwrap();
        if page.ends_with("CHANGELOG.md") {
            continue;
        }
        for path in text.lines().flat_map(quoted).filter(|word| folders.iter().any(|folder| word.starts_with(folder))) {
            let path = path.split([' ', ':']).next().unwrap();
            if !path.contains("NAME") && !path.contains('*') {
                seen += 1;
                assert!(root().join(path).exists(), "{}: there is no {path}", page.display());
            }
        }
    }
    assert!(seen > 100, "only {seen} paths were found");
}
