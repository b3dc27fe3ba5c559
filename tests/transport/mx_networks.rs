//! The MX transport and addresses that the public Internet does not have: nobody connects to them unless `mx_networks` allows it.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use crate::fake_smarthost::{FakeSmarthost, Script};
use crate::mx::{dispatch_over, domain, loopback, table, verdict};
use crate::requests::settings;
use leafmail::dns::FixedNames;
use leafmail::transport::{Dispatch, RouteSettings};

/// A listener at 127.0.0.2 to which nobody may connect, and its port.
fn untouched() -> (TcpListener, u16) {
    let listener = TcpListener::bind((loopback(2), 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

fn nobody_came(listener: &TcpListener) {
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn no_connection_is_made_to_this_host_unless_mx_networks_allows_it() {
    let (listener, port) = untouched();
    let table = || {
        let mapped = domain("mapped.example");
        table(&[2, 3])
            .exchanger(domain("figures.example"), 1, domain("127.0.0.2"))
            .forward(mapped, "::ffff:127.0.0.2".parse().unwrap())
    };
    let barred = settings(&format!("mx:{port}?tls=none"));
    let elsewhere = RouteSettings { mx_networks: vec!["127.0.0.3/32".parse().unwrap()], ..barred.clone() };
    for (settings, to) in [
        (&barred, "a@x.example"),
        (&barred, "a@[127.0.0.2]"),
        (&barred, "a@[IPv6:::ffff:127.0.0.2]"),
        (&barred, "a@figures.example"),
        (&barred, "a@mapped.example"),
        (&elsewhere, "a@mapped.example"),
    ] {
        let (letter, text) = verdict(&mut *dispatch_over(settings, table()).transport(), to);
        assert_eq!(letter, "L4.4.4", "{to}");
        let words = "127.0.0.2]: it is a loopback address, and mx_networks does not list it";
        assert!(text.replace("0.0.2:", "0.0.2]:").contains(words), "{to}: {text}");
        nobody_came(&listener);
    }
    drop(listener);
    let host = FakeSmarthost::start_at(SocketAddr::new(loopback(2), port), Script::new());
    let allowed = RouteSettings { mx_networks: vec!["127.0.0.2/32".parse().unwrap()], ..barred };
    for to in ["a@x.example", "a@[127.0.0.2]", "a@figures.example", "a@mapped.example"] {
        assert_eq!(verdict(&mut *dispatch_over(&allowed, table()).transport(), to).0, "D2.0.0", "{to}");
    }
    assert_eq!(host.record().messages.len(), 4);
}

#[test]
fn an_address_that_is_not_allowed_gives_way_to_the_others() {
    let (listener, port) = untouched();
    let host = FakeSmarthost::start_at(SocketAddr::new(loopback(3), port), Script::new());
    let allowed = ["127.0.0.3/32", "127.0.0.9/32"].map(|network| network.parse().unwrap());
    let settings = RouteSettings { mx_networks: allowed.into(), ..settings(&format!("mx:{port}?tls=none")) };
    // Another host of the domain, and another address of the same host.
    let one = table(&[2, 3])
        .exchanger(domain("one.example"), 1, domain("one.example"))
        .forward(domain("one.example"), loopback(2))
        .forward(domain("one.example"), loopback(3));
    let mut transport = dispatch_over(&settings, one).transport();
    for to in ["a@x.example", "a@one.example"] {
        assert_eq!(verdict(&mut *transport, to).0, "D2.0.0", "{to}");
        transport.disconnect();
    }
    assert_eq!(host.record().messages.len(), 2);
    // What was tried, and what was not, are both in the words.
    let (letter, text) = verdict(&mut *dispatch_over(&settings, table(&[2, 9])).transport(), "a@x.example");
    assert_eq!(letter, "L4.4.1");
    assert!(text.contains("127.0.0.9") && text.contains("not connecting to mx2.x.example[127.0.0.2]"), "{text}");
    nobody_came(&listener);
}

#[test]
fn very_many_addresses_that_are_not_allowed_make_no_long_reason() {
    let host = || domain("x.example");
    let table = (0..=255).fold(FixedNames::default(), |table, last| table.forward(host(), [10, 0, 0, last].into()));
    let (letter, text) = verdict(&mut *dispatch_over(&settings("mx:"), table).transport(), "a@x.example");
    assert_eq!((letter.as_str(), text.matches("it is a private address").count()), ("L4.4.4", 10), "{text}");
}
