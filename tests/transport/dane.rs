//! DANE against a real name server that validates, and beside Postfix.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};

use leafmail::address::Domain;
use leafmail::dns::{Dns, DnsAnswer, DnsClient, DnsError, FixedNames, NameServers, RecordKind, Tlsa, Validation};
use leafmail::receipt::{Cause, Outcome};
use leafmail::transport::{Dispatch, Inquiry, Leaving, MxDispatch, Place, RouteSettings, probe};

use crate::dane_cases::{CASES, Ending, Laboratory, domain};
use crate::fake_smarthost::{FakeSmarthost, Script};
use crate::requests::{self, Pieces, deliver, envelope, letters, mx_on_this_host};
use crate::support::have::{have, skip};
use crate::support::peers::dns_lab::{DnsLab, Signed};
use crate::support::site::free_port;

fn settings(laboratory: &Laboratory, policy: &str) -> RouteSettings {
    let name_servers = NameServers { addresses: vec![laboratory.dns.address], ..NameServers::default() };
    RouteSettings { name_servers, ..mx_on_this_host(&format!("mx:{}?tls={policy}", laboratory.port)) }
}

fn dispatch(settings: &RouteSettings) -> MxDispatch {
    let dns = Arc::new(DnsClient::at(settings.name_servers.clone()));
    MxDispatch::new(settings, dns, Leaving::default()).unwrap()
}

/// What becomes of a message to the domain of a case, and what is said of it.
fn sent(laboratory: &Laboratory, number: usize, policy: &str) -> (Ending, String) {
    let before = laboratory.got(number);
    let mut transport = dispatch(&settings(laboratory, policy)).transport();
    let to = envelope("me@y.example", &[&format!("a@{}", domain(number))]);
    let result = deliver(&mut *transport, &to, &mut Pieces::of("Subject: x\r\n\r\nhello\r\n"));
    let after = laboratory.got(number);
    let said = match &result {
        Ok(delivery) => delivery.outcomes[0].reason().text.clone(),
        Err(fault) => {
            // Where not even an address can be asked for, it may be our name server; no TLSA record is such trouble.
            assert_eq!(CASES[number].name, "addresses in a bogus zone", "the route was paused: {fault}");
            fault.reason.text.clone()
        }
    };
    let gone = matches!(&result, Ok(delivery) if matches!(delivery.outcomes[0], Outcome::Delivered(_)));
    assert_eq!(after.0 - before.0, usize::from(gone), "{said}");
    if let Ok(delivery) = &result {
        assert!(!matches!(delivery.outcomes[0], Outcome::Failed(_)), "nothing bounces: {said}");
    }
    let ending = match (gone, after.1 > before.1) {
        (true, true) => Ending::Tls,
        (true, false) => Ending::Clear,
        (false, _) => Ending::Waits,
    };
    (ending, said)
}

#[test]
fn each_case_of_dane_ends_as_rfc_7672_says() {
    let Some(laboratory) = Laboratory::start(None) else { return };
    let mut wrong = Vec::new();
    for (number, case) in CASES.iter().enumerate() {
        for (policy, expected) in [("dane", case.dane), ("dane-only", case.only)] {
            let (found, said) = sent(&laboratory, number, policy);
            if found != expected {
                wrong.push(format!("{} by {policy}: {found:?}, not {expected:?}: {said}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_broken_zone_of_tlsa_records_defers_its_domain_and_no_other() {
    let name = |text: &str| text.parse::<Domain>().unwrap();
    let table = FixedNames::default()
        .exchanger(name("x.example"), 10, name("mx.x.example"))
        .forward(name("mx.x.example"), [127, 0, 0, 1].into())
        .secure(name("x.example"))
        .failing(name("_25._tcp.mx.x.example"));
    let settings = mx_on_this_host("mx:25");
    let mut transport = MxDispatch::new(&settings, Arc::new(table), Leaving::default()).unwrap().transport();
    let to = envelope("me@y.example", &["a@x.example"]);
    let delivery = deliver(&mut *transport, &to, &mut Pieces::of("Subject: x\r\n\r\nhello\r\n")).unwrap();
    assert_eq!(letters(&delivery.outcomes), ["L4.4.3"]);
}

#[test]
fn tlsa_records_are_asked_for_only_where_the_policy_says_so() {
    let Some(laboratory) = Laboratory::start(None) else { return };
    let number = CASES.iter().position(|case| case.name == "another key").unwrap();
    assert_eq!(sent(&laboratory, number, "dane").0, Ending::Waits);
    assert_eq!(sent(&laboratory, number, "opportunistic").0, Ending::Tls, "nothing is asked");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let validation = |servers: NameServers| runtime.block_on(DnsClient::at(servers).validation()).unwrap();
    let here = NameServers { addresses: vec![laboratory.dns.address], ..NameServers::default() };
    assert_eq!(validation(here), Validation::Trusted);
}

#[test]
fn what_does_not_fit_is_told_in_words() {
    let Some(laboratory) = Laboratory::start(None) else { return };
    let at = |name: &str| CASES.iter().position(|case| case.name == name).unwrap();
    let mut transport = dispatch(&settings(&laboratory, "dane")).transport();
    let to = envelope("me@y.example", &[&format!("a@{}", domain(at("another key")))]);
    let delivery = deliver(&mut *transport, &to, &mut Pieces::of("Subject: x\r\n\r\nhello\r\n")).unwrap();
    let reason = delivery.outcomes[0].reason();
    assert_eq!((reason.cause, reason.status.to_string().as_str()), (Some(Cause::Dane), "4.7.5"));
    assert!(reason.text.contains("the certificate does not fit the TLSA records: TLSA 3 1 1 "), "{}", reason.text);
    let said = |name| sent(&laboratory, at(name), "dane").1;
    assert!(said("TLSA, no STARTTLS").contains("TLS is required by the TLSA records of the host"));
    assert!(said("authority, expired").contains("the certificate expired"));
    assert!(sent(&laboratory, at("no TLSA"), "dane-only").1.contains("no validated TLSA records of mx."));
}

#[test]
fn a_smarthost_must_show_the_certificate_of_its_records() {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["x.example".to_owned()]).unwrap().self_signed(&key).unwrap();
    let script = Script::new().starttls_by(vec![certificate.der().clone()], &key);
    let host = FakeSmarthost::start(script);
    let port = host.address.port();
    let sum = Sha256::digest(rcgen::PublicKeyData::subject_public_key_info(&key));
    let sum: String = sum.iter().map(|octet| format!("{octet:02x}")).collect();
    for (digest, signed, dane, only) in [
        (sum.as_str(), Signed::Secure, true, true),
        (&"0".repeat(64), Signed::Secure, false, false),
        (&"0".repeat(64), Signed::Insecure, true, false),
        (&"0".repeat(64), Signed::Bogus, false, false),
    ] {
        let zone = format!("@ A 127.0.0.1\n_{port}._tcp TLSA 3 1 1 {digest}\n");
        let Some(lab) = DnsLab::start(&[("localhost", signed, &zone)]) else { return };
        for (policy, goes) in [("dane", dane), ("dane-only", only)] {
            let name_servers = NameServers { addresses: vec![lab.address], ..NameServers::default() };
            let settings =
                RouteSettings { name_servers, ..requests::settings(&format!("smtp://localhost:{port}?tls={policy}")) };
            let sent = deliver(
                &mut *requests::transport(&settings),
                &envelope("me@y.example", &["a@x.example"]),
                &mut Pieces::of("Subject: x\r\n\r\nhello\r\n"),
            );
            assert_eq!(sent.is_ok(), goes, "{signed:?} {policy}: {sent:?}");
        }
    }
}

#[test]
fn doctor_shows_what_a_host_must_show_and_whether_records_count_at_all() {
    let Some(laboratory) = Laboratory::start(None) else { return };
    let told = |case: &str, policy: &str| {
        let number = CASES.iter().position(|known| known.name == case).unwrap();
        let settings = settings(&laboratory, policy);
        let recipients = vec![format!("a@{}", domain(number)).parse().unwrap()];
        let inquiry = Inquiry { senders: Vec::new(), recipients, largest: 1, now: 0 };
        let mut steps = Vec::new();
        probe(&settings, &Place::of(&settings, 0), &inquiry, &mut |step| {
            steps.push(format!("{} {}: {}", step.verdict.word(), step.what, step.found));
        });
        steps.join("\n")
    };
    let found = told("key by SHA-256", "dane");
    assert!(found.contains("ok DANE: the name servers validate the DNS, and are trusted to"), "{found}");
    assert!(found.contains(".dane.test must show a certificate that fits TLSA 3 1 1 "), "{found}");
    let found = told("TLSA that cannot be had", "dane");
    assert!(found.contains("fault DANE: ") && found.contains("mail waits"), "{found}");
    assert!(told("usage 1", "dane").contains("none that is usable: TLS is required"), "usage 1");
    assert!(told("no TLSA", "dane-only").contains("fault DANE: tls=dane-only is set"), "no TLSA");
}

#[test]
fn a_kept_connection_serves_a_message_only_by_the_records_of_now() {
    let name = |text: &str| text.parse::<Domain>().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["h.example".to_owned()]).unwrap().self_signed(&key).unwrap();
    let host = FakeSmarthost::start(Script::new().starttls_by(vec![certificate.der().clone()], &key));
    let port = host.address.port();
    let table = Arc::new(Mutex::new(
        FixedNames::default()
            .exchanger(name("x.example"), 10, name("mx.x.example"))
            .forward(name("mx.x.example"), [127, 0, 0, 1].into())
            .secure(name("x.example")),
    ));
    let settings = mx_on_this_host(&format!("mx:{port}"));
    let dns = Arc::new(Changing(Arc::clone(&table)));
    let mut transport = MxDispatch::new(&settings, dns, Leaving::default()).unwrap().transport();
    let to = envelope("me@y.example", &["a@x.example"]);
    let mut send = || {
        let delivery = deliver(&mut *transport, &to, &mut Pieces::of("Subject: x\r\n\r\nhello\r\n")).unwrap();
        (letters(&delivery.outcomes).remove(0), host.record().connections)
    };
    assert_eq!(send(), ("D2.0.0".to_owned(), 1));
    assert_eq!(send(), ("D2.0.0".to_owned(), 1), "it is kept");
    // The domain publishes another key.
    let place = name(&format!("_{port}._tcp.mx.x.example"));
    let changed = table.lock().unwrap().clone().tlsa(place, Tlsa::new(3, 1, 1, vec![7; 32]));
    *table.lock().unwrap() = changed;
    assert_eq!(send(), ("L4.7.5".to_owned(), 2));
}

/// A DNS whose records change.
struct Changing(Arc<Mutex<FixedNames>>);

#[async_trait::async_trait]
impl Dns for Changing {
    async fn lookup(&self, name: &Domain, kind: RecordKind) -> Result<DnsAnswer, DnsError> {
        let now = self.0.lock().unwrap().clone();
        now.lookup(name, kind).await
    }
}

#[test]
fn a_name_server_elsewhere_is_believed_only_where_it_is_trusted() {
    let Some(elsewhere) = address_of_this_host() else { return skip("this host has no address but the loopback") };
    let at = SocketAddr::new(elsewhere, free_port());
    let zones = [("d.test", Signed::Secure, "@ MX 10 mx\nmx A 127.0.0.1\n")];
    let Some(_lab) = DnsLab::start_also_at(&zones, Some(at)) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for (trust_ad, expected) in [(true, Validation::Trusted), (false, Validation::Untrusted)] {
        let client = DnsClient::at(NameServers { addresses: vec![at], trust_ad, ..NameServers::default() });
        assert_eq!(runtime.block_on(client.validation()), Ok(expected));
        let answer = runtime.block_on(client.lookup(&"d.test".parse().unwrap(), RecordKind::Mx)).unwrap();
        assert_eq!((answer.records().len(), answer.is_authenticated()), (1, trust_ad));
    }
}

/// An address of this host that is not loopback. Nothing is sent to find it.
fn address_of_this_host() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 53)).ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|address| !address.is_loopback())
}

/// What Postfix does in a case whose host offers STARTTLS: whether mail would go.
fn postfix(folder: &Path, number: usize, port: u16, policy: &str) -> (bool, String) {
    let script = format!(
        "mount --bind {}/resolv.conf /etc/resolv.conf && exec timeout 60 posttls-finger -c -l {policy} -M may -L summary \
         -o inet_protocols=ipv4 {}:{port}",
        folder.display(),
        domain(number)
    );
    let mut command = Command::new("unshare");
    let output = command.args(["-m", "sh", "-c", &script]).env("MAIL_CONFIG", folder).output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    // Where the policy asks for no certificate it says so in other words.
    let refused = ["server certificate verification failed", "no matching DANE TLSA records"];
    let unverified = said.contains("Untrusted TLS connection") && !refused.iter().any(|words| said.contains(words));
    (said.contains("Verified TLS connection") || policy == "dane" && unverified, said)
}

#[test]
fn postfix_ends_each_case_of_dane_as_leafmail_does() {
    if !have("posttls-finger") || !have("unshare") {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        return skip("only root can give a program another resolv.conf");
    }
    let name_server = SocketAddr::from(([127, 0, 7, 253], 53));
    let Some(laboratory) = Laboratory::start(Some(name_server)) else { return };
    let folder = tempfile::tempdir().unwrap();
    let resolv = format!("nameserver {}\noptions trust-ad edns0\n", name_server.ip());
    std::fs::write(folder.path().join("resolv.conf"), resolv).unwrap();
    std::fs::write(folder.path().join("main.cf"), "compatibility_level = 3.6\n").unwrap();
    let mut wrong = Vec::new();
    // It does not say what becomes of mail to a host without STARTTLS.
    let cases = CASES.iter().enumerate().filter(|(_, case)| case.offers_tls());
    for (number, case) in cases {
        for (policy, expected) in [("dane", case.dane), ("dane-only", case.only)] {
            let (goes, said) = postfix(folder.path(), number, laboratory.port, policy);
            if goes != (expected == Ending::Tls) {
                wrong.push(format!("{} by {policy}: not {expected:?}: {said}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
