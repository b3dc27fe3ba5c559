//! The header of a message: what the policy sees of it is what a reader finds in the message that is passed on.

use std::sync::Arc;

use leafmail::clock::Timestamp;
use leafmail::envelope::Peer;
use leafmail::id::SpoolId;
use leafmail::session::{Action, HeaderBlock, Question, Session, Settings, Verdict};
use leafmail::smtp::body::BareNewline;
use mail_parser::MessageParser;

use super::bytes::Bytes;

const NOW: Timestamp = Timestamp::from_millis(1_795_226_607_123);
/// The fields that are compared.
const NAMES: [&str; 3] = ["From", "To", "Subject"];

/// What is required, by a choice.
fn required(choice: u8) -> &'static [&'static str] {
    match choice % 3 {
        0 => &NAMES,
        1 => &[],
        _ => &["Subject"],
    }
}

/// What the policy is asked about a message with these octets, and what is stored.
fn received(octets: &[u8], choice: u8) -> Option<(Arc<HeaderBlock>, Vec<u8>)> {
    let mut settings = Settings::new("relay.example".parse().expect("it is a domain"));
    settings.bare_newline = BareNewline::Normalize;
    settings.required_fields = required(choice).iter().map(|name| (*name).to_owned()).collect();
    let peer = Peer::tcp("192.0.2.1:1025".parse().expect("it is an address"));
    let mut session = Session::new(Arc::new(settings), peer, None, NOW);
    let commands = format!("EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT {} LAST\r\n", octets.len());
    session.feed(&[commands.as_bytes(), octets].concat(), NOW);
    let (mut judged, mut message) = (None, Vec::new());
    loop {
        match session.poll() {
            Action::Ask(question) => {
                if let Question::Headers(block) = question {
                    judged = Some(block);
                }
                session.verdict(Verdict::Accept);
            }
            Action::Open(_) => session.opened(Ok(SpoolId::new(NOW, 1, 0))),
            Action::Append(octets) => message.extend(octets),
            Action::Commit(_) => return judged.map(|judged| (judged, message)),
            Action::Discard | Action::Close | Action::Read => return None,
            _ => {}
        }
    }
}

/// The bodies of the fields that are compared, in their order, on one line each.
fn compared<'a>(fields: impl Iterator<Item = (&'a str, &'a [u8])>) -> Vec<(String, String)> {
    let known = |(name, body): (&str, &[u8])| {
        let name = NAMES.iter().find(|known| known.eq_ignore_ascii_case(name))?;
        Some(((*name).to_owned(), body.trim_ascii().escape_ascii().to_string()))
    };
    fields.filter_map(known).collect()
}

pub(super) fn header(octets: &[u8]) {
    let mut bytes = Bytes(octets);
    let choice = bytes.octet();
    let Some((judged, message)) = received(bytes.0, choice) else { return };
    let found = MessageParser::new().default_header_raw().parse(&message).expect("it has our Received: at least");
    let fields = found.headers().iter().map(|header| {
        let body = &message[header.offset_start as usize..header.offset_end as usize];
        (header.name.as_str(), body)
    });
    assert_eq!(compared(fields), compared(judged.fields()), "{}", message.escape_ascii());
}
