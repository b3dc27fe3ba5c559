//! What a step costs: the calls that it makes of the disk. One more read or sync for each message is a fault, too.

use super::double::{Fault, FaultyDisk, UNKNOWN};
use super::*;

/// A spool whose disk counts calls, all of which go through.
struct Counted {
    folder: tempfile::TempDir,
    disk: FaultyDisk,
    spool: DirSpool<FaultyDisk>,
}

impl Counted {
    fn new() -> Self {
        let (folder, disk) = (folder(), FaultyDisk::of(UNKNOWN));
        let settings = settings(Creation::Anonymous);
        let spool = DirSpool::open_on(disk.clone(), folder.path(), settings, TestClock::new()).unwrap();
        Self { folder, disk, spool }
    }

    fn message(&self, octets: &[u8]) -> SpoolId {
        let mut draft = self.spool.open(&plain_envelope()).unwrap();
        draft.append(octets).unwrap();
        draft.commit(&plain_seal()).unwrap().id
    }

    /// How often the step makes this call.
    fn count(&self, call: &str, step: impl FnOnce()) -> usize {
        self.disk.book.lock().unwrap().follow(|_, _| Fault::None);
        step();
        self.disk.book.lock().unwrap().trace.iter().filter(|made| **made == call).count()
    }
}

#[test]
fn a_small_message_is_claimed_with_one_read_and_a_large_one_with_few() {
    let counted = Counted::new();
    let (small, large) = (counted.message(MESSAGE), counted.message(&vec![b'x'; 1 << 20]));
    let reads = |id| counted.count("read_at", || drop(ours(counted.spool.claim(id).unwrap())));
    assert_eq!(reads(small), 1);
    assert!(reads(large) <= 20, "{}", reads(large));
}

#[test]
fn a_look_at_a_small_message_is_one_read_and_at_a_large_one_two() {
    let counted = Counted::new();
    let (small, large) = (counted.message(MESSAGE), counted.message(&vec![b'x'; 1 << 20]));
    let reads = |id| counted.count("read_at", || drop(counted.spool.peek(id).unwrap().unwrap()));
    assert_eq!((reads(small), reads(large)), (1, 2));
}

#[test]
fn a_receipt_is_synced_where_its_durability_is_wanted_and_nowhere_else() {
    let counted = Counted::new();
    let id = counted.message(MESSAGE);
    let mut claim = ours(counted.spool.claim(id).unwrap());
    let mut syncs = |durability| {
        counted.count("sync_data", || claim.record(receipt(ReceiptKind::Deferred, &[0], "451"), durability).unwrap())
    };
    assert_eq!((syncs(Durability::Synced), syncs(Durability::Buffered)), (1, 0));
}

#[test]
fn many_drafts_ask_the_disk_for_its_room_once_in_a_while() {
    let counted = Counted::new();
    let asked = counted.count("room", || (0..50).for_each(|_| drop(counted.spool.open(&plain_envelope()).unwrap())));
    assert!(asked <= 2, "{asked}");
}

#[test]
fn the_folder_of_a_spool_is_synced_when_it_gets_a_new_name_and_at_no_other_start() {
    let counted = Counted::new();
    let again = || {
        let settings = settings(Creation::Anonymous);
        drop(DirSpool::open_on(counted.disk.clone(), counted.folder.path(), settings, TestClock::new()).unwrap());
    };
    assert_eq!(counted.count("sync_folder", again), 0, "all was there");
    std::fs::remove_dir(counted.folder.path().join("log")).unwrap();
    assert_eq!(counted.count("sync_folder", again), 1, "log/ is new");
}

/// Where flushes take time, a removal from the queue waits for none; from another folder, where a person removes, it does.
#[test]
fn on_a_slow_disk_removals_of_the_queue_are_synced_when_the_spool_is_closed() {
    let (folder, disk) = (folder(), FaultyDisk::of(UNKNOWN));
    let slow = SpoolSettings { slow_flush: Duration::ZERO, ..settings(Creation::Anonymous) };
    let counted = Counted {
        spool: DirSpool::open_on(disk.clone(), folder.path(), slow, TestClock::new()).unwrap(),
        folder,
        disk,
    };
    let ids: Vec<_> = (0..4).map(|_| counted.message(MESSAGE)).collect();
    for id in &ids[2..] {
        counted.spool.move_between(*id, Folder::Queue, Folder::Hold).unwrap();
    }
    let remove = |id, folder| ours(counted.spool.claim_from(id, folder).unwrap()).remove().unwrap();
    // The first of each folder, which does not know yet how long a sync takes; from then on removals gather for a while.
    counted.disk.book.lock().unwrap().follow(|_, call| {
        if call == "sync_folder" {
            std::thread::sleep(Duration::from_millis(30));
        }
        Fault::None
    });
    remove(ids[0], Folder::Queue);
    remove(ids[2], Folder::Hold);
    assert_eq!(counted.count("sync_folder", || remove(ids[3], Folder::Hold)), 1);
    counted.count("sync_folder", || remove(ids[1], Folder::Queue));
    drop(counted.spool);
    let trace = counted.disk.book.lock().unwrap().trace.clone();
    assert_eq!(trace.iter().filter(|call| **call == "sync_folder").count(), 1, "{trace:?}");
}

#[test]
fn the_disk_keeps_blocks_free_behind_a_message_for_its_first_receipts() {
    use std::os::unix::fs::MetadataExt;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("probe");
    std::fs::write(&file, b"x").unwrap();
    let probe = std::fs::OpenOptions::new().write(true).open(&file).unwrap();
    let keeps = rustix::fs::fallocate(&probe, rustix::fs::FallocateFlags::KEEP_SIZE, 0, 1 << 20).is_ok();
    let spool = DirSpool::open(folder.path().join("spool").as_path(), settings(Creation::Anonymous), TestClock::new());
    let spool = spool.unwrap();
    let mut draft = spool.open(&plain_envelope()).unwrap();
    draft.append(&[b'x'; 8192]).unwrap();
    let id = draft.commit(&plain_seal()).unwrap().id;
    let status = std::fs::metadata(folder.path().join("spool/queue").join(id.to_string())).unwrap();
    let beyond = status.blocks() * 512 > status.size().next_multiple_of(4096);
    assert_eq!(beyond, keeps, "{} blocks for {} octets", status.blocks(), status.size());
}
