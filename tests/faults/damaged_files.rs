//! A message file that is cut or changed at any octet: `verify` names it, and the runner delivers the whole message or none.
//!
//! `src/spool/tests/damage.rs` has the same for the reader alone. Here all damaged forms of one file are messages of one queue, and
//! both programs work on them as they are built. The full form changes each bit of each octet.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use leafmail::clock::Timestamp;
use leafmail::id::SpoolId;
use leafmail::receipt::ReceiptKind;
use leafmail::spool::{DirSpool, Spool, SpoolSettings};
use leafmail::sys::SystemClock;

use crate::fake_smarthost::{FakeSmarthost, Script};
use crate::lab;
use crate::site::Site;

const MESSAGE: &[u8] = b"Subject: whole\r\n\r\n.a message\r\nthat is whole or not there\r\n";
/// Octets before the envelope.
const HEADER: usize = 28;
const TRAILER: usize = 24;

/// A file with a history: one recipient has the message, the other one is deferred.
struct Whole {
    octets: Vec<u8>,
    /// What is between envelope and trailer.
    message: Vec<u8>,
    /// Where the receipts begin.
    sealed: usize,
    /// Where the receipt ends by which the first recipient has it.
    delivered: usize,
}

fn number(octets: &[u8]) -> usize {
    let mut wide = [0; 8];
    wide[..octets.len()].copy_from_slice(octets);
    usize::try_from(u64::from_le_bytes(wide)).unwrap()
}

fn relayed_to(smarthost: &FakeSmarthost) -> Site {
    let site = Site::new("");
    let text = fs::read_to_string(site.config()).unwrap();
    let inbox = format!("url = \"maildir:{}\"", site.inbox().display());
    let url = format!("url = \"smtp://{}?tls=none\"", smarthost.address);
    fs::write(site.config(), text.replace(&inbox, &url)).unwrap();
    site
}

fn whole() -> Whole {
    let smarthost = FakeSmarthost::start(Script::new().refuses("carol@example.net", "451 4.2.1 not now"));
    let site = relayed_to(&smarthost);
    let recipients = ["bob@example.net", "carol@example.net"];
    let id = site.listen(&[]).client().submit("alice@example.com", &recipients, MESSAGE);
    assert!(site.run(&["flush"]).status.success());
    let octets = fs::read(site.spool().join("queue").join(&id)).unwrap();
    let (envelope, body) = (number(&octets[12..16]), number(&octets[20..HEADER]));
    let trailer = HEADER + envelope + body;
    let sealed = trailer + TRAILER + number(&octets[trailer + 8..trailer + 12]);
    let mut borders = vec![sealed];
    while let Some(at) = borders.last().copied().filter(|at| *at < octets.len()) {
        borders.push(at + 9 + number(&octets[at + 1..at + 3]));
    }
    let spool = DirSpool::open(&site.spool(), SpoolSettings::default(), Arc::new(SystemClock)).unwrap();
    let receipts = spool.peek(id.parse().unwrap()).unwrap().unwrap().receipts;
    assert_eq!(receipts.len() + 1, borders.len(), "{receipts:?}");
    let delivered = receipts.iter().position(|receipt| receipt.what == ReceiptKind::Delivered).unwrap();
    let message = octets[HEADER + envelope..trailer].to_vec();
    assert!(message.ends_with(MESSAGE));
    Whole { delivered: borders[delivered + 1], octets, message, sealed }
}

/// What must come of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is set aside.
    Bad,
    /// It is sent to one recipient, or to both, as what is recorded of the first one is cut off.
    Sent { to_both: bool },
}

/// Every cut and every change, each with what must come of it.
fn damaged(whole: &Whole) -> Vec<(String, Vec<u8>, Fate)> {
    let mut all = Vec::new();
    for cut in 0..whole.octets.len() {
        let fate = if cut < whole.sealed { Fate::Bad } else { Fate::Sent { to_both: cut < whole.delivered } };
        all.push((format!("cut at {cut}"), whole.octets[..cut].to_vec(), fate));
    }
    for at in 0..whole.octets.len() {
        let masks = lab::either(vec![1 << (at % 8)], (0..8).map(|bit| 1 << bit).chain([0xFF]).collect());
        for mask in masks {
            let mut changed = whole.octets.clone();
            changed[at] ^= mask;
            all.push((format!("{mask:#04x} at {at}"), changed, Fate::Bad));
        }
    }
    all.push(("whole".to_owned(), whole.octets.clone(), Fate::Sent { to_both: false }));
    all
}

/// Puts a file into the queue as a crash or a bad disk would have left it two minutes ago.
fn put(site: &Site, number: usize, octets: &[u8]) -> String {
    let before = SystemTime::now() - Duration::from_secs(120);
    let millis = before.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
    let id = SpoolId::new(Timestamp::from_millis(u64::try_from(millis).unwrap()), 0, number as u64).to_string();
    let path = site.spool().join("queue").join(&id);
    fs::write(&path, octets).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    File::options().write(true).open(&path).unwrap().set_modified(before).unwrap();
    id
}

#[test]
fn a_file_damaged_at_any_octet_is_named_by_verify_and_never_delivered_in_part() {
    let whole = whole();
    let smarthost = FakeSmarthost::start(Script::new());
    let site = relayed_to(&smarthost);
    assert!(site.run(&["flush"]).status.success(), "the spool is made");
    let mut files = BTreeMap::new();
    for (number, (what, octets, fate)) in damaged(&whole).into_iter().enumerate() {
        files.insert(put(&site, number, &octets), (what, octets, fate));
    }
    let bad: BTreeSet<&String> = files.iter().filter(|(_, file)| file.2 == Fate::Bad).map(|(id, _)| id).collect();

    let verified = site.run(&["verify", "--json"]);
    assert_eq!(verified.status.code(), Some(65));
    let named: BTreeSet<String> = String::from_utf8(verified.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["name"].as_str().unwrap().to_owned())
        .collect();
    for (id, (what, _, fate)) in &files {
        assert_eq!(named.contains(id), *fate == Fate::Bad, "verify, {what}");
    }
    assert_eq!((named.len(), site.shelf("queue").len()), (bad.len(), files.len()), "verify changes nothing");

    let flushed = site.run(&["flush"]);
    let said = String::from_utf8_lossy(&flushed.stderr).into_owned();
    assert_eq!(flushed.status.code(), Some(65), "{said:.3000}");
    for id in &bad {
        assert_eq!(said.matches(&format!("{id}: moved to bad/")).count(), 1, "{}", files[*id].0);
    }
    assert_eq!(site.shelf("queue"), [""; 0], "{}", site.states());
    assert!(site.shelf("bad").iter().eq(bad.iter().copied()), "in bad/: {:?}", site.shelf("bad"));
    for id in &bad {
        let (what, octets, _) = &files[*id];
        assert!(fs::read(site.spool().join("bad").join(id)).unwrap() == *octets, "{what}: it was changed");
    }
    let record = smarthost.record();
    let sent: Vec<Fate> = files.values().map(|file| file.2).filter(|fate| *fate != Fate::Bad).collect();
    let to_both = sent.iter().filter(|fate| **fate == Fate::Sent { to_both: true }).count();
    assert!(record.messages.iter().all(|message| *message == whole.message), "a message that is not what was sent");
    let to = |name: &str| record.verbs("RCPT").iter().filter(|line| line.contains(name)).count();
    assert_eq!((record.messages.len(), to("carol@"), to("bob@")), (sent.len(), sent.len(), to_both));
    assert!(to_both > 0 && to_both < sent.len() && record.verbs("MAIL FROM:<>").is_empty());
    lab::report(
        "damaged files",
        &format!(
            "{} forms of a file of {} octets: {} named by verify and set aside unchanged, {} delivered whole, 0 in part",
            files.len(),
            whole.octets.len(),
            bad.len(),
            sent.len()
        ),
    );
}
