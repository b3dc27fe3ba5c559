//! The client against scripted milters: what they get, what their answers mean, and that no hostile one does harm.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::clock::Timestamp;
use crate::envelope::{Origin, Protocol, Recipient, Recipients};
use crate::policy::{Fallback, ServiceAddress};
use crate::session::Additions;
use crate::session::BegunTransaction;

/// What the milter got: the letters of the commands, with their data.
type Heard = Arc<Mutex<Vec<(u8, Vec<u8>)>>>;

fn packet(letter: u8, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len() + 1).unwrap().to_be_bytes();
    [&length[..], &[letter], data].concat()
}

/// Answers each command by what `answer` says; to the offer, with these numbers.
async fn milter(
    steps: u32,
    answer: impl Fn(u8, &[u8]) -> Option<Vec<u8>> + Send + Sync + 'static,
) -> (ServiceAddress, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heard = Heard::default();
    let (told, answer) = (Arc::clone(&heard), Arc::new(answer));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, steps, Arc::clone(&told), Arc::clone(&answer)));
        }
    });
    (ServiceAddress::Inet(address.ip().to_string(), address.port()), heard)
}

async fn serve(
    mut stream: TcpStream,
    steps: u32,
    heard: Heard,
    answer: Arc<impl Fn(u8, &[u8]) -> Option<Vec<u8>> + Send + Sync + 'static>,
) {
    while let Ok(length) = stream.read_u32().await {
        let letter = stream.read_u8().await.unwrap();
        let mut data = vec![0; length as usize - 1];
        stream.read_exact(&mut data).await.unwrap();
        heard.lock().unwrap().push((letter, data.clone()));
        let said = match (letter, answer(letter, &data)) {
            (_, Some(said)) => said,
            (b'O', None) => {
                packet(b'O', &[6_u32, 0x31, steps].iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<_>>())
            }
            (b'D' | b'A' | b'Q', None) => continue,
            _ => packet(b'c', b""),
        };
        if stream.write_all(&said).await.is_err() {
            return;
        }
    }
}

fn settings(address: ServiceAddress) -> MilterSettings {
    MilterSettings {
        address,
        connect_timeout: Duration::from_secs(20),
        command_timeout: Duration::from_secs(20),
        content_timeout: Duration::from_secs(20),
        fallback: Fallback::Defer,
        except: vec!["198.51.100.0/24".parse().unwrap()],
        except_logins: false,
        listeners: crate::policy::Listeners::default(),
        macros: vec![("{daemon_name}".to_owned(), "inner".to_owned())],
        hostname: "relay.example".to_owned(),
    }
}

fn envelope() -> Envelope {
    let recipients = ["b@c.example", "d@e.example"].map(|text| Recipient::from(text.parse::<Mailbox>().unwrap()));
    Envelope::new(
        sender(),
        Recipients::new(recipients.to_vec()).unwrap(),
        Origin::local(Protocol::SMTP),
        Timestamp::from_millis(0),
    )
}

fn sender() -> ReversePath {
    ReversePath::Mailbox("a@b.example".parse().unwrap())
}

fn client() -> ClientInfo<'static> {
    ClientInfo {
        session: 7,
        listener: "203.0.113.5:587".parse().ok(),
        login: Some("joe\0{auth_type}"),
        mechanism: Some(crate::smtp::Mechanism::ScramSha256),
        ..ClientInfo::new(Peer::tcp("192.0.2.9:4711".parse().unwrap())).with_helo(Some("mx.example"))
    }
}

const HEADER: &[u8] = b"Received: from us\r\nFrom: a@b\r\nX-Folded: one\r\n two\r\nReceived: theirs\r\n\r\n";

/// One message, in pieces; the verdict of the first step that does not accept, or on the whole.
async fn verdict(milter: &Milter, body: &[u8]) -> Verdict {
    let envelope = envelope();
    let mut noted = Additions::default();
    let mut add = |verdict: Verdict| match verdict {
        Verdict::Accept => None,
        Verdict::AcceptWith(more) => {
            noted.join(*more);
            None
        }
        other => Some(other),
    };
    if let Some(no) = add(milter.mail(&client(), &envelope.reverse_path, None).await) {
        return no;
    }
    for recipient in envelope.recipients.iter() {
        if let Some(no) = add(milter.rcpt(&client(), &envelope.reverse_path, &recipient.mailbox).await) {
            return no;
        }
    }
    let transaction = BegunTransaction {
        number: 1,
        sender: &envelope.reverse_path,
        recipients: &envelope.recipients,
        declared_size: None,
        spool_id: "01M8PV67PV0000MQBJ3H45AJD7".parse().ok(),
    };
    let client = ClientInfo { transaction: Some(transaction), ..client() };
    match Inspector::begin(milter, &client, &envelope).await {
        Interest::PassedOver => {}
        Interest::Judged(verdict) => {
            if let Some(no) = add(verdict) {
                return no;
            }
        }
        Interest::Inspecting(mut inspection) | Interest::Taken(mut inspection) => {
            for piece in [&HEADER[..20], &HEADER[20..], body].into_iter().flat_map(|part| part.chunks(50_000)) {
                inspection.octets(piece).await;
            }
            if let Some(no) = add(inspection.end().await) {
                return no;
            }
        }
    }
    Verdict::accept_with(noted)
}

fn letters(heard: &Heard) -> String {
    heard.lock().unwrap().iter().map(|(letter, _)| char::from(*letter)).collect()
}

fn data_of(heard: &Heard, letter: u8) -> Vec<String> {
    let heard = heard.lock().unwrap();
    heard
        .iter()
        .filter(|(found, _)| *found == letter)
        .map(|(_, data)| String::from_utf8_lossy(data).into_owned())
        .collect()
}

fn is_deferral(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Defer(reply) if reply.code() == 451 && reply.text().contains("could not check"))
}

#[tokio::test]
async fn a_milter_gets_the_steps_of_each_message_over_one_connection() {
    let (address, heard) = milter(0, |_, _| None).await;
    let milter = Milter::new(settings(address));
    assert_eq!(verdict(&milter, b"hello\r\n").await, Verdict::Accept);
    assert_eq!(letters(&heard), "ODCDHDMDRDRDTLLLDNBDE".replace("DH", "H"));
    assert_eq!(data_of(&heard, b'L'), ["From\0a@b\0", "X-Folded\0one\n two\0", "Received\0theirs\0"]);
    assert_eq!(data_of(&heard, b'C'), ["[192.0.2.9]\x004\u{12}g192.0.2.9\0"]);
    assert_eq!(
        (data_of(&heard, b'H'), data_of(&heard, b'M')),
        (vec!["mx.example\0".to_owned()], vec!["<a@b.example>\0".to_owned()])
    );
    let macros = data_of(&heard, b'D').concat();
    for expected in [
        "{daemon_name}\0inner\0",
        "j\0relay.example\0",
        "{client_addr}\x00192.0.2.9\0",
        "{daemon_addr}\x00203.0.113.5\0",
        "{daemon_port}\x00587\0",
        "{if_addr}\x00203.0.113.5\0",
        "i\x0001M8PV67PV0000MQBJ3H45AJD7\0",
    ] {
        assert!(macros.contains(expected), "{expected:?} in {macros:?}");
    }
    assert!(macros.contains("{auth_type}\0SCRAM-SHA-256\0"), "{macros:?}");
    assert!(macros.contains("{auth_authen}\0joe?{auth_type}\0"), "a value cannot add a macro: {macros:?}");
    assert_eq!(macros.matches("{daemon_name}").count(), 1);
    heard.lock().unwrap().clear();
    // The next one goes over the same connection; after one that was given up, behind an ABORT.
    assert_eq!(verdict(&milter, b"hello\r\n").await, Verdict::Accept);
    assert!(letters(&heard).starts_with("DMDR"), "{}", letters(&heard));
    assert_eq!(milter.mail(&client(), &sender(), None).await, Verdict::Accept);
    heard.lock().unwrap().clear();
    assert_eq!(milter.mail(&client(), &sender(), None).await, Verdict::Accept);
    assert_eq!(letters(&heard), "ADM");
    milter.ended(7);
    assert!(milter.0.visits().is_empty(), "nothing is kept of a session that ended");
}

#[tokio::test]
async fn steps_that_are_not_wanted_or_not_answered_are_left_out_or_not_waited_for() {
    // Only the end is answered.
    let (address, heard) =
        milter(0x1f_f080 | 0x1, |letter, _| (letter != b'E').then(Vec::new).filter(|_| letter != b'O')).await;
    let milter_of = |address| Milter::new(settings(address));
    assert_eq!(verdict(&milter_of(address), &b"x".repeat(200_000)).await, Verdict::Accept);
    assert_eq!(letters(&heard).replace('D', ""), "OHMRRTLLLNBBBBE");
    assert_eq!(data_of(&heard, b'L')[0], "From\0 a@b\0", "with the blank");
    let (address, heard) = milter(0x400, |letter, _| (letter == b'B').then(|| packet(b's', b""))).await;
    assert_eq!(verdict(&milter_of(address), &b"x".repeat(200_000)).await, Verdict::Accept);
    assert_eq!(data_of(&heard, b'B').len(), 1, "SKIP ends the body");
}

#[tokio::test]
async fn changes_come_at_the_end_and_the_envelope_stays() {
    let changes = [
        packet(b'p', b""),
        packet(b'i', b"\0\0\0\0A\x001\0"),
        packet(b'i', b"\0\0\0\0B\x002\0"),
        packet(b'h', b"X-Seen\0yes\0"),
        packet(b'm', b"\0\0\0\x01Subject\0new\0"),
        packet(b'h', b"Bad\0a\r\nBcc: b@c\0"),
        packet(b'+', b"<evil@x>\0"),
        packet(b'q', b"looks odd\0"),
        packet(b'c', b""),
    ];
    let (address, _) = milter(0, move |letter, _| (letter == b'E').then(|| changes.concat())).await;
    let Verdict::AcceptWith(additions) = verdict(&Milter::new(settings(address)), b"x\r\n").await else { panic!() };
    let edits: Vec<String> = additions.edits.iter().map(ToString::to_string).collect();
    assert_eq!(edits, ["append X-Seen: yes", "replace 1 Subject: new", "insert 0 B: 2", "insert 0 A: 1"]);
    assert!(additions.hold.unwrap().ends_with(": looks odd"));
    assert!(additions.notes[0].contains("its change of the field Bad was left out"), "{:?}", additions.notes);
}

#[tokio::test]
async fn each_step_can_refuse_defer_accept_or_discard() {
    for (step, answer, expected) in [
        (b'C', packet(b'r', b""), "550"),
        (b'H', packet(b't', b""), "451"),
        (b'M', packet(b'y', b"553 5.1.8 no\0"), "553"),
        (b'R', packet(b'y', b"550 5.1.1 no\0"), "550"),
        (b'T', packet(b'r', b""), "550"),
        (b'L', packet(b'y', b"554 5.6.0 bad\0"), "554"),
        (b'N', packet(b't', b""), "451"),
        (b'B', packet(b'r', b""), "550"),
        (b'E', packet(b'y', b"554 5.7.1 Gtube pattern\0"), "554"),
        (b'E', packet(b'4', b""), "421"),
    ] {
        let (address, _) = milter(0, move |letter, _| (letter == step).then(|| answer.clone())).await;
        let found = verdict(&Milter::new(settings(address)), b"x\r\n").await;
        let (Verdict::Refuse(reply) | Verdict::Defer(reply) | Verdict::Disconnect(reply)) = &found else {
            panic!("{}: {found:?}", char::from(step))
        };
        assert!(reply.to_string().starts_with(expected), "{}: {reply}", char::from(step));
    }
    for step in *b"CHMRTLNBE" {
        let (address, _) = milter(0, move |letter, _| (letter == step).then(|| packet(b'a', b""))).await;
        assert_eq!(verdict(&Milter::new(settings(address)), b"x\r\n").await, Verdict::Accept, "{}", char::from(step));
        if step > b'H' || step == b'B' || step == b'E' {
            let (address, _) = milter(0, move |letter, _| (letter == step).then(|| packet(b'd', b""))).await;
            let Verdict::AcceptWith(additions) = verdict(&Milter::new(settings(address)), b"x\r\n").await else {
                panic!("{step}")
            };
            assert!(additions.hold.is_some(), "nothing is lost: {}", char::from(step));
        }
    }
}

#[tokio::test]
async fn no_hostile_or_dead_milter_lets_mail_in_or_refuses_it() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut addresses = vec![ServiceAddress::Inet(closed.ip().to_string(), closed.port())];
    let garbage: Vec<(u8, Vec<u8>)> = vec![
        (b'O', packet(b'O', b"short")),
        (b'O', packet(b'c', b"")),
        (b'O', b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
        (b'M', vec![0, 0, 0, 0]),
        (b'M', vec![0xff; 8]),
        (b'R', packet(b'y', b"250 fine\0")),
        (b'R', packet(b'x', b"")),
        (b'L', packet(b'h', b"X\0y\0")),
        (b'B', [packet(b'p', b"").repeat(20_000)].concat()),
        (b'E', packet(b'h', b"X\0y\0").repeat(200)),
        (b'E', packet(b'+', b"x\0").repeat(2_000)),
        (b'E', packet(b'h', &[b"X\0", &b"y".repeat(200_000)[..], b"\0"].concat())),
        (b'E', packet(b'p', b"").repeat(20_000)),
        (b'E', packet(b's', b"")),
    ];
    for (step, said) in garbage {
        addresses.push(milter(0, move |letter, _| (letter == step).then(|| said.clone())).await.0);
    }
    for (number, address) in addresses.into_iter().enumerate() {
        let found = verdict(&Milter::new(settings(address.clone())), b"x\r\n").await;
        assert!(is_deferral(&found), "{number}: {found:?}");
        let lenient = Milter::new(MilterSettings { fallback: Fallback::Accept, ..settings(address) });
        let found = verdict(&lenient, b"x\r\n").await;
        let noted = |additions: &Additions| additions.notes.iter().any(|note| note.ends_with("it did not answer"));
        assert!(
            matches!(&found, Verdict::AcceptWith(additions) if noted(additions) && additions.edits.is_empty()),
            "{number}: {found:?}"
        );
    }
}

#[tokio::test]
async fn a_milter_that_hangs_is_left_alone_for_a_while_and_its_late_answer_counts_for_nothing() {
    for step in *b"OMBE" {
        let (address, heard) = milter(0, move |letter, _| (letter == step).then(Vec::new)).await;
        let limit = Duration::from_millis(100);
        let short = MilterSettings {
            connect_timeout: limit,
            command_timeout: limit,
            content_timeout: limit,
            ..settings(address)
        };
        let milter = Milter::new(short);
        assert!(is_deferral(&verdict(&milter, b"x\r\n").await), "{}", char::from(step));
        let before = letters(&heard).len();
        assert!(is_deferral(&verdict(&milter, b"x\r\n").await));
        assert_eq!(letters(&heard).trim_end_matches('Q').len(), before, "it was asked again at once");
    }
}

#[tokio::test]
async fn excepted_clients_and_logins_are_not_shown() {
    let (address, heard) = milter(0, |_, _| Some(packet(b'r', b""))).await;
    let milter = Milter::new(MilterSettings { except_logins: true, ..settings(address) });
    assert_eq!(verdict(&milter, b"x\r\n").await, Verdict::Accept);
    let excepted = ClientInfo::new(Peer::tcp("198.51.100.7:1".parse().unwrap()));
    assert_eq!(milter.mail(&excepted, &sender(), None).await, Verdict::Accept);
    assert!(heard.lock().unwrap().is_empty());
}
