//! What a route itself sets: the address that it connects from, the size that it takes, and what limits of its account mean.

use crate::fake_smarthost::{FakeSmarthost, Script, reply};
use crate::requests::{Pieces, deliver, envelope, letters, settings, transport};
use leafmail::transport::{Delivery, Leaving, RouteFailure, RouteSettings, dispatch};

const TEXT: &[u8] = b"Subject: x\r\n\r\nhello\r\n";

fn plain(smarthost: &FakeSmarthost) -> RouteSettings {
    settings(&format!("smtp://127.0.0.1:{}?tls=none", smarthost.address.port()))
}

fn one(settings: &RouteSettings) -> Result<Delivery, RouteFailure> {
    let envelope = envelope("me@y.example", &["a@x.example"]);
    deliver(&mut *transport(settings), &envelope, &mut Pieces::of(TEXT))
}

#[test]
fn connections_come_from_the_source_address() {
    let smarthost = FakeSmarthost::start(Script::new());
    let settings = RouteSettings { source: Some("127.0.0.9".parse().unwrap()), ..plain(&smarthost) };
    assert_eq!(letters(&one(&settings).unwrap().outcomes), ["D2.0.0"]);
    assert_eq!(smarthost.record().peers[0].ip().to_string(), "127.0.0.9");
}

#[test]
fn a_source_address_of_the_other_family_is_never_left_out() {
    let smarthost = FakeSmarthost::start(Script::new());
    let settings = RouteSettings { source: Some("::1".parse().unwrap()), ..plain(&smarthost) };
    let fault = one(&settings).unwrap_err();
    assert!(fault.reason.text.contains("from ::1 failed: expected an address of that family"), "{fault}");
    assert_eq!(smarthost.record().connections, 0);
}

#[test]
fn a_source_address_that_is_not_ours_is_a_fault_that_names_it() {
    let smarthost = FakeSmarthost::start(Script::new());
    let settings = RouteSettings { source: Some("192.0.2.77".parse().unwrap()), ..plain(&smarthost) };
    let fault = one(&settings).unwrap_err();
    assert!(fault.reason.text.contains("binding to the source address 192.0.2.77"), "{fault}");
    assert_eq!(smarthost.record().connections, 0);
    let folder = RouteSettings { source: settings.source, ..self::settings("maildir:/nowhere") };
    assert!(dispatch(&[folder], Leaving::default()).is_err());
}

#[test]
fn the_smaller_of_two_size_limits_counts() {
    let octets = TEXT.len() as u64;
    for (offered, allowed, expected, limit) in [
        ("SIZE 0", Some(octets), "D2.0.0", Some(octets)),
        ("SIZE 0", Some(octets - 1), "F5.3.4", Some(octets - 1)),
        ("SIZE 5", Some(octets), "F5.3.4", Some(5)),
        ("SIZE 9999", Some(octets - 1), "F5.3.4", Some(octets - 1)),
        ("SIZE 9999", None, "D2.0.0", Some(9999)),
    ] {
        let smarthost = FakeSmarthost::start(Script::new().offers([offered]));
        let settings = RouteSettings { max_size: allowed, ..plain(&smarthost) };
        let mut transport = transport(&settings);
        let envelope = envelope("me@y.example", &["a@x.example"]);
        let delivery = deliver(&mut *transport, &envelope, &mut Pieces::of(TEXT)).unwrap();
        assert_eq!(letters(&delivery.outcomes), [expected], "{offered} {allowed:?}");
        assert_eq!(transport.largest_message(), limit, "{offered} {allowed:?}");
        assert_eq!(smarthost.record().messages.len(), usize::from(expected.starts_with('D')));
    }
}

#[test]
fn a_folder_keeps_to_the_size_of_the_route_too() {
    let folder = tempfile::tempdir().unwrap();
    let settings =
        RouteSettings { max_size: Some(3), ..settings(&format!("maildir:{}", folder.path().join("m").display())) };
    assert_eq!(letters(&one(&settings).unwrap().outcomes), ["F5.3.4"]);
    assert!(!folder.path().join("m").exists());
}

#[test]
fn a_quota_at_the_end_of_data_defers_and_speaks_of_the_route() {
    for (answer, status, of_route) in [
        ("454 Throttling failure: Daily message quota exceeded.", "L4.0.0", true),
        ("550-5.4.5 Daily user sending limit exceeded.\r\n550 5.4.5 x", "L4.4.5", true),
        ("421 4.3.2 closing", "L4.3.2", false),
        ("452 4.2.2 out of storage", "L4.2.2", false),
        ("550 5.7.26 unauthenticated", "F5.7.26", false),
    ] {
        let smarthost = FakeSmarthost::start(Script::new().on("end", reply(answer)));
        let delivery = one(&plain(&smarthost)).unwrap();
        assert_eq!(letters(&delivery.outcomes), [status], "{answer}");
        assert_eq!(delivery.route_trouble.is_some(), of_route, "{answer}");
    }
}
