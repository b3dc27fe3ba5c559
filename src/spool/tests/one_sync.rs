//! Which syncs a new message gets, by file system: one where it is known to suffice, else that of the file and that of its folder.

use super::double::{Fault, FaultyDisk, UNKNOWN};
use super::*;

#[test]
fn where_the_sync_of_a_file_covers_its_name_the_folder_is_not_synced() {
    let synced = |kind, sync| {
        let (folder, disk) = (folder(), FaultyDisk::of(kind));
        let settings = SpoolSettings { sync, ..settings(Creation::Anonymous) };
        let spool = DirSpool::open_on(disk.clone(), folder.path(), settings, TestClock::new()).unwrap();
        disk.book.lock().unwrap().follow(|_, _| Fault::None);
        let mut draft = spool.open(&full_envelope()).unwrap();
        draft.append(MESSAGE).unwrap();
        let id = draft.commit(&full_seal()).unwrap().id;
        let book = disk.book.lock().unwrap();
        assert!(book.is_durable(&id.to_string()), "{kind}");
        book.trace.iter().filter(|call| call.starts_with("sync")).copied().collect::<Vec<_>>()
    };
    for kind in [FileSystem::Journalled, FileSystem::Xfs, FileSystem::Btrfs] {
        assert_eq!(synced(kind, SpoolSync::Auto), ["sync"], "{kind}");
        assert_eq!(synced(kind, SpoolSync::Always), ["sync", "sync_folder"], "{kind}");
    }
    for kind in [FileSystem::Unjournalled, FileSystem::Ext, UNKNOWN] {
        assert_eq!(synced(kind, SpoolSync::Auto), ["sync", "sync_folder"], "{kind}");
    }
}

#[test]
fn what_cannot_be_written_out_is_a_failed_sync_that_is_not_repeated() {
    let (folder, disk) = (folder(), FaultyDisk::of(FileSystem::Journalled));
    // Every flush is a slow one.
    let settings = SpoolSettings { slow_flush: Duration::ZERO, ..settings(Creation::Anonymous) };
    let spool = DirSpool::open_on(disk.clone(), folder.path(), settings, TestClock::new()).unwrap();
    let accept = || {
        let mut draft = spool.open(&full_envelope()).unwrap();
        draft.append(MESSAGE).unwrap();
        draft.commit(&full_seal())
    };
    disk.book.lock().unwrap().follow(|_, _| Fault::None);
    let id = accept().unwrap().id;
    assert!(disk.book.lock().unwrap().is_durable(&id.to_string()));
    disk.book.lock().unwrap().follow(|_, call| if call == "write_out" { Fault::Error(5) } else { Fault::None });
    assert!(accept().is_err());
    assert!(spool.is_poisoned(), "the kernel reports a lost write once");
    assert_eq!(std::fs::read_dir(folder.path().join("queue")).unwrap().count(), 1, "its name is gone");
    let book = disk.book.lock().unwrap();
    assert!(!book.trace.contains(&"sync"), "{:?}", book.trace);
}
