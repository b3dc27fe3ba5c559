//! Fifty domains with all kinds of trouble over one route: each gets what is its own, and the route goes on for the others.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::thread;

use leafmail::address::Domain;
use leafmail::dns::{Exchangers, FixedNames, Tlsa};
use leafmail::transport::{Dispatch, Leaving, MxDispatch, Transport};

use crate::fake_smarthost::{FakeSmarthost, Identity, Script, reply};
use crate::requests::{Pieces, deliver, envelope, letters, mx_on_this_host};

/// What is the matter with a domain, and what its recipients get.
const KINDS: [(&str, &str); 10] = [
    ("healthy", "D2.0.0"),
    ("healthy, with TLSA records", "D2.0.0"),
    ("shows another certificate than its TLSA records have", "L4.7.5"),
    ("refuses everybody at the greeting", "L4.7.1"),
    ("not in the DNS", "F5.1.2"),
    ("takes no mail", "F5.1.10"),
    ("its name servers are broken", "L4.4.3"),
    ("leads back to this relay", "L4.4.6"),
    ("nobody listens", "L4.4.1"),
    ("the best host refuses, the second is healthy", "D2.0.0"),
];
const DOMAINS: usize = 50;

fn name(text: &str) -> Domain {
    text.parse().unwrap()
}

/// The DNS of all domains. Only the hosts with TLSA records are in a signed zone.
fn table(port: u16, pin: &str) -> FixedNames {
    let octet = |at: usize| u8::from_str_radix(&pin["sha256:".len()..][2 * at..][..2], 16).unwrap();
    let right = Tlsa::new(3, 1, 1, (0..32).map(octet).collect());
    let wrong = Tlsa::new(3, 1, 1, vec![0; 32]);
    let at = |last: u8| IpAddr::from([127, 0, 0, last]);
    let hosts =
        [("good.example", 2), ("bad.example", 3), ("gone.example", 9), ("safe.example", 2), ("forged.example", 2)];
    let table = hosts.iter().fold(FixedNames::default(), |table, (host, last)| table.forward(name(host), at(*last)));
    let table = table
        .tlsa(name(&format!("_{port}._tcp.safe.example")), right)
        .tlsa(name(&format!("_{port}._tcp.forged.example")), wrong)
        .secure(name("safe.example"))
        .secure(name("forged.example"));
    (0..DOMAINS).fold(table, |table, number| {
        let domain = name(&domain(number));
        match number % KINDS.len() {
            0 => table.exchanger(domain, 10, name("good.example")),
            1 => table.secure(domain.clone()).exchanger(domain, 10, name("safe.example")),
            2 => table.secure(domain.clone()).exchanger(domain, 10, name("forged.example")),
            3 => table.exchanger(domain, 10, name("bad.example")),
            4 => table,
            5 => table.takes_mail(domain, Exchangers::Null),
            6 => table.failing(domain),
            7 => table.exchanger(domain, 10, name("client.example")),
            8 => table.exchanger(domain, 10, name("gone.example")),
            _ => table.exchanger(domain.clone(), 10, name("bad.example")).exchanger(domain, 20, name("good.example")),
        }
    })
}

fn domain(number: usize) -> String {
    format!("d{number}.example")
}

/// What the recipient at a domain gets; an error would pause the route for all.
fn verdict(transport: &mut dyn Transport, number: usize) -> String {
    let to = envelope("me@y.example", &[&format!("a@{}", domain(number))]);
    match deliver(transport, &to, &mut Pieces::of("Subject: x\r\n\r\nhello\r\n")) {
        Ok(delivery) if delivery.route_trouble.is_none() => letters(&delivery.outcomes).remove(0),
        Ok(delivery) => format!("the route has trouble: {:?}", delivery.route_trouble),
        Err(fault) => format!("the route is at fault: {fault}"),
    }
}

#[test]
fn fifty_domains_with_mixed_faults_do_not_stop_each_other() {
    let identity = Identity::self_signed(&["nobody.example"]);
    let good = FakeSmarthost::start_at(SocketAddr::from(([127, 0, 0, 2], 0)), Script::new().starttls(&identity));
    let port = good.address.port();
    let refusing = Script::new().always("greeting", reply("554 5.7.1 go away"));
    let bad = FakeSmarthost::start_at(SocketAddr::from(([127, 0, 0, 3], port)), refusing);
    let settings = mx_on_this_host(&format!("mx:{port}"));
    let dispatch = MxDispatch::new(&settings, Arc::new(table(port, &identity.pin)), Leaving::default()).unwrap();
    assert!(dispatch.per_domain());
    // Before anything worked for anybody, trouble could be our own.
    assert_eq!(verdict(&mut *dispatch.transport(), 0), "D2.0.0");
    let found = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for worker in 0..5 {
            let (dispatch, found) = (&dispatch, &found);
            scope.spawn(move || {
                let mut transport = dispatch.transport();
                // Each worker meets all kinds, each in another order.
                for step in 0..KINDS.len() {
                    let number = worker * KINDS.len() + (step * 3 + worker) % KINDS.len();
                    let verdict = verdict(&mut *transport, number);
                    found.lock().unwrap().insert(number, verdict);
                }
            });
        }
    });
    let found = found.into_inner().unwrap();
    assert_eq!(found.len(), DOMAINS);
    for (number, verdict) in &found {
        let (kind, expected) = KINDS[number % KINDS.len()];
        assert_eq!(verdict, expected, "{kind}");
    }
    // Three kinds of five domains, and the first message; all by TLS, and the forged ones without a message.
    assert_eq!(good.record().messages.len(), 16);
    assert!(good.record().handshakes >= 6, "{}", good.record().handshakes);
    assert!(bad.record().messages.is_empty());
}
