//! Mail exchangers by the real resolver, from a name server of 60 lines that does what a test tells it to.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread;

use leafmail::address::Domain;
use leafmail::dns::{DnsClient, Exchanger, Exchangers, NameServers, exchangers, host_addresses};
use leafmail::transport::{Dispatch, Leaving, MxDispatch, dispatch};

use crate::fake_smarthost::{FakeSmarthost, Script};
use crate::requests::{Pieces, deliver, envelope, letters, mx_on_this_host, settings};

/// One record, or a code instead (RFC 1035 4.1.1).
#[derive(Clone)]
enum Answer {
    Mx(u16, &'static str),
    A([u8; 4]),
    Alias(&'static str),
    Code(u8),
}

fn labels(name: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        octets.push(label.len() as u8);
        octets.extend(label.bytes());
    }
    octets.push(0);
    octets
}

/// Answers over UDP from the table; an alias is followed, an unknown name does not exist.
fn name_server(table: HashMap<&'static str, Vec<Answer>>) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut query) {
            let query = &query[..length];
            let (mut at, mut name) = (12, String::new());
            while query[at] != 0 {
                let end = at + 1 + usize::from(query[at]);
                name += &format!("{}.", String::from_utf8_lossy(&query[at + 1..end]).to_lowercase());
                at = end;
            }
            let (kind, question) = (query[at + 2], &query[12..at + 5]);
            let (mut records, mut count, mut code) = (Vec::new(), 0_u8, 0);
            let mut owner = name.trim_end_matches('.').to_owned();
            loop {
                let answers = table.get(owner.as_str()).cloned().unwrap_or(vec![Answer::Code(3)]);
                let mut alias = None;
                for answer in answers {
                    let (its_kind, data) = match answer {
                        Answer::Mx(preference, host) => (15, [&preference.to_be_bytes()[..], &labels(host)].concat()),
                        Answer::A(address) => (1, address.to_vec()),
                        Answer::Alias(target) => {
                            alias = Some(target.to_owned());
                            (5, labels(target))
                        }
                        Answer::Code(wanted) => {
                            code = wanted;
                            continue;
                        }
                    };
                    if its_kind == kind || its_kind == 5 {
                        count += 1;
                        records.extend([&labels(&owner)[..], &[0, its_kind, 0, 1, 0, 0, 0, 60]].concat());
                        records.extend((data.len() as u16).to_be_bytes());
                        records.extend(data);
                    }
                }
                match alias {
                    Some(target) => owner = target,
                    None => break,
                }
            }
            let header = [query[0], query[1], 0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0];
            let _ = socket.send_to(&[&header[..], question, &records].concat(), client);
        }
    });
    address
}

fn server() -> SocketAddr {
    name_server(HashMap::from([
        ("x.example", vec![Answer::Mx(10, "mx.x.example"), Answer::Mx(20, "mx.y.example")]),
        ("mx.x.example", vec![Answer::A([127, 0, 0, 2])]),
        ("null.example", vec![Answer::Mx(0, "")]),
        ("plain.example", vec![Answer::A([127, 0, 0, 2])]),
        ("alias.example", vec![Answer::Alias("x.example")]),
        ("broken.example", vec![Answer::Code(2)]),
        ("xn--bcher-kva.example", vec![Answer::Mx(1, "mx.x.example")]),
    ]))
}

fn asking(server: SocketAddr) -> DnsClient {
    DnsClient::at(NameServers { addresses: vec![server], ..NameServers::default() })
}

fn domain(name: &str) -> Domain {
    name.parse().unwrap()
}

fn found(dns: &DnsClient, name: &str) -> Result<Exchangers, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut found = runtime.block_on(exchangers(dns, &domain(name))).map_err(|error| error.to_string());
    if let Ok(Exchangers::Hosts(hosts)) = &mut found {
        hosts.sort_by_key(|host| host.preference);
    }
    found
}

fn addresses(dns: &DnsClient, name: &str) -> Result<Vec<IpAddr>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(host_addresses(dns, &domain(name))).map_err(|error| error.to_string())
}

#[test]
fn each_kind_of_answer_is_told_apart() {
    let dns = asking(server());
    let host = |preference, host| Exchanger { preference, host: domain(host) };
    let both = Exchangers::Hosts(vec![host(10, "mx.x.example"), host(20, "mx.y.example")]);
    assert_eq!(found(&dns, "x.example"), Ok(both.clone()));
    assert_eq!(found(&dns, "alias.example"), Ok(both));
    assert_eq!(found(&dns, "b\u{fc}cher.example"), Ok(Exchangers::Hosts(vec![host(1, "mx.x.example")])));
    assert_eq!(found(&dns, "null.example"), Ok(Exchangers::Null));
    assert_eq!(found(&dns, "plain.example"), Ok(Exchangers::Implicit));
    assert_eq!(found(&dns, "gone.example"), Ok(Exchangers::NoSuchName));
    assert!(found(&dns, "broken.example").unwrap_err().contains("MX of broken.example"));
    // After a failure the resolver is made again, and goes on.
    assert_eq!(addresses(&dns, "mx.x.example"), Ok(vec![IpAddr::from([127, 0, 0, 2])]));
    assert_eq!(addresses(&dns, "mx.y.example"), Ok(vec![]));
    assert!(addresses(&dns, "broken.example").is_err());
}

#[test]
fn a_name_server_that_is_not_there_is_trouble_and_not_an_answer() {
    let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = found(&asking(gone), "x.example").unwrap_err();
    assert!(error.starts_with("looking up MX of x.example: "), "{error}");
}

#[test]
fn a_message_finds_its_way_by_the_dns() {
    let smarthost = FakeSmarthost::start_at("127.0.0.2:0".parse().unwrap(), Script::new());
    let route = mx_on_this_host(&format!("mx:{}?tls=none", smarthost.address.port()));
    let dns = Arc::new(asking(server()));
    let mut transport = MxDispatch::new(&route, dns, Leaving::default()).unwrap().transport();
    for to in ["a@x.example", "a@plain.example"] {
        let delivery = deliver(&mut *transport, &envelope("", &[to]), &mut Pieces::of(b"Subject: x\r\n\r\n"));
        assert_eq!(letters(&delivery.unwrap().outcomes), ["D2.0.0"], "{to}");
    }
    assert_eq!(smarthost.record().messages.len(), 2);
    assert!(dispatch(&[settings("mx:")], Leaving::default()).unwrap().per_domain());
}
