//! Who moves messages at the same time shares the syncs of the folders, and each move still waits for one that began after it.

use std::thread;
use std::time::Duration;

use super::double::{Fault, FaultyDisk};
use super::*;

const MOVERS: usize = 16;
const EACH: usize = 4;

#[test]
fn messages_that_move_at_the_same_time_share_the_syncs_of_both_folders() {
    let (folder, disk) = (folder(), FaultyDisk::new());
    let spool =
        DirSpool::open_on(disk.clone(), folder.path(), settings(Creation::Anonymous), TestClock::new()).unwrap();
    let put = |_| spool.open(&plain_envelope()).unwrap().commit(&plain_seal()).unwrap().id;
    let ids: Vec<SpoolId> = (0..MOVERS * EACH).map(put).collect();
    // A sync takes a while, and meanwhile others come.
    disk.book.lock().unwrap().follow(|_, call| {
        if call == "sync_folder" {
            thread::sleep(Duration::from_millis(1));
        }
        Fault::None
    });
    thread::scope(|scope| {
        for own in ids.chunks(EACH) {
            let spool = &spool;
            scope.spawn(move || {
                for id in own {
                    assert_eq!(spool.move_between(*id, Folder::Queue, Folder::Hold).unwrap(), Handled::Done);
                }
            });
        }
    });
    let book = disk.book.lock().unwrap();
    let syncs = book.trace.iter().filter(|call| **call == "sync_folder").count();
    let last_rename = book.trace.iter().rposition(|call| *call == "rename");
    assert!(syncs < 100, "alone, 64 moves take 128 syncs; together they took {syncs}");
    let after = book.trace[last_rename.unwrap()..].iter().filter(|call| **call == "sync_folder").count();
    assert!(after >= 2, "both folders are synced after the last move");
}
