use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::envelope::{Peer, Recipient, Tls};
use crate::session::BegunTransaction;

fn settings(address: SocketAddr) -> ServiceSettings {
    ServiceSettings {
        address: ServiceAddress::Inet(address.ip().to_string(), address.port()),
        stages: vec![
            ServiceStage::Connect,
            ServiceStage::Helo,
            ServiceStage::Mail,
            ServiceStage::Rcpt,
            ServiceStage::EndOfMessage,
        ],
        timeout: Duration::from_secs(60),
        fallback: Fallback::Defer,
        except: Vec::new(),
        except_logins: false,
        listeners: crate::policy::Listeners::default(),
    }
}

fn client() -> ClientInfo<'static> {
    ClientInfo::new(Peer::tcp("192.0.2.9:4711".parse().unwrap()))
}

async fn asked(service: &PolicyService) -> Verdict {
    service.rcpt(&client(), &"a@b.example".parse().map_or(ReversePath::Null, ReversePath::Mailbox), &mailbox()).await
}

fn mailbox() -> Mailbox {
    "root@example.lan".parse().unwrap()
}

/// Reads one question.
async fn question(stream: &mut TcpStream) -> Option<String> {
    let mut octets = Vec::new();
    while !octets.ends_with(b"\n\n") {
        octets.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(octets).ok()
}

/// A service that answers each question of each connection with the next of these; after them it closes the connection.
async fn serving(answers: &'static [&'static [u8]]) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            for answer in answers {
                let Some(text) = question(&mut stream).await else { break };
                told.lock().unwrap().push(text);
                let _ = stream.write_all(answer).await;
            }
        }
    });
    (address, heard)
}

const DEFERRED: &str = "could not check";

fn is_fallback(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Defer(reply) if reply.code() == 451 && reply.text().contains(DEFERRED))
}

#[tokio::test]
async fn a_connection_is_kept_and_one_that_was_closed_meanwhile_is_made_again() {
    // The service closes after two answers, as one that is restarted does.
    let (address, heard) = serving(&[b"action=DUNNO\n\n", b"action=550 5.1.1 no\n\n"]).await;
    let service = PolicyService::new(settings(address));
    let mut verdicts = Vec::new();
    for _ in 0..4 {
        verdicts.push(asked(&service).await.accepts());
    }
    assert_eq!(verdicts, [true, false, true, false]);
    assert_eq!(heard.lock().unwrap().len(), 4, "each question was asked once");
}

#[tokio::test]
async fn no_trouble_of_the_service_refuses_mail_or_lets_it_in() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut addresses = vec![closed];
    static ENDLESS: [&[u8]; 1] = [&[b'x'; 100_000]];
    let wrong: [&'static [&'static [u8]]; 7] = [
        &[],
        &[b"action=DUNNO\n\naction=DUNNO\n\nx"],
        &[b"action=250 OK\n\n"],
        &[b"\n\n"],
        &[b"HTTP/1.1 400 Bad Request\r\n\r\n\n\n"],
        &[b"action=PREPEND X: a\r\nBcc: b@c\r\n\n\n"],
        &ENDLESS,
    ];
    for answers in wrong {
        addresses.push(serving(answers).await.0);
    }
    for (number, address) in addresses.into_iter().enumerate() {
        let service = PolicyService::new(settings(address));
        let verdict = asked(&service).await;
        // Of a PREPEND with a further line only the first line is taken.
        let is_first_line = verdict == Verdict::accept_with(Additions::header("X: a".parse().unwrap()));
        assert!(is_fallback(&verdict) || number == 6 && is_first_line, "{number}: {verdict:?}");
        let lenient = PolicyService::new(ServiceSettings { fallback: Fallback::Accept, ..settings(address) });
        assert!(asked(&lenient).await.accepts(), "{number}");
    }
}

#[tokio::test]
async fn a_service_that_hangs_is_left_alone_for_a_while() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let short = ServiceSettings { timeout: Duration::from_millis(50), ..settings(listener.local_addr().unwrap()) };
    let service = PolicyService::new(short);
    for _ in 0..20 {
        assert!(is_fallback(&asked(&service).await));
    }
    // The first question connected, the others did not.
    assert!(listener.accept().await.is_ok());
    let another = tokio::time::timeout(Duration::from_millis(200), listener.accept()).await;
    assert!(another.is_err(), "it was asked again at once");
    service.health.trouble().rests_until = Some(Instant::now());
    assert!(is_fallback(&asked(&service).await));
    assert!(listener.accept().await.is_ok(), "after its rest it is asked again");
    assert_eq!(service.health.trouble().unanswered, 21);
}

#[tokio::test]
async fn what_is_accepted_may_carry_a_header_line_a_note_or_a_hold() {
    let answers: &[&[u8]] = &[
        b"action=PREPEND X-Greylist: delayed\n\n",
        b"action=WARN odd\n\n",
        b"action=HOLD look\n\n",
        b"action=FILTER x\n\n",
    ];
    let (address, _) = serving(answers).await;
    let service = PolicyService::new(settings(address));
    let added = |verdict| match verdict {
        Verdict::AcceptWith(additions) => *additions,
        other => panic!("{other:?}"),
    };
    assert_eq!(added(asked(&service).await).header[0].as_str(), "X-Greylist: delayed");
    assert!(added(asked(&service).await).notes[0].ends_with(": odd"));
    assert!(added(asked(&service).await).hold.unwrap().ends_with(": look"));
    assert_eq!(asked(&service).await, Verdict::Accept, "what is not supported changes nothing");
    assert!(service.health.trouble().logged.is_some());
    assert_eq!(added(service.message(&client(), 9).await).header[0].as_str(), "X-Greylist: delayed", "at the end too");
}

#[tokio::test]
async fn only_the_stages_and_clients_of_the_configuration_are_asked_about() {
    let (address, heard) = serving(&[b"action=REJECT\n\n" as &[u8]; 9]).await;
    let narrow = ServiceSettings {
        stages: vec![ServiceStage::Rcpt],
        except: vec!["192.0.2.0/28".parse().unwrap()],
        except_logins: true,
        ..settings(address)
    };
    let service = PolicyService::new(narrow);
    assert!(asked(&service).await.accepts(), "an excepted network");
    let other = ClientInfo::new(Peer::tcp("198.51.100.1:1".parse().unwrap()));
    let rcpt = |client| {
        let service = &service;
        async move { service.rcpt(&client, &ReversePath::Null, &mailbox()).await.accepts() }
    };
    assert!(rcpt(other.with_login(Some("joe"))).await, "a login");
    assert!(rcpt(ClientInfo::new(Peer::Local)).await, "a program of this host");
    assert!(service.connect(&other).await.accepts() && service.message(&other, 1).await.accepts(), "other stages");
    assert!(heard.lock().unwrap().is_empty());
    assert!(!rcpt(other).await);
    assert_eq!(heard.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_question_has_the_attributes_of_postfix_and_nothing_of_the_peer_adds_one() {
    let (address, heard) = serving(&[b"action=DUNNO\n\n" as &[u8]; 3]).await;
    let service = PolicyService::new(settings(address));
    let tls = Tls { version: "TLSv1.3".to_owned(), cipher: "X\nrequest=evil".to_owned(), client: None };
    let sender = ReversePath::Mailbox("a@b.example".parse().unwrap());
    let recipients = [Recipient::from(mailbox())];
    let transaction = BegunTransaction {
        number: 3,
        sender: &sender,
        recipients: &recipients,
        declared_size: Some(77),
        spool_id: None,
    };
    let client = ClientInfo {
        helo: Some("mx\r\naction=OK\n\n.example"),
        tls: Some(&tls),
        session: 26,
        extended: true,
        transaction: Some(transaction),
        ..client()
    };
    service.rcpt(&client, &sender, &mailbox()).await;
    service.message(&client, 4_000).await;
    let heard = heard.lock().unwrap().clone();
    let value = |question: &str, name: &str| {
        let found: Vec<_> = question.lines().filter_map(|line| line.strip_prefix(&format!("{name}="))).collect();
        assert_eq!(found.len(), 1, "{name} in {question}");
        found[0].to_owned()
    };
    for (name, at_rcpt, at_end) in [
        ("request", "smtpd_access_policy", "smtpd_access_policy"),
        ("protocol_state", "RCPT", "END-OF-MESSAGE"),
        ("protocol_name", "ESMTP", "ESMTP"),
        ("helo_name", "mx??action=OK??.example", "mx??action=OK??.example"),
        ("client_address", "192.0.2.9", "192.0.2.9"),
        ("client_name", "unknown", "unknown"),
        ("sender", "a@b.example", "a@b.example"),
        ("recipient", "root@example.lan", "root@example.lan"),
        ("recipient_count", "1", "1"),
        ("size", "77", "4000"),
        ("encryption_cipher", "X?request=evil", "X?request=evil"),
    ] {
        assert_eq!((value(&heard[0], name), value(&heard[1], name)), (at_rcpt.to_owned(), at_end.to_owned()), "{name}");
    }
    assert_eq!(value(&heard[0], "instance"), value(&heard[1], "instance"), "one message, one instance");
    assert!(value(&heard[0], "instance").ends_with(".1a.3"));
}
