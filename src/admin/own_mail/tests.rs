//! Lists of several users over one spool.

use std::sync::Arc;

use super::*;
use crate::clock::{Clock, Timestamp};
use crate::envelope::LocalUser;
use crate::id::SpoolId;
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

fn put(spool: &DirSpool, uid: Option<u32>, recipients: &[&str]) -> SpoolId {
    let mut envelope = envelope("s@x", recipients);
    envelope.annotations.extend(uid.map(|uid| LocalUser { uid, name: None }.annotation()));
    let mut draft = spool.open(&envelope).unwrap();
    draft.append(b"Subject: x\r\n\r\nx\r\n").unwrap();
    draft.commit(&seal()).unwrap().id
}

fn routes(folder: &tempfile::TempDir) -> Routes {
    Routes::load(&[("relay".to_owned(), Criteria::default())], &RouteFolder::new(folder.path()))
}

#[test]
fn each_user_sees_its_own_mail_and_root_all() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, routes) = (spool(&folder), routes(&folder));
    let list = |uid| own_mail(&spool, uid, &routes, false).unwrap();
    assert_eq!(list(1000), "Mail queue is empty\n");
    let joes = put(&spool, Some(1000), &["joes-friend@example.com"]);
    put(&spool, Some(1001), &["amys-friend@example.com"]);
    put(&spool, None, &["networks@example.com"]);
    let held = put(&spool, Some(1000), &["held@example.com"]);
    spool.move_between(held, Folder::Queue, Folder::Hold).unwrap();
    let joe = list(1000);
    assert!(joe.starts_with("-Queue ID-  ") && joe.ends_with("-- 1 Kbytes in 2 Requests.\n"), "{joe}");
    assert!(joe.contains(&joes.to_string()) && joe.contains(&format!("{held}!")), "{joe}");
    assert!(!joe.contains("amys-friend") && !joe.contains("networks"), "{joe}");
    assert_eq!((list(1002).as_str(), list(1001).matches("@example.com").count()), ("Mail queue is empty\n", 1));
    let root = list(0);
    assert!(root.ends_with(" in 4 Requests.\n") && root.contains("networks@example.com"), "{root}");
    let json = own_mail(&spool, 1000, &routes, true).unwrap();
    let ids: Vec<String> = json
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["queue_id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids, [joes.to_string(), held.to_string()]);
}

#[test]
fn a_list_is_bounded_and_says_how_many_more_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, routes) = (spool(&folder), routes(&folder));
    let many: Vec<String> = (0..100).map(|number| format!("{}{number}@example.com", "x".repeat(60))).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    put(&spool, Some(1000), &many);
    let list = own_mail(&spool, 1000, &routes, false).unwrap();
    assert!(list.contains("and 80 more recipients\n\n-- 1 Kbytes in 1 Request.\n"), "{list}");
    for _ in 0..MOST_SHOWN + 4 {
        put(&spool, Some(1000), &["a@example.com"]);
    }
    let list = own_mail(&spool, 1000, &routes, false).unwrap();
    assert!(list.len() < MOST_OCTETS + 200);
    let (shown, total) = (list.matches("  s@x\n").count(), MOST_SHOWN + 5);
    assert!(list.contains(&format!("\n({} more messages are not shown)\n", total - shown)), "{list}");
    assert!(list.ends_with(&format!(" in {total} Requests.\n")), "{list}");
    assert!(own_mail(&spool, 1000, &routes, true).unwrap().len() <= MOST_OCTETS);
}
