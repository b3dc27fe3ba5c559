//! The file format: golden files of version 1 thaw for ever, and what is frozen thaws to the same.

use proptest::prelude::*;

use super::*;
use crate::spool::frozen::{Depth, Thawed, thaw};

fn whole(file: &[u8]) -> Thawed {
    thaw(file, file.len() as u64, Depth::Whole).unwrap()
}

fn golden(name: &str, expected: &[u8]) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    // Only ever for a file that is not there yet: a golden file that has been released never changes.
    if std::env::var_os("LEAFMAIL_NEW_GOLDEN").is_some() && !path.exists() {
        std::fs::write(&path, expected).unwrap();
    }
    std::fs::read(&path).unwrap()
}

#[test]
fn a_full_file_of_version_1_thaws_and_freezes_to_the_same_octets() {
    let frozen = file_of(&full_envelope(), MESSAGE, &full_seal(), &history());
    let file = golden("v1-full.spool", &frozen);
    let thawed = whole(&file);
    assert_eq!(thawed.envelope, full_envelope());
    assert_eq!(thawed.seal, full_seal());
    assert_eq!(thawed.receipts, history());
    assert_eq!(&file[thawed.message_at as usize..][..thawed.size as usize], MESSAGE);
    assert_eq!(thawed.end, file.len() as u64);
    assert!(file == frozen, "the same values freeze to other octets than in version 1");
}

#[test]
fn a_plain_file_of_version_1_thaws_and_freezes_to_the_same_octets() {
    let frozen = file_of(&plain_envelope(), b"", &plain_seal(), &[]);
    let file = golden("v1-plain.spool", &frozen);
    let thawed = whole(&file);
    assert_eq!((&thawed.envelope, &thawed.seal), (&plain_envelope(), &plain_seal()));
    assert_eq!((thawed.size, thawed.receipts.len()), (0, 0));
    assert!(file == frozen, "the same values freeze to other octets than in version 1");
}

/// What is on the disk is what a draft and a claim write, not only what this module puts together.
#[test]
fn the_spool_writes_what_the_format_says() {
    let spool = Fixture::new(Creation::Anonymous);
    let mut draft = spool.spool.open(&full_envelope()).unwrap();
    draft.append(&MESSAGE[..10]).unwrap();
    draft.append(&MESSAGE[10..]).unwrap();
    let id = draft.commit(&full_seal()).unwrap().id;
    let mut claim = spool.claim(id);
    for receipt in history() {
        claim.record(receipt, Durability::Buffered).unwrap();
    }
    let file = std::fs::read(spool.path(Folder::Queue, &id.to_string())).unwrap();
    assert!(file == file_of(&full_envelope(), MESSAGE, &full_seal(), &history()));
}

#[test]
fn a_later_version_is_newer_and_a_flipped_version_is_corrupt() {
    let mut file = file_of(&plain_envelope(), b"m", &plain_seal(), &[]);
    file[8] = 2;
    assert!(matches!(thaw(&file[..], file.len() as u64, Depth::Whole), Err(SpoolErrorKind::Corrupt(_))));
    let envelope_end = frozen::HEADER + u32::from_le_bytes(file[12..16].try_into().unwrap()) as usize;
    let sum = frozen::sum_on(frozen::sum_on(0, &file[..16]), &file[frozen::HEADER..envelope_end]);
    file[16..20].copy_from_slice(&sum.to_le_bytes());
    assert!(matches!(thaw(&file[..], file.len() as u64, Depth::Whole), Err(SpoolErrorKind::Newer(2))));
}

#[test]
fn a_forged_length_reserves_nothing() {
    let file = file_of(&plain_envelope(), b"m", &plain_seal(), &[]);
    for at in [12, 20] {
        let mut forged = file.clone();
        forged[at..at + 4].copy_from_slice(&[0xFF; 4]);
        assert!(thaw(&forged[..], forged.len() as u64, Depth::Whole).is_err());
    }
}

#[test]
fn a_length_above_the_limit_is_corrupt_and_the_limit_itself_is_not() {
    let file = file_of(&plain_envelope(), b"m", &plain_seal(), &[]);
    let trailer_at = frozen::HEADER + u32::from_le_bytes(file[12..16].try_into().unwrap()) as usize + 1;
    for (at, limit) in [(12, 4 << 20), (trailer_at + 8, 1 << 20)] {
        for (length, is_corrupt) in [(limit, false), (limit + 1, true), (u32::MAX, true)] {
            let mut forged = file.clone();
            forged[at..at + 4].copy_from_slice(&length.to_le_bytes());
            let result = thaw(&forged[..], forged.len() as u64, Depth::Whole);
            assert_eq!(matches!(result, Err(SpoolErrorKind::Corrupt(_))), is_corrupt, "{length} at {at}: {result:?}");
        }
    }
}

/// While a message arrives under its final name, its sender writes what follows the envelope.
#[test]
fn a_message_that_contains_a_trailer_cannot_end_itself() {
    let mut file = frozen::freeze_head(&plain_envelope()).unwrap();
    file.extend(frozen::freeze_end(0, 0, &plain_seal()).unwrap());
    assert!(matches!(thaw(&file[..], file.len() as u64, Depth::Whole), Err(SpoolErrorKind::Torn(_))));
}

#[test]
fn a_receipt_of_a_recipient_that_is_not_there_is_corrupt() {
    let file = file_of(&plain_envelope(), b"m", &plain_seal(), &[receipt(ReceiptKind::Delivered, &[1], "")]);
    assert!(matches!(thaw(&file[..], file.len() as u64, Depth::Whole), Err(SpoolErrorKind::Corrupt(_))));
}

fn texts() -> impl Strategy<Value = Vec<(String, String)>> {
    prop::collection::vec((".{0,8}", ".{0,20}"), 0..3)
}

fn mailboxes() -> impl Strategy<Value = crate::address::Mailbox> {
    "([a-z0-9ä+]{1,12}|\"[ -!#-\\[\\]-~ü]{0,12}\")@([a-z0-9ö]{1,9}(\\.[a-z]{2,5}){0,2}|\\[192\\.0\\.2\\.[0-9]\\])"
        .prop_map(|text| text.parse().unwrap())
}

prop_compose! {
    fn recipients()(
        mailbox in mailboxes(),
        notify in prop::option::of(any::<(bool, bool, bool)>()),
        orcpt in prop::option::of("rfc822;[!-~]{1,20}"),
    ) -> Recipient {
        let notify = notify.map(|(success, failure, delay)| Notify { success, failure, delay });
        Recipient { mailbox, notify, orcpt }
    }
}

prop_compose! {
    fn origins()(
        peer in prop::option::of((any::<std::net::IpAddr>(), any::<u16>())),
        names in any::<(Option<String>, Option<String>, Option<String>)>(),
        bits in any::<(bool, bool, bool, bool)>(),
        tls in prop::option::of(any::<(String, String, Option<String>)>()),
        forwarded in texts(),
        notice_of in prop::option::of(any::<(u128, Vec<u16>)>()),
    ) -> Origin {
        Origin {
            peer: peer.map_or(Peer::Local, |(ip, port)| Peer::tcp((ip, port).into())),
            reverse_name: names.0,
            helo: names.1,
            protocol: Protocol { extended: bits.0, tls: bits.1, authenticated: bits.2, utf8: bits.3 },
            login: names.2,
            tls: tls.map(|(version, cipher, client)| Tls { version, cipher, client }),
            forwarded,
            notice_of: notice_of
                .map(|(original, recipients)| NoticeOf { original: SpoolId::from_bits(original), recipients }),
        }
    }
}

prop_compose! {
    fn envelopes()(
        received_at in any::<u64>(),
        sender in prop::option::of(mailboxes()),
        recipients in prop::collection::vec(recipients(), 1..5),
        origin in origins(),
        bits in any::<(bool, bool, Option<bool>)>(),
        envid in prop::option::of("[!-~]{0,30}"),
        annotations in texts(),
    ) -> Envelope {
        Envelope {
            received_at: Timestamp::from_millis(received_at),
            reverse_path: sender.map_or(crate::address::ReversePath::Null, crate::address::ReversePath::Mailbox),
            recipients: Recipients::new(recipients).unwrap(),
            origin,
            body: if bits.0 { BodyType::EightBitMime } else { BodyType::SevenBit },
            smtputf8: bits.1,
            ret: bits.2.map(|full| if full { Ret::Full } else { Ret::Headers }),
            envid,
            annotations,
        }
    }
}

prop_compose! {
    fn seals()(
        at in any::<u64>(), eight_bit in any::<bool>(), hops in any::<u16>(),
        message_id in any::<Option<String>>(), annotations in texts(),
    ) -> Seal {
        Seal { completed_at: Timestamp::from_millis(at), eight_bit, hops, message_id, annotations }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_frozen_thaws_to_the_same(
        envelope in envelopes(),
        message in prop::collection::vec(any::<u8>(), 0..300),
        seal in seals(),
        kinds in prop::collection::vec((0..9_usize, any::<u64>(), "[^\u{0}-\u{1f}]{0,40}"), 0..5),
    ) {
        let receipts: Vec<_> = kinds
            .into_iter()
            .map(|(kind, at, text)| Receipt {
                at: Timestamp::from_millis(at),
                recipients: vec![0],
                reason: Reason { status: EnhancedCode(5, 0, 0), reply_code: None, text, cause: Cause::ALL.get(at as usize % 40).copied() },
                ..history()[kind].clone()
            })
            .collect();
        let file = file_of(&envelope, &message, &seal, &receipts);
        let thawed = whole(&file);
        prop_assert_eq!(&thawed.envelope, &envelope);
        prop_assert_eq!(&thawed.seal, &seal);
        prop_assert_eq!(&thawed.receipts, &receipts);
        prop_assert_eq!(&file[thawed.message_at as usize..][..thawed.size as usize], &message[..]);
        let skimmed = thaw(&file[..], file.len() as u64, Depth::WithoutMessage).unwrap();
        prop_assert_eq!(skimmed, thawed);
    }

    #[test]
    fn no_octets_make_thawing_panic(octets in prop::collection::vec(any::<u8>(), 0..200), good in 0..300_usize) {
        let mut file = file_of(&plain_envelope(), b"m", &plain_seal(), &history()[8..]);
        file.truncate(good);
        file.extend(octets);
        let _ = thaw(&file[..], file.len() as u64, Depth::Whole);
        let _ = thaw(&file[..], file.len() as u64 + 100, Depth::WithoutMessage);
    }
}
