//! The notice to a sender about failures, delays, or deliveries: a delivery status notification (RFC 3461 6, RFC 3464,
//! RFC 6522: `multipart/report`). Pure.
//!
//! Its id is derived from the id of the original and the recipients that it reports, so writing it twice writes it once. All text
//! from a peer passes through `mime`: the result is 7-bit text in lines of at most 998 octets, and no octet of a peer can begin
//! a header line. Only a sender's address outside ASCII (RFC 6532) and a message that is returned whole stay as they are.

pub use super::kind::NoticeKind;
pub use super::original::{MAX_HEADER, OriginalMessage, Reported, Writer};
pub use super::provenance::{is_ours, ours};
use super::{mime, returned};
use crate::address::{Domain, Mailbox, ReversePath};
use crate::annotation::DIGEST;
use crate::envelope::{BodyType, Envelope, NoticeOf, Origin, Protocol, Recipients, Seal};
use crate::id::SpoolId;

/// A notice, ready for the spool.
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

/// The id of the notice about these recipients of `original`.
pub fn notice_id(kind: NoticeKind, original: SpoolId, recipients: &[u16]) -> SpoolId {
    kind.id(original, recipients)
}

/// The notice to `to` about the `reported`.
pub fn notice(
    kind: NoticeKind,
    original: &OriginalMessage<'_>,
    reported: &[Reported<'_>],
    to: &Mailbox,
    writer: &Writer<'_>,
) -> Notice {
    let recipients: Vec<u16> = reported.iter().map(|one| one.index).collect();
    let id = notice_id(kind, original.id, &recipients);
    let host = host(writer.hostname);
    // The id cannot be guessed, so the original cannot contain this line.
    let boundary = format!("=_{id}");
    let form = returned::returned(original, &boundary);
    let explanation = mime::text("text/plain", kind.explanation(original, reported, form, host).as_bytes());
    let status = status(kind, original, reported, host);
    let returned = returned::part(original, form);
    let mut octets = heading(id, kind.subject(), to, writer);
    // RFC 3834 3.1.5: what the response is about.
    if let Some(about) = original.seal.message_id.as_deref().filter(|about| mime::is_message_id(about)) {
        mime::field(&mut octets, "In-Reply-To", about);
        mime::field(&mut octets, "References", about);
    }
    let form = format!("multipart/report; report-type=delivery-status; boundary=\"{boundary}\"");
    mime::field(&mut octets, "Content-Type", &form);
    if !returned.is_ascii() {
        // RFC 2045 6.4: what contains 8-bit text says so, at each level.
        mime::field(&mut octets, "Content-Transfer-Encoding", "8bit");
    }
    octets.extend_from_slice(b"\r\nThis is a delivery report in MIME format.\r\n\r\n");
    part(&mut octets, &boundary, &explanation);
    part(&mut octets, &boundary, &status);
    part(&mut octets, &boundary, &returned);
    octets.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    let about = NoticeOf { original: original.id, recipients };
    sealed(id, to, Some(about), octets, writer)
}

/// A text to the administrator, about no message in particular.
pub(in crate::queue) fn text_notice(
    id: SpoolId,
    subject: &str,
    text: &str,
    to: &Mailbox,
    writer: &Writer<'_>,
) -> Notice {
    let mut octets = heading(id, subject, to, writer);
    octets.extend_from_slice(&mime::text("text/plain", text.as_bytes()));
    let mut letter = sealed(id, to, None, octets, writer);
    letter.envelope.annotations.push(ours(DIGEST));
    letter
}

/// This host as notices name it.
pub(in crate::queue) fn host(hostname: &Domain) -> &str {
    if hostname.is_ascii() { hostname.as_str() } else { "localhost" }
}

fn message_id(id: SpoolId, writer: &Writer<'_>) -> String {
    format!("<{id}@{}>", host(writer.hostname))
}

/// Ready for the spool, from the null reverse-path.
fn sealed(id: SpoolId, to: &Mailbox, about: Option<NoticeOf>, octets: Vec<u8>, writer: &Writer<'_>) -> Notice {
    let (now, eight_bit) = (writer.now, !octets.is_ascii());
    Notice {
        id,
        envelope: Envelope {
            body: if eight_bit { BodyType::EightBitMime } else { BodyType::SevenBit },
            smtputf8: !to.is_ascii(),
            ..Envelope::new(
                ReversePath::Null,
                Recipients::one(to.clone().into()),
                Origin { notice_of: about, ..Origin::local(Protocol::SMTP) },
                now,
            )
        },
        octets,
        seal: Seal {
            completed_at: now,
            eight_bit,
            hops: 0,
            message_id: Some(message_id(id, writer)),
            annotations: Vec::new(),
        },
    }
}

fn heading(id: SpoolId, subject: &str, to: &Mailbox, writer: &Writer<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut field = |name: &str, value: &str| mime::field(&mut out, name, value);
    field("Date", &writer.now.rfc5322());
    match writer.from {
        Some(from) => field("From", &format!("Mail Delivery System <{from}>")),
        None => field("From", &format!("MAILER-DAEMON@{}", host(writer.hostname))),
    }
    field("To", &to.to_string());
    field("Subject", subject);
    field("Message-ID", &message_id(id, writer));
    field("Auto-Submitted", "auto-replied"); // RFC 3834 5
    field("MIME-Version", "1.0");
    out
}

fn part(out: &mut Vec<u8>, boundary: &str, content: &[u8]) {
    out.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
    out.extend_from_slice(content);
    out.extend_from_slice(b"\r\n");
}

/// The second part, for machines (RFC 3464).
fn status(kind: NoticeKind, original: &OriginalMessage<'_>, reported: &[Reported<'_>], host: &str) -> Vec<u8> {
    let mut out = b"Content-Type: message/delivery-status\r\n\r\n".to_vec();
    mime::field(&mut out, "Reporting-MTA", &format!("dns; {host}"));
    if let Some(envid) = &original.envelope.envid {
        // RFC 3461 6.3: decoded from xtext.
        mime::field(&mut out, "Original-Envelope-Id", &mime::ascii(&mime::from_xtext(envid)));
    }
    mime::field(&mut out, "Arrival-Date", &original.envelope.received_at.rfc5322());
    for one in reported {
        out.extend_from_slice(b"\r\n");
        if let Some((kind, address)) = one.recipient.orcpt.as_deref().and_then(|orcpt| orcpt.split_once(';')) {
            let value = format!("{}; {}", mime::ascii(kind), mime::ascii(&mime::from_xtext(address)));
            mime::field(&mut out, "Original-Recipient", &value);
        }
        mime::field(&mut out, "Final-Recipient", &mime::typed_address(&one.recipient.mailbox));
        mime::field(&mut out, "Action", kind.action());
        mime::field(&mut out, "Status", &kind.status(one.reason.status).to_string());
        // `host[address]:port`; the name is what RFC 3464 2.3.5 asks for.
        let (remote, _) = one.relay.split_once('[').unwrap_or((one.relay, ""));
        if !remote.is_empty() {
            mime::field(&mut out, "Remote-MTA", &format!("dns; {}", mime::ascii(remote)));
        }
        let kind = if one.reason.reply_code.is_some() { "smtp" } else { "x-leafmail" };
        mime::field(&mut out, "Diagnostic-Code", &format!("{kind}; {}", mime::ascii(&one.reason.text)));
        mime::field(&mut out, "Last-Attempt-Date", &one.last_attempt.rfc5322());
        if let Some(until) = one.retry_until {
            mime::field(&mut out, "Will-Retry-Until", &until.rfc5322()); // RFC 3464 2.3.9
        }
    }
    out
}

#[cfg(test)]
mod tests;
