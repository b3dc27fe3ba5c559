//! The MX transport: which hosts are tried for a domain, and what it means for whom when none works.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::fake_smarthost::{Act, FakeSmarthost, Identity, Script, reply};
use crate::requests::{Pieces, deliver, envelope, letters, mx_on_this_host, settings};
use leafmail::address::Domain;
use leafmail::dns::{Dns, DnsAnswer, DnsError, Exchangers, FixedNames, RecordKind, Tlsa};
use leafmail::transport::{
    Delivery, Dispatch, Leaving, MxDispatch, RouteFailure, RouteSettings, SecretSource, Transport, dispatch,
};

const TEXT: &[u8] = b"Subject: x\r\n\r\nhello\r\n";

pub(crate) fn domain(name: &str) -> Domain {
    name.parse().unwrap()
}

pub(crate) fn loopback(last: u8) -> IpAddr {
    IpAddr::from([127, 0, 0, last])
}

/// Hosts at 127.0.0.2 and so on, all on one port, as `mx:` has but one.
fn hosts<const N: usize>(scripts: [Script; N]) -> (u16, Vec<FakeSmarthost>) {
    let mut port = 0;
    let mut started = Vec::new();
    for (last, script) in (2..).zip(scripts) {
        started.push(FakeSmarthost::start_at(SocketAddr::new(loopback(last), port), script));
        port = started[0].address.port();
    }
    (port, started)
}

/// `x.example` with one host per address, in order of preference.
pub(crate) fn table(addresses: &[u8]) -> FixedNames {
    addresses.iter().enumerate().fold(FixedNames::default(), |table, (at, last)| {
        let host = domain(&format!("mx{last}.x.example"));
        table.exchanger(domain("x.example"), 10 * (at as u16 + 1), host.clone()).forward(host, loopback(*last))
    })
}

fn route(port: u16, table: FixedNames) -> Box<dyn Transport> {
    dispatch_over(&mx_on_this_host(&format!("mx:{port}?tls=none")), table).transport()
}

pub(crate) fn dispatch_over(settings: &RouteSettings, table: FixedNames) -> MxDispatch {
    MxDispatch::new(settings, Arc::new(table), Leaving::default()).unwrap()
}

fn send(transport: &mut dyn Transport, to: &[&str]) -> Result<Delivery, RouteFailure> {
    deliver(transport, &envelope("me@y.example", to), &mut Pieces::of(TEXT))
}

pub(crate) fn verdict(transport: &mut dyn Transport, to: &str) -> (String, String) {
    let delivery = send(transport, &[to]).unwrap();
    (letters(&delivery.outcomes).remove(0), delivery.outcomes[0].reason().text.clone())
}

#[test]
fn the_preferred_host_gets_the_message_and_the_connection_is_kept() {
    let (port, hosts) = hosts([Script::new(), Script::new()]);
    let mut transport = route(port, table(&[2, 3]));
    for _ in 0..2 {
        let delivery = send(&mut *transport, &["a@x.example", "b@X.example"]).unwrap();
        assert_eq!(letters(&delivery.outcomes), ["D2.0.0", "D2.0.0"]);
        assert_eq!(delivery.relay, format!("mx2.x.example[127.0.0.2]:{port}"));
    }
    assert_eq!((hosts[0].record().connections, hosts[1].record().connections), (1, 0));
    assert_eq!(hosts[0].record().messages.len(), 2);
    assert!(dispatch_over(&settings("mx:"), table(&[2])).per_domain());
}

#[test]
fn another_domain_gets_the_kept_connection_only_where_it_is_the_best() {
    let (port, hosts) = hosts([Script::new(), Script::new()]);
    let table = table(&[2])
        .exchanger(domain("same.example"), 5, domain("mx2.x.example"))
        .exchanger(domain("other.example"), 5, domain("mx.other.example"))
        .exchanger(domain("other.example"), 9, domain("mx2.x.example"))
        .forward(domain("mx.other.example"), loopback(3));
    let mut transport = route(port, table);
    for to in ["a@x.example", "a@same.example", "a@other.example"] {
        assert_eq!(verdict(&mut *transport, to).0, "D2.0.0", "{to}");
    }
    assert_eq!((hosts[0].record().connections, hosts[1].record().connections), (1, 1));
    assert_eq!(hosts[0].record().messages.len(), 2);
}

#[test]
fn a_connection_that_was_opened_without_dane_serves_no_domain_that_demands_it() {
    let identity = Identity::self_signed(&["mx2.x.example"]);
    let octet = |at: usize| u8::from_str_radix(&identity.pin["sha256:".len()..][2 * at..][..2], 16).unwrap();
    let sum: Vec<u8> = (0..32).map(octet).collect();
    let (port, hosts) = hosts([Script::new().starttls(&identity)]);
    let host = domain("mx2.x.example");
    // The MX records of the first domain are not validated, and those of the others are.
    let table = table(&[2])
        .exchanger(domain("safe.example"), 5, host.clone())
        .exchanger(domain("same.example"), 5, host.clone())
        .tlsa(domain(&format!("_{port}._tcp.mx2.x.example")), Tlsa::new(3, 1, 1, sum))
        .secure(host)
        .secure(domain("safe.example"))
        .secure(domain("same.example"));
    let mut transport = dispatch_over(&mx_on_this_host(&format!("mx:{port}")), table).transport();
    for (to, connections) in [("a@x.example", 1), ("a@safe.example", 2), ("a@same.example", 2), ("a@safe.example", 2)] {
        assert_eq!(verdict(&mut *transport, to).0, "D2.0.0", "{to}");
        assert_eq!(hosts[0].record().connections, connections, "{to}");
    }
    assert_eq!(hosts[0].record().handshakes, 2);
}

#[test]
fn a_host_that_refuses_gives_way_to_the_next() {
    for act in ["554 5.3.2 no service", "421 4.3.2 busy"].map(reply).into_iter().chain([Act::Close]) {
        let (port, hosts) = hosts([Script::new().always("greeting", act), Script::new()]);
        // Nobody listens at 127.0.0.9.
        let mut transport = route(port, table(&[9, 2, 3]));
        assert_eq!(verdict(&mut *transport, "a@x.example").0, "D2.0.0");
        assert_eq!(hosts.iter().map(|host| host.record().connections).collect::<Vec<_>>(), [1, 1]);
    }
}

#[test]
fn several_addresses_of_a_host_are_tried() {
    let (port, _hosts) = hosts([Script::new()]);
    let host = domain("mx.x.example");
    let table = FixedNames::default()
        .exchanger(domain("x.example"), 1, host.clone())
        .forward(host.clone(), loopback(8))
        .forward(host, loopback(2));
    assert_eq!(verdict(&mut *route(port, table), "a@x.example").0, "D2.0.0");
}

#[test]
fn where_all_refuse_the_recipients_are_deferred_and_nobody_else_waits() {
    let (port, _hosts) = hosts([Script::new().always("greeting", reply("554 5.7.1 go away"))]);
    let (letter, text) = verdict(&mut *route(port, table(&[2, 9])), "a@x.example");
    assert_eq!(letter, "L4.7.1");
    assert!(text.contains("mx2.x.example refused the greeting: 554 5.7.1 go away"), "{text}");
    assert!(text.contains("mx9.x.example") && text.contains("refused"), "{text}");
}

#[test]
fn a_login_that_a_host_asks_for_or_a_rate_is_its_domains_trouble() {
    let (port, _hosts) = hosts([Script::new().always("MAIL", reply("530 5.7.0 Must issue a STARTTLS command first"))]);
    assert_eq!(verdict(&mut *route(port, table(&[2])), "a@x.example").0, "L4.7.0");
    let (port, _hosts) = hosts([Script::new().always("end", reply("421-4.7.28 unusual rate\r\n421 4.7.28 x"))]);
    let delivery = send(&mut *route(port, table(&[2])), &["a@x.example"]).unwrap();
    assert_eq!((letters(&delivery.outcomes), delivery.route_trouble), (vec!["L4.7.28".to_owned()], None));
}

#[test]
fn without_mx_records_the_name_itself_takes_the_mail() {
    let (port, hosts) = hosts([Script::new()]);
    let table = FixedNames::default().forward(domain("x.example"), loopback(2));
    assert_eq!(verdict(&mut *route(port, table), "a@x.example").0, "D2.0.0");
    assert_eq!(hosts[0].record().messages, [TEXT]);
}

#[test]
fn address_literals_need_no_dns() {
    let (port, hosts) = hosts([Script::new()]);
    let mut transport = route(port, FixedNames::broken());
    assert_eq!(verdict(&mut *transport, "a@[127.0.0.2]").0, "D2.0.0");
    assert_eq!(hosts[0].record().messages, [TEXT]);
    assert_eq!(verdict(&mut *transport, "a@[x400:abc]").0, "F5.1.2");
}

#[test]
fn what_the_dns_says_for_certain_is_final() {
    let table = FixedNames::default()
        .takes_mail(domain("null.example"), Exchangers::Null)
        .takes_mail(domain("hostless.example"), Exchangers::Hosts(Vec::new()))
        .exchanger(domain("nowhere.example"), 1, domain("gone.example"));
    let mut transport = route(25, table);
    for (to, expected, words) in [
        ("a@null.example", "F5.1.10", "takes no mail (null MX)"),
        ("a@unknown.example", "F5.1.2", "there is no domain unknown.example"),
        ("a@nowhere.example", "F5.4.4", "no mail exchanger of nowhere.example has an address"),
        ("a@hostless.example", "F5.4.4", "is a host"),
    ] {
        let (letter, text) = verdict(&mut *transport, to);
        assert_eq!(letter, expected, "{to}");
        assert!(text.contains(words), "{to}: {text}");
    }
}

#[test]
fn what_the_dns_cannot_say_is_our_trouble_unless_it_answers_for_others() {
    assert_eq!(
        send(&mut *route(25, FixedNames::broken()), &["a@x.example"]).unwrap_err().reason.status.to_string(),
        "4.4.3"
    );
    let (port, _hosts) = hosts([Script::new()]);
    let table = table(&[2]).failing(domain("broken.example"));
    let mut transport = route(port, table);
    let fault = send(&mut *transport, &["a@broken.example"]).unwrap_err();
    assert!(fault.reason.text.contains("SERVFAIL"), "{fault}");
    assert_eq!(verdict(&mut *transport, "a@x.example").0, "D2.0.0");
    assert_eq!(verdict(&mut *transport, "a@broken.example").0, "L4.4.3");
}

#[test]
fn a_network_that_is_not_there_is_our_trouble_unless_others_are_reached() {
    let (port, _hosts) = hosts([Script::new()]);
    // The only address is of the other family than our source address: no way there.
    let table = table(&[2])
        .exchanger(domain("six.example"), 1, domain("mx.six.example"))
        .forward(domain("mx.six.example"), "::1".parse().unwrap());
    let settings = RouteSettings { source: Some(loopback(7)), ..mx_on_this_host(&format!("mx:{port}?tls=none")) };
    let mut transport = dispatch_over(&settings, table).transport();
    assert_eq!(send(&mut *transport, &["a@six.example"]).unwrap_err().reason.status.to_string(), "4.4.4");
    assert_eq!(verdict(&mut *transport, "a@x.example").0, "D2.0.0");
    assert_eq!(verdict(&mut *transport, "a@six.example").0, "L4.4.4");
}

#[test]
fn we_are_never_our_own_next_hop() {
    let (port, hosts) = hosts([Script::new(), Script::new()]);
    // client.example is our name.
    let ours = domain("CLIENT.example");
    let table = table(&[2, 3]).exchanger(domain("x.example"), 20, ours.clone()).forward(ours, loopback(3));
    let mut transport = route(port, table.exchanger(domain("loop.example"), 1, domain("client.example")));
    assert_eq!(verdict(&mut *transport, "a@x.example").0, "D2.0.0");
    let (letter, text) = verdict(&mut *transport, "a@loop.example");
    assert_eq!(letter, "L4.4.6");
    assert!(text.contains("would loop back"), "{text}");
    // The better one is down: those that are not better than we are stay out of it.
    drop(transport);
    let table = self::table(&[9, 3]).exchanger(domain("x.example"), 20, domain("client.example"));
    assert_eq!(verdict(&mut *route(port, table), "a@x.example").0, "L4.4.1");
    assert_eq!(hosts[1].record().connections, 0);
}

#[test]
fn a_handshake_that_fails_is_no_obstacle_where_tls_is_opportunistic() {
    let identity = Identity::valid_for(&["mx2.x.example"]);
    for (url, expected, connections) in [("mx:", "D2.0.0", 2), ("mx:?tls=required", "L4.7.5", 1)] {
        let script = Script::new().starttls(&identity).always("handshake", Act::Close);
        let (port, hosts) = hosts([script]);
        let url = url.replace("mx:", &format!("mx:{port}"));
        let mut transport = dispatch_over(&mx_on_this_host(&url), table(&[2])).transport();
        assert_eq!(verdict(&mut *transport, "a@x.example").0, expected);
        assert_eq!(hosts[0].record().connections, connections);
    }
}

#[test]
fn equals_share_the_load() {
    let (port, hosts) = hosts([Script::new(), Script::new()]);
    let table = [2, 3].iter().fold(FixedNames::default(), |table, last| {
        let host = domain(&format!("mx{last}.x.example"));
        table.exchanger(domain("x.example"), 10, host.clone()).forward(host, loopback(*last))
    });
    let mut transport = route(port, table);
    // All of 40 at one host: once in 2^39.
    for _ in 0..40 {
        assert_eq!(verdict(&mut *transport, "a@x.example").0, "D2.0.0");
        transport.disconnect();
    }
    assert!(hosts.iter().all(|host| !host.record().messages.is_empty()));
}

/// A name server that never answers, but for the exchangers of a domain.
struct Silent(Option<FixedNames>);

#[async_trait::async_trait]
impl Dns for Silent {
    async fn lookup(&self, name: &Domain, kind: RecordKind) -> Result<DnsAnswer, DnsError> {
        match &self.0 {
            Some(table) if kind == RecordKind::Mx || name.as_str().starts_with("mx2") => table.lookup(name, kind).await,
            _ => std::future::pending().await,
        }
    }
}

#[test]
fn a_name_server_that_says_nothing_is_a_fault_in_the_end() {
    let mut settings = settings("mx:");
    settings.timeouts.connect = Duration::from_millis(50);
    let mut transport = MxDispatch::new(&settings, Arc::new(Silent(None)), Leaving::default()).unwrap().transport();
    let fault = send(&mut *transport, &["a@x.example"]).unwrap_err();
    assert!(fault.reason.text.contains("no answer within 0.05 s"), "{fault}");
}

#[test]
fn when_it_is_time_to_leave_nobody_is_judged() {
    let (port, _hosts) = hosts([Script::new().always("greeting", reply("554 no"))]);
    // The DNS says nothing at all; or nothing of the second host, after the first refused.
    for silent in [Silent(None), Silent(Some(table(&[2, 3])))] {
        let leaving = Leaving::default();
        let settings = mx_on_this_host(&format!("mx:{port}?tls=none"));
        let mut transport = MxDispatch::new(&settings, Arc::new(silent), leaving.clone()).unwrap().transport();
        thread::scope(|scope| {
            scope.spawn(move || {
                thread::sleep(Duration::from_millis(300));
                leaving.raise();
            });
            let fault = send(&mut *transport, &["a@x.example"]).unwrap_err();
            assert!(fault.reason.text.contains("told to leave"), "{fault}");
        });
    }
}

#[test]
fn one_consignment_goes_to_one_domain() {
    let fault = send(&mut *route(25, table(&[2])), &["a@x.example", "a@z.example"]).unwrap_err();
    assert!(fault.reason.text.contains("recipients of one domain"), "{fault}");
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let refused = |settings: RouteSettings| {
        let table = Arc::new(FixedNames::default());
        MxDispatch::new(&settings, table, Leaving::default()).map(|_| ()).unwrap_err().to_string()
    };
    let with_password = RouteSettings { password: Some(SecretSource::Environment("X".to_owned())), ..settings("mx:") };
    assert!(refused(with_password).contains("no password"));
    assert!(refused(settings("smtp://x")).contains("expected mx:"));
    if !cfg!(feature = "dns") {
        let error = dispatch(&[settings("mx:")], Leaving::default()).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("--features dns"), "{error}");
    }
}
