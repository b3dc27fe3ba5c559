//! The tables of `ARCHITECTURE.md` as a test: which module may use which, which part of a large folder may use which other
//! part, and where the doubtful crates may be named. And the order that no table has to name: no circle of imports, no crowded
//! folder, no long file, no name of two types, no comment that makes a reader stop.

mod comments;
mod imports;
mod names;
#[path = "../support/phrases.rs"]
mod phrases;
mod promised_api;
mod tokens;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A module, and those of ours that it may use.
const MAY_USE: &[(&str, &[&str])] = &[
    ("annotation", &[]),
    ("address", &[]),
    ("clock", &[]),
    ("id", &["clock"]),
    ("smtp", &["address"]),
    ("envelope", &["address", "annotation", "clock", "id", "smtp"]),
    ("receipt", &["clock", "smtp"]),
    ("auth", &["small_file", "smtp"]),
    ("session", &["address", "annotation", "auth", "clock", "envelope", "id", "smtp"]),
    ("submission", &["address", "clock", "smtp"]),
    ("dns", &["address"]),
    ("spf", &["address", "dns"]),
    ("dmarc", &["address", "dns"]),
    (
        "policy",
        &[
            "address",
            "clock",
            "dkim",
            "dmarc",
            "dns",
            "envelope",
            "mailing_list",
            "session",
            "smtp",
            "spam",
            "spf",
            "sys",
            "webhook",
        ],
    ),
    ("spam", &["small_file", "smtp", "sys", "webhook"]),
    ("spool", &["address", "annotation", "clock", "envelope", "id", "receipt", "smtp", "sys"]),
    ("transport", &["address", "dns", "envelope", "id", "receipt", "small_file", "smtp", "sys", "tls_words"]),
    ("dkim", &["address", "envelope", "smtp"]),
    ("mailing_list", &["address", "smtp", "watched_file"]),
    ("routing", &["address", "dkim", "envelope", "mailing_list", "smtp", "watched_file"]),
    ("event", &["address", "envelope", "id", "receipt", "smtp"]),
    (
        "queue",
        &[
            "address",
            "annotation",
            "clock",
            "envelope",
            "event",
            "id",
            "mailing_list",
            "receipt",
            "routing",
            "small_file",
            "smtp",
            "spool",
            "transport",
        ],
    ),
    (
        "alarm",
        &[
            "address",
            "annotation",
            "clock",
            "envelope",
            "event",
            "helper_states",
            "id",
            "queue",
            "spool",
            "sys",
            "syslog",
            "webhook",
        ],
    ),
    ("recipients", &["address", "policy", "session", "smtp", "sys", "transport"]),
    ("event_hook", &["clock", "event", "id", "receipt", "sys", "webhook"]),
    ("history", &["address", "clock", "envelope", "event", "id", "receipt", "smtp"]),
    (
        "admin",
        &[
            "address",
            "annotation",
            "clock",
            "dkim",
            "dns",
            "envelope",
            "event",
            "helper_states",
            "history",
            "id",
            "mailing_list",
            "queue",
            "receipt",
            "routing",
            "smtp",
            "spf",
            "spool",
            "transport",
        ],
    ),
    (
        "driver",
        &[
            "address",
            "auth",
            "clock",
            "dns",
            "envelope",
            "event",
            "policy",
            "session",
            "smtp",
            "spool",
            "sys",
            "tls_words",
        ],
    ),
    (
        "server",
        &[
            "address",
            "auth",
            "clock",
            "config",
            "dns",
            "driver",
            "envelope",
            "event",
            "id",
            "policy",
            "receipt",
            "session",
            "smtp",
            "spool",
            "sys",
            "transport",
        ],
    ),
    (
        "config",
        &[
            "address",
            "dkim",
            "dns",
            "driver",
            "event_hook",
            "mailing_list",
            "policy",
            "queue",
            "recipients",
            "routing",
            "session",
            "smtp",
            "spam",
            "spool",
            "sys",
            "syslog",
            "transport",
        ],
    ),
    (
        "page",
        &[
            "address",
            "admin",
            "clock",
            "config",
            "event",
            "helper_states",
            "history",
            "id",
            "queue",
            "small_file",
            "spool",
            "sys",
        ],
    ),
    ("supervisor", &["driver", "event", "small_file", "sys"]),
    ("sys", &["clock"]),
    ("syslog", &["clock"]),
    ("tls_words", &[]),
    ("helper_states", &["address", "clock", "policy", "queue"]),
    ("metrics", &["admin", "clock", "event", "id", "receipt", "small_file", "smtp", "spool"]),
    ("webhook", &[]),
    ("small_file", &[]),
    ("watched_file", &[]),
    ("mutant", &[]),
];

/// A word, and the only places that may name it.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("bincode", &["src/spool/frozen/"]),
    ("fs2", &["src/spool/disk/lock.rs"]),
    ("lettre", &["src/transport/smtp/client.rs"]),
    ("dns_lookup", &["src/dns.rs"]),
    ("hickory_resolver", &["src/dns/hickory.rs"]),
    ("mail_auth", &["src/dkim/signature.rs"]),
    ("mail_parser", &["src/transport/agents/message/"]),
    ("hyper", &["src/page/"]),
    ("maud", &["src/page/"]),
    ("sqlx", &["src/transport/agents/sql/"]),
    ("x509_cert", &["src/transport/probe/certificate.rs"]),
    ("landlock::", &["src/sys/sandbox/"]),
    ("seccompiler", &["src/sys/sandbox/"]),
    ("nix::", &["src/sys/"]),
    ("libc::", &["src/sys/"]),
    ("toml::", &["src/config/"]),
    ("clap", &["src/bin/"]),
    ("clap_complete", &["src/bin/manual/"]),
    ("clap_mangen", &["src/bin/manual/"]),
    ("anyhow", &["src/bin/"]),
    ("env_logger", &["src/bin/"]),
    ("unsafe", &["src/sys/"]),
    ("SystemTime", &["src/sys/"]),
    ("DirSpool", &["src/spool/", "src/server/", "src/bin/", "src/lib.rs"]),
    ("println!", &[]),
    ("planted", &PLANTED),
    // A name of an annotation is a constant of src/annotation.rs.
    ("annotations.push((\"", &[]),
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

/// A folder in which an order holds, and its parts (files and folders), each with those that it may use.
type Inside = (&'static str, &'static [(&'static str, &'static [&'static str])]);

/// The order inside of large folders.
const INSIDE: &[Inside] = &[
    (
        "src/queue",
        &[
            ("dsn", &[]),
            ("plan", &["dsn"]),
            ("stop", &[]),
            ("routes", &["dsn", "plan"]),
            ("agenda", &["plan"]),
            ("runner", &["dsn", "plan", "routes", "stop"]),
            ("delivery", &["agenda", "dsn", "plan", "routes", "runner"]),
            ("workers", &["agenda", "delivery", "plan", "routes", "runner", "stop"]),
        ],
    ),
    (
        "src/transport",
        &[
            ("delivery", &[]),
            ("destination", &[]),
            ("leaving", &[]),
            ("step", &[]),
            ("settings", &["delivery", "leaving", "step"]),
            ("credential", &["settings"]),
            ("agents", &["credential", "delivery", "leaving", "settings", "step"]),
            ("schemes", &["agents", "settings"]),
            ("lessons", &["settings"]),
            ("memory", &["lessons"]),
            ("recipient_limit", &["memory"]),
            ("classify", &["settings"]),
            ("failover", &["delivery", "leaving", "memory"]),
            ("dane", &["settings"]),
            ("smtp", &["classify", "credential", "dane", "delivery", "leaving", "lessons", "settings"]),
            ("mta_sts", &["dane", "destination", "settings", "smtp"]),
            (
                "probe",
                &[
                    "classify",
                    "credential",
                    "dane",
                    "delivery",
                    "destination",
                    "leaving",
                    "lessons",
                    "mta_sts",
                    "settings",
                    "smtp",
                    "step",
                ],
            ),
            ("opening", &["dane", "delivery", "failover", "lessons", "memory", "settings", "smtp"]),
            (
                "smarthost",
                &[
                    "classify",
                    "credential",
                    "dane",
                    "delivery",
                    "leaving",
                    "lessons",
                    "memory",
                    "opening",
                    "recipient_limit",
                    "settings",
                    "smtp",
                ],
            ),
            (
                "mx",
                &[
                    "classify",
                    "dane",
                    "delivery",
                    "destination",
                    "failover",
                    "leaving",
                    "mta_sts",
                    "settings",
                    "smarthost",
                    "smtp",
                ],
            ),
            ("dispatch", &["delivery", "failover", "leaving", "memory", "mx", "settings", "smarthost"]),
        ],
    ),
    (
        "src/spool",
        &[
            ("disk", &[]),
            ("error", &[]),
            ("folder", &[]),
            ("frozen", &["error"]),
            ("traits", &["error", "folder"]),
            ("manage", &["error", "folder", "traits"]),
            ("dir", &["disk", "error", "folder", "frozen", "manage", "traits"]),
        ],
    ),
    (
        "src/driver",
        &[
            ("body_pace", &[]),
            ("dialogue", &[]),
            ("draft_io", &[]),
            ("inspecting", &[]),
            ("limits", &[]),
            ("load", &[]),
            ("mail_list", &[]),
            ("reading", &[]),
            ("security", &["limits"]),
            ("shutdown", &[]),
            ("wire", &["security"]),
            ("opening", &["limits", "load", "shutdown"]),
            ("receiver", &["draft_io", "limits", "mail_list", "security", "shutdown"]),
            (
                "connection",
                &[
                    "body_pace",
                    "dialogue",
                    "draft_io",
                    "inspecting",
                    "load",
                    "opening",
                    "reading",
                    "receiver",
                    "security",
                    "wire",
                ],
            ),
            ("sessions", &["connection", "dialogue", "load", "opening", "receiver", "security", "wire"]),
            ("listening", &["limits", "load", "opening", "receiver", "security", "sessions"]),
        ],
    ),
];

/// How many files a folder has at most, without those for tests.
const MOST_FILES: usize = 16;
/// How many lines a file has at most.
const MOST_LINES: usize = 400;
/// How many lines every other file has at most.
const MEDIAN_LINES: usize = 160;

/// A source file.
pub(crate) struct Source {
    /// Its path from the root of the checkout.
    pub(crate) path: String,
    /// All of it.
    pub(crate) text: String,
}

/// Every source file of the crate, without those that are for tests only.
fn files() -> Vec<Source> {
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
                found.push(Source { path: name, text: fs::read_to_string(&path).unwrap() });
            }
        }
    }
    assert!(found.len() > 30, "only {} sources were found", found.len());
    // A folder is read in any order; what a failure says must not depend on it.
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

/// Every source file with its code, without comments and without what is for tests only.
fn sources() -> Vec<(String, String)> {
    let code = |source: Source| {
        let code = source.text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let lines: Vec<&str> = code.lines().map(|line| line.split("//").next().unwrap()).collect();
        (source.path, lines.join("\n"))
    };
    files().into_iter().map(code).collect()
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
        for (word, places) in ONLY_IN.iter().copied() {
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
    for &(module, allowed) in MAY_USE {
        let uses = if allowed.is_empty() { "nothing of ours".to_owned() } else { allowed.join(", ") };
        let row = format!("| {module} | {uses} |");
        assert!(page.contains(&row), "ARCHITECTURE.md lacks the row: {row}");
    }
    for &(folder, parts) in INSIDE {
        for &(part, allowed) in parts {
            let uses = if allowed.is_empty() { "nothing beside it".to_owned() } else { allowed.join(", ") };
            let row = format!("| {folder}: {part} | {uses} |");
            assert!(page.contains(&row), "ARCHITECTURE.md lacks the row: {row}");
        }
    }
}

/// The part of `folder` that a file belongs to; `None` for files elsewhere, and for the one that is the folder's own.
fn part<'f>(folder: &str, file: &'f str) -> Option<&'f str> {
    let below = file.strip_prefix(folder)?.strip_prefix('/')?;
    let part = below.split('/').next()?.trim_end_matches(".rs");
    (part != "mod").then_some(part)
}

#[test]
fn the_parts_of_a_folder_keep_their_order() {
    let imports = imports::imports(&files());
    for (folder, parts) in INSIDE.iter().copied() {
        for (file, taken) in &imports {
            let Some(own) = part(folder, file) else { continue };
            let row = parts.iter().find(|(name, _)| *name == own);
            let (_, allowed) = row.unwrap_or_else(|| panic!("{file}: the part {own} of {folder} is not in the table"));
            for other in taken {
                let is_allowed = part(folder, other).is_none_or(|part| part == own || allowed.contains(&part));
                assert!(is_allowed, "{file} must not use {other}");
            }
        }
    }
}

#[test]
fn no_two_files_import_each_other_in_a_circle() {
    let imports = imports::imports(&files());
    let circles = imports::circles(&imports);
    let within = |circle: &BTreeSet<String>| {
        let taken = |file: &String| (file.clone(), imports[file].intersection(circle).cloned().collect::<Vec<_>>());
        circle.iter().map(taken).collect::<Vec<_>>()
    };
    let found: Vec<_> = circles.iter().map(within).collect();
    assert!(found.is_empty(), "these files take from each other in a circle: {found:#?}");
}

#[test]
fn folders_and_files_stay_small() {
    let files = files();
    let folder = |file: &Source| file.path.rsplit_once('/').map(|(folder, _)| folder.to_owned());
    let folders: BTreeSet<String> = files.iter().filter_map(folder).collect();
    for name in folders {
        let count = files.iter().filter(|file| folder(file).as_ref() == Some(&name)).count();
        assert!(count <= MOST_FILES, "{name} has {count} files, more than {MOST_FILES}");
    }
    let mut lengths: Vec<usize> = Vec::new();
    for Source { path, text } in &files {
        let lines = text.lines().count();
        assert!(lines <= MOST_LINES, "{path} has {lines} lines, more than {MOST_LINES}");
        lengths.push(lines);
    }
    lengths.sort_unstable();
    let median = lengths[lengths.len() / 2];
    assert!(median <= MEDIAN_LINES, "the median of all files is {median} lines, more than {MEDIAN_LINES}");
}
