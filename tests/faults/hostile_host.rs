//! The spool against its host: whatever is in its folders that the spool would not have made, no verb of either program
//! follows it, waits for it, changes it or shows its name as it is; and mail goes on.
//!
//! Run by root there are device nodes and files of others too. `src/spool/tests/foreign.rs` has the rules one by one; here
//! the programs are run over all of it.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

use crate::lab;
use crate::site::{PATIENCE, Site};

const FOLDERS: [&str; 6] = ["queue", "hold", "failed", "bad", "routes", "log"];

/// Names of states that the programs keep in `routes/`.
const STATES: [&str; 11] = [
    "relay.json",
    "relay.size",
    "relay.slot.0",
    "relay.slot.1",
    "notices.json",
    "notices.lock",
    "alarms.lock",
    "alarms.json",
    "helpers.lock",
    "helpers.json",
    "nudge",
];

/// What a file is, as far as anybody could have changed it.
#[derive(Debug, PartialEq, Eq)]
struct Facts {
    mode: u32,
    owner: (u32, u32),
    size: u64,
    modified: (i64, i64),
    octets: Option<Vec<u8>>,
}

fn facts(path: &Path) -> Facts {
    let status = fs::symlink_metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let octets = status.is_file().then(|| fs::read(path).unwrap());
    Facts {
        mode: status.mode(),
        owner: (status.uid(), status.gid()),
        size: status.size(),
        modified: (status.mtime(), status.mtime_nsec()),
        octets,
    }
}

/// A message of ours, as a file that is elsewhere.
fn frozen(site: &Site) -> Vec<u8> {
    let id = site.listen(&[]).client().submit("a@example.com", &["b@example.com"], b"Subject: outside\r\n");
    let path = site.spool().join("queue").join(id);
    let octets = fs::read(&path).unwrap();
    fs::remove_file(path).unwrap();
    octets
}

/// An id-shaped name that sorts by its number.
fn id(number: usize) -> String {
    format!("01ARZ3NDEKTSV4RRFFQ69G5F{number:02}")
}

/// Everything that is no message of ours, under names that look like one, or like a file that the programs use themselves.
fn plant(site: &Site, outside: &Path, folder: &str) -> Vec<PathBuf> {
    let folder = site.spool().join(folder);
    let (file, sub) = (outside.join("message"), outside.join("folder"));
    let mut planted = Vec::new();
    let mut names: Vec<String> = (0..9).map(id).collect();
    match folder.file_name().and_then(|name| name.to_str()) {
        Some("routes") => {
            names = STATES.map(str::to_owned).to_vec();
        }
        Some("log") => names = (0..9).map(|n| format!("history.{n}")).collect(),
        _ => {}
    }
    let mut at = |number: usize| {
        planted.push(folder.join(&names[number]));
        folder.join(&names[number])
    };
    symlink(&file, at(0)).unwrap();
    mknodat(CWD, at(1), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    fs::create_dir(at(2)).unwrap();
    symlink(&sub, at(3)).unwrap();
    fs::hard_link(&file, at(4)).unwrap();
    UnixListener::bind(at(5)).unwrap();
    symlink("/dev/full", at(6)).unwrap();
    // The null device, and a file of somebody else: for root only.
    let device = folder.join(&names[7]);
    if mknodat(CWD, &device, FileType::CharacterDevice, Mode::RUSR | Mode::WUSR, makedev(1, 3)).is_ok() {
        planted.push(device);
    }
    let foreign = folder.join(&names[8]);
    fs::copy(&file, &foreign).unwrap();
    match std::os::unix::fs::chown(&foreign, Some(12_345), Some(12_345)) {
        Ok(()) => planted.push(foreign),
        Err(_) => fs::remove_file(foreign).unwrap(),
    }
    for name in [
        &b"\x1b[2J"[..],
        b"line\nbreak",
        "turned\u{202e}round".as_bytes(),
        b"\xff\xfe",
        b"--all",
        b"$(touch hurt)",
        b"...",
        b"01ARZ3NDEKTSV4RRFFQ69G5F00.1",
        &[b'x'; 255],
    ] {
        let path = folder.join(OsString::from_vec(name.to_vec()));
        fs::write(&path, b"nothing of ours").unwrap();
        planted.push(path);
    }
    planted
}

/// Whether the programs may put a file of their own in its place, by a rename: never by writing to what is there.
fn is_state(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    path.parent().is_some_and(|folder| folder.ends_with("routes")) && STATES.contains(&name)
}

/// Runs a verb to its end, which must come.
fn run(site: &Site, arguments: &[&str]) -> Output {
    let mut command: Command = site.spoolrun();
    let mut child =
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("spoolrun {arguments:?} waits for something");
        }
        sleep(Duration::from_millis(5));
    }
    child.wait_with_output().unwrap()
}

fn shown(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap() + &String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn no_verb_follows_changes_or_waits_for_what_is_planted_and_mail_goes_on() {
    let site = Site::new("");
    let message = frozen(&site);
    let outside = site.path("outside");
    fs::create_dir_all(outside.join("folder")).unwrap();
    fs::write(outside.join("message"), &message).unwrap();
    let mut planted: Vec<PathBuf> = FOLDERS.iter().flat_map(|folder| plant(&site, &outside, folder)).collect();
    // A folder to import from may hold the same, and one message.
    let carried = Site::new("");
    carried.listen(&[]).client().submit("a@example.com", &["b@example.com"], b"Subject: sound\r\n");
    planted.extend(["queue", "hold", "failed"].iter().flat_map(|folder| plant(&carried, &outside, folder)));
    let watched: Vec<PathBuf> = [outside.join("message"), outside.join("folder"), "/dev/full".into()].into();
    let kept: Vec<&PathBuf> = watched.iter().chain(planted.iter().filter(|path| !is_state(path))).collect();
    let before: Vec<Facts> = kept.iter().map(|path| facts(path)).collect();
    let ids: Vec<String> = (0..9).map(id).collect();

    let mut smtpd = site.listen(&[]);
    let sound = smtpd.client().submit("a@example.com", &["b@example.com"], b"Subject: sound\r\n");
    let (elsewhere, there) = (site.path("elsewhere"), site.path("there"));
    let mut verbs: Vec<Vec<&str>> = vec![
        vec!["list"],
        vec!["list", "--json"],
        vec!["stats"],
        vec!["shape"],
        vec!["verify"],
        vec!["verify", "--json"],
        vec!["doctor"],
        vec!["flush"],
        vec!["flush", "--dry-run"],
        vec!["hold", "--all"],
        vec!["release", "--all"],
        vec!["requeue", "--all"],
        vec!["pause", "relay"],
        vec!["resume", "relay"],
        vec!["expire", "--sender", "nobody@example.com"],
        vec!["export", elsewhere.to_str().unwrap(), "--sender", "nobody@example.com"],
        vec![],
    ];
    for id in &ids {
        for verb in ["list", "show", "explain", "cat", "flush", "hold", "release", "requeue", "expire", "remove"] {
            verbs.push(vec![verb, id]);
        }
        verbs.push(vec!["export", there.to_str().unwrap(), id]);
    }
    let from = carried.spool();
    verbs.push(vec!["import", from.to_str().unwrap(), "--all"]);
    verbs.extend(ids.iter().map(|id| vec!["import", from.to_str().unwrap(), id]));
    for arguments in &verbs {
        let output = run(&site, arguments);
        assert!(output.status.code().is_some_and(|code| code != 101), "{arguments:?} broke down: {}", shown(&output));
        let text = shown(&output);
        assert!(!text.contains("Subject: outside"), "{arguments:?} followed something:\n{text}");
        let harmful = |c: char| (c.is_control() && !matches!(c, '\n' | '\r' | '\t')) || c == '\u{202e}';
        assert!(!text.contains(harmful), "{arguments:?} says {}", text.escape_debug());
    }
    for (path, before) in kept.iter().zip(&before) {
        assert_eq!(*before, facts(path), "{}", path.display());
    }
    assert!(!site.path("hurt").exists());
    // The sound message is delivered, and the receiver takes the next.
    let delivered: Vec<Vec<u8>> = site.delivered();
    assert_eq!(delivered.len(), 1, "{sound} is delivered, and nothing else");
    smtpd.client().submit("a@example.com", &["b@example.com"], b"Subject: sound\r\n");
    run(&site, &["flush"]);
    assert_eq!(site.delivered().len(), 3, "that one, and the one that was imported");
    smtpd.terminate();
    smtpd.wait();
    lab::report(
        "spool against its host",
        &format!(
            "{} planted files in {} folders, {} runs: 0 followed, 0 changed",
            planted.len(),
            FOLDERS.len(),
            verbs.len()
        ),
    );
}

#[test]
fn a_spool_folder_that_is_no_folder_stops_the_programs_without_a_write() {
    for folder in FOLDERS {
        let site = Site::new("");
        let elsewhere = site.path("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        fs::create_dir(site.spool()).unwrap();
        fs::set_permissions(site.spool(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        for other in FOLDERS.iter().filter(|other| **other != folder) {
            fs::create_dir(site.spool().join(other)).unwrap();
        }
        symlink(&elsewhere, site.spool().join(folder)).unwrap();
        let mut smtpd = site.smtpd();
        let refused = smtpd.args(["--one"]).stdin(Stdio::null()).output().unwrap();
        assert_eq!(refused.status.code(), Some(73), "{folder}: {}", shown(&refused));
        for verb in ["list", "flush", "verify"] {
            assert!(!run(&site, &[verb]).status.success(), "{verb} with {folder} that is a link");
        }
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0, "{folder}");
    }
}

#[test]
fn a_spool_that_is_a_link_is_used_where_it_leads_and_never_made_of_something_else() {
    let site = Site::new("");
    let real = site.path("real");
    fs::create_dir(&real).unwrap();
    symlink(&real, site.spool()).unwrap();
    site.listen(&[]).client().submit("a@example.com", &["b@example.com"], b"Subject: x\r\n");
    assert!(run(&site, &["flush"]).status.success());
    assert_eq!((site.delivered().len(), fs::read_dir(real.join("queue")).unwrap().count()), (1, 0));
    // What holds other things becomes no spool, nor is it closed to others.
    let other = Site::new("");
    let precious = other.path("precious");
    fs::create_dir(&precious).unwrap();
    fs::write(precious.join("letter"), "dear").unwrap();
    fs::set_permissions(&precious, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    symlink(&precious, other.spool()).unwrap();
    let before = facts(&precious);
    let refused = other.smtpd().arg("--one").stdin(Stdio::null()).output().unwrap();
    assert_eq!(refused.status.code(), Some(73), "{}", shown(&refused));
    assert_eq!(facts(&precious), before);
}

#[test]
fn hostile_ids_and_folders_on_the_command_line_are_refused() {
    let site = Site::new("");
    site.listen(&[]);
    for hostile in
        ["../outside", "..", ".", "/etc/passwd", "queue/x", "01ARZ3NDEKTSV4RRFFQ69G5F0/", "a\u{202e}b", "\u{1b}[2J", ""]
    {
        for verb in ["show", "cat", "hold", "remove", "flush", "explain"] {
            let output = run(&site, &[verb, "--", hostile]);
            assert_eq!(output.status.code(), Some(64), "{verb} {hostile:?}: {}", shown(&output));
            let harmful = |c: char| (c.is_control() && !matches!(c, '\n' | '\t')) || c == '\u{202e}';
            assert!(!shown(&output).contains(harmful), "{}", shown(&output).escape_debug());
        }
    }
}
