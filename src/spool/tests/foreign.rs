//! What the spool would not have made is neither followed nor changed, and what others could change is not trusted.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::time::Duration;

use rustix::fs::{CWD, Mode};

use super::double::{Fault, FaultyDisk};
use super::*;

fn id(number: u64) -> SpoolId {
    SpoolId::new(Timestamp::from_millis(1_000), 0, number)
}

/// Everything in the queue under id-shaped names that is no message, and what it is.
fn plant(spool: &Fixture) -> Vec<SpoolId> {
    let at = |number| spool.path(Folder::Queue, &id(number).to_string());
    let outside = spool.folder.path().join("outside");
    std::fs::write(&outside, file_of(&plain_envelope(), MESSAGE, &plain_seal(), &[])).unwrap();
    symlink(&outside, at(0)).unwrap();
    std::fs::hard_link(&outside, at(1)).unwrap();
    rustix::fs::mkfifoat(CWD, at(2), Mode::RUSR | Mode::WUSR).unwrap();
    std::fs::create_dir(at(3)).unwrap();
    symlink("/nonexistent", at(4)).unwrap();
    std::os::unix::net::UnixListener::bind(at(5)).unwrap();
    (0..6).map(id).collect()
}

#[test]
fn links_fifos_sockets_and_folders_are_refused_and_stay_where_they_are() {
    let spool = Fixture::new(Creation::Anonymous);
    let planted = plant(&spool);
    let outside = spool.folder.path().join("outside");
    let before = (std::fs::read(&outside).unwrap(), std::fs::metadata(&outside).unwrap().mtime_nsec());
    for id in &planted {
        let foreign = |error: SpoolError| assert!(matches!(error.kind, SpoolErrorKind::Foreign(_)), "{error}");
        foreign(spool.spool.claim(*id).unwrap_err());
        foreign(spool.spool.peek(*id).unwrap_err());
        foreign(spool.spool.read(*id).map(|_| ()).unwrap_err());
        foreign(spool.spool.move_between(*id, Folder::Queue, Folder::Hold).unwrap_err());
        foreign(Manage::remove(&spool.spool, *id, Folder::Queue).unwrap_err());
    }
    assert_eq!(spool.names(Folder::Queue).len(), planted.len());
    assert_eq!(before, (std::fs::read(&outside).unwrap(), std::fs::metadata(&outside).unwrap().mtime_nsec()));
    let findings = spool.spool.verify(Folder::Queue).unwrap();
    assert!(findings.len() == planted.len() && findings.iter().all(|finding| finding.size.is_err()));
}

#[test]
fn entries_are_regular_files_whose_names_are_ids() {
    let spool = Fixture::new(Creation::Anonymous);
    plant(&spool);
    std::fs::remove_file(spool.path(Folder::Queue, &id(1).to_string())).unwrap();
    for name in ["README", ".hidden", "01arz3ndektsv4rrffq69g5fav", &format!("{}.1", id(9))] {
        std::fs::write(spool.path(Folder::Queue, name), "").unwrap();
    }
    let message = spool.message(MESSAGE);
    let entries = spool.spool.entries(Folder::Queue).unwrap();
    assert_eq!(entries.iter().map(|entry| entry.id).collect::<Vec<_>>(), [message]);
}

#[test]
fn a_draft_never_writes_through_a_name_that_is_there() {
    for creation in [Creation::Anonymous, Creation::Named] {
        let spool = Fixture::new(creation);
        for id in plant(&spool) {
            let mut draft = spool.spool.open_as(id, &plain_envelope()).unwrap();
            draft.append(b"other octets").unwrap();
            assert!(matches!(draft.commit(&plain_seal()).unwrap_err().kind, SpoolErrorKind::Foreign(_)));
        }
        let outside = std::fs::read(spool.folder.path().join("outside")).unwrap();
        assert!(outside == file_of(&plain_envelope(), MESSAGE, &plain_seal(), &[]));
        assert!(!Path::new("/nonexistent").exists());
    }
}

#[test]
fn folders_are_0700_and_files_0600() {
    let spool = Fixture::new(Creation::Anonymous);
    let mode = |path: PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    for name in ["queue", "hold", "failed", "bad", "routes", "log"] {
        assert_eq!(mode(spool.folder.path().join(name)), 0o700);
    }
    for creation in [Creation::Anonymous, Creation::Named] {
        let spool = Fixture::new(creation);
        let id = spool.message(MESSAGE);
        assert_eq!(mode(spool.path(Folder::Queue, &id.to_string())), 0o600);
    }
}

#[test]
fn a_spool_of_our_own_is_narrowed_to_its_owner() {
    let folder = folder();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o775)).unwrap();
    DirSpool::open(folder.path(), settings(Creation::Anonymous), TestClock::new()).unwrap();
    let status = std::fs::metadata(folder.path()).unwrap();
    assert_eq!(status.permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_folder_that_others_may_write_to_is_refused() {
    for (name, mode) in [("queue", 0o702), ("hold", 0o720)] {
        let folder = folder();
        let changed = folder.path().join(name);
        std::fs::create_dir_all(&changed).unwrap();
        std::fs::set_permissions(&changed, std::fs::Permissions::from_mode(mode)).unwrap();
        let opened = DirSpool::open(folder.path(), settings(Creation::Anonymous), TestClock::new());
        assert!(matches!(opened.unwrap_err().kind, SpoolErrorKind::Foreign(_)), "{name} {mode:o}");
    }
}

#[test]
fn a_folder_that_is_a_symbolic_link_is_refused() {
    let (folder, elsewhere) = (folder(), folder());
    symlink(elsewhere.path(), folder.path().join("queue")).unwrap();
    assert!(DirSpool::open(folder.path(), settings(Creation::Anonymous), TestClock::new()).is_err());
}

#[test]
fn a_folder_of_another_user_is_refused() {
    let folder = folder();
    let path = if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(folder.path(), Some(65_534), None).unwrap();
        folder.path()
    } else {
        Path::new("/")
    };
    let error = DirSpool::open(path, settings(Creation::Anonymous), TestClock::new()).err().unwrap();
    assert!(matches!(error.kind, SpoolErrorKind::OtherOwner(_)), "{error}");
}

#[test]
fn a_hint_that_is_further_off_than_any_interval_counts_as_due_now() {
    let spool = Fixture::new(Creation::Anonymous);
    let id = spool.message(MESSAGE);
    let now = spool.clock.now();
    let due = || spool.spool.entries(Folder::Queue).unwrap()[0].due;
    let claim = spool.claim(id);
    for (off, seen) in [(Duration::from_secs(3600), now + Duration::from_secs(3600)), (Duration::from_secs(9_000), now)]
    {
        claim.note_due(now + off);
        assert_eq!(due(), seen);
    }
    claim.note_due(Timestamp::from_millis(1_234));
    assert_eq!(due(), Timestamp::from_millis(1_234));
}

#[test]
fn a_page_that_explains_the_folder_does_not_keep_it_from_becoming_a_spool() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("README.md"), b"what lies here").unwrap();
    let settings = SpoolSettings::default();
    let opened = DirSpool::open(folder.path(), settings, Arc::new(crate::sys::SystemClock));
    assert!(opened.is_ok(), "{:?}", opened.err());
}

/// Who has no anonymous files creates a message under its name, and may be stopped before it has the lock, for longer than
/// others take a file without a lock for one that is arriving.
#[test]
fn a_file_that_was_set_aside_before_its_creator_had_the_lock_takes_no_message() {
    let (folder, disk) = (folder(), FaultyDisk::new());
    let spool = DirSpool::open_on(disk.clone(), folder.path(), settings(Creation::Named), TestClock::new()).unwrap();
    let folders = folder.path().to_owned();
    disk.book.lock().unwrap().follow(move |_, call| {
        if call == "try_lock" {
            let name = std::fs::read_dir(folders.join("queue")).unwrap().next().unwrap().unwrap().file_name();
            std::fs::rename(folders.join("queue").join(&name), folders.join("bad").join(&name)).unwrap();
        }
        Fault::None
    });
    let mut draft = spool.open(&plain_envelope()).unwrap();
    draft.append(b"m").unwrap();
    assert!(draft.commit(&plain_seal()).is_err(), "it was acknowledged, and lies in bad/");
}
