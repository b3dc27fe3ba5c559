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
