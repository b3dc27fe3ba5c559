//! Which tests were skipped in one run of `cargo test`, and how to get what they lack.
//!
//! Each skip is one line in a file that belongs to the run, so that an earlier or a simultaneous run is never reported. The last
//! program of `cargo test` (`benches/skipped.rs`) reads the file, prints the summary and removes it.

#![allow(dead_code, reason = "the tests write the records, and the last program reads them")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// What tests need, by the Debian package that has it.
pub(crate) const PACKAGES: &[(&str, &str)] = &[
    ("Authen::SASL", "libauthen-sasl-perl"),
    ("Digest::HMAC_MD5", "libdigest-hmac-perl"),
    ("IO::Socket::SSL", "libio-socket-ssl-perl"),
    ("Python's dkim", "python3-dkim"),
    ("Python's prometheus_client", "python3-prometheus-client"),
    ("Python's spf_engine.policyd_spf", "python3-spf-engine"),
    ("btrfs", "btrfs-progs"),
    ("chromedriver", "chromium-driver"),
    ("chromium", "chromium"),
    ("curl", "curl"),
    ("dovecot", "dovecot-submissiond"),
    ("fallocate", "util-linux"),
    ("findmnt", "util-linux"),
    ("git", "git"),
    ("git send-email", "git-email"),
    ("jq", "jq"),
    ("libfaketime", "libfaketime"),
    ("losetup", "mount"),
    ("mkfs.btrfs", "btrfs-progs"),
    ("mkfs.ext4", "e2fsprogs"),
    ("mkfs.xfs", "xfsprogs"),
    ("mount", "mount"),
    ("msmtp", "msmtp"),
    ("mutt", "mutt"),
    ("nc", "netcat-openbsd"),
    ("openssl", "openssl"),
    ("perl", "perl"),
    ("php", "php-cli"),
    ("prlimit", "util-linux"),
    ("python3", "python3"),
    ("qemu-storage-daemon", "qemu-system-common"),
    ("s-nail", "s-nail"),
    ("saslpasswd2", "sasl2-bin"),
    ("script", "bsdutils"),
    ("strace", "strace"),
    ("swaks", "swaks"),
    ("systemd-analyze", "systemd"),
    ("systemd-sysusers", "systemd"),
    ("systemd-tmpfiles", "systemd"),
    ("tmux", "tmux"),
    ("setpriv", "util-linux"),
    ("unshare", "util-linux"),
];

/// What comes from packages that exclude each other, or would start a server: `.ci/install-peers` unpacks them.
pub(crate) const UNPACKED: &[&str] = &[
    "bogofilter",
    "check_mailq",
    "clamav-milter",
    "clamd",
    "exim4",
    "fail2ban-regex",
    "initdb",
    "ldns-keygen",
    "mariadbd",
    "opendkim",
    "opendmarc",
    "opensmtpd",
    "pflogsumm",
    "postfix-master",
    "postgres",
    "postgrey",
    "posttls-finger",
    "rspamd",
    "smtp-sink",
    "smtp-source",
    "unbound",
    "uux",
    "uuxqt",
];

/// Why a test was skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// Something is not installed.
    Lacks,
    /// The host, or the rights of this user.
    Host,
    /// Only the full form has it.
    Form,
}

/// Says why a test is skipped on this host, whatever is installed: what this kernel, or the rights of this user, do not allow.
pub(crate) fn skip(why: &str) {
    require(why);
    record(Reason::Host, why);
}

/// Says that a test belongs to the full form only.
pub(crate) fn left_out(why: &str) {
    record(Reason::Form, why);
}

/// With `LEAFMAIL_REQUIRE_PEERS` set, a test that cannot run fails, unless the gate found apart from the tests that the host lacks
/// this: it is a line of `LEAFMAIL_HOST_LACKS`.
pub(crate) fn require(why: &str) {
    let lacks = std::env::var("LEAFMAIL_HOST_LACKS").unwrap_or_default();
    let may_be_skipped = std::env::var_os("LEAFMAIL_REQUIRE_PEERS").is_none() || lacks.lines().any(|line| line == why);
    assert!(may_be_skipped, "no test may be skipped, but {why}");
}

/// Says that this test is skipped, past the capture of the test runner, and records it for the summary.
pub(crate) fn record(reason: Reason, what: &str) {
    let (kind, told) = match reason {
        Reason::Lacks => ("lacks", format!("skipped: {what} is not installed")),
        Reason::Host => ("host", format!("skipped: {what}")),
        Reason::Form => ("form", format!("left out of the short form: {what}")),
    };
    let mut stderr = std::io::stderr();
    let _ = writeln!(stderr, "{told}");
    let program = std::env::args_os().next().unwrap_or_default();
    let program = Path::new(&program).file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let thread = std::thread::current();
    let line = format!("{kind}\t{what}\t{program}\t{}\n", thread.name().unwrap_or_default());
    let path = records();
    let written = fs::create_dir_all(path.parent().expect("a folder is part of it")).and_then(|()| {
        // One write to the end of the file: lines of tests that run at once do not mix.
        OpenOptions::new().append(true).create(true).open(&path)?.write_all(line.as_bytes())
    });
    if let Err(error) = written {
        let _ = writeln!(stderr, "skipped, but not recorded for the summary: {}: {error}", path.display());
    }
}

/// What was recorded in this run. The records of runs that have ended are removed, and so are those of this one.
pub(crate) fn take_records() -> String {
    let own = records();
    let text = fs::read_to_string(&own).unwrap_or_default();
    for entry in own.parent().and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let runs =
            name.split_once('-').is_some_and(|(pid, since)| parent_and_start(pid).is_some_and(|(_, at)| at == since));
        if entry.path() == own || !runs {
            let _ = fs::remove_file(entry.path());
        }
    }
    text
}

/// The file of this run, named after the cargo that started it and the moment it was started.
fn records() -> PathBuf {
    let run = run(std::process::id()).unwrap_or_else(|| "unknown".to_owned());
    let temporary = option_env!("CARGO_TARGET_TMPDIR").map_or_else(beside_this_program, PathBuf::from);
    temporary.join("skipped").join(run)
}

/// The folder of temporary files of the build, for unit tests, to which cargo does not name it.
fn beside_this_program() -> PathBuf {
    let program = std::env::current_exe().expect("the kernel knows it");
    // target/debug/deps/leafmail-HASH
    program.ancestors().nth(3).expect("cargo made it").join("tmp")
}

/// The nearest cargo above this process, else its parent.
fn run(own: u32) -> Option<String> {
    let (parent, _) = parent_and_start(&own.to_string())?;
    let mut at = parent.clone();
    while at != "0" {
        let (above, since) = parent_and_start(&at)?;
        if fs::read_to_string(format!("/proc/{at}/comm")).is_ok_and(|name| name.starts_with("cargo")) {
            return Some(format!("{at}-{since}"));
        }
        at = above;
    }
    let (_, since) = parent_and_start(&parent)?;
    Some(format!("{parent}-{since}"))
}

/// The parent of a process, and when it was started in ticks since the machine was.
fn parent_and_start(pid: &str) -> Option<(String, String)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it may have spaces and parentheses.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    Some(((*fields.get(1)?).to_owned(), (*fields.get(19)?).to_owned()))
}

/// The summary of these records.
pub(crate) fn summary(records: &str) -> String {
    let mut lacks = BTreeMap::<&str, usize>::new();
    let mut host = BTreeMap::<&str, usize>::new();
    let mut form = BTreeMap::<&str, usize>::new();
    let mut seen = BTreeSet::new();
    for line in records.lines() {
        let [kind, what, program, test] = line.splitn(4, '\t').collect::<Vec<_>>()[..] else { continue };
        // With one thread, all tests of a program have the name of its first thread.
        if test == "main" || seen.insert((what, program, test)) {
            let found = match kind {
                "lacks" => &mut lacks,
                "form" => &mut form,
                _ => &mut host,
            };
            *found.entry(what).or_default() += 1;
        }
    }
    let mut text = String::new();
    if lacks.is_empty() && host.is_empty() {
        text += "skipped: nothing\n";
    }
    for (found, what, why) in [
        (&lacks, "skipped", "something is not installed"),
        (&host, "skipped", "this host does not allow it"),
        (&form, "left out of the short form", "it takes long"),
    ] {
        if !found.is_empty() {
            let count: usize = found.values().sum();
            let tests = if count == 1 { "1 test".to_owned() } else { format!("{count} tests") };
            let _ = writeln!(text, "{what}: {tests}, because {why}:");
            for (what, count) in found {
                let _ = writeln!(text, "{count:>6}  {what}");
            }
        }
    }
    text += &remedy(&lacks.into_keys().collect::<Vec<_>>());
    text
}

/// The commands that get what is missing.
fn remedy(missing: &[&str]) -> String {
    let package = |name: &&str| PACKAGES.iter().find(|(what, _)| what == name).map(|(_, package)| *package);
    let packages: BTreeSet<&str> = missing.iter().filter_map(package).collect();
    let mut text = String::new();
    if !packages.is_empty() {
        let packages: Vec<&str> = packages.into_iter().collect();
        let _ = writeln!(
            text,
            "This installs what is missing (Debian, as root):\n  apt-get install {}",
            packages.join(" ")
        );
    }
    let unpacked: Vec<&str> = missing.iter().copied().filter(|name| UNPACKED.contains(name)).collect();
    if !unpacked.is_empty() {
        let _ = writeln!(
            text,
            "This installs all that any test needs, and unpacks {} without installing a mail server:\n  \
             PATH=\"$(.ci/install-peers target/peers):$PATH\" cargo test",
            unpacked.join(", ")
        );
    }
    text
}
