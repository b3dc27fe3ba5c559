//! The n-th operation fails, writes half, or is the last one ever, for every n: nothing that was acknowledged is lost,
//! and what was not acknowledged leaves no name, or is known as torn, or is whole.

use std::sync::atomic::AtomicBool;

use super::double::{EVERY_COMMIT, Fault, FaultyDisk};
use super::*;

const EIO: i32 = 5;
const ENOENT: i32 = 2;
const EISDIR: i32 = 21;
const EINVAL: i32 = 22;
const EINTR: i32 = 4;
const EMFILE: i32 = 24;
const ENOSPC: i32 = 28;
const EOPNOTSUPP: i32 = 95;
const EDQUOT: i32 = 122;
const ECANCELED: i32 = 125;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trial {
    /// The n-th call fails, once.
    Fails(i32),
    /// The n-th call writes half.
    WritesHalf,
    /// The process dies before the n-th call: neither that nor any later one happens.
    Stops,
}

const TRIALS: [Trial; 7] = {
    use Trial::{Fails, Stops, WritesHalf};
    [Fails(EIO), Fails(ENOSPC), Fails(EDQUOT), Fails(EINTR), Fails(EMFILE), WritesHalf, Stops]
};

/// A spool on a disk that can fail.
struct Stage {
    folder: tempfile::TempDir,
    disk: FaultyDisk,
    spool: DirSpool<FaultyDisk>,
    /// Whether drafts are committed by [`Draft::commit_then`].
    handed_over: bool,
}

impl Stage {
    fn new(creation: Creation) -> Self {
        Self::on(FaultyDisk::new(), creation)
    }

    fn on(disk: FaultyDisk, creation: Creation) -> Self {
        let folder = folder();
        let spool = DirSpool::open_on(disk.clone(), folder.path(), settings(creation), TestClock::new()).unwrap();
        Self { folder, disk, spool, handed_over: false }
    }

    /// From now on the n-th call is on trial; answers whether it has come to that.
    fn put_on_trial(&self, n: usize, trial: Trial) -> Arc<AtomicBool> {
        let fired = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&fired);
        self.disk.book.lock().unwrap().follow(move |number, call| {
            let fault = match trial {
                Trial::Fails(error) if number == n => Fault::Error(error),
                Trial::WritesHalf if number == n && call == "write_at" => Fault::Short,
                Trial::Stops if number >= n => Fault::Error(ECANCELED),
                _ => Fault::None,
            };
            // A short write that does not come because the call is no write has been tried too.
            seen.fetch_or(number >= n, Ordering::SeqCst);
            fault
        });
        fired
    }

    /// The spool as the next process finds it.
    fn after(&self) -> DirSpool {
        let clock = TestClock::new();
        clock.forward(120_000);
        DirSpool::open(self.folder.path(), settings(Creation::Anonymous), clock).unwrap()
    }

    fn names(&self) -> usize {
        std::fs::read_dir(self.folder.path().join("queue")).unwrap().count()
    }

    fn accept(&self, pieces: &[&[u8]]) -> Result<SpoolId, SpoolError> {
        let mut draft = self.spool.open(&full_envelope())?;
        for piece in pieces {
            draft.append(piece)?;
        }
        let seal = full_seal();
        if !self.handed_over {
            return draft.commit(&seal).map(|committed| committed.id);
        }
        let (told, outcome) = std::sync::mpsc::channel();
        draft.commit_then(&seal, move |committed| told.send(committed.map(|committed| committed.id)).unwrap());
        outcome.recv().unwrap()
    }
}

/// Every way to accept a message: in memory or streamed, without a name or under it.
fn every_acceptance(trial: Trial, check: impl Fn(&Stage, &[&[u8]], Result<SpoolId, SpoolError>)) {
    let large = vec![b'x'; 40_000];
    let small: [&[u8]; 2] = [MESSAGE, MESSAGE];
    let streamed: [&[u8]; 4] = [&large, &large, &large, MESSAGE];
    for (creation, handed_over, kind) in EVERY_COMMIT {
        for pieces in [&small[..], &streamed[..]] {
            for n in 1.. {
                let stage = Stage { handed_over, ..Stage::on(FaultyDisk::of(kind), creation) };
                let fired = stage.put_on_trial(n, trial);
                let result = stage.accept(pieces);
                if !fired.load(Ordering::SeqCst) {
                    assert!(n > 6, "only {n} calls were tried");
                    break;
                }
                check(&stage, pieces, result);
            }
        }
    }
}

#[test]
fn nothing_is_acknowledged_unless_file_and_name_are_synced() {
    for trial in TRIALS {
        every_acceptance(trial, |stage, pieces, result| {
            let Ok(id) = result else { return };
            assert!(stage.disk.book.lock().unwrap().is_durable(&id.to_string()), "{trial:?}: {id} may be lost");
            let claim = ours(stage.after().claim(id).unwrap());
            assert_eq!((claim.envelope(), claim.seal()), (&full_envelope(), &full_seal()));
            assert!(message_of(&claim) == pieces.concat());
        });
    }
}

#[test]
fn a_failure_leaves_no_name_in_the_queue() {
    for trial in TRIALS.into_iter().filter(|trial| matches!(trial, Trial::Fails(_))) {
        every_acceptance(trial, |stage, _, result| match result {
            Ok(_) => assert_eq!(stage.names(), 1),
            Err(error) => assert_eq!(stage.names(), 0, "{error}"),
        });
    }
}

#[test]
fn a_process_that_stops_leaves_nothing_or_a_whole_file_or_a_torn_one() {
    every_acceptance(Trial::Stops, |stage, pieces, result| {
        assert!(result.is_err(), "the call after which everything stopped cannot have been the last");
        let spool = stage.after();
        for entry in spool.entries(Folder::Queue).unwrap() {
            match spool.claim(entry.id) {
                Ok(Claimed::Ours(claim)) => {
                    assert_eq!((claim.envelope(), claim.seal()), (&full_envelope(), &full_seal()));
                    assert!(message_of(&claim) == pieces.concat());
                }
                Ok(other) => panic!("{other:?}"),
                Err(error) => assert!(matches!(error.kind, SpoolErrorKind::Torn(_)), "{error}"),
            }
        }
    });
}

#[test]
fn a_draft_that_lost_octets_cannot_be_committed() {
    let stage = Stage::new(Creation::Anonymous);
    let mut draft = stage.spool.open(&full_envelope()).unwrap();
    draft.append(&[b'x'; 60_000]).unwrap();
    stage.put_on_trial(1, Trial::Fails(ENOSPC));
    assert!(draft.append(&[b'y'; 60_000]).is_err());
    assert!(draft.append(MESSAGE).is_ok() || stage.names() == 0);
    assert!(draft.commit(&full_seal()).is_err());
    assert_eq!(stage.names(), 0);
}

#[test]
fn a_message_is_said_to_exist_only_when_it_is_durable() {
    let stage = Stage::new(Creation::Anonymous);
    let id = SpoolId::from_bits(99).derived(b"bounce");
    // As a process left it that was killed between link and sync.
    let whole = file_of(&plain_envelope(), MESSAGE, &plain_seal(), &[]);
    std::fs::write(stage.folder.path().join("queue").join(id.to_string()), whole).unwrap();
    for (failing, exists) in [("sync", false), ("sync_folder", false), ("none", true)] {
        let draft = stage.spool.open_as(id, &plain_envelope()).unwrap();
        stage.disk.book.lock().unwrap().follow(
            move |_, call| {
                if call == failing { Fault::Error(ENOSPC) } else { Fault::None }
            },
        );
        let error = draft.commit(&plain_seal()).unwrap_err();
        assert_eq!(matches!(error.kind, SpoolErrorKind::Exists), exists, "{failing}: {error}");
        assert_eq!(stage.names(), 1, "what was there stays");
    }
}

#[test]
fn after_a_sync_failed_with_eio_nothing_is_accepted_and_no_sync_is_repeated() {
    for (creation, handed_over, _) in EVERY_COMMIT {
        for failing in ["sync", "sync_folder"] {
            let stage = Stage { handed_over, ..Stage::new(creation) };
            let waiting = stage.spool.open(&plain_envelope()).unwrap();
            stage.disk.book.lock().unwrap().follow(
                move |_, call| {
                    if call == failing { Fault::Error(EIO) } else { Fault::None }
                },
            );
            assert!(!stage.spool.is_poisoned());
            assert!(matches!(stage.accept(&[MESSAGE]).unwrap_err().kind, SpoolErrorKind::Io(_)));
            let trace = stage.disk.book.lock().unwrap().trace.clone();
            assert_eq!(trace.iter().filter(|call| **call == failing).count(), 1);
            assert!(stage.spool.is_poisoned());
            assert!(matches!(stage.accept(&[MESSAGE]).unwrap_err().kind, SpoolErrorKind::Poisoned));
            assert!(matches!(waiting.commit(&plain_seal()).unwrap_err().kind, SpoolErrorKind::Poisoned));
            assert!(matches!(stage.spool.has_room(0).unwrap_err().kind, SpoolErrorKind::Poisoned));
            assert_eq!(stage.names(), 0);
        }
    }
}

#[test]
fn a_full_disk_is_called_full_and_poisons_nothing() {
    let stage = Stage::new(Creation::Anonymous);
    for failing in ["write_at", "preallocate", "link", "sync"] {
        stage.disk.book.lock().unwrap().follow(
            move |_, call| {
                if call == failing { Fault::Error(ENOSPC) } else { Fault::None }
            },
        );
        assert!(matches!(stage.accept(&[MESSAGE]).unwrap_err().kind, SpoolErrorKind::Full(_)), "{failing}");
        assert!(!stage.spool.is_poisoned());
    }
}

#[test]
fn where_there_are_no_anonymous_files_the_name_is_given_at_once() {
    for error in [EOPNOTSUPP, EISDIR, ENOENT, EINVAL] {
        let stage = Stage::new(Creation::Anonymous);
        stage
            .disk
            .book
            .lock()
            .unwrap()
            .follow(move |_, call| if call == "create_anonymous" { Fault::Error(error) } else { Fault::None });
        let id = stage.accept(&[MESSAGE]).unwrap();
        assert!(stage.disk.book.lock().unwrap().trace.contains(&"create_named"));
        assert_eq!(message_of(&ours(stage.after().claim(id).unwrap())), MESSAGE);
    }
}

#[test]
fn a_streaming_message_asks_for_room_on_its_way() {
    let stage = Stage::new(Creation::Anonymous);
    let mut draft = stage.spool.open(&plain_envelope()).unwrap();
    // What others wrote meanwhile has used up what was free at the beginning.
    stage.disk.book.lock().unwrap().follow(|_, call| if call == "room" { Fault::Error(5) } else { Fault::None });
    assert!((0..4).any(|_| draft.append(&[b'x'; 1 << 20]).is_err()));
    assert!(draft.commit(&plain_seal()).is_err() && stage.names() == 0);
}

#[test]
fn a_small_message_touches_the_disk_only_at_commit_and_by_one_write() {
    let stage = Stage::new(Creation::Anonymous);
    stage.disk.book.lock().unwrap().follow(|_, _| Fault::None);
    let mut draft = stage.spool.open(&full_envelope()).unwrap();
    draft.append(MESSAGE).unwrap();
    draft.append(MESSAGE).unwrap();
    assert_eq!(stage.disk.book.lock().unwrap().trace, ["room"]);
    draft.commit(&full_seal()).unwrap();
    let expected = ["room", "create_anonymous", "try_lock", "write_at", "preallocate", "link", "sync", "sync_folder"];
    assert_eq!(stage.disk.book.lock().unwrap().trace, expected);
}

#[test]
fn the_first_thing_that_remove_does_is_the_unlink() {
    let stage = Stage::new(Creation::Anonymous);
    let id = stage.accept(&[MESSAGE]).unwrap();
    let mut claim = ours(stage.spool.claim(id).unwrap());
    stage.disk.book.lock().unwrap().follow(|_, _| Fault::None);
    claim.remove().unwrap();
    assert_eq!(stage.disk.book.lock().unwrap().trace, ["unlink", "sync_folder"]);
}

#[test]
fn a_history_is_what_was_recorded_whatever_fails() {
    for trial in TRIALS {
        for n in 1.. {
            let stage = Stage::new(Creation::Anonymous);
            let id = stage.accept(&[MESSAGE]).unwrap();
            let mut claim = ours(stage.spool.claim(id).unwrap());
            let fired = stage.put_on_trial(n, trial);
            let mut recorded = Vec::new();
            for (receipt, durability) in history().into_iter().zip([Durability::Synced, Durability::Buffered].repeat(9))
            {
                match claim.record(receipt.clone(), durability) {
                    Ok(()) => recorded.push(receipt),
                    Err(error) => {
                        assert!(matches!(error.kind, SpoolErrorKind::Io(_) | SpoolErrorKind::Full(_)), "{error}")
                    }
                }
                assert_eq!(claim.receipts(), recorded);
            }
            claim.note_due(Timestamp::from_millis(5));
            drop(claim);
            let found = ours(stage.after().claim(id).unwrap());
            let known =
                if trial == Trial::Stops { found.receipts().len().min(recorded.len()) } else { found.receipts().len() };
            assert_eq!(found.receipts()[..known], recorded, "{trial:?} at {n}");
            assert!(found.receipts().len() <= recorded.len() + 1);
            if !fired.load(Ordering::SeqCst) {
                assert!(n > 10);
                break;
            }
        }
    }
}

#[test]
fn a_receipt_that_failed_and_could_not_be_cut_off_is_cut_off_before_the_next() {
    let stage = Stage::new(Creation::Anonymous);
    let id = stage.accept(&[MESSAGE]).unwrap();
    let mut claim = ours(stage.spool.claim(id).unwrap());
    stage.disk.book.lock().unwrap().follow(|number, call| match call {
        "write_at" if number == 1 => Fault::Short,
        "truncate" if number < 4 => Fault::Error(EIO),
        _ => Fault::None,
    });
    let [long, short] =
        [receipt(ReceiptKind::Failed, &[0, 1, 2], &"long ".repeat(99)), receipt(ReceiptKind::Held, &[0], "")];
    assert!(claim.record(long.clone(), Durability::Buffered).is_err());
    assert!(claim.record(short.clone(), Durability::Buffered).is_err(), "nothing is appended behind a remnant");
    claim.record(short.clone(), Durability::Buffered).unwrap();
    drop(claim);
    assert_eq!(ours(stage.after().claim(id).unwrap()).receipts(), [short]);
}

#[test]
fn a_disk_that_cannot_be_read_sets_nothing_aside() {
    for trial in [Trial::Fails(EIO), Trial::Stops] {
        for n in 1.. {
            let stage = Stage::new(Creation::Anonymous);
            let large = vec![b'y'; 100_000];
            let id = stage.accept(&[&large, &large]).unwrap();
            let fired = stage.put_on_trial(n, trial);
            let claimed = stage.spool.claim(id);
            if !fired.load(Ordering::SeqCst) {
                assert!(n > 5 && claimed.is_ok());
                break;
            }
            assert!(matches!(claimed.unwrap_err().kind, SpoolErrorKind::Io(_)));
            assert!(message_of(&ours(stage.after().claim(id).unwrap())) == [&large[..], &large].concat());
        }
    }
}

#[test]
fn a_message_that_is_moved_is_on_one_folder_whatever_fails() {
    for trial in [Trial::Fails(EIO), Trial::Stops] {
        for n in 1.. {
            let stage = Stage::new(Creation::Anonymous);
            let id = stage.accept(&[MESSAGE]).unwrap();
            let claim = ours(stage.spool.claim(id).unwrap());
            let fired = stage.put_on_trial(n, trial);
            let moved = claim.set_aside(Folder::Failed);
            let folders: Vec<_> = Folder::ALL
                .into_iter()
                .filter(|folder| stage.folder.path().join(folder.name()).join(id.to_string()).exists())
                .collect();
            assert_eq!(folders.len(), 1);
            if moved.is_ok() {
                assert_eq!(folders, [Folder::Failed]);
            }
            if !fired.load(Ordering::SeqCst) {
                assert!(n > 3 && moved.is_ok());
                break;
            }
        }
    }
}

/// What another process does between this one's open and its lock.
#[test]
fn a_lock_on_a_file_that_lost_its_name_is_no_claim() {
    for replaced in [false, true] {
        let stage = Stage::new(Creation::Anonymous);
        let id = stage.accept(&[MESSAGE]).unwrap();
        let path = stage.folder.path().join("queue").join(id.to_string());
        let whole = std::fs::read(&path).unwrap();
        stage.disk.book.lock().unwrap().follow(move |_, call| {
            if call == "try_lock" {
                std::fs::remove_file(&path).unwrap();
                if replaced {
                    std::fs::write(&path, &whole).unwrap();
                }
            }
            Fault::None
        });
        match stage.spool.claim(id).unwrap() {
            Claimed::Gone => assert!(!replaced),
            Claimed::Busy => assert!(replaced),
            Claimed::Ours(_) => panic!("a file without a name was claimed"),
        }
    }
}
