//! Surveys of a small spool, and of one that is longer than what one survey reads.

use std::sync::Arc;

use super::*;
use crate::clock::Clock;
use crate::queue::RouteFolder;
use crate::queue::testing::{at, envelope, seal};
use crate::routing::Criteria;
use crate::spool::{Creation, DirSpool, Draft, Spool, SpoolSettings};

struct Now;

impl Clock for Now {
    fn now(&self) -> Timestamp {
        at(1_795_000_100)
    }
}

fn spool(folder: &tempfile::TempDir) -> DirSpool {
    let settings = SpoolSettings {
        reserve_octets: Some(0),
        reserve_inodes: Some(0),
        creation: Creation::Anonymous,
        ..SpoolSettings::default()
    };
    DirSpool::open(&folder.path().join("spool"), settings, Arc::new(Now)).unwrap()
}

fn put(spool: &DirSpool, recipients: &[&str]) -> SpoolId {
    let mut draft = spool.open(&envelope("s@x", recipients)).unwrap();
    draft.append(b"Subject: x\r\n\r\nx\r\n").unwrap();
    draft.commit(&seal()).unwrap().id
}

fn routes(folder: &tempfile::TempDir) -> Routes {
    let some = Criteria { recipients: vec!["@alerts.example".parse().unwrap()], ..Criteria::default() };
    let named = [("alerts".to_owned(), some), ("relay".to_owned(), Criteria::default())];
    Routes::load(&named, &RouteFolder::new(folder.path()))
}

#[test]
fn each_message_counts_for_its_routes_until_it_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, routes) = (spool(&folder), routes(&folder));
    let both = put(&spool, &["a@alerts.example", "b@elsewhere.example"]);
    put(&spool, &["b@elsewhere.example"]);
    let held = put(&spool, &["c@elsewhere.example"]);
    spool.move_between(held, Folder::Queue, Folder::Hold).unwrap();
    let later = both.time() + std::time::Duration::from_secs(6 * 60);
    let mut survey = Survey::default();
    let found = survey.look(&spool, &routes, later).unwrap();
    assert_eq!((found.all.waiting, found.all.oldest, found.held, found.failed), (2, Some(both.time()), 1, 0));
    assert_eq!(found.routes.iter().map(|one| one.waiting).collect::<Vec<_>>(), [1, 2]);
    assert_eq!((found.ages[..3].to_vec(), found.unsorted), (vec![0, 2, 0], 0));
    spool.remove(both, Folder::Queue).unwrap();
    let found = survey.look(&spool, &routes, later).unwrap();
    assert_eq!(
        found.routes.iter().map(|one| (one.waiting, one.oldest.is_some())).collect::<Vec<_>>(),
        [(0, false), (1, true)]
    );
}

#[test]
fn a_long_queue_is_read_in_pieces_and_what_is_not_known_yet_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, routes) = (spool(&folder), routes(&folder));
    for _ in 0..LOOKS + 20 {
        put(&spool, &["b@elsewhere.example"]);
    }
    let mut survey = Survey::default();
    let mut look = || survey.look(&spool, &routes, Now.now()).unwrap();
    let first = look();
    assert_eq!((first.all.waiting, first.routes[1].waiting, first.unsorted), (LOOKS as u64 + 20, LOOKS as u64, 20));
    let second = look();
    assert_eq!((second.routes[1].waiting, second.unsorted), (LOOKS as u64 + 20, 0));
}
