//! The rate limits: never more in any period, for each kind of client, under floods, and with files that nobody of us wrote.

use std::fs;
use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;
use crate::address::ReversePath;
use crate::driver::security::table::TableBucket as _;
use crate::policy::ListenerPattern;

const MINUTE: Duration = Duration::from_secs(60);
const KEY: [u8; 16] = [1; 16];

fn second(number: u64) -> u64 {
    number * 1_000_000_000
}

fn per_minute(by: CountedBy, most: u32) -> RateLimit {
    let rates = vec![Rate { most, per: MINUTE }, Rate { most: 100, per: 60 * MINUTE }];
    RateLimit {
        by,
        connections: rates.clone(),
        messages: rates.clone(),
        recipients: rates,
        except: Vec::new(),
        listeners: Listeners::default(),
    }
}

fn velocity(folder: &Path, limits: Vec<RateLimit>) -> Velocity {
    Velocity::shared(folder, limits, vec!["127.0.0.0/8".parse().unwrap()])
}

fn asking(address: &str) -> Asking<'static> {
    let peer = Peer::tcp(SocketAddr::new(address.parse().unwrap(), 1));
    Asking { peer, listener: None, login: None, sender: None }
}

fn admits(velocity: &Velocity, what: Metered, client: Asking<'_>) -> bool {
    velocity.admit(what, client).unwrap().is_ok()
}

/// How many of ten are admitted.
fn of_ten(velocity: &Velocity, what: Metered, client: Asking<'_>) -> usize {
    (0..10).filter(|_| admits(velocity, what, client)).count()
}

proptest! {
    /// Whatever comes when: in no stretch of time of the period are more counted than the limit, and after the time that
    /// a refusal names there is room.
    #[test]
    fn in_no_period_is_more_counted_than_the_limit(
        gaps in prop::collection::vec(0_u64..20, 1..200), most in 1_u32..12, start in 0_u64..1_000
    ) {
        let rate = Rate { most, per: MINUTE };
        let (mut counters, mut now, mut counted) = (Counters::default(), second(start), Vec::new());
        for gap in gaps {
            now += second(gap);
            match counters.full(KEY, rate, now) {
                None => {
                    counters.add(KEY, rate, now);
                    counted.push(now);
                    let within = counted.iter().filter(|time| now - **time < second(60)).count();
                    prop_assert!(within <= most as usize, "{within} of {most}");
                }
                Some(fill) => {
                    prop_assert!(fill.wait > Duration::ZERO && fill.wait < MINUTE * 12 / 11, "{fill:?}");
                    let later = now + fill.wait.as_nanos() as u64;
                    prop_assert_eq!(counters.full(KEY, rate, later), None);
                    prop_assert!(counters.full(KEY, rate, later - 1).is_some(), "not before");
                    let within = counted.iter().filter(|time| now - **time < second(60 * 12 / 11 + 1)).count();
                    prop_assert!(within >= most as usize, "too strict: {} of {}", within, most);
                }
            }
            counters = Counters::read(&counters.octets());
        }
    }

    #[test]
    fn any_octets_are_counters(octets in prop::collection::vec(any::<u8>(), 2_112), now: u64) {
        let mut counters = Counters::read(&octets);
        let rate = Rate { most: 1, per: MINUTE };
        let _ = counters.full(KEY, rate, now);
        counters.add(KEY, rate, now);
        prop_assert!(counters.full(KEY, rate, now).is_some());
    }
}

#[test]
fn each_kind_of_client_has_its_own_count() {
    let sender = |text: &str| ReversePath::parse(text, None).unwrap();
    let (joe, loud_joe, amy, null) =
        (sender("joe@a.example"), sender("JOE@A.example"), sender("amy@a.example"), ReversePath::Null);
    let by = |login, sender| Asking { login, sender, ..asking("192.0.2.1") };
    for (limit, same, others) in [
        (CountedBy::Address, vec![asking("::ffff:192.0.2.1"), by(Some("joe"), None)], vec![asking("192.0.2.2")]),
        (CountedBy::Network(24, 48), vec![asking("192.0.2.200")], vec![asking("192.0.3.1"), asking("2001:db8::1")]),
        (
            CountedBy::Login,
            vec![Asking { peer: asking("10.0.0.1").peer, ..by(Some("joe"), None) }],
            vec![by(Some("amy"), None)],
        ),
        (CountedBy::Sender, vec![by(Some("x"), Some(&loud_joe))], vec![by(None, Some(&amy))]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let velocity = velocity(folder.path(), vec![per_minute(limit, 3)]);
        let first = match limit {
            CountedBy::Login => by(Some("joe"), None),
            CountedBy::Sender => by(None, Some(&joe)),
            _ => asking("192.0.2.1"),
        };
        assert_eq!(of_ten(&velocity, Metered::Message, first), 3, "{limit:?}");
        assert_eq!(of_ten(&velocity, Metered::Recipient, first), 3, "recipients are counted apart");
        for same in same {
            assert_eq!(of_ten(&velocity, Metered::Message, same), 0, "{limit:?} {same:?}");
        }
        for other in others {
            assert_eq!(of_ten(&velocity, Metered::Message, other), 3, "{limit:?} {other:?}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let velocity = velocity(folder.path(), vec![per_minute(CountedBy::Sender, 3), per_minute(CountedBy::Login, 3)]);
    assert_eq!(of_ten(&velocity, Metered::Message, by(None, Some(&null))), 10, "bounces come from everywhere");
    let local = Asking { peer: Peer::Local, ..by(Some("joe"), Some(&joe)) };
    let exempt = Asking { peer: asking("127.0.0.1").peer, ..local };
    for free in [local, exempt] {
        assert_eq!(of_ten(&velocity, Metered::Message, free), 10);
    }
}

#[test]
fn of_several_limits_none_counts_what_another_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let limits = vec![per_minute(CountedBy::Network(24, 48), 5), per_minute(CountedBy::Address, 3)];
    let velocity = velocity(folder.path(), limits);
    assert_eq!(of_ten(&velocity, Metered::Connection, asking("192.0.2.1")), 3);
    assert_eq!(of_ten(&velocity, Metered::Connection, asking("192.0.2.2")), 2, "seven refusals used up no room");
    let exceeded = velocity.admit(Metered::Connection, asking("192.0.2.3")).unwrap().unwrap_err();
    assert_eq!(exceeded.whom.to_string(), "network 192.0.2.0/24");
    assert_eq!((exceeded.rate.most, exceeded.is_first), (5, false), "it was reported for 192.0.2.2");
    let long = Asking { login: Some(&"x".repeat(10_000)), ..asking("192.0.2.1") };
    assert!(CountedBy::Login.whom(long).unwrap().to_string().len() < 100);
}

#[test]
fn all_processes_count_together_and_a_refusal_is_reported_once() {
    let folder = tempfile::tempdir().unwrap();
    let counts: Vec<(usize, usize)> = std::thread::scope(|scope| {
        let theirs = || {
            let velocity = velocity(folder.path(), vec![per_minute(CountedBy::Address, 7)]);
            let (mut admitted, mut reported) = (0, 0);
            for _ in 0..10 {
                match velocity.admit(Metered::Message, asking("192.0.2.1")).unwrap() {
                    Ok(()) => admitted += 1,
                    Err(exceeded) => reported += usize::from(exceeded.is_first),
                }
            }
            (admitted, reported)
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(theirs)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(counts.iter().map(|(admitted, _)| admitted).sum::<usize>(), 7);
    assert_eq!(counts.iter().map(|(_, reported)| reported).sum::<usize>(), 1);
}

#[test]
fn a_flood_of_addresses_is_bounded_and_frees_nobody_who_sends_much() {
    let folder = tempfile::tempdir().unwrap();
    let limit = RateLimit { connections: vec![Rate { most: 3, per: MINUTE }], ..per_minute(CountedBy::Address, 3) };
    let velocity = velocity(folder.path(), vec![limit]);
    assert_eq!(of_ten(&velocity, Metered::Connection, asking("198.51.100.1")), 3);
    for number in 0..3_000_u32 {
        admits(&velocity, Metered::Connection, asking(&std::net::Ipv4Addr::from(number).to_string()));
    }
    assert_eq!(of_ten(&velocity, Metered::Connection, asking("198.51.100.1")), 0);
    let rate = Rate { most: 3, per: MINUTE };
    let mut counters = Counters::default();
    (0..3).for_each(|_| counters.add(KEY, rate, 5));
    for number in 100..1_000_u32 {
        let mut key = [2; 16];
        key[..4].copy_from_slice(&number.to_be_bytes());
        key[0] |= 1;
        counters.add(key, rate, 6);
    }
    assert!(counters.full(KEY, rate, 7).is_some(), "those that count the least are forgotten first");
    assert_eq!(counters.octets().len(), 24 * 88);
}

#[test]
fn a_file_that_nobody_of_us_wrote_limits_nobody_and_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clients.rates");
    let velocity = velocity(folder.path(), vec![per_minute(CountedBy::Address, 3)]);
    assert!(!path.exists());
    assert_eq!(of_ten(&velocity, Metered::Message, asking("192.0.2.1")), 3);
    let ours = fs::read(&path).unwrap();
    for foreign in [Vec::new(), b"x".to_vec(), ours[..ours.len() - 1].to_vec(), vec![0xff; ours.len()]] {
        fs::write(&path, foreign).unwrap();
        assert_eq!(of_ten(&velocity, Metered::Message, asking("192.0.2.1")), 3);
        assert_eq!(fs::metadata(&path).unwrap().len() as usize, ours.len());
    }
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    velocity.admit(Metered::Message, asking("192.0.2.1")).unwrap_err();
}

#[test]
fn each_limit_counts_the_clients_of_its_listeners_apart() {
    let folder = tempfile::tempdir().unwrap();
    let at = |text: &str, most| RateLimit {
        listeners: Listeners::new(vec![text.parse::<ListenerPattern>().unwrap()]),
        ..per_minute(CountedBy::Address, most)
    };
    let velocity = Velocity::shared(folder.path(), vec![at(":25", 1), at(":587", 2)], Vec::new());
    let admits = |port: u16| {
        let listener = (port != 0).then(|| SocketAddr::from(([0, 0, 0, 0], port)));
        let client = Asking { listener, ..asking("192.0.2.1") };
        velocity.admit(Metered::Message, client).unwrap().is_ok()
    };
    assert_eq!([admits(25), admits(25)], [true, false]);
    assert_eq!([admits(587), admits(587), admits(587)], [true, true, false]);
    assert!((0..9).all(|_| admits(465) && admits(0)), "no limit is for these");
}
