//! What left the spool is found again, whatever happens to the files meanwhile.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::address::ReversePath;
use crate::clock::{Clock, Timestamp};
use crate::event::{Delays, Event, Observer};
use crate::id::SpoolId;
use crate::receipt::{Outcome, Reason};
use crate::smtp::EnhancedCode;

struct At(u64);

impl Clock for At {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0)
    }
}

fn id(number: u64) -> SpoolId {
    SpoolId::new(Timestamp::from_millis(1_795_226_607_123), 7, number)
}

fn attempted(number: u64, recipient: &str, outcome: Outcome) -> Event {
    Event::Attempted {
        id: id(number),
        sender: ReversePath::parse("alice@example.com", None).unwrap(),
        message_id: Some(format!("<{number}@example.com>")),
        recipient: recipient.parse().unwrap(),
        written: None,
        route: "relay".to_owned(),
        relay: "mx[192.0.2.1]:25".to_owned(),
        delays: Delays { queued: Duration::from_secs(90), ..Delays::default() },
        outcome,
    }
}

fn sent() -> Outcome {
    Outcome::Delivered(Reason::new(EnhancedCode(2, 0, 0), "250 ok"))
}

fn observer(folder: &Path, limit: u64) -> HistoryObserver {
    HistoryObserver::new(HistoryFile::new(folder.join("log"), limit), Arc::new(At(1_795_226_700_000)))
}

fn find(folder: &Path, wanted: &Search) -> Vec<HistoryEntry> {
    search(&folder.join("log"), |entry| wanted.fits(entry), 100).unwrap()
}

#[test]
fn what_left_is_found_by_id_sender_recipient_and_message_id() {
    let folder = tempfile::tempdir().unwrap();
    let observer = observer(folder.path(), 1_000_000);
    observer.observe(&attempted(1, "bob@example.com", sent()));
    let refused = Reason { reply_code: Some(550), ..Reason::new(EnhancedCode(5, 1, 1), "550 5.1.1 no") };
    observer.observe(&attempted(2, "Carol@example.com", Outcome::Failed(refused.clone())));
    observer.observe(&attempted(3, "dan@example.com", Outcome::Deferred(refused.clone())));
    let all = find(folder.path(), &Search::Sender("Alice@example.com".to_owned()));
    assert_eq!(all.iter().map(|entry| entry.what).collect::<Vec<_>>(), [Departure::Failed, Departure::Delivered]);
    assert_eq!(all[0].reason(), refused, "the newest first, and nothing of it lost");
    for wanted in [
        Search::Id(id(2).to_string()),
        Search::Recipient("carol@example.com".to_owned()),
        Search::MessageId("2@example.com".to_owned()),
        Search::MessageId("<2@example.com>".to_owned()),
    ] {
        assert_eq!(find(folder.path(), &wanted), all[..1], "{wanted:?}");
    }
    let mode = fs::metadata(folder.path().join("log/history")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn the_files_are_bounded_and_the_newest_lines_stay() {
    let folder = tempfile::tempdir().unwrap();
    // Two processes, which write in turns.
    let writers = [observer(folder.path(), 20_000), observer(folder.path(), 20_000)];
    for number in 0..500 {
        writers[number % 2].observe(&attempted(number as u64, "bob@example.com", sent()));
    }
    let sizes: u64 = ["history", "history.1"]
        .map(|name| folder.path().join("log").join(name).metadata().unwrap().len())
        .iter()
        .sum();
    assert!((10_000..=20_000).contains(&sizes), "{sizes}");
    let kept = find(folder.path(), &Search::Sender("alice@example.com".to_owned()));
    assert!(kept.len() > 30);
    for (place, entry) in kept.iter().enumerate() {
        assert_eq!(entry.id, id(499 - place as u64).to_string(), "newest first, none missing");
    }
}

#[test]
fn a_torn_line_costs_itself_only() {
    let folder = tempfile::tempdir().unwrap();
    observer(folder.path(), 1_000_000).observe(&attempted(1, "bob@example.com", sent()));
    let path = folder.path().join("log/history");
    let whole = fs::read(&path).unwrap();
    for cut in 0..whole.len() {
        let torn = [&whole[..], &whole[..cut]].concat();
        fs::write(&path, torn).unwrap();
        observer(folder.path(), 1_000_000).observe(&attempted(2, "bob@example.com", sent()));
        let found = find(folder.path(), &Search::Recipient("bob@example.com".to_owned()));
        let ids: Vec<_> = found.iter().map(|entry| entry.id.clone()).collect();
        // All of a line but its end is a line all the same.
        let mut expected = vec![id(2).to_string(), id(1).to_string()];
        if cut + 1 == whole.len() {
            expected.push(id(1).to_string());
        }
        assert_eq!(ids, expected, "cut at {cut}");
    }
}

#[test]
fn lines_are_whole_also_across_blocks_and_hostile_text_stays_on_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let observer = observer(folder.path(), 10_000_000);
    let long = Reason { text: "\u{202e}\n\"\\".repeat(5_000), ..Reason::new(EnhancedCode(5, 0, 0), "") };
    for number in 0..300 {
        observer.observe(&attempted(number, "bob@example.com", Outcome::Failed(long.clone())));
    }
    let found = find(folder.path(), &Search::Sender("alice@example.com".to_owned()));
    assert_eq!(found.len(), 100);
    assert_eq!(found[0].id, id(299).to_string());
    assert_eq!(found[99].id, id(200).to_string());
    let lines = fs::read(folder.path().join("log/history")).unwrap();
    assert!(lines.split(|octet| *octet == b'\n').all(|line| line.len() < 8_000));
}

#[test]
fn without_a_limit_nothing_is_written_and_trouble_is_only_said() {
    let folder = tempfile::tempdir().unwrap();
    observer(folder.path(), 0).observe(&attempted(1, "bob@example.com", sent()));
    assert!(!folder.path().join("log").exists());
    fs::write(folder.path().join("log"), "a file").unwrap();
    observer(folder.path(), 1_000_000).observe(&attempted(1, "bob@example.com", sent()));
    assert_eq!(fs::read(folder.path().join("log")).unwrap(), b"a file");
}
