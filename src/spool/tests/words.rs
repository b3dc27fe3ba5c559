//! What the spool says of itself: errors and sentences that go to terminals and logs, and the answers that sessions act upon.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::double::{Fault, FaultyDisk};
use super::*;
use crate::skipped::skip;
use crate::spool::disk::{Disk, HostDisk, Kind};

#[test]
fn an_error_shows_the_path_without_its_control_characters() {
    let error = SpoolError::new("opening", "queue/\x1b[31mred\n", std::io::Error::other("no"));
    let text = error.to_string();
    assert!(text.contains("queue/") && text.contains("red") && !text.contains(['\x1b', '\n']), "{text:?}");
}

#[test]
fn what_makes_a_message_durable_is_said_with_the_file_system_and_the_reason() {
    let said = |sync: SpoolSync, kind| sync.durability_on(kind);
    let one = said(SpoolSync::Auto, FileSystem::Xfs);
    assert_eq!(one, "on xfs: one sync for a message and its name");
    let demanded = said(SpoolSync::Always, FileSystem::Xfs);
    assert_eq!(demanded, "on xfs: a sync for each message and one for its name, as spool_sync = \"always\" demands");
    let unknown = said(SpoolSync::Auto, FileSystem::Unjournalled);
    assert!(unknown.ends_with("a sync for each message and one for its name, as one is not known to suffice there"));
    let folder = folder();
    let settings = settings(Creation::Anonymous);
    let spool = DirSpool::open_on(FaultyDisk::of(FileSystem::Xfs), folder.path(), settings, TestClock::new()).unwrap();
    assert_eq!(spool.durability(), one);
}

#[test]
fn a_disk_that_would_refuse_every_message_is_known_before_the_spool_is_there() {
    let asking = |octets| SpoolSettings {
        reserve_octets: Some(octets),
        reserve_inodes: Some(0),
        ..settings(Creation::Anonymous)
    };
    let folder = folder();
    let later = folder.path().join("not/yet/there");
    for path in [later.as_path(), folder.path(), Path::new("relative")] {
        let shortage = asking(u64::MAX).shortage_at(path).unwrap();
        assert!(shortage.contains("every message would be refused"), "{shortage}");
        assert_eq!(asking(0).shortage_at(path), None);
    }
    let of_no_size = asking(1).shortage_at(Path::new("/proc/self/fdinfo/not/there"));
    assert!(
        of_no_size.is_some_and(|text| text.contains(" 0 MB free")),
        "the file system of the nearest folder is asked"
    );
}

#[test]
fn a_folder_that_holds_other_things_does_not_become_a_spool() {
    let folder = tempfile::tempdir().unwrap();
    let open = || DirSpool::open(folder.path(), settings(Creation::Anonymous), TestClock::new());
    std::fs::create_dir(folder.path().join(".git")).unwrap();
    std::fs::write(folder.path().join("passwd"), b"").unwrap();
    let error = open().unwrap_err();
    assert!(matches!(error.kind, SpoolErrorKind::Foreign(text) if text.contains("holds other things")), "{error}");
    assert!(!folder.path().join("queue").exists(), "nothing was made in it");
    std::fs::rename(folder.path().join("passwd"), folder.path().join("lost+found")).unwrap();
    assert!(open().is_ok(), "hidden names, and those that a file system begins with, are nothing");
    std::fs::write(folder.path().join("passwd"), b"").unwrap();
    assert!(open().is_ok(), "what came later into a spool is none of our business");
}

#[test]
fn a_spool_behind_a_symbolic_link_keeps_the_mode_that_its_maker_gave_it() {
    let folder = folder();
    let (real, link) = (folder.path().join("real"), folder.path().join("link"));
    std::fs::create_dir(&real).unwrap();
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o750)).unwrap();
    symlink(&real, &link).unwrap();
    DirSpool::open(&link, settings(Creation::Anonymous), TestClock::new()).unwrap();
    assert_eq!(std::fs::metadata(&real).unwrap().mode() & 0o777, 0o750);
}

#[test]
fn a_folder_that_is_narrower_than_asked_for_keeps_its_mode() {
    let folder = folder();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o500)).unwrap();
    // Only root can make anything in it.
    let _ = DirSpool::open(folder.path(), settings(Creation::Anonymous), TestClock::new());
    let mode = std::fs::metadata(folder.path()).unwrap().mode() & 0o777;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(mode, 0o500);
}

/// The first spool of `cargo run` is `./spool`.
#[test]
fn a_spool_may_have_a_name_without_any_folder_before_it() {
    let name = format!("spool-of-a-test-{}", std::process::id());
    let opened = DirSpool::open(Path::new(&name), settings(Creation::Anonymous), TestClock::new());
    let removed = std::fs::remove_dir_all(&name);
    assert!(opened.is_ok() && removed.is_ok(), "{:?}", opened.err());
}

#[test]
fn a_poisoned_spool_is_neither_sound_nor_safe_and_a_large_message_finds_no_room() {
    let (folder, disk) = (folder(), FaultyDisk::new());
    let settings = settings(Creation::Anonymous);
    let spool = DirSpool::open_on(disk.clone(), folder.path(), settings, TestClock::new()).unwrap();
    assert!(spool.is_sound() && Intake::is_safe(&spool));
    assert!(Intake::has_room_for(&spool, 1).is_ok() && Intake::has_room_for(&spool, u64::MAX / 2).is_err());
    disk.book.lock().unwrap().follow(|_, call| if call == "sync" { Fault::Error(5) } else { Fault::None });
    let mut draft = spool.open(&plain_envelope()).unwrap();
    draft.append(MESSAGE).unwrap();
    assert!(draft.commit(&plain_seal()).is_err());
    assert!(!spool.is_sound() && !Intake::is_safe(&spool));
}

#[test]
fn a_draft_that_knows_no_other_way_hands_over_the_outcome_of_its_commit() {
    struct Plain;
    impl Draft for Plain {
        fn id(&self) -> SpoolId {
            SpoolId::from_bits(7)
        }
        fn append(&mut self, _: &[u8]) -> Result<(), SpoolError> {
            Ok(())
        }
        fn commit(self, _: &Seal) -> Result<Committed, SpoolError> {
            Err(SpoolError::new("committing", "queue", SpoolErrorKind::Exists))
        }
    }
    let (told, outcome) = std::sync::mpsc::channel();
    Plain.commit_then(&plain_seal(), move |committed| told.send(committed).unwrap());
    assert!(matches!(outcome.try_recv().unwrap().unwrap_err().kind, SpoolErrorKind::Exists));
}

/// A store of somebody else's that takes what the traits give.
struct Plain(DirSpool);

impl Spool for Plain {
    type Draft = DirDraft<HostDisk>;
    type Claim = DirClaim<HostDisk>;
    fn has_room(&self, size: u64) -> Result<(), SpoolError> {
        self.0.has_room(size)
    }
    fn open(&self, envelope: &Envelope) -> Result<Self::Draft, SpoolError> {
        self.0.open(envelope)
    }
    fn open_as(&self, id: SpoolId, envelope: &Envelope) -> Result<Self::Draft, SpoolError> {
        self.0.open_as(id, envelope)
    }
    fn entries(&self, folder: Folder) -> Result<Vec<QueueEntry>, SpoolError> {
        self.0.entries(folder)
    }
    fn claim(&self, id: SpoolId) -> Result<Claimed<Self::Claim>, SpoolError> {
        self.0.claim(id)
    }
    fn peek(&self, id: SpoolId) -> Result<Option<Glance>, SpoolError> {
        self.0.peek(id)
    }
}

#[test]
fn a_store_that_says_nothing_else_is_sound_and_is_scanned_as_it_is_listed() {
    let fixture = Fixture::new(Creation::Anonymous);
    let ids = [fixture.message(MESSAGE), fixture.message(MESSAGE)];
    let (mut scanned, plain) = (Vec::new(), Plain(fixture.spool.clone()));
    plain.scan(Folder::Queue, &mut |entry| scanned.push(entry.id)).unwrap();
    assert!(plain.is_sound() && scanned == ids, "{scanned:?}");
}

#[test]
fn the_disk_tells_files_folders_links_and_others_apart() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("file"), b"").unwrap();
    std::fs::create_dir(at("folder")).unwrap();
    symlink("file", at("link")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    let handle = HostDisk.root(folder.path()).unwrap();
    let kinds = ["file", "folder", "link", "socket"].map(|name| HostDisk.status_at(&handle, name).unwrap().kind);
    assert_eq!(kinds, [Kind::Regular, Kind::Folder, Kind::Link, Kind::Other]);
}

/// The programs set their own mask; a program that uses the library may have another.
#[test]
fn the_modes_are_right_whatever_the_mask_of_the_process() {
    let name = "spool::tests::foreign::folders_are_0700_and_files_0600";
    if !rustix::process::geteuid().is_root() {
        return skip("only root can use the folders that such a mask makes");
    }
    let run = std::process::Command::new("sh")
        .args(["-c", "umask 0277; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && said.contains("1 passed"), "{said}");
}

/// An error of the disk is neither an absent message nor an empty folder.
#[test]
fn a_name_that_cannot_be_looked_at_is_an_error_and_one_that_is_gone_is_not() {
    let (folder, disk) = (folder(), FaultyDisk::new());
    let spool =
        DirSpool::open_on(disk.clone(), folder.path(), settings(Creation::Anonymous), TestClock::new()).unwrap();
    let mut draft = spool.open(&plain_envelope()).unwrap();
    draft.append(MESSAGE).unwrap();
    let id = draft.commit(&plain_seal()).unwrap().id;
    assert_eq!(spool.entries(Folder::Queue).unwrap().len(), 1);
    assert_eq!(spool.ids(Folder::Queue).unwrap(), [id]);
    assert_eq!(spool.peek_at(id, Folder::Queue).unwrap().unwrap().size, MESSAGE.len() as u64);
    assert_eq!(spool.peek_at(id, Folder::Hold).unwrap(), None);
    let failing = |error| {
        disk.book
            .lock()
            .unwrap()
            .follow(move |_, call| if call == "status_at" { Fault::Error(error) } else { Fault::None });
    };
    failing(5);
    assert!(spool.locate(id).is_err() && spool.entries(Folder::Queue).is_err());
    failing(2);
    assert_eq!(spool.locate(id).unwrap(), None);
    assert!(spool.entries(Folder::Queue).unwrap().is_empty(), "it left while the folder was read");
}

#[test]
fn what_is_torn_and_old_is_an_error_for_whoever_looks_and_stays_where_it_is_in_bad() {
    let spool = Fixture::new(Creation::Anonymous);
    let id = SpoolId::new(Timestamp::from_millis(1), 2, 3);
    let torn = &file_of(&plain_envelope(), MESSAGE, &plain_seal(), &[])[..150];
    for folder in [Folder::Queue, Folder::Bad] {
        std::fs::write(spool.path(folder, &id.to_string()), torn).unwrap();
        spool.clock.forward(120_000);
        let looked = spool.spool.peek_at(id, folder).unwrap_err();
        assert!(matches!(looked.kind, SpoolErrorKind::Torn(_)), "{looked}");
        let found = spool.spool.verify(folder).unwrap();
        assert!(found.len() == 1 && found[0].size.is_err(), "{found:?}");
        if folder == Folder::Queue {
            std::fs::remove_file(spool.path(folder, &id.to_string())).unwrap();
        }
    }
    assert!(spool.spool.claim_from(id, Folder::Bad).is_err());
    assert_eq!(spool.names(Folder::Bad), [id.to_string()], "it has no number");
}

#[test]
fn a_copy_meets_its_id_in_any_folder_but_that_of_damaged_files_octet_for_octet() {
    for taken in Folder::ALL {
        let (from, to) = (Fixture::new(Creation::Anonymous), Fixture::new(Creation::Anonymous));
        let id = from.message(&vec![b'x'; 200_000]);
        let mut claim = from.claim(id);
        claim.record(receipt(ReceiptKind::Deferred, &[0], "451 later"), Durability::Synced).unwrap();
        std::fs::write(to.path(taken, &id.to_string()), b"").unwrap();
        match from.spool.copy_to(&claim, &to.spool) {
            Ok(()) => {
                assert_eq!(taken, Folder::Bad);
                let octets = |fixture: &Fixture| std::fs::read(fixture.path(Folder::Queue, &id.to_string())).unwrap();
                assert!(octets(&from) == octets(&to));
            }
            Err(error) => assert!(taken != Folder::Bad && matches!(error.kind, SpoolErrorKind::Exists), "{error}"),
        }
    }
}

#[test]
fn a_file_of_another_user_is_foreign() {
    let spool = Fixture::new(Creation::Anonymous);
    let id = spool.message(MESSAGE);
    if std::os::unix::fs::chown(spool.path(Folder::Queue, &id.to_string()), Some(65_534), None).is_err() {
        return skip("giving a file away needs root");
    }
    let error = spool.spool.claim(id).err().unwrap();
    assert!(matches!(error.kind, SpoolErrorKind::Foreign("it is another user's file")), "{error}");
    assert_eq!(spool.names(Folder::Queue), [id.to_string()], "it is not touched");
}
