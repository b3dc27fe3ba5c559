//! What comes with the programs: the summary of skipped tests knows how to get what they lack.

use std::fs;
use std::path::{Path, PathBuf};

#[path = "support/skipped.rs"]
mod skipped;

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

/// What stands in quotation marks in calls of these functions, anywhere in the sources.
fn asked_for(functions: &[&str]) -> Vec<String> {
    let sources = sources();
    let mut names = Vec::new();
    for function in functions {
        for call in sources.split(&format!("{function}(")).skip(1) {
            let arguments = call.split(')').next().unwrap();
            if arguments.starts_with(['"', '&']) {
                names.extend(arguments.split('"').skip(1).step_by(2).map(str::to_owned));
            }
        }
    }
    names
}

#[test]
fn the_summary_of_skipped_tests_knows_how_to_get_whatever_a_test_asks_for() {
    let peers = fs::read_to_string(root().join(".ci/install-peers")).unwrap();
    let asked = asked_for(&["have", "may_run", "have_perl", "lacks"]);
    assert!(asked.len() > 50, "only {asked:?}");
    for name in asked.iter().map(String::as_str).filter(|name| !name.contains('{')) {
        let package = skipped::PACKAGES.iter().find(|(what, _)| *what == name);
        assert!(package.is_some() || skipped::UNPACKED.contains(&name), "no package is named for {name}");
    }
    for (name, package) in skipped::PACKAGES {
        let installed = peers.split_whitespace().any(|word| word == *package);
        assert!(installed, ".ci/install-peers does not install {package}, which has {name}");
    }
    for name in skipped::UNPACKED {
        assert!(peers.contains(name), ".ci/install-peers does not unpack {name}");
    }
}

#[test]
fn skipped_tests_are_counted_once_each_and_by_what_they_lack() {
    assert_eq!(skipped::summary(""), "skipped: nothing\n");
    let records = "lacks\tmkfs.xfs\tfaults-1\tpower::a\nlacks\tmkfs.xfs\tfaults-1\tpower::b\n\
                   lacks\texim4\tprograms-1\treal::c\nhost\tonly root can do that\tprograms-1\tprivileges::d\n\
                   host\tonly root can do that\tprograms-1\tprivileges::d\nlacks\tcurl\tprograms-1\tmain\n\
                   lacks\tcurl\tprograms-1\tmain\na torn line\n";
    let expected = "\
skipped: 5 tests, because something is not installed:
     2  curl
     1  exim4
     2  mkfs.xfs
skipped: 1 test, because this host does not allow it:
     1  only root can do that
This installs what is missing (Debian, as root):
  apt-get install curl xfsprogs
This installs all that any test needs, and unpacks exim4 without installing a mail server:
  PATH=\"$(.ci/install-peers target/peers):$PATH\" cargo test
";
    assert_eq!(skipped::summary(records), expected);
}

#[test]
fn no_comment_has_an_example_that_nothing_runs() {
    // `doctest = false` in Cargo.toml: the summary of what was skipped is the last that `cargo test` prints.
    let opens = |line: &str| matches!(line.trim_start(), "/// ```" | "//! ```" | "/// ```rust" | "//! ```rust");
    let example = sources().lines().position(opens);
    assert!(example.is_none(), "a comment has an example: let Cargo.toml run it");
}
