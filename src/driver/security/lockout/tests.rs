//! The lock-out in one process and in several, under floods, and with files that nobody of us wrote.

use std::fs;
use std::net::SocketAddr;

use super::slots::{BUCKET, BUCKETS};
use super::*;
use crate::driver::security::table::TableBucket as _;

const MINUTE: Duration = Duration::from_secs(60);

fn peer(address: &str) -> Peer {
    Peer::tcp(SocketAddr::new(address.parse().unwrap(), 1))
}

fn strike(lockout: &Lockout, address: &str, user: &str) -> bool {
    lockout.strike(Failure::Login, peer(address), Some(user), 3).unwrap()
}

fn holds(lockout: &Lockout, address: &str) -> bool {
    lockout.holds(Failure::Login, peer(address), 3)
}

/// One of each kind, with the folder of the shared one.
fn both() -> (tempfile::TempDir, [Lockout; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let shared = Lockout::shared(folder.path(), MINUTE);
    (folder, [Lockout::of_process(MINUTE), shared])
}

#[test]
fn three_failures_lock_an_address_out_and_no_other() {
    let (_folder, both) = both();
    for lockout in both {
        assert!(!strike(&lockout, "192.0.2.1", "joe") && !strike(&lockout, "192.0.2.1", "amy"));
        assert!(!holds(&lockout, "192.0.2.1"));
        assert!(strike(&lockout, "192.0.2.1", "joe") && holds(&lockout, "192.0.2.1"));
        assert!(holds(&lockout, "::ffff:192.0.2.1"), "the same address");
        assert!(!holds(&lockout, "192.0.2.2") && !lockout.holds(Failure::Refusal, peer("192.0.2.1"), 1));
        assert!(!lockout.strike(Failure::Login, Peer::Local, Some("joe"), 1).unwrap());
    }
}

#[test]
fn failures_are_forgotten_after_the_time() {
    let folder = tempfile::tempdir().unwrap();
    let long = Duration::from_millis(300);
    for lockout in [Lockout::of_process(long), Lockout::shared(folder.path(), long)] {
        while !strike(&lockout, "192.0.2.1", "joe") {}
        while holds(&lockout, "192.0.2.1") {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(!strike(&lockout, "192.0.2.1", "joe"), "it begins anew");
    }
}

#[test]
fn a_success_takes_back_the_failures_of_that_user_from_that_address_alone() {
    let (_folder, both) = both();
    for lockout in both {
        for (address, user) in [("192.0.2.1", "joe"), ("192.0.2.1", "joe"), ("192.0.2.2", "joe"), ("192.0.2.2", "amy")]
        {
            assert!(!strike(&lockout, address, user));
        }
        lockout.forgive(peer("192.0.2.1"), "joe").unwrap();
        assert!(!strike(&lockout, "192.0.2.1", "joe") && !strike(&lockout, "192.0.2.1", "joe"));
        // One who has an account cannot go on with guessing those of others.
        lockout.forgive(peer("192.0.2.2"), "mallory").unwrap();
        assert!(strike(&lockout, "192.0.2.2", "amy"));
        lockout.forgive(peer("192.0.2.2"), "joe").unwrap();
        assert!(!holds(&lockout, "192.0.2.2"), "two of amy's are left");
        for number in 0..50 {
            strike(&lockout, "192.0.2.3", &format!("user{number}"));
        }
        for number in 0..50 {
            lockout.forgive(peer("192.0.2.3"), &format!("user{number}")).unwrap();
        }
        assert!(holds(&lockout, "192.0.2.3"), "of the first few users only, failures can be taken back");
    }
}

#[test]
fn a_host_of_ipv6_is_its_network_but_on_a_link_its_address() {
    let (_folder, both) = both();
    for lockout in both {
        for address in ["2001:db8::1", "2001:db8::2", "2001:db8::3"] {
            strike(&lockout, address, "joe");
        }
        assert!(holds(&lockout, "2001:db8::4") && !holds(&lockout, "2001:db8:0:1::1"));
        for address in ["fe80::1", "fe80::2", "fe80::3"] {
            assert!(!strike(&lockout, address, "joe"));
        }
        assert!(!holds(&lockout, "fe80::1"));
    }
}

#[test]
fn all_processes_count_together_and_one_that_never_failed_finds_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let ours = Lockout::shared(folder.path(), MINUTE);
    assert!(!holds(&ours, "192.0.2.1"));
    ours.forgive(peer("192.0.2.1"), "joe").unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nobody failed");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let theirs = Lockout::shared(folder.path(), MINUTE);
                for _ in 0..25 {
                    theirs.strike(Failure::Refusal, peer("192.0.2.1"), None, 3).unwrap();
                }
            });
        }
    });
    assert!(
        ours.holds(Failure::Refusal, peer("192.0.2.1"), 100) && !ours.holds(Failure::Refusal, peer("192.0.2.1"), 101)
    );
}

#[test]
fn a_flood_of_addresses_is_bounded_and_does_not_free_who_fails_on() {
    let folder = tempfile::tempdir().unwrap();
    let lockout = Lockout::shared(folder.path(), MINUTE);
    while !strike(&lockout, "198.51.100.1", "joe") {}
    for number in 0..3_000_u32 {
        lockout.strike(Failure::Login, peer(&std::net::Ipv4Addr::from(number).to_string()), Some("x"), 3).unwrap();
    }
    let octets = fs::read(folder.path().join("clients.failures")).unwrap();
    assert_eq!(octets.len(), 64 + usize::from(BUCKETS) * BUCKET);
    assert!(holds(&lockout, "198.51.100.1"), "those with the fewest failures are forgotten first");
    let mut bucket = Bucket::default();
    let of = |number: u32| Key { failure: Failure::Login, host: std::net::Ipv4Addr::from(number).into() };
    for _ in 0..3 {
        bucket.strike(of(7), Some(1), 5, MINUTE);
    }
    for number in 100..1_000 {
        bucket.strike(of(number), Some(1), 5, MINUTE);
    }
    assert_eq!(bucket.count(of(7), 5, MINUTE), 3);
    assert_eq!(Bucket::read(&bucket.octets()).count(of(7), 5, MINUTE), 3, "a bucket is what its octets say");
}

#[test]
fn a_file_that_nobody_of_us_wrote_locks_nobody_out_and_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clients.failures");
    let lockout = Lockout::shared(folder.path(), MINUTE);
    while !strike(&lockout, "192.0.2.1", "joe") {}
    let ours = fs::read(&path).unwrap();
    let changed = |at: usize, octets: &[u8]| {
        let mut changed = ours.clone();
        changed[at..at + octets.len()].copy_from_slice(octets);
        changed
    };
    let size = ours.len();
    let all_locked = changed(64, &vec![0xff; size - 64]);
    for foreign in
        [Vec::new(), b"x".to_vec(), ours[..size - 1].to_vec(), changed(0, b"X"), changed(8, &[7; 16]), all_locked]
    {
        fs::write(&path, foreign).unwrap();
        assert!(!holds(&lockout, "192.0.2.1"));
        assert!(!strike(&lockout, "192.0.2.1", "joe"));
        assert_eq!(fs::metadata(&path).unwrap().len() as usize, size);
    }
    fs::remove_file(&path).unwrap();
    fs::write(folder.path().join("outside"), "untouched").unwrap();
    std::os::unix::fs::symlink(folder.path().join("outside"), &path).unwrap();
    lockout.strike(Failure::Login, peer("192.0.2.1"), None, 3).unwrap_err();
    assert_eq!(fs::read(folder.path().join("outside")).unwrap(), b"untouched");
    assert!(!holds(&lockout, "192.0.2.1"));
    // Another process that was stopped with the lock does not stop this one.
    fs::remove_file(&path).unwrap();
    strike(&lockout, "192.0.2.1", "joe");
    let held = fs::File::open(&path).unwrap();
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).unwrap();
    lockout.strike(Failure::Login, peer("192.0.2.1"), None, 3).unwrap_err();
    assert!(!holds(&lockout, "192.0.2.1"));
}
