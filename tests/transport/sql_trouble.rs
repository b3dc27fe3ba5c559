//! Databases in trouble: full, read-only, locked by somebody else, and behind TLS.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::fake_smarthost::Identity;
use crate::requests::{Pieces, deliver, envelope, letters, settings, transport};
use crate::support::peers::sql_servers::{PASSWORD, TestDatabase};
use crate::support::skipped::skip;
use leafmail::transport::{Roots, RouteFailure, RouteSettings, SecretSource, TlsSettings, Transport};

fn send(transport: &mut dyn Transport, to: &str, octets: usize) -> Result<String, RouteFailure> {
    let text = format!("Subject: x\r\n\r\n{}\r\n", "x".repeat(octets));
    let delivery = deliver(transport, &envelope("", &[to]), &mut Pieces::of(text))?;
    match delivery.route_trouble {
        // At the COMMIT itself.
        Some(reason) => Err(RouteFailure::new(reason, delivery.relay)),
        None => Ok(letters(&delivery.outcomes).remove(0)),
    }
}

fn fault(transport: &mut dyn Transport, to: &str, octets: usize) -> String {
    let fault = send(transport, to, octets).expect_err("a fault of the route");
    fault.reason.text
}

/// A small file system in memory, as long as this value lives.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn at(path: PathBuf) -> Option<Self> {
        fs::create_dir(&path).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "none"]).arg(&path).status();
        mounted.is_ok_and(|status| status.success()).then_some(Self(path))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_pauses_the_route_and_leaves_no_half_row() {
    let database = TestDatabase::sqlite();
    let Some(disk) = SmallDisk::at(database.path().join("small")) else {
        skip("this user may mount no file system");
        return;
    };
    let mut way = transport(&settings(&format!("sqlite:{}/mail.db", disk.0.display())));
    assert_eq!(send(&mut *way, "a@x.example", 10).unwrap(), "D2.0.0");
    fs::write(disk.0.join("filler"), vec![b'x'; 600 * 1024]).unwrap();
    for _ in 0..2 {
        let text = fault(&mut *way, "b@x.example", 700 * 1024);
        assert!(text.contains("full"), "{text}");
    }
    fs::remove_file(disk.0.join("filler")).unwrap();
    assert_eq!(send(&mut *way, "b@x.example", 100 * 1024).unwrap(), "D2.0.0");
    drop(way);
    // The connection is closed by a thread of its own, which puts the log into the file and removes it.
    for _ in 0..600 {
        if !disk.0.join("mail.db-wal").exists() {
            break;
        }
        thread::sleep(Duration::from_millis(50));
    }
    for file in fs::read_dir(&disk.0).unwrap().map(Result::unwrap) {
        fs::copy(file.path(), database.path().join(file.file_name())).unwrap();
    }
    assert_eq!(database.number("SELECT count(*) FROM new_mail"), 2);
    assert_eq!(database.number("SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"), 1);
}

#[test]
fn a_server_that_takes_no_writes_pauses_the_route() {
    let Some(database) = TestDatabase::postgres() else { return };
    let way = || {
        let file = database.path().join("secret");
        fs::write(&file, PASSWORD).unwrap();
        transport(&RouteSettings { password: Some(SecretSource::File(file)), ..settings(&database.url) })
    };
    database.execute("ALTER DATABASE postgres SET default_transaction_read_only = on");
    let text = fault(&mut *way(), "a@x.example", 10);
    assert!(text.contains("read-only transaction"), "{text}");
    database.execute("BEGIN READ WRITE; ALTER DATABASE postgres RESET default_transaction_read_only; COMMIT");
    assert_eq!(send(&mut *way(), "a@x.example", 10).unwrap(), "D2.0.0");
    assert_eq!(database.number("SELECT count(*) FROM new_mail"), 1);
}

#[test]
fn a_lock_of_another_process_is_waited_for_and_then_pauses_the_route() {
    let database = TestDatabase::sqlite();
    let mut way = transport(&settings(&database.url));
    assert_eq!(send(&mut *way, "a@x.example", 10).unwrap(), "D2.0.0");
    database.while_locked(|| {
        let text = fault(&mut *way, "b@x.example", 10);
        assert!(text.contains("locked"), "{text}");
    });
    // A lock that ends while it is waited for costs nothing.
    let (begun, told) = mpsc::channel();
    thread::scope(|scope| {
        let way = &mut way;
        let database = &database;
        let waiting = scope.spawn(move || {
            told.recv().unwrap();
            send(&mut **way, "b@x.example", 10).unwrap()
        });
        database.while_locked(move || {
            begun.send(()).unwrap();
            thread::sleep(Duration::from_millis(500));
        });
        assert_eq!(waiting.join().unwrap(), "D2.0.0");
    });
    assert_eq!(database.number("SELECT count(*) FROM new_mail"), 2);
}

#[test]
fn a_server_is_trusted_by_its_own_authority_only() {
    let Some(mut database) = TestDatabase::postgres() else { return };
    let identity = Identity::valid_for(&["127.0.0.1"]);
    database.use_tls(&identity.certificate_pem, &identity.key_pem);
    let file = database.path().join("secret");
    fs::write(&file, PASSWORD).unwrap();
    let way = |authority: Option<&str>| {
        let roots = authority.map(|pem| {
            let file = database.path().join("roots.pem");
            fs::write(&file, pem).unwrap();
            Roots::File(file)
        });
        let tls = TlsSettings { roots, ..TlsSettings::default() };
        let url = format!("{}?tls=required", database.tcp);
        transport(&RouteSettings { password: Some(SecretSource::File(file.clone())), tls, ..settings(&url) })
    };
    assert_eq!(send(&mut *way(Some(&identity.authority_pem)), "a@x.example", 10).unwrap(), "D2.0.0");
    let other = Identity::valid_for(&["127.0.0.1"]);
    for authority in [None, Some(other.authority_pem.as_str())] {
        let text = fault(&mut *way(authority), "b@x.example", 10);
        assert!(text.to_lowercase().contains("certificate"), "{text}");
        assert!(!text.contains(PASSWORD), "{text}");
    }
    let elsewhere = Identity::valid_for(&["db.example"]);
    database.use_tls(&elsewhere.certificate_pem, &elsewhere.key_pem);
    let url = format!("{}?tls=required", database.tcp);
    fs::write(database.path().join("roots.pem"), &elsewhere.authority_pem).unwrap();
    let tls = TlsSettings { roots: Some(Roots::File(database.path().join("roots.pem"))), ..TlsSettings::default() };
    let mut way = transport(&RouteSettings { password: Some(SecretSource::File(file)), tls, ..settings(&url) });
    let text = fault(&mut *way, "b@x.example", 10);
    assert!(text.to_lowercase().contains("certificate"), "another name: {text}");
    assert_eq!(database.number("SELECT count(*) FROM new_mail"), 1);
}
