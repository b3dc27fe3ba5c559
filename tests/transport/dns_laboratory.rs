//! The real resolver against a real name server that validates: each kind of answer, and each kind of trouble.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use leafmail::dns::{Dns, DnsAnswer, DnsClient, DnsError, DnsRecord, NameServers, RecordKind, names_of};

use crate::support::peers::dns_lab::{DnsLab, Signed};

const ZONES: [(&str, Signed, &str); 4] = [
    (
        "signed.test",
        Signed::Secure,
        "@ MX 10 mx\nmx A 127.0.0.2\nmx AAAA ::2\n@ TXT \"one \" \"text\"\nnull MX 0 .\nalias CNAME mx\ndead CNAME gone\n",
    ),
    ("plain.test", Signed::Insecure, "@ MX 10 mx\nmx 5 A 127.0.0.3\n@ TXT \"\\200\\013\"\n"),
    ("bogus.test", Signed::Bogus, "@ MX 10 mx\nmx A 127.0.0.4\n"),
    ("127.in-addr.arpa", Signed::Insecure, "2.0.0 PTR mx.signed.test.\n2.0.0 PTR a\\032b.test.\n"),
];

fn asking(server: SocketAddr, seconds: u64) -> DnsClient {
    DnsClient::at(NameServers {
        addresses: vec![server],
        timeout: Duration::from_secs(seconds),
        ..NameServers::default()
    })
}

async fn ask(dns: &DnsClient, name: &str, kind: RecordKind) -> Result<DnsAnswer, DnsError> {
    let name = name.parse().unwrap();
    let asked = tokio::time::timeout(Duration::from_secs(60), dns.lookup(&name, kind));
    asked.await.expect("it ends by itself")
}

/// The records, and whether they are authenticated.
async fn found(dns: &DnsClient, name: &str, kind: RecordKind) -> (Vec<DnsRecord>, bool) {
    match ask(dns, name, kind).await {
        Ok(DnsAnswer::Records { records, authenticated, valid_until, .. }) => {
            assert!(valid_until <= Instant::now() + Duration::from_secs(60));
            (records, authenticated)
        }
        other => panic!("{name} {kind}: {other:?}"),
    }
}

fn address(text: &str) -> DnsRecord {
    DnsRecord::Address(text.parse().unwrap())
}

#[tokio::test]
async fn a_validating_name_server_tells_all_kinds_of_answers_apart() {
    let Some(lab) = DnsLab::start(&ZONES) else { return };
    let dns = asking(lab.address, 10);
    let mx = |host: &str| DnsRecord::Mx { preference: 10, host: Some(host.parse().unwrap()) };
    assert_eq!(found(&dns, "signed.test", RecordKind::Mx).await, (vec![mx("mx.signed.test")], true));
    assert_eq!(found(&dns, "plain.test", RecordKind::Mx).await, (vec![mx("mx.plain.test")], false));
    assert_eq!(found(&dns, "mx.signed.test", RecordKind::A).await, (vec![address("127.0.0.2")], true));
    assert_eq!(found(&dns, "mx.signed.test", RecordKind::Aaaa).await, (vec![address("::2")], true));
    assert_eq!(found(&dns, "alias.signed.test", RecordKind::A).await, (vec![address("127.0.0.2")], true));
    let null = DnsRecord::Mx { preference: 0, host: None };
    assert_eq!(found(&dns, "null.signed.test", RecordKind::Mx).await, (vec![null], true));
    assert_eq!(found(&dns, "signed.test", RecordKind::Txt).await.0, [DnsRecord::Text(b"one text".to_vec())]);
    assert_eq!(found(&dns, "plain.test", RecordKind::Txt).await.0, [DnsRecord::Text(b"\xc8\r".to_vec())]);
    for (name, kind, expected) in [
        ("gone.signed.test", RecordKind::A, DnsAnswer::NoSuchName),
        ("dead.signed.test", RecordKind::A, DnsAnswer::NoSuchName),
        ("gone.plain.test", RecordKind::Mx, DnsAnswer::NoSuchName),
        ("no.such.domain", RecordKind::Mx, DnsAnswer::NoSuchName),
        ("mx.signed.test", RecordKind::Mx, DnsAnswer::NoRecords),
        ("mx.plain.test", RecordKind::Aaaa, DnsAnswer::NoRecords),
    ] {
        assert_eq!(ask(&dns, name, kind).await, Ok(expected), "{name}");
    }
    // A name that is none of a host is left out.
    let names = names_of(&dns, IpAddr::from([127, 0, 0, 2])).await.unwrap();
    assert_eq!(names, ["mx.signed.test".parse().unwrap()]);
    assert_eq!(names_of(&dns, IpAddr::from([127, 0, 0, 9])).await, Ok(Vec::new()));
    let Ok(DnsAnswer::Records { valid_until, .. }) = ask(&dns, "mx.plain.test", RecordKind::A).await else { panic!() };
    assert!(valid_until <= Instant::now() + Duration::from_secs(5));
}

#[tokio::test]
async fn each_kind_of_trouble_of_the_dns_is_an_error_and_no_answer() {
    let Some(lab) = DnsLab::start(&ZONES) else { return };
    let dns = asking(lab.address, 2);
    for name in ["bogus.test", "gone.bogus.test", "mx.bogus.test", "servfail.test", "x.silent.test"] {
        let error = ask(&dns, name, RecordKind::A).await.unwrap_err();
        assert!(error.to_string().starts_with(&format!("looking up A of {name}: ")), "{error}");
    }
    // It goes on, and what no server answered does not count for others.
    assert_eq!(found(&dns, "mx.signed.test", RecordKind::A).await, (vec![address("127.0.0.2")], true));
    lab.kill();
    assert!(ask(&dns, "mx.signed.test", RecordKind::A).await.is_err());
    let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert!(ask(&asking(gone, 2), "mx.signed.test", RecordKind::A).await.is_err());
}
