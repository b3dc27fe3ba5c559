//! The bounce: the message that tells a sender what could not be delivered (RFC 3462, 6522: `multipart/report`). Pure.
//!
//! Its id is derived from the original's and from the recipients that it reports, so writing it twice writes it once. All that
//! a peer said passes through `mime`: the result is 7-bit text in lines of at most 998 octets, and no octet of a
//! peer can begin a header line of its own. Only a sender's address outside ASCII stays as it is (RFC 6532).

use super::mime;
use crate::address::{Domain, ReversePath};
use crate::clock::Timestamp;
use crate::envelope::{BodyType, Envelope, NoticeOf, Origin, Protocol, Recipient, Recipients, Seal};
use crate::id::SpoolId;
use crate::receipt::Reason;

/// No more octets of the original's header are read than this.
pub const MAX_HEADER: usize = 64 * 1024;

/// The message that could not be delivered.
#[derive(Debug, Clone, Copy)]
pub struct Original<'a> {
    /// Its id.
    pub id: SpoolId,
    /// Its envelope.
    pub envelope: &'a Envelope,
    /// What was known at its end.
    pub seal: &'a Seal,
    /// Its first octets, [`MAX_HEADER`] at most.
    pub beginning: &'a [u8],
}

/// One recipient whom it did not reach.
#[derive(Debug, Clone, Copy)]
pub struct Casualty<'a> {
    /// The index in the envelope.
    pub index: u16,
    /// The recipient.
    pub recipient: &'a Recipient,
    /// Why.
    pub reason: &'a Reason,
    /// The next hop as `host[address]:port`, or empty.
    pub relay: &'a str,
    /// When it was last tried.
    pub last_attempt: Timestamp,
}

impl Casualty<'_> {
    /// Whether it was given up after many attempts, rather than refused: what was given up keeps a transient status.
    fn was_given_up(&self) -> bool {
        self.reason.status.0 == 4
    }
}

/// A notification, ready for the spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Its id.
    pub id: SpoolId,
    /// Its envelope, from the null reverse-path (RFC 5321 6.1).
    pub envelope: Envelope,
    /// The message.
    pub octets: Vec<u8>,
    /// What is known at its end.
    pub seal: Seal,
}

/// The id under which these failures of `original` are told.
pub fn notice_id(original: SpoolId, recipients: &[u16]) -> SpoolId {
    let indices = recipients.iter().flat_map(|index| index.to_be_bytes());
    original.derived(&b"failure".iter().copied().chain(indices).collect::<Vec<_>>())
}

/// The notification that `casualties` were not reached, or `None` where there is no sender to tell.
pub fn failure(
    original: &Original<'_>,
    casualties: &[Casualty<'_>],
    hostname: &Domain,
    now: Timestamp,
) -> Option<Notice> {
    let sender = original.envelope.reverse_path.mailbox()?;
    let recipients: Vec<u16> = casualties.iter().map(|casualty| casualty.index).collect();
    let id = notice_id(original.id, &recipients);
    let host = if hostname.is_ascii() { hostname.as_str() } else { "localhost" };
    let message_id = format!("<{id}@{host}>");
    // The id is not to be guessed, so nobody can have put this line into the original.
    let boundary = format!("=_{id}");
    let mut octets = Vec::new();
    heading(&mut octets, original, host, &message_id, &boundary, now);
    part(&mut octets, &boundary, &mime::text("text/plain", explanation(original, casualties, host).as_bytes()));
    part(&mut octets, &boundary, &status(original, casualties, host));
    part(&mut octets, &boundary, &mime::text("text/rfc822-headers", mime::header_block(original.beginning)));
    octets.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    let eight_bit = !octets.is_ascii();
    Some(Notice {
        id,
        envelope: Envelope {
            received_at: now,
            reverse_path: ReversePath::Null,
            recipients: Recipients::new(vec![sender.clone().into()])?,
            origin: Origin {
                notice_of: Some(NoticeOf { original: original.id, recipients }),
                ..Origin::local(Protocol::SMTP)
            },
            body: if eight_bit { BodyType::EightBitMime } else { BodyType::SevenBit },
            smtputf8: !sender.is_ascii(),
            ret: None,
            envid: None,
            annotations: Vec::new(),
        },
        octets,
        seal: Seal { completed_at: now, eight_bit, hops: 0, message_id: Some(message_id), annotations: Vec::new() },
    })
}

fn heading(out: &mut Vec<u8>, original: &Original<'_>, host: &str, message_id: &str, boundary: &str, now: Timestamp) {
    let mut field = |name: &str, value: &str| mime::field(out, name, value);
    field("Date", &now.rfc5322());
    field("From", &format!("MAILER-DAEMON@{host}"));
    field("To", &original.envelope.reverse_path.to_string());
    field("Subject", "Undelivered mail returned to sender");
    field("Message-ID", message_id);
    // RFC 3834 3.1.5: what the response is about.
    if let Some(about) = original.seal.message_id.as_deref().filter(|about| mime::is_message_id(about)) {
        field("In-Reply-To", about);
        field("References", about);
    }
    field("Auto-Submitted", "auto-replied"); // RFC 3834 5
    field("MIME-Version", "1.0");
    field("Content-Type", &format!("multipart/report; report-type=delivery-status; boundary=\"{boundary}\""));
    out.extend_from_slice(b"\r\nThis is a delivery report in MIME format.\r\n\r\n");
}

fn part(out: &mut Vec<u8>, boundary: &str, content: &[u8]) {
    out.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
    out.extend_from_slice(content);
    out.extend_from_slice(b"\r\n");
}

/// The first part, for people.
fn explanation(original: &Original<'_>, casualties: &[Casualty<'_>], host: &str) -> String {
    let received = original.envelope.received_at.rfc5322();
    let mut text = format!(
        "This is the mail relay {host}.\r\n\r\n\
         Your message of {received} could not be delivered to everybody.\r\n\
         It was not delivered to:\r\n"
    );
    for casualty in casualties {
        let by = if casualty.relay.is_empty() { "this relay" } else { casualty.relay };
        let what = if casualty.was_given_up() {
            "It was tried again and again without success, and will not be tried any more. The last answer of"
        } else {
            "It was refused by"
        };
        let recipient = &casualty.recipient.mailbox;
        let said = &casualty.reason.text;
        text.push_str(&format!("\r\n<{recipient}>\r\n    {what} {by}:\r\n    {said}\r\n"));
    }
    text.push_str(&format!(
        "\r\nRecipients who are not named here are not affected by this notice.\r\n\
         The header of your message follows below. When you ask somebody for help,\r\n\
         quote the number {}.\r\n",
        original.id
    ));
    text
}

/// The second part, for machines (RFC 3464).
fn status(original: &Original<'_>, casualties: &[Casualty<'_>], host: &str) -> Vec<u8> {
    let mut out = b"Content-Type: message/delivery-status\r\n\r\n".to_vec();
    mime::field(&mut out, "Reporting-MTA", &format!("dns; {host}"));
    if let Some(envid) = &original.envelope.envid {
        // RFC 3461 6.3: decoded from xtext.
        mime::field(&mut out, "Original-Envelope-Id", &mime::ascii(&mime::from_xtext(envid)));
    }
    mime::field(&mut out, "Arrival-Date", &original.envelope.received_at.rfc5322());
    for casualty in casualties {
        out.extend_from_slice(b"\r\n");
        if let Some((kind, address)) = casualty.recipient.orcpt.as_deref().and_then(|orcpt| orcpt.split_once(';')) {
            let value = format!("{}; {}", mime::ascii(kind), mime::ascii(&mime::from_xtext(address)));
            mime::field(&mut out, "Original-Recipient", &value);
        }
        mime::field(&mut out, "Final-Recipient", &mime::typed_address(&casualty.recipient.mailbox));
        mime::field(&mut out, "Action", "failed");
        mime::field(&mut out, "Status", &casualty.reason.status.to_string());
        // `host[address]:port`; the name is what RFC 3464 2.3.5 asks for.
        let (remote, _) = casualty.relay.split_once('[').unwrap_or((casualty.relay, ""));
        if !remote.is_empty() {
            mime::field(&mut out, "Remote-MTA", &format!("dns; {}", mime::ascii(remote)));
        }
        let kind = if casualty.reason.reply_code.is_some() { "smtp" } else { "x-leafmail" };
        mime::field(&mut out, "Diagnostic-Code", &format!("{kind}; {}", mime::ascii(&casualty.reason.text)));
        mime::field(&mut out, "Last-Attempt-Date", &casualty.last_attempt.rfc5322());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::testing::{at, envelope, id, reason, seal};
    use crate::receipt::Happening;
    use crate::smtp::EnhancedCode;
    use proptest::prelude::*;

    fn bounce(envelope: &Envelope, beginning: &[u8], reason: &Reason, relay: &str) -> Notice {
        let seal = seal();
        let original = Original { id: id(1), envelope, seal: &seal, beginning };
        let casualty =
            |(index, recipient)| Casualty { index, recipient, reason, relay, last_attempt: at(1_795_000_060) };
        let casualties: Vec<_> = (0..).zip(envelope.recipients.iter()).map(casualty).collect();
        failure(&original, &casualties, &"relay.example".parse().unwrap(), at(1_795_000_100)).unwrap()
    }

    fn text(notice: &Notice) -> String {
        String::from_utf8(notice.octets.clone()).unwrap()
    }

    #[test]
    fn it_says_what_programs_and_people_need() {
        let mut envelope = envelope("joe@example.com", &["bob@example.org"]);
        envelope.envid = Some("a+2Bb".into());
        envelope.recipients = Recipients::new(vec![Recipient {
            orcpt: Some("rfc822;Bob+3Dx@example.org".into()),
            ..Recipient::from("bob@example.org".parse::<crate::address::Mailbox>().unwrap())
        }])
        .unwrap();
        let octets = b"Subject: hi\r\nMessage-ID: <1@x>\r\n\r\nsecret body\r\n";
        let notice = bounce(&envelope, octets, &reason(Happening::Failed), "mx.example[192.0.2.1]:25");
        let text = text(&notice);
        for line in [
            "From: MAILER-DAEMON@relay.example",
            "To: joe@example.com",
            "Subject: Undelivered mail returned to sender",
            "Auto-Submitted: auto-replied",
            "In-Reply-To: <1@x>",
            "Reporting-MTA: dns; relay.example",
            "Original-Envelope-Id: a+b",
            "Original-Recipient: rfc822; Bob=x@example.org",
            "Final-Recipient: rfc822; bob@example.org",
            "Action: failed",
            "Status: 5.0.0",
            "Remote-MTA: dns; mx.example",
            "Diagnostic-Code: smtp; 550 5.1.1 no such user",
            "Subject: hi",
        ] {
            assert!(text.contains(&format!("\r\n{line}\r\n")), "{line} is missing in\n{text}");
        }
        assert!(text.contains("boundary=\"=_") && text.contains("report-type=delivery-status"));
        assert!(!text.contains("secret body"));
        assert_eq!(notice.envelope.reverse_path, ReversePath::Null);
        assert_eq!(notice.envelope.recipients[0].mailbox.to_string(), "joe@example.com");
        assert_eq!(notice.envelope.origin.notice_of, Some(NoticeOf { original: id(1), recipients: vec![0] }));
        assert_eq!(notice.id, notice_id(id(1), &[0]));
        assert_ne!(notice.id, notice_id(id(1), &[1]));
    }

    #[test]
    fn nobody_is_told_where_there_is_no_sender() {
        let (envelope, seal) = (envelope("", &["a@x"]), seal());
        let original = Original { id: id(1), envelope: &envelope, seal: &seal, beginning: b"" };
        assert_eq!(failure(&original, &[], &"x".parse().unwrap(), at(0)), None);
    }

    #[test]
    fn addresses_outside_ascii_are_named_as_rfc_6533_has_it() {
        let notice = bounce(&envelope("s@x", &["jos\u{e9}@x"]), b"", &reason(Happening::Failed), "");
        assert!(text(&notice).contains("Final-Recipient: utf-8; jos\\x{E9}@x\r\n"));
        assert!(notice.octets.is_ascii() && !notice.envelope.smtputf8);
        let notice = bounce(&envelope("jos\u{e9}@x", &["a@x"]), b"", &reason(Happening::Failed), "");
        assert!(notice.envelope.smtputf8 && notice.seal.eight_bit);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// RFC 5321 4.5.3.1.6, RFC 2045 2.7: whatever comes in, the notice is 7-bit, in lines, and ours in its structure.
        #[test]
        fn no_octet_of_a_peer_breaks_the_form(
            beginning in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'\r'), Just(b'\n'), Just(b'a')], 0..3_000),
            said in "(.|\r|\n|--=_){0,1500}", relay in "(.|\r|\n){0,20}", envid in "[!-~]{0,1100}",
        ) {
            let mut envelope = envelope("s@x", &["a@x"]);
            envelope.envid = Some(envid.replace('+', "+0D+0A"));
            let reason = Reason { status: EnhancedCode(5, 0, 0), reply_code: Some(550), text: said };
            let notice = bounce(&envelope, &beginning, &reason, &relay);
            prop_assert!(notice.octets.is_ascii());
            let text = text(&notice);
            prop_assert!(text.ends_with("--\r\n") && !text.replace("\r\n", "").contains(['\r', '\n', '\0']));
            prop_assert!(text.split("\r\n").all(|line| line.len() <= 998));
            prop_assert_eq!(text.matches(&format!("\r\n--=_{}\r\n", notice.id)).count(), 3);
            let status = text.split("\r\n--=_").nth(2).unwrap();
            let fields = status.split("\r\n").skip(1).filter(|line| !line.is_empty() && !line.starts_with(' '));
            let names: Vec<_> = fields.map(|line| line.split(':').next().unwrap()).collect();
            let ours = ["Content-Type", "Reporting-MTA", "Original-Envelope-Id", "Arrival-Date", "Final-Recipient",
                "Action", "Status", "Remote-MTA", "Diagnostic-Code", "Last-Attempt-Date"];
            prop_assert!(names.iter().all(|name| ours.contains(name)), "{:?}", names);
        }
    }
}
