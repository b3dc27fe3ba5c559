//! A file that was cut or changed at any octet: an error, or a shorter history, never another message.
//!
//! A file cut exactly at the border of two receipts is a whole file with fewer receipts; no format whose files grow by
//! appending can tell. Receipts that must not be lost are synced for that reason. A file cut inside a receipt was being
//! appended to when the power went, so the receipt was never relied on.

use super::double::{Fault, FaultyDisk};
use super::*;
use crate::spool::frozen::{Depth, Thawed, thaw};

struct Whole {
    file: Vec<u8>,
    thawed: Thawed,
    /// Where each receipt begins, and the last one's end.
    borders: Vec<usize>,
}

fn whole() -> Whole {
    let receipts = history();
    let file = file_of(&full_envelope(), MESSAGE, &full_seal(), &receipts);
    let mut at = file_of(&full_envelope(), MESSAGE, &full_seal(), &[]).len();
    let mut borders = vec![at];
    for receipt in &receipts {
        at += frozen::freeze_receipt(receipt).unwrap().len();
        borders.push(at);
    }
    let thawed = thaw(&file[..], file.len() as u64, Depth::Whole).unwrap();
    Whole { file, thawed, borders }
}

#[test]
fn a_file_cut_at_any_octet_is_torn_or_has_the_receipts_before_the_cut() {
    let Whole { file, thawed, borders } = whole();
    for cut in 0..file.len() {
        let result = thaw(&file[..cut], cut as u64, Depth::Whole);
        let Some(kept) = borders.iter().rposition(|border| *border <= cut) else {
            assert!(matches!(result, Err(SpoolErrorKind::Torn(_))), "cut at {cut}: {result:?}");
            continue;
        };
        let receipts = thawed.receipts[..kept].to_vec();
        assert_eq!(result.unwrap(), Thawed { receipts, end: borders[kept] as u64, ..thawed.clone() }, "cut at {cut}");
    }
}

#[test]
fn a_file_whose_end_became_zeros_is_an_error_or_has_the_receipts_before_it() {
    let Whole { file, thawed, borders } = whole();
    for zeros in 0..file.len() {
        let mut damaged = file.clone();
        damaged[zeros..].fill(0);
        if damaged == file {
            continue;
        }
        match thaw(&damaged[..], damaged.len() as u64, Depth::Whole) {
            Err(SpoolErrorKind::Torn(_) | SpoolErrorKind::Corrupt(_)) => {}
            Ok(found) => {
                let kept = borders.iter().position(|border| *border as u64 == found.end).unwrap();
                assert!(borders[kept] <= zeros, "zeros from {zeros}");
                assert_eq!(
                    found,
                    Thawed { receipts: thawed.receipts[..kept].to_vec(), end: found.end, ..thawed.clone() }
                );
            }
            Err(other) => panic!("zeros from {zeros}: {other}"),
        }
    }
}

#[test]
fn a_file_with_any_octet_changed_is_an_error() {
    let Whole { file, .. } = whole();
    let masks = (0..8).map(|bit| 1_u8 << bit).chain([0xFF]);
    for mask in masks {
        for at in 0..file.len() {
            let mut damaged = file.clone();
            damaged[at] ^= mask;
            let result = thaw(&damaged[..], damaged.len() as u64, Depth::Whole);
            assert!(
                matches!(result, Err(SpoolErrorKind::Torn(_) | SpoolErrorKind::Corrupt(_))),
                "{mask:#x} at {at}: {result:?}"
            );
        }
    }
}

/// Peeking trusts the message's length, and nothing else that it did not check.
#[test]
fn a_peek_into_a_changed_file_never_shows_another_envelope_or_history() {
    let Whole { file, thawed, .. } = whole();
    for at in 0..file.len() {
        let mut damaged = file.clone();
        damaged[at] ^= 0xFF;
        if let Ok(found) = thaw(&damaged[..], damaged.len() as u64, Depth::WithoutMessage) {
            assert_eq!((&found.envelope, &found.receipts), (&thawed.envelope, &thawed.receipts), "at {at}");
        }
    }
}

/// Puts octets into the queue as a crash or a bad disk would have left them.
fn put(spool: &Fixture, number: u64, octets: &[u8]) -> SpoolId {
    let id = SpoolId::new(Timestamp::from_millis(1_000), 0, number);
    std::fs::write(spool.path(Folder::Queue, &id.to_string()), octets).unwrap();
    id
}

#[test]
fn a_claim_moves_what_is_torn_or_changed_to_bad_and_goes_on() {
    let Whole { file, borders, .. } = whole();
    let spool = Fixture::new(Creation::Anonymous);
    let mut damaged: Vec<_> = (1..borders[0]).step_by(7).map(|cut| file[..cut].to_vec()).collect();
    damaged.extend((0..file.len()).step_by(5).map(|at| {
        let mut changed = file.clone();
        changed[at] ^= 1;
        changed
    }));
    for (number, octets) in damaged.iter().enumerate() {
        let id = put(&spool, number as u64, octets);
        let error = spool.spool.claim(id).unwrap_err();
        assert!(matches!(error.kind, SpoolErrorKind::Torn(_) | SpoolErrorKind::Corrupt(_)), "{error}");
        assert!(matches!(spool.spool.claim(id), Ok(Claimed::Gone)));
        assert_eq!(std::fs::read(spool.path(Folder::Bad, &id.to_string())).unwrap(), *octets);
    }
    let good = spool.message(MESSAGE);
    assert_eq!(message_of(&spool.claim(good)), MESSAGE);
    assert_eq!(spool.names(Folder::Bad).len(), damaged.len());
}

#[test]
fn a_name_that_is_taken_in_bad_gets_a_number() {
    let spool = Fixture::new(Creation::Anonymous);
    for _ in 0..3 {
        let id = put(&spool, 7, b"no spool file");
        assert!(spool.spool.claim(id).is_err());
    }
    let name = SpoolId::new(Timestamp::from_millis(1_000), 0, 7).to_string();
    assert_eq!(spool.names(Folder::Bad), [name.clone(), format!("{name}.1"), format!("{name}.2")]);
}

#[test]
fn a_newer_file_stays_where_it_is() {
    let mut file = file_of(&plain_envelope(), b"m", &plain_seal(), &[]);
    file[8] = 9;
    let envelope_end = frozen::HEADER + u32::from_le_bytes(file[12..16].try_into().unwrap()) as usize;
    let sum = frozen::sum_on(frozen::sum_on(0, &file[..16]), &file[frozen::HEADER..envelope_end]);
    file[16..20].copy_from_slice(&sum.to_le_bytes());
    let spool = Fixture::new(Creation::Anonymous);
    let id = put(&spool, 1, &file);
    assert!(matches!(spool.spool.claim(id).unwrap_err().kind, SpoolErrorKind::Newer(9)));
    assert_eq!(spool.names(Folder::Queue), [id.to_string()]);
}

#[test]
fn a_torn_tail_is_cut_off_so_that_later_receipts_can_be_read() {
    let Whole { file, thawed, borders } = whole();
    let spool = Fixture::new(Creation::Anonymous);
    let last = borders.len() - 1;
    let zeros = [&file[..borders[last - 1]], &[0; 5000]].concat();
    for (number, tail) in
        [file[..borders[last] - 1].to_vec(), file[..borders[last - 1] + 3].to_vec(), zeros].iter().enumerate()
    {
        let id = put(&spool, number as u64, tail);
        let mut claim = spool.claim(id);
        assert_eq!(claim.receipts(), &thawed.receipts[..last - 1]);
        claim.record(thawed.receipts[last - 1].clone(), Durability::Synced).unwrap();
        drop(claim);
        assert_eq!(spool.claim(id).receipts(), thawed.receipts);
        assert_eq!(std::fs::read(spool.path(Folder::Queue, &id.to_string())).unwrap(), file);
    }
}

/// A size can be on disk before the octets, and a receipt can lie across sectors of which only some were written. Whoever
/// wrote it had not synced it, so nothing was promised on the strength of it, and the message must not suffer.
#[test]
fn a_receipt_of_which_sectors_are_missing_is_a_torn_tail() {
    for filling in 0..600 {
        let message = vec![b'x'; filling];
        let receipts = history();
        let file = file_of(&full_envelope(), &message, &full_seal(), &receipts);
        let mut at = file_of(&full_envelope(), &message, &full_seal(), &[]).len();
        for (kept, receipt) in receipts.iter().enumerate() {
            let end = at + frozen::freeze_receipt(receipt).unwrap().len();
            for sector in at / 512..end.div_ceil(512) {
                // All of the tail up to the end of this sector, or from its beginning, or this one only.
                for (from, to) in
                    [(at, sector * 512 + 512), (sector * 512, file.len()), (sector * 512, sector * 512 + 512)]
                {
                    let (from, to) = (from.max(at), to.min(file.len()));
                    let mut torn = file.clone();
                    torn[from..to].fill(0);
                    if torn == file {
                        continue;
                    }
                    let thawed = thaw(&torn[..], torn.len() as u64, Depth::Whole);
                    let thawed = thawed.unwrap_or_else(|error| panic!("{filling}: zeros at {from}..{to}: {error}"));
                    assert!(thawed.receipts.len() >= kept, "{filling}: zeros at {from}..{to}");
                    assert_eq!(thawed.receipts[..], receipts[..thawed.receipts.len()]);
                }
            }
            at = end;
        }
    }
}

/// Or a power cut could show octets of the old tail behind the new size.
#[test]
fn what_was_cut_off_is_gone_from_the_disk_before_anything_is_appended() {
    let Whole { file, borders, .. } = whole();
    let (folder, disk) = (folder(), FaultyDisk::new());
    let spool =
        DirSpool::open_on(disk.clone(), folder.path(), settings(Creation::Anonymous), TestClock::new()).unwrap();
    let id = SpoolId::new(Timestamp::from_millis(1_000), 0, 1);
    std::fs::write(folder.path().join("queue").join(id.to_string()), &file[..borders[3] + 20]).unwrap();
    let steps = || {
        let trace = disk.book.lock().unwrap().trace.clone();
        trace.into_iter().filter(|call| ["truncate", "sync", "write_at"].contains(call)).collect::<Vec<_>>()
    };
    disk.book.lock().unwrap().follow(|_, _| Fault::None);
    let mut claim = ours(spool.claim(id).unwrap());
    let entry = receipt(ReceiptKind::Deferred, &[0], "later");
    claim.record(entry.clone(), Durability::Buffered).unwrap();
    assert_eq!(steps(), ["truncate", "sync", "write_at"]);
    disk.book.lock().unwrap().follow(|number, _| if number == 1 { Fault::Short } else { Fault::None });
    claim.record(entry.clone(), Durability::Buffered).unwrap_err();
    claim.record(entry.clone(), Durability::Buffered).unwrap();
    claim.record(entry, Durability::Buffered).unwrap();
    assert_eq!(steps(), ["write_at", "truncate", "truncate", "sync", "write_at", "write_at"]);
}

#[test]
fn an_empty_file_is_a_message_about_to_arrive_for_a_minute_and_torn_after_it() {
    let spool = Fixture::new(Creation::Named);
    let id = put(&spool, 3, b"");
    assert!(matches!(spool.spool.claim(id), Ok(Claimed::Busy)));
    assert_eq!(spool.spool.peek(id).unwrap(), None);
    spool.clock.forward(120_000);
    assert!(matches!(spool.spool.claim(id).unwrap_err().kind, SpoolErrorKind::Torn(_)));
    assert_eq!(spool.names(Folder::Bad), [id.to_string()]);
}
