//! The message on its way to a scripted smarthost: which octets arrive, and what happens when they cannot.

use std::collections::VecDeque;
use std::time::Duration;

use crate::fake_smarthost::{Act, FakeSmarthost, Script};
use crate::requests::{Pieces, deliver, envelope, letters, settings, transport};
use leafmail::clock::Timestamp;
use leafmail::id::SpoolId;
use leafmail::transport::{Body, DeliveryRequest, RouteSettings};
use proptest::prelude::*;

const THREE: [&str; 3] = ["a@x.example", "b@x.example", "c@x.example"];
const TEXT: &[u8] = b"Subject: x\r\n\r\nhello\r\n";

fn plain(smarthost: &FakeSmarthost) -> RouteSettings {
    settings(&format!("smtp://127.0.0.1:{}?tls=none", smarthost.address.port()))
}

#[test]
fn a_connection_lost_within_the_message_defers() {
    let smarthost = FakeSmarthost::start(Script::new().on("body", Act::After(10_000, Box::new(Act::Reset))));
    let mut transport = transport(&plain(&smarthost));
    let mut body = Pieces::of(b"a line of text\r\n".repeat(2_000_000));
    let delivery = deliver(&mut *transport, &envelope("", &["a@x.example"]), &mut body).unwrap();
    assert_eq!(letters(&delivery.outcomes), ["L4.4.2"]);
    assert!(delivery.outcomes[0].reason().text.contains("lost connection while sending the message to"));
    assert!(body.handed_over.is_empty());
}

#[test]
fn a_reply_in_the_midst_of_the_message_is_not_taken_for_the_answer() {
    let early = Act::After(10, Box::new(Act::Send(b"250 2.0.0 queued, honestly\r\n".to_vec())));
    let smarthost = FakeSmarthost::start(Script::new().on("body", early));
    let mut transport = transport(&plain(&smarthost));
    // By the hand-over it has arrived.
    let mut body = Pieces::of(b"a line of text\r\n".repeat(100_000));
    body.at_hand_over = Some(Box::new(|| std::thread::sleep(Duration::from_millis(200))));
    let delivery = deliver(&mut *transport, &envelope("", &["a@x.example"]), &mut body).unwrap();
    assert_eq!(letters(&delivery.outcomes), ["L4.5.0"], "{delivery:?}");
    assert!(delivery.outcomes[0].reason().text.contains("honestly"));
}

#[test]
fn a_smarthost_that_takes_no_more_octets_defers() {
    let smarthost = FakeSmarthost::start(
        Script::new().on("body", Act::After(10, Box::new(Act::Late(Duration::from_secs(4), Box::new(Act::Close))))),
    );
    let mut settings = plain(&smarthost);
    settings.timeouts.block = Duration::from_millis(150);
    let mut body = Pieces::of(b"a line of text\r\n".repeat(2_000_000));
    let delivery = deliver(&mut *transport(&settings), &envelope("", &["a@x.example"]), &mut body).unwrap();
    assert!(delivery.outcomes[0].reason().text.contains("timed out after 0.15 s while sending the message"));
    assert!(body.handed_over.is_empty());
}

#[test]
fn octets_arrive_as_they_were() {
    let long = [vec![b'x'; 64_000], b"\r\n".to_vec()].concat();
    let every: Vec<u8> = (0..=255).filter(|octet| !matches!(octet, b'\r' | b'\n')).collect();
    let messages: [&[u8]; 13] = [
        TEXT,
        b"",
        b"\r\n",
        b"\r\n\r\n",
        b".\r\n",
        b"..\r\n.\r\n\r\n.a\r\n..b\r\n",
        b"a\r\n.\r\nMAIL FROM:<x@y>\r\n",
        b"a\r\n.\r\n",
        &long,
        &[&every[..], b"\r\n"].concat(),
        &b"line\r\n.dot\r\n".repeat(20_000),
        b"a\r\r\nb\r\n",
        b"\r\n.\r\n.\r\n",
    ];
    let smarthost = FakeSmarthost::start(Script::new().offers(["8BITMIME", "SIZE 99999999"]));
    let mut transport = transport(&plain(&smarthost));
    let mut sent = Vec::new();
    for message in messages {
        for piece in [1, 2, 3, 5, 64 * 1024] {
            if message.len() / piece > 70_000 {
                continue;
            }
            let mut body = Pieces::cut(message, piece);
            let delivery = deliver(&mut *transport, &envelope("", &["a@x.example"]), &mut body).unwrap();
            assert_eq!(letters(&delivery.outcomes), ["D2.0.0"]);
            assert_eq!(body.handed_over, [message.len()]);
            sent.push(message.to_vec());
        }
    }
    let record = smarthost.record();
    assert_eq!(record.connections, 1);
    assert_eq!(record.messages.len(), sent.len());
    for (received, sent) in record.messages.iter().zip(&sent) {
        assert!(received == sent, "sent {:?}", String::from_utf8_lossy(&sent[..sent.len().min(60)]));
    }
}

#[test]
fn a_missing_final_line_end_is_added_as_smtp_cannot_do_without() {
    for (message, arrives) in [(&b"a"[..], &b"a\r\n"[..]), (b"a\r\nb", b"a\r\nb\r\n"), (b".", b".\r\n")] {
        let smarthost = FakeSmarthost::start(Script::new());
        deliver(&mut *transport(&plain(&smarthost)), &envelope("", &["a@x.example"]), &mut Pieces::of(message))
            .unwrap();
        assert_eq!(smarthost.record().messages, [arrives]);
    }
}

#[test]
fn the_message_is_handed_over_once_and_before_its_end() {
    let smarthost = std::rc::Rc::new(FakeSmarthost::start(Script::new()));
    let seen = std::rc::Rc::new(std::cell::Cell::new(false));
    let mut body = Pieces::of(TEXT);
    let (host, mark) = (smarthost.clone(), seen.clone());
    body.at_hand_over = Some(Box::new(move || {
        std::thread::sleep(Duration::from_millis(50));
        mark.set(host.record().saw(b"DATA") && !host.record().saw(b"\r\n.\r\n"));
    }));
    deliver(&mut *transport(&plain(&smarthost)), &envelope("", &["a@x.example"]), &mut body).unwrap();
    assert_eq!(body.handed_over, [TEXT.len()]);
    assert!(seen.get());
}

#[test]
fn a_message_that_cannot_be_read_is_never_ended() {
    let smarthost = FakeSmarthost::start(Script::new());
    let mut transport = transport(&plain(&smarthost));
    let mut body = Pieces { fails_at: Some(10), ..Pieces::cut(TEXT, 10) };
    let delivery = deliver(&mut *transport, &envelope("", &THREE), &mut body).unwrap();
    assert_eq!(letters(&delivery.outcomes), ["L4.3.0"; 3]);
    assert!(delivery.outcomes[0].reason().text.contains("reading the message failed: bad sector"));
    assert!(body.handed_over.is_empty());
    // The next message goes over a new connection.
    deliver(&mut *transport, &envelope("", &THREE), &mut Pieces::of(TEXT)).unwrap();
    let record = smarthost.record();
    assert_eq!((record.connections, record.messages.len()), (2, 1));
}

#[test]
fn any_message_arrives_however_it_is_cut() {
    let smarthost = FakeSmarthost::start(Script::new());
    let transport = std::cell::RefCell::new(transport(&plain(&smarthost)));
    let word = prop::sample::select(vec!["\r\n", "\r\n.", ".", "..", "x", "\u{e9}", "\r\n.\r\n", "QUIT"]);
    let message = prop::collection::vec(word, 0..12).prop_map(|words| words.concat() + "\r\n");
    proptest!(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) }, |(message in message, piece in 1usize..9)| {
        let mut body = Pieces::cut(&message, piece);
        deliver(&mut **transport.borrow_mut(), &envelope("", &["a@x.example"]), &mut body).unwrap();
        let received = smarthost.record().messages.pop().unwrap();
        prop_assert_eq!(String::from_utf8(received).unwrap(), message);
        prop_assert_eq!(body.handed_over.len(), 1);
    });
}

/// A message in these pieces.
struct Cut(VecDeque<&'static [u8]>);

impl Body for Cut {
    fn next_piece(&mut self, piece: &mut Vec<u8>) -> std::io::Result<bool> {
        piece.clear();
        piece.extend_from_slice(self.0.pop_front().unwrap_or_default());
        Ok(!piece.is_empty())
    }

    fn hand_over(&mut self) {}
}

#[test]
fn dots_are_stuffed_and_no_line_end_is_torn_at_any_two_cuts() {
    let message: &'static [u8] = b".\r\n..\r\n\r\n.a\r\nb.\r\n.\r\n.\r\nMAIL FROM:<x@y>\r\n";
    let smarthost = FakeSmarthost::start(Script::new());
    let mut transport = transport(&plain(&smarthost));
    let mut sent = 0;
    for first in 0..message.len() {
        for second in first..message.len() {
            let pieces = [&message[..first], &message[first..second], &message[second..]];
            let mut body = Cut(pieces.into_iter().filter(|piece| !piece.is_empty()).collect());
            let recipients = envelope("", &["a@x.example"]);
            let request = DeliveryRequest {
                id: SpoolId::new(Timestamp::from_millis(1), 1, 2),
                envelope: &recipients,
                recipients: &[0],
                size: message.len() as u64,
                eight_bit: false,
            };
            transport.deliver(&request, &mut body).unwrap();
            sent += 1;
        }
    }
    let record = smarthost.record();
    assert_eq!((record.connections, record.messages.len()), (1, sent));
    assert!(record.messages.iter().all(|received| received == message));
    assert_eq!(record.verbs("MAIL").len(), sent, "nothing in it was taken for a command");
    for (at, octet) in record.octets.iter().enumerate() {
        let good = match octet {
            b'\r' => record.octets.get(at + 1) == Some(&b'\n'),
            b'\n' => at > 0 && record.octets[at - 1] == b'\r',
            octet => *octet != 0,
        };
        assert!(good, "octet {at} is {octet}");
    }
}
