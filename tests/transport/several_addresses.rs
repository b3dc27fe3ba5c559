//! A name with several addresses (RFC 5321 5.1): one that does not work leads to the next, and rests for a while.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::fake_smarthost::{Act, FakeSmarthost, Script, reply};
use crate::requests::{Pieces, deliver, envelope, letters, settings};
use crate::support::have::{have, skip};
use leafmail::transport::{Dispatch, IpVersion, RouteSettings, Timeouts, dispatch};

const TEXT: &[u8] = b"Subject: x\r\n\r\nhello\r\n";
const NAME: &str = "several.leafmail.test";

/// A free port at both addresses.
fn port() -> u16 {
    loop {
        let port = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), 0)).unwrap().local_addr().unwrap().port();
        if TcpListener::bind((Ipv4Addr::new(127, 0, 0, 3), port)).is_ok() {
            return port;
        }
    }
}

fn at(last: u8, port: u16) -> SocketAddr {
    (Ipv4Addr::new(127, 0, 0, last), port).into()
}

/// Runs the test of this name again, in a mount namespace where the name has two addresses; `false` where that cannot be done.
fn with_two_addresses(test: &str) -> bool {
    if std::env::var_os("LEAFMAIL_TEST_HOSTS").is_some() {
        return true;
    }
    if !have("unshare") {
        return false;
    }
    let folder = tempfile::tempdir().unwrap();
    let hosts = folder.path().join("hosts");
    std::fs::write(&hosts, format!("127.0.0.1 localhost\n127.0.0.2 {NAME}\n127.0.0.3 {NAME}\n")).unwrap();
    let script = "mount --bind \"$1\" /etc/hosts || exit 77; shift; exec \"$@\"";
    let ran = Command::new("unshare")
        .args(["-m", "sh", "-c", script, "sh"])
        .arg(&hosts)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env("LEAFMAIL_TEST_HOSTS", "1")
        .output();
    let told = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    match ran {
        Ok(ran) if ran.status.success() => {}
        Ok(ran) if told(&ran.stdout).contains("test result") => panic!("{}{}", told(&ran.stdout), told(&ran.stderr)),
        _ => skip("a mount namespace is for root, and not everywhere"),
    }
    false
}

fn route(port: u16) -> RouteSettings {
    let limit = Duration::from_millis(700);
    let timeouts = Timeouts { connect: limit, command: limit, data: limit, block: limit, end_of_data: limit };
    RouteSettings { timeouts, ..settings(&format!("smtp://{NAME}:{port}?tls=none")) }
}

fn send(way: &dyn Dispatch) -> String {
    let sent = deliver(&mut *way.transport(), &envelope("me@y.example", &["a@x.example"]), &mut Pieces::of(TEXT));
    sent.map_or_else(|fault| fault.to_string(), |delivery| letters(&delivery.outcomes).concat())
}

#[test]
fn one_that_greets_badly_is_silent_or_breaks_off_leads_to_the_next_and_rests() {
    if !with_two_addresses(
        "several_addresses::one_that_greets_badly_is_silent_or_breaks_off_leads_to_the_next_and_rests",
    ) {
        return;
    }
    for (step, act) in [
        ("greeting", reply("421 4.3.2 too many connections")),
        ("greeting", reply("554 5.3.2 no service here")),
        ("greeting", Act::Close),
        ("greeting", Act::Reset),
        ("greeting", Act::Stall),
        ("EHLO", Act::Close),
        ("EHLO", reply("421 4.3.2 busy")),
    ] {
        let port = port();
        let bad = FakeSmarthost::start_at(at(2, port), Script::new().always(step, act.clone()));
        let good = FakeSmarthost::start_at(at(3, port), Script::new());
        let way = dispatch(&[route(port)], Default::default()).unwrap();
        for _ in 0..4 {
            assert_eq!(send(&*way), "D2.0.0", "{step} {act:?}");
        }
        assert!(bad.record().connections <= 1, "{step} {act:?}: it rests");
        assert_eq!(good.record().messages.len(), 4);
    }
    // The route fails only where none works, and tells of each.
    let port = port();
    let script = || Script::new().always("greeting", reply("421 4.3.2 busy"));
    let both = [2, 3].map(|last| FakeSmarthost::start_at(at(last, port), script()));
    let told = send(&*dispatch(&[route(port)], Default::default()).unwrap());
    assert!(told.contains("127.0.0.2") && told.contains("127.0.0.3"), "{told}");
    assert!(both.iter().all(|host| host.record().connections == 1));
}

#[test]
fn an_address_that_refuses_or_swallows_the_connection_costs_a_moment() {
    if !with_two_addresses("several_addresses::an_address_that_refuses_or_swallows_the_connection_costs_a_moment") {
        return;
    }
    let port = port();
    let good = FakeSmarthost::start_at(at(3, port), Script::new());
    let way = dispatch(&[RouteSettings { timeouts: Timeouts::default(), ..route(port) }], Default::default()).unwrap();
    let begun = Instant::now();
    assert_eq!(send(&*way), "D2.0.0");
    assert!(begun.elapsed() < Duration::from_secs(20), "the connect timeout is 30 s");
    assert_eq!(good.record().messages.len(), 1);
}

#[test]
fn only_addresses_of_the_wanted_kind_are_used() {
    let smarthost = FakeSmarthost::start(Script::new());
    let url = format!("smtp://127.0.0.1:{}?tls=none", smarthost.address.port());
    for (ip, expected) in
        [(IpVersion::Any, "D2.0.0"), (IpVersion::V4, "D2.0.0"), (IpVersion::V6, "expected an IPv6 address")]
    {
        let told = send(&*dispatch(&[RouteSettings { ip, ..settings(&url) }], Default::default()).unwrap());
        assert!(told.contains(expected), "{ip:?}: {told}");
    }
}
