//! Counters of several processes; each observer with a file stands for a process.

use super::*;
use crate::clock::{Clock, Timestamp};
use crate::event::{Event, Observer};

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_795_226_700_000)
    }
}

fn begun(folder: &Path) -> (Arc<Counters>, Arc<CounterFile>) {
    let counters = Arc::new(Counters::new(&["relay".to_owned()], Arc::new(Still)));
    (Arc::clone(&counters), CounterFile::begin(folder, counters).unwrap())
}

fn trouble(counters: &Counters, times: u64) {
    (0..times).for_each(|_| counters.observe(&Event::Trouble { text: "x".to_owned() }));
}

fn counted(folder: &Path) -> Option<u64> {
    read_counters(folder).unwrap().value("leafmail_troubles")
}

fn processes(folder: &Path) -> usize {
    names(folder).unwrap().len()
}

/// As a kill ends it: what was written stays, and the lock is free.
fn killed(file: &CounterFile) {
    drop(file.file.lock().unwrap().take());
}

#[test]
fn processes_that_live_end_or_are_killed_are_counted_once_each() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("log");
    assert_eq!(counted(&folder), None);
    let (first, of_first) = begun(&folder);
    let (second, of_second) = begun(&folder);
    trouble(&first, 3);
    trouble(&second, 4);
    of_first.write().unwrap();
    of_second.write().unwrap();
    assert_eq!((counted(&folder), processes(&folder)), (Some(7), 2));
    trouble(&first, 1);
    of_first.end();
    of_first.end();
    assert_eq!((counted(&folder), processes(&folder)), (Some(8), 1));
    killed(&of_second);
    assert_eq!((counted(&folder), processes(&folder)), (Some(8), 1), "a reader changes nothing");
    let (third, of_third) = begun(&folder);
    assert_eq!((counted(&folder), processes(&folder)), (Some(8), 1), "the next process adds it up");
    trouble(&third, 1);
    of_third.end();
    assert_eq!((counted(&folder), processes(&folder)), (Some(9), 0));
}

#[test]
fn a_kill_between_the_sum_and_the_removal_counts_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let (counters, file) = begun(folder.path());
    trouble(&counters, 5);
    file.write().unwrap();
    let image = fs::read(folder.path().join(&file.name)).unwrap();
    file.end();
    fs::write(folder.path().join(&file.name), image).unwrap();
    assert_eq!(counted(folder.path()), Some(5));
    let (_, next) = begun(folder.path());
    assert_eq!((counted(folder.path()), processes(folder.path())), (Some(5), 1));
    next.end();
    assert_eq!(counted(folder.path()), Some(5));
}

#[test]
fn gauges_of_processes_that_ended_count_for_nothing_and_times_are_the_latest() {
    let folder = tempfile::tempdir().unwrap();
    let (counters, file) = begun(folder.path());
    let client = crate::event::Client { peer: crate::envelope::Peer::Local, name: None };
    counters.observe(&Event::Connected { client });
    let (_, delivered) = crate::event::testing::delivered();
    counters.observe(&delivered);
    file.write().unwrap();
    let open = "leafmail_open_connections{direction=\"in\"}";
    assert_eq!(read_counters(folder.path()).unwrap().value(open), Some(1));
    file.end();
    let (_, other) = begun(folder.path());
    let readings = read_counters(folder.path()).unwrap();
    assert_eq!(readings.value(open), Some(0));
    assert_eq!(readings.value("leafmail_connections{direction=\"in\"}"), Some(1));
    assert_eq!(readings.value("leafmail_route_last_success_timestamp_seconds{route=\"relay\"}"), Some(1_795_226_700));
    other.end();
}

#[test]
fn damaged_files_count_for_nothing_and_links_are_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (counters, file) = begun(folder.path());
    trouble(&counters, 2);
    file.end();
    let octets: [&[u8]; 5] = [
        b"",
        b"leafmail counters 1\nleafmail_troubles\n\n",
        b"leafmail counters 1\n\n",
        b"leafmail counters 9\nleafmail_troubles\n\n\x01\0\0\0\0\0\0\0",
        b"\xff\xfe\n\n\0\0\0\0",
    ];
    for (number, octets) in octets.iter().enumerate() {
        fs::write(folder.path().join(format!("counters-{number}")), octets).unwrap();
    }
    std::os::unix::fs::symlink("/etc/passwd", folder.path().join("counters-link")).unwrap();
    assert_eq!(counted(folder.path()), Some(2));
    let (_, next) = begun(folder.path());
    next.end();
    assert_eq!((counted(folder.path()), processes(folder.path())), (Some(2), 1), "the link is nobody's file");
    fs::write(folder.path().join("counters"), "nonsense\n-1 leafmail_troubles\n").unwrap();
    assert_eq!(counted(folder.path()), None);
}

#[test]
fn a_lock_that_is_never_free_delays_an_end_for_a_second_only_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (counters, file) = begun(folder.path());
    trouble(&counters, 2);
    let held = lock(folder.path(), FlockOperation::NonBlockingLockExclusive).unwrap();
    file.end();
    drop(held);
    assert_eq!((counted(folder.path()), processes(folder.path())), (Some(2), 1));
}
