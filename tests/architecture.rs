//! The table of `ARCHITECTURE.md` as a test: which module may use which, and where the doubtful crates may be named.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A module, and those of ours that it may use.
const MAY_USE: [(&str, &[&str]); 25] = [
    ("address", &[]),
    ("clock", &[]),
    ("id", &["clock"]),
    ("smtp", &["address"]),
    ("envelope", &["address", "clock", "id", "smtp"]),
    ("receipt", &["clock", "smtp"]),
    ("auth", &["smtp"]),
    ("session", &["address", "auth", "clock", "envelope", "id", "smtp"]),
    ("submission", &["address", "clock", "smtp"]),
    ("dns", &["address"]),
    ("policy", &["address", "dns", "envelope", "session", "smtp"]),
    ("spool", &["address", "clock", "envelope", "id", "receipt", "smtp"]),
    ("transport", &["address", "dns", "envelope", "id", "receipt", "smtp", "sys"]),
    ("routing", &["address", "envelope"]),
    ("event", &["address", "envelope", "id", "receipt", "smtp"]),
    ("queue", &["address", "clock", "envelope", "event", "id", "receipt", "routing", "smtp", "spool", "transport"]),
    ("alarm", &["address", "clock", "envelope", "event", "id", "queue", "spool", "sys", "syslog"]),
    ("chronicle", &["address", "clock", "envelope", "event", "id", "receipt", "smtp"]),
    (
        "admin",
        &[
            "address",
            "chronicle",
            "clock",
            "envelope",
            "event",
            "id",
            "queue",
            "receipt",
            "routing",
            "smtp",
            "spool",
            "transport",
        ],
    ),
    ("driver", &["address", "auth", "clock", "dns", "envelope", "event", "policy", "session", "smtp", "spool", "sys"]),
    ("config", &["address", "policy", "queue", "routing", "syslog", "transport"]),
    ("supervisor", &["driver", "event", "sys"]),
    ("sys", &["clock"]),
    ("syslog", &["clock"]),
    ("mutant", &[]),
];

/// A word, and the only places that may name it.
const ONLY_IN: [(&str, &[&str]); 19] = [
    ("bincode", &["src/spool/frozen/"]),
    ("fs2", &["src/spool/disk/lock.rs"]),
    ("lettre", &["src/transport/smtp/client.rs"]),
    ("dns_lookup", &["src/dns.rs"]),
    ("hickory_resolver", &["src/dns/hickory.rs"]),
    ("x509_parser", &["src/transport/probe/certificate.rs"]),
    ("landlock::", &["src/sys/sandbox/"]),
    ("seccompiler", &["src/sys/sandbox/"]),
    ("nix::", &["src/sys/"]),
    ("libc::", &["src/sys/"]),
    ("toml::", &["src/config/"]),
    ("clap", &["src/bin/"]),
    ("anyhow", &["src/bin/"]),
    ("env_logger", &["src/bin/"]),
    ("unsafe", &["src/sys/"]),
    ("SystemTime", &["src/sys/"]),
    ("DirSpool", &["src/spool/", "src/bin/", "src/lib.rs"]),
    ("println!", &[]),
    ("planted", &PLANTED),
];

/// Where a fault may be planted, which no normal build has: a module that may be named by all of these.
const PLANTED: [&str; 10] = [
    "src/mutant.rs",
    "src/queue/delivery/body.rs",
    "src/session/mod.rs",
    "src/smtp/body.rs",
    "src/spool/dir/claim.rs",
    "src/spool/dir/spool.rs",
    "src/spool/disk/host.rs",
    "src/spool/disk/lock.rs",
    "src/sys/streams.rs",
    "src/transport/smtp/judging.rs",
];

/// Every source file with its code, without comments and without what is for tests only.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !name.ends_with("/tests") && !name.ends_with("/testing") {
                folders.push(path);
            } else if name.ends_with(".rs") && !name.ends_with("/tests.rs") && !name.ends_with("/testing.rs") {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
                let lines: Vec<&str> = code.lines().map(|line| line.split("//").next().unwrap()).collect();
                found.push((name, lines.join("\n")));
            }
        }
    }
    assert!(found.len() > 30, "only {} sources were found", found.len());
    found
}

/// The names of modules that follow `crate::`, also within braces.
fn used_modules(code: &str) -> BTreeSet<String> {
    let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    code.match_indices("crate::")
        .map(|(at, found)| name(&code[at + found.len()..]))
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn no_module_uses_what_it_must_not() {
    for (file, code) in sources() {
        let module = file.trim_start_matches("src/").split(['/', '.']).next().unwrap();
        if matches!(module, "lib" | "bin") {
            continue;
        }
        let (_, allowed) = MAY_USE
            .iter()
            .find(|(name, _)| *name == module)
            .unwrap_or_else(|| panic!("{file}: the module {module} is not in the table"));
        for used in used_modules(&code) {
            let plants = used == "mutant" && PLANTED.contains(&file.as_str());
            let is_allowed = used == module || allowed.contains(&used.as_str()) || plants;
            assert!(is_allowed, "{file} must not use crate::{used}");
        }
        assert!(!code.contains("crate::{"), "{file}: name the module after crate::, so that this test sees it");
    }
}

#[test]
fn doubtful_crates_are_named_in_one_place() {
    for (file, code) in sources() {
        for (word, places) in ONLY_IN {
            let is_word = |(at, _): &(usize, &str)| {
                let before = code[..*at].chars().next_back();
                !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '-' || c == '`' || c == '/')
            };
            let named = code.match_indices(word).any(|found| is_word(&found));
            assert!(!named || places.iter().any(|place| file.starts_with(place)), "{file} must not name {word}");
        }
    }
}

#[test]
fn the_table_in_the_page_is_the_table_of_this_test() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md")).unwrap();
    for (module, allowed) in MAY_USE {
        let uses = if allowed.is_empty() { "nothing of ours".to_owned() } else { allowed.join(", ") };
        let row = format!("| {module} | {uses} |");
        assert!(page.contains(&row), "ARCHITECTURE.md lacks the row: {row}");
    }
}
