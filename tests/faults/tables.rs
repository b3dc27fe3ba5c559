//! `spoolrun` is killed at every system call from COMMIT to the removal of the message, with each database: each message is in the
//! table once.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::have::have;
use crate::lab::{self, either};
use crate::parallel::in_parallel;
use crate::peers::sql_servers::{PASSWORD, TestDatabase};
use crate::receiving_run::one_session;
use crate::sample_messages::LETTERS;
use crate::site::Site;
use crate::strace::{Call, Point, calls, end_of, killed_at, points, traced};
use crate::submitting::hand_in;

/// A site with three messages to five recipients, whose route is a table.
fn site_of(database: &TestDatabase) -> Site {
    let site = Site::new("");
    let inbox = format!("url = \"maildir:{}\"", site.inbox().display());
    fs::write(site.path("secret"), PASSWORD).unwrap();
    let password = format!("\npassword_file = \"{}\"", site.path("secret").display());
    let password = if database.scheme == "sqlite" { "" } else { &password };
    let text = fs::read_to_string(site.config()).unwrap();
    fs::write(site.config(), text.replace(&inbox, &format!("url = \"{}\"{password}", database.url))).unwrap();
    let handed = hand_in(&site, one_session(&site), &LETTERS);
    assert_eq!(handed.acknowledged.len(), LETTERS.len(), "{:?}", handed.refusals);
    site
}

fn run(site: &Site, injection: Option<&str>) -> Vec<Call> {
    let trace = site.path("trace");
    let mut child = traced(&site.spoolrun(), &trace, injection).spawn().unwrap();
    end_of(&mut child, "spoolrun");
    calls(&trace)
}

/// From what makes a row durable to what removes the message.
fn window(calls: &[Call]) -> Vec<Point> {
    let commits = |call: &Call| {
        call.arguments.contains("COMMIT") || call.name() == "openat" && call.arguments.contains("mail.db")
    };
    let first = calls.iter().position(commits).expect("a COMMIT").saturating_sub(5);
    let last = calls.iter().rposition(|call| call.name() == "unlinkat").expect("a removal");
    let counts = |call: &&Call| ["fsync", "fdatasync", "sendto", "recvfrom", "unlinkat"].contains(&call.name());
    let all = points(&calls[first..=last]).into_iter().enumerate();
    let chosen: Vec<Point> = calls[first..=last].iter().filter(counts).map(|call| call.point.clone()).collect();
    let stride = either(13, 1);
    all.filter(|(number, point)| number % stride == 0 || chosen.contains(point)).map(|(_, point)| point).collect()
}

fn assert_all_are_there_once(database: &TestDatabase, what: &str) {
    assert_eq!(database.number("SELECT count(*) FROM new_mail"), 5, "{what}");
    let whole = database.number("SELECT count(*) FROM new_mail WHERE body LIKE '%end of %'");
    assert_eq!((whole, database.number("SELECT count(DISTINCT spool_id) FROM new_mail")), (5, 3), "{what}");
}

fn killed_at_each_call(start: impl Fn() -> TestDatabase + Sync) {
    if !have("strace") {
        return;
    }
    let database = start();
    let scheme = database.scheme;
    let baseline = run(&site_of(&database), None);
    assert_all_are_there_once(&database, "with no kill");
    // The second one finds the table there.
    database.execute("DELETE FROM new_mail");
    let again = run(&site_of(&database), None);
    let mut points = window(&baseline);
    points.extend(window(&again));
    points.dedup();
    let killed = AtomicUsize::new(0);
    in_parallel(&points, &start, |database, point| {
        let what = format!("{scheme}, killed at {}", point.kill());
        if database.scheme != "sqlite" || database.path().join("mail.db").exists() {
            database.execute("DELETE FROM new_mail");
        }
        let site = site_of(database);
        let calls = run(&site, Some(&point.kill()));
        killed.fetch_add(usize::from(killed_at(&calls, point).is_some()), Ordering::SeqCst);
        for _ in 0..3 {
            let flushed = site.run(&["flush"]);
            assert!(flushed.status.success(), "{what}: {}", String::from_utf8_lossy(&flushed.stderr));
        }
        for shelf in ["queue", "hold", "failed", "bad"] {
            assert!(site.shelf(shelf).is_empty(), "{what}: {:?} in {shelf}; {}", site.shelf(shelf), site.states());
        }
        assert_all_are_there_once(database, &what);
    });
    let killed = killed.into_inner();
    lab::report(
        &format!("spoolrun with {scheme}"),
        &format!("{killed} kills at {} calls, each row once", points.len()),
    );
    assert!(2 * killed >= points.len(), "too few kills: {killed} of {}", points.len());
}

#[test]
fn killed_around_a_commit_of_sqlite_each_message_is_there_once() {
    killed_at_each_call(TestDatabase::sqlite);
}

#[test]
fn killed_around_a_commit_of_postgresql_each_message_is_there_once() {
    if TestDatabase::postgres().is_some() {
        killed_at_each_call(|| TestDatabase::postgres().unwrap());
    }
}

#[test]
fn killed_around_a_commit_of_mariadb_each_message_is_there_once() {
    if TestDatabase::mariadb().is_some() {
        killed_at_each_call(|| TestDatabase::mariadb().unwrap());
    }
}
