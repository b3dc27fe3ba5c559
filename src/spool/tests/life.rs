//! The life of a message in its folders, alone and beside others.

use std::collections::HashSet;
use std::thread;

use super::*;

const BOTH: [Creation; 2] = [Creation::Anonymous, Creation::Named];

#[test]
fn a_message_comes_back_as_it_came() {
    for creation in BOTH {
        let spool = Fixture::new(creation);
        for size in [0, 1, 60_000, 65_536, 70_000, 200_000] {
            let message: Vec<u8> = (0..size).map(|index| (index % 251) as u8).collect();
            for piece in [1_000, 65_536, 300_000] {
                let mut draft = spool.spool.open(&full_envelope()).unwrap();
                message.chunks(piece).for_each(|piece| draft.append(piece).unwrap());
                let committed = draft.commit(&full_seal()).unwrap();
                assert_eq!(committed.size, size);
                let mut claim = spool.claim(committed.id);
                assert_eq!((claim.envelope(), claim.seal()), (&full_envelope(), &full_seal()));
                assert!(message_of(&claim) == message, "{size} octets in pieces of {piece}");
                assert_eq!(claim.read_at(size, &mut [0; 9]).unwrap(), 0);
                assert_eq!(claim.read_at(u64::MAX, &mut [0; 9]).unwrap(), 0);
                claim.remove().unwrap();
            }
        }
        assert!(spool.names(Folder::Queue).is_empty());
    }
}

#[test]
fn a_dropped_draft_leaves_nothing() {
    for creation in BOTH {
        let spool = Fixture::new(creation);
        for size in [10, 200_000] {
            let mut draft = spool.spool.open(&plain_envelope()).unwrap();
            draft.append(&vec![b'x'; size]).unwrap();
            drop(draft);
            assert!(spool.names(Folder::Queue).is_empty());
        }
    }
}

#[test]
fn thirty_megabytes_stream_through_a_bounded_buffer() {
    let spool = Fixture::new(Creation::Anonymous);
    let mut draft = spool.spool.open(&plain_envelope()).unwrap();
    for piece in [1_000, 7_777, 64 * 1024, 100_000].repeat(174) {
        draft.append(&vec![b'x'; piece]).unwrap();
        assert!(draft.held() <= 64 * 1024, "{} octets are held", draft.held());
    }
    let committed = draft.commit(&plain_seal()).unwrap();
    assert!(committed.size > 30_000_000);
    assert_eq!(spool.claim(committed.id).size(), committed.size);
}

#[test]
fn an_envelope_with_a_thousand_recipients_fits() {
    let spool = Fixture::new(Creation::Anonymous);
    let domain = format!("{}example", "d.".repeat(100));
    let recipients = (0..1000).map(|number| {
        let mailbox: crate::address::Mailbox = format!("{}{number}@{domain}", "l".repeat(200)).parse().unwrap();
        Recipient { orcpt: Some("x".repeat(500)), ..Recipient::from(mailbox) }
    });
    let envelope = Envelope { recipients: Recipients::new(recipients.collect()).unwrap(), ..plain_envelope() };
    let mut draft = spool.spool.open(&envelope).unwrap();
    draft.append(MESSAGE).unwrap();
    assert!(draft.held() <= 64 * 1024, "what is larger than the buffer is written, not kept");
    let id = draft.commit(&plain_seal()).unwrap().id;
    let mut claim = spool.claim(id);
    assert_eq!((claim.envelope(), &message_of(&claim)[..]), (&envelope, MESSAGE));
    let everybody: Vec<_> = (0..1000).collect();
    claim.record(receipt(ReceiptKind::Deferred, &everybody, &"ü".repeat(60_000)), Durability::Synced).unwrap();
    drop(claim);
    let claim = spool.claim(id);
    assert_eq!(claim.receipts()[0].recipients, everybody, "a long answer is cut, the fact is not lost");
    assert_eq!(claim.receipts()[0].reason.text, "ü".repeat(2048));
}

#[test]
fn a_claim_excludes_every_other_of_any_thread_until_dropped() {
    let spool = Fixture::new(Creation::Anonymous);
    let second = DirSpool::open(spool.folder.path(), settings(Creation::Anonymous), TestClock::new()).unwrap();
    let id = spool.message(MESSAGE);
    let claim = spool.claim(id);
    for other in [&spool.spool, &second] {
        assert!(matches!(other.claim(id), Ok(Claimed::Busy)));
        assert!(thread::scope(|scope| scope.spawn(|| matches!(other.claim(id), Ok(Claimed::Busy))).join().unwrap()));
        assert_eq!(other.move_between(id, Folder::Queue, Folder::Hold).unwrap(), Handled::Busy);
        assert_eq!(Manage::remove(other, id, Folder::Queue).unwrap(), Handled::Busy);
        assert!(other.peek(id).unwrap().unwrap().busy);
    }
    drop(claim);
    assert!(!second.peek(id).unwrap().unwrap().busy);
    ours(second.claim(id).unwrap()).remove().unwrap();
    assert!(matches!(spool.spool.claim(id), Ok(Claimed::Gone)));
    assert_eq!(spool.spool.peek(id).unwrap(), None);
}

#[test]
fn a_message_that_arrives_under_its_name_is_busy_and_not_seen() {
    let spool = Fixture::new(Creation::Named);
    let mut draft = spool.spool.open(&plain_envelope()).unwrap();
    draft.append(&vec![b'x'; 100_000]).unwrap();
    let id = draft.id();
    assert_eq!(spool.names(Folder::Queue), [id.to_string()]);
    assert!(matches!(spool.spool.claim(id), Ok(Claimed::Busy)));
    assert_eq!(spool.spool.peek(id).unwrap(), None);
    assert!(spool.spool.verify(Folder::Queue).unwrap().is_empty());
    draft.commit(&plain_seal()).unwrap();
    assert_eq!(spool.spool.peek(id).unwrap().unwrap().size, 100_000);
}

#[test]
fn twenty_threads_commit_at_once_and_no_id_is_shared() {
    for creation in BOTH {
        let spool = Fixture::new(creation);
        // The clock does not move: all of them are of one millisecond.
        let second = DirSpool::open(spool.folder.path(), settings(creation), spool.clock.clone()).unwrap();
        let ids: Vec<SpoolId> = thread::scope(|scope| {
            let threads: Vec<_> = (0..20)
                .map(|number| {
                    let own = if number % 2 == 0 { spool.spool.clone() } else { second.clone() };
                    scope.spawn(move || {
                        (0..10)
                            .map(|_| {
                                let mut draft = own.open(&plain_envelope()).unwrap();
                                draft.append(format!("from {number}").as_bytes()).unwrap();
                                draft.commit(&plain_seal()).unwrap().id
                            })
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 200);
        let entries = spool.spool.entries(Folder::Queue).unwrap();
        assert!(entries.is_sorted_by_key(|entry| entry.id));
        assert_eq!(entries.iter().map(|entry| entry.id).collect::<HashSet<_>>(), ids.iter().copied().collect());
        assert!(spool.spool.verify(Folder::Queue).unwrap().iter().all(|finding| finding.size.is_ok()));
    }
}

#[test]
fn who_looks_or_claims_never_makes_a_commit_fail() {
    for creation in BOTH {
        let spool = Fixture::new(creation);
        let (accepted, begun) = (AtomicU64::new(0), std::time::Instant::now());
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while accepted.load(Ordering::SeqCst) < 150 && begun.elapsed().as_secs() < 30 {
                        for entry in spool.spool.entries(Folder::Queue).unwrap() {
                            spool.spool.peek(entry.id).unwrap();
                            if let Claimed::Ours(claim) = spool.spool.claim(entry.id).unwrap() {
                                assert!(message_of(&claim).ends_with(b"octets"));
                            }
                        }
                    }
                });
            }
            for _ in 0..150 {
                spool.message(b"octets");
                accepted.fetch_add(1, Ordering::SeqCst);
            }
        });
        assert_eq!((spool.names(Folder::Queue).len(), spool.names(Folder::Bad).len()), (150, 0));
    }
}

#[test]
fn twenty_claimers_of_one_message_are_one_at_a_time() {
    let spool = Fixture::new(Creation::Anonymous);
    let id = spool.message(MESSAGE);
    let holders = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                for _ in 0..50 {
                    match spool.spool.claim(id).unwrap() {
                        Claimed::Ours(claim) => {
                            assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0);
                            thread::yield_now();
                            holders.fetch_sub(1, Ordering::SeqCst);
                            drop(claim);
                        }
                        Claimed::Busy => {}
                        Claimed::Gone => panic!("gone"),
                    }
                }
            });
        }
    });
}

#[test]
fn an_id_that_is_in_use_on_any_folder_exists() {
    for creation in BOTH {
        let spool = Fixture::new(creation);
        let original = spool.message(MESSAGE);
        let id = original.derived(b"bounce");
        let write = || {
            let mut draft = spool.spool.open_as(id, &plain_envelope())?;
            draft.append(b"bounce")?;
            draft.commit(&plain_seal())
        };
        let exists = || matches!(write().unwrap_err().kind, SpoolErrorKind::Exists);
        assert_eq!(write().unwrap().id, id);
        assert!(exists());
        let claim = spool.claim(id);
        assert!(exists(), "while somebody works on it, too");
        claim.set_aside(Folder::Hold).unwrap();
        assert!(exists());
        assert_eq!(spool.spool.move_between(id, Folder::Hold, Folder::Failed).unwrap(), Handled::Done);
        assert!(exists());
        assert_eq!(Manage::remove(&spool.spool, id, Folder::Failed).unwrap(), Handled::Done);
        assert!(write().is_ok());
    }
}

#[test]
fn a_torn_file_under_a_derived_id_makes_way_for_a_whole_one() {
    for creation in BOTH {
        let spool = Fixture::new(creation);
        let id = SpoolId::new(Timestamp::from_millis(1), 2, 3).derived(b"bounce");
        let torn = &file_of(&plain_envelope(), MESSAGE, &plain_seal(), &[])[..150];
        std::fs::write(spool.path(Folder::Queue, &id.to_string()), torn).unwrap();
        let mut draft = spool.spool.open_as(id, &plain_envelope()).unwrap();
        draft.append(b"bounce").unwrap();
        draft.commit(&plain_seal()).unwrap();
        assert_eq!(message_of(&spool.claim(id)), b"bounce");
        assert_eq!(spool.names(Folder::Bad), [id.to_string()]);
    }
}

#[test]
fn a_message_goes_from_folder_to_folder_with_its_history() {
    let spool = Fixture::new(Creation::Anonymous);
    let id = spool.message(MESSAGE);
    assert_eq!(spool.spool.locate(id).unwrap(), Some(Folder::Queue));
    let mut claim = spool.claim(id);
    claim.record(receipt(ReceiptKind::Held, &[0], "by root"), Durability::Synced).unwrap();
    claim.set_aside(Folder::Hold).unwrap();
    assert_eq!(spool.spool.locate(id).unwrap(), Some(Folder::Hold));
    assert!(matches!(spool.spool.claim(id), Ok(Claimed::Gone)));
    let glance = spool.spool.peek(id).unwrap().unwrap();
    assert_eq!((glance.folder, glance.size, glance.receipts.len()), (Folder::Hold, MESSAGE.len() as u64, 1));
    let mut claim = ours(spool.spool.claim_from(id, Folder::Hold).unwrap());
    claim.record(receipt(ReceiptKind::Released, &[0], "by root"), Durability::Synced).unwrap();
    claim.set_aside(Folder::Queue).unwrap();
    assert_eq!(spool.claim(id).receipts().len(), 2);
    assert_eq!(spool.spool.move_between(id, Folder::Hold, Folder::Queue).unwrap(), Handled::Gone);
}

#[test]
fn a_move_never_replaces_a_message() {
    let spool = Fixture::new(Creation::Anonymous);
    let id = spool.message(MESSAGE);
    std::fs::copy(spool.path(Folder::Queue, &id.to_string()), spool.path(Folder::Hold, &id.to_string())).unwrap();
    let error = spool.claim(id).set_aside(Folder::Hold).unwrap_err();
    assert!(matches!(error.kind, SpoolErrorKind::Exists));
    assert_eq!(spool.names(Folder::Queue).len(), 1);
}

#[test]
fn a_message_can_be_read_to_its_end_though_it_is_removed_meanwhile() {
    let spool = Fixture::new(Creation::Anonymous);
    let id = spool.message(MESSAGE);
    let reading = spool.spool.read(id).unwrap().unwrap();
    assert_eq!(reading.glance().envelope, plain_envelope());
    spool.claim(id).remove().unwrap();
    let mut octets = vec![0; 1000];
    assert_eq!(reading.read_at(0, &mut octets).unwrap(), MESSAGE.len());
    assert_eq!(&octets[..MESSAGE.len()], MESSAGE);
    assert_eq!(reading.read_at(MESSAGE.len() as u64, &mut octets).unwrap(), 0);
    assert!(spool.spool.read(id).unwrap().is_none());
}

#[test]
fn verifying_names_what_is_wrong_and_moves_nothing() {
    let spool = Fixture::new(Creation::Anonymous);
    let (good, bad) = (spool.message(MESSAGE), spool.message(MESSAGE));
    let path = spool.path(Folder::Queue, &bad.to_string());
    let mut octets = std::fs::read(&path).unwrap();
    let middle = octets.len() / 2;
    octets[middle] ^= 1;
    std::fs::write(&path, octets).unwrap();
    std::fs::write(spool.path(Folder::Queue, "README"), "").unwrap();
    let findings = spool.spool.verify(Folder::Queue).unwrap();
    for finding in &findings {
        match (&finding.size, finding.name == good.to_string()) {
            (Ok(size), true) => assert_eq!(*size, MESSAGE.len() as u64),
            (Err(_), false) => {}
            (size, _) => panic!("{}: {size:?}", finding.name),
        }
    }
    assert_eq!((findings.len(), spool.names(Folder::Queue).len()), (3, 3));
}

#[test]
fn a_reserve_that_cannot_be_kept_is_full_in_words() {
    let folder = folder();
    let open = |reserve: Reserve| {
        let settings = SpoolSettings {
            reserve_octets: Some(reserve.octets),
            reserve_inodes: Some(reserve.inodes),
            ..settings(Creation::Anonymous)
        };
        DirSpool::open(folder.path(), settings, TestClock::new()).unwrap()
    };
    let spool = open(Reserve { octets: u64::MAX / 2, inodes: 0 });
    for error in [spool.has_room(1).unwrap_err(), spool.open(&plain_envelope()).unwrap_err()] {
        assert!(matches!(&error.kind, SpoolErrorKind::Full(text) if text.contains("octets are free")), "{error}");
    }
    let spool = open(Reserve::NONE);
    assert!(spool.has_room(1_000).is_ok() && spool.has_room(u64::MAX / 2).is_err());
}

#[test]
fn a_receipt_that_names_nobody_of_the_envelope_is_refused() {
    let spool = Fixture::new(Creation::Anonymous);
    let id = spool.message(MESSAGE);
    let mut claim = spool.claim(id);
    assert!(claim.record(receipt(ReceiptKind::Delivered, &[1], ""), Durability::Synced).is_err());
    drop(claim);
    assert!(spool.claim(id).receipts().is_empty());
}
