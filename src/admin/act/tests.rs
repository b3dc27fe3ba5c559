use super::*;
use crate::admin::{Listing, Routes, Selected, Visited, visit};
use crate::queue::testing::{at, envelope, seal};
use crate::spool::{Creation, DirSpool, Draft, Spool, SpoolSettings};
use std::sync::Arc;

struct Now;

impl Clock for Now {
    fn now(&self) -> Timestamp {
        at(1_795_000_100)
    }
}

struct House {
    spool: DirSpool,
    _folder: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = SpoolSettings {
            reserve_octets: Some(0),
            reserve_inodes: Some(0),
            creation: Creation::Anonymous,
            ..SpoolSettings::default()
        };
        let spool = DirSpool::open(&folder.path().join("spool"), settings, Arc::new(Now)).unwrap();
        Self { spool, _folder: folder }
    }

    fn put(&self, sender: &str, recipients: &[&str]) -> SpoolId {
        let mut draft = self.spool.open(&envelope(sender, recipients)).unwrap();
        draft.append(b"Subject: x\r\n\r\nx\r\n").unwrap();
        draft.commit(&seal()).unwrap().id
    }

    fn act(&self, id: SpoolId, wanted: Act) -> Acted {
        let hand = Hand { uid: 7, why: None };
        act(&self.spool, id, wanted, &hand, Now.now()).unwrap()
    }

    fn record(&self, id: SpoolId, what: ReceiptKind, recipients: &[u16]) {
        let Ok(Claimed::Ours(mut claim)) = self.spool.claim(id) else { panic!("it is free") };
        claim.record(crate::queue::testing::receipt(at(1_795_000_050), what, recipients), Durability::Synced).unwrap();
    }

    fn glance(&self, id: SpoolId) -> Glance {
        self.spool.peek(id).unwrap().unwrap()
    }

    fn standings(&self, id: SpoolId) -> Vec<Standing> {
        let glance = self.glance(id);
        let ledger = Ledger::fold(&glance.envelope, &glance.receipts, Duration::MAX);
        ledger.accounts().iter().map(|account| account.standing).collect()
    }
}

#[test]
fn what_is_held_lies_in_hold_until_it_is_released_and_says_who_held_it() {
    let house = House::new();
    let id = house.put("s@x", &["a@x"]);
    assert_eq!(house.act(id, Act::Release), Acted::AsItWas("it is not held"));
    assert_eq!(house.act(id, Act::Hold), Acted::Done(Folder::Queue));
    assert_eq!(house.glance(id).folder, Folder::Hold);
    assert!(matches!(house.act(id, Act::Hold), Acted::AsItWas(_)));
    let mut lines = Vec::new();
    let folders = vec![Folder::Hold];
    let selected = Selected { ids: Vec::new(), folders, filter: crate::admin::Filter::default() };
    visit(&house.spool, &selected, &Routes::default(), Now.now(), |found| {
        let Visited::Message(listing) = found else { panic!("it can be read") };
        lines.push(listing.text());
        Ok::<(), ()>(())
    })
    .unwrap();
    assert!(lines[0].contains(&format!("{id}!")) && lines[0].contains("(held by hand)"), "{lines:?}");
    assert_eq!(house.act(id, Act::Release), Acted::Done(Folder::Hold));
    let glance = house.glance(id);
    assert_eq!(glance.folder, Folder::Queue);
    let story: Vec<_> = glance.receipts.iter().map(|receipt| receipt.what).collect();
    assert_eq!(story, [ReceiptKind::Held, ReceiptKind::Released]);
    assert!(glance.receipts.iter().all(|receipt| receipt.annotations == [(BY_HAND.to_owned(), "7".to_owned())]));
}

#[test]
fn a_crash_between_receipt_and_move_leaves_a_message_that_can_be_acted_on_again() {
    let house = House::new();
    let id = house.put("s@x", &["a@x"]);
    house.record(id, ReceiptKind::Held, &[]);
    assert_eq!((house.glance(id).folder, house.standings(id)), (Folder::Queue, vec![Standing::Pending]));
    assert_eq!(house.act(id, Act::Hold), Acted::Done(Folder::Queue));
    let Ok(Claimed::Ours(mut claim)) = house.spool.claim_from(id, Folder::Hold) else { panic!("it is held") };
    let released = Receipt::new(Now.now(), ReceiptKind::Released, vec![], Reason::new(EnhancedCode(2, 0, 0), "x"));
    claim.record(released, Durability::Synced).unwrap();
    drop(claim);
    assert_eq!(house.glance(id).folder, Folder::Hold);
    assert_eq!(house.act(id, Act::Release), Acted::Done(Folder::Hold));
    assert_eq!(house.glance(id).folder, Folder::Queue);
}

#[test]
fn a_requeue_brings_back_from_failed_what_nobody_was_told_of() {
    let house = House::new();
    let id = house.put("", &["a@x"]);
    house.record(id, ReceiptKind::Failed, &[0]);
    let moved = house.spool.move_between(id, Folder::Queue, Folder::Failed).unwrap();
    assert_eq!((moved, house.standings(id)), (Handled::Done, vec![Standing::Failed]));
    assert!(matches!(house.act(id, Act::Release), Acted::Refused(_)));
    assert!(matches!(house.act(id, Act::Expire), Acted::Refused(_)));
    assert_eq!(house.act(id, Act::Requeue), Acted::Done(Folder::Failed));
    assert_eq!((house.glance(id).folder, house.standings(id)), (Folder::Queue, vec![Standing::Pending]));
    let due = house.spool.entries(Folder::Queue).unwrap()[0].due;
    assert_eq!(due, Now.now(), "who scans sees that it is due");
}

#[test]
fn a_requeue_leaves_alone_whom_a_notification_in_the_spool_tells_of() {
    let house = House::new();
    let id = house.put("s@x", &["a@x", "b@x"]);
    house.record(id, ReceiptKind::Failed, &[1]);
    let notice = notice_id(NoticeKind::Failed, id, &[1]);
    let mut draft = house.spool.open_as(notice, &envelope("", &["s@x"])).unwrap();
    draft.append(b"Subject: undelivered\r\n").unwrap();
    draft.commit(&seal()).unwrap();
    assert_eq!(house.act(id, Act::Requeue), Acted::Done(Folder::Queue));
    assert_eq!(house.standings(id), [Standing::Pending, Standing::Bounced]);
}

#[test]
fn who_is_given_up_by_hand_has_failed_with_the_last_reason() {
    let house = House::new();
    let id = house.put("s@x", &["a@x", "b@x", "c@x"]);
    house.record(id, ReceiptKind::Delivered, &[0]);
    house.record(id, ReceiptKind::Deferred, &[1]);
    assert_eq!(house.act(id, Act::Hold), Acted::Done(Folder::Queue));
    assert_eq!(would_act(&house.spool, id, Act::Expire).unwrap(), Acted::Done(Folder::Hold));
    assert_eq!(house.act(id, Act::Expire), Acted::Done(Folder::Hold));
    assert_eq!(house.standings(id), [Standing::Delivered, Standing::Failed, Standing::Failed]);
    let glance = house.glance(id);
    let texts: Vec<_> = glance.receipts.iter().map(|receipt| receipt.reason.text.as_str()).collect();
    assert!(
        texts.contains(&"given up by hand; 451 4.3.0 later") && texts.last() == Some(&"given up by hand"),
        "{texts:?}"
    );
    assert_eq!(glance.folder, Folder::Queue, "the runner tells the sender");
    assert!(Listing::new(id, &glance, &Routes::default()).forced_expire);
    assert_eq!(house.act(id, Act::Expire), Acted::Refused(NOBODY));
    assert_eq!(would_act(&house.spool, id, Act::Expire).unwrap(), Acted::Refused(NOBODY));
}

#[test]
fn what_is_being_delivered_is_waited_for_and_holds_up_no_other() {
    let house = House::new();
    let ids = [house.put("s@x", &["a@x"]), house.put("s@x", &["a@x"]), house.put("s@x", &["a@x"])];
    let Ok(Claimed::Ours(claim)) = house.spool.claim(ids[0]) else { panic!("it is free") };
    let hand = Hand { uid: 0, why: None };
    let mut claim = Some(claim);
    let mut reported = Vec::new();
    let patience = Duration::from_secs(60);
    act_on_all(&house.spool, &ids, Act::Hold, &hand, (&Now, patience), |id, acted| {
        reported.push((id, acted.unwrap()));
        // Once the others are done, it is let go.
        if reported.len() == 2 {
            claim = None;
        }
    });
    let done = Acted::Done(Folder::Queue);
    assert_eq!(reported, [(ids[1], done), (ids[2], done), (ids[0], done)]);
    let Ok(Claimed::Ours(claim)) = house.spool.claim_from(ids[0], Folder::Hold) else { panic!("it is free") };
    let mut reported = Vec::new();
    act_on_all(&house.spool, &ids[..1], Act::Remove, &hand, (&Now, Duration::ZERO), |_, acted| {
        reported.push(acted.unwrap());
    });
    assert_eq!(reported, [Acted::Busy]);
    drop(claim);
    assert_eq!(house.act(ids[0], Act::Remove), Acted::Done(Folder::Hold));
    assert_eq!(house.act(ids[0], Act::Remove), Acted::NotThere);
}

#[test]
fn a_message_goes_to_another_spool_and_back_with_its_history() {
    use crate::admin::{Original, transfer};
    let (house, other) = (House::new(), House::new());
    let id = house.put("s@x", &["a@x"]);
    house.record(id, ReceiptKind::Deferred, &[0]);
    house.act(id, Act::Hold);
    let before = house.glance(id);
    assert_eq!(transfer(&house.spool, &other.spool, id, Original::Kept).unwrap(), Acted::Done(Folder::Hold));
    assert_eq!((house.glance(id), other.glance(id)), (before.clone(), before.clone()));
    let twice = transfer(&house.spool, &other.spool, id, Original::Removed).unwrap_err();
    assert!(matches!(twice.kind, crate::spool::SpoolErrorKind::Exists), "{twice}");
    assert_eq!(house.act(id, Act::Remove), Acted::Done(Folder::Hold));
    assert_eq!(transfer(&other.spool, &house.spool, id, Original::Removed).unwrap(), Acted::Done(Folder::Hold));
    assert_eq!((house.glance(id), other.spool.peek(id).unwrap()), (before, None));
    assert!(house.spool.verify(Folder::Hold).unwrap()[0].size.is_ok());
}
