//! The lines of MAIL and RCPT, each with those parameters that the next hop offers to understand.
//!
//! Pure. What is frozen as xtext is sent octet for octet as it came; nothing can smuggle a second command in.

use std::borrow::Cow;
use std::fmt::Write;

use super::wire::Capabilities;
use crate::envelope::{BodyType, Recipient};
use crate::transport::delivery::DeliveryRequest;

/// MAIL with what the next hop offers to understand; `submitter`: with AUTH=<>.
pub(in crate::transport) fn mail_line(
    request: &DeliveryRequest<'_>,
    capabilities: &Capabilities,
    submitter: bool,
) -> String {
    let envelope = request.envelope;
    let ascii = as_ascii(capabilities, envelope.reverse_path.is_ascii(), || envelope.reverse_path.in_ascii());
    let mut line = format!("MAIL FROM:<{}>", ascii.as_ref().unwrap_or(&envelope.reverse_path));
    if capabilities.size.is_some() {
        line += &format!(" SIZE={}", request.size);
    }
    if capabilities.eight_bit && (request.eight_bit || envelope.body == BodyType::EightBitMime) {
        line += " BODY=8BITMIME";
    }
    let addresses_are_ascii =
        envelope.reverse_path.is_ascii() && request.recipients().all(|recipient| recipient.mailbox.is_ascii());
    if capabilities.smtputf8 && (envelope.smtputf8 || !addresses_are_ascii) {
        line += " SMTPUTF8";
    }
    if capabilities.dsn {
        // Writing to memory does not fail.
        let _ = envelope.ret.map(|ret| write!(line, " RET={ret}"));
        // It is xtext already, and must not be encoded again.
        if let Some(envid) = envelope.envid.as_deref().filter(|envid| is_parameter(envid)) {
            line += &format!(" ENVID={envid}");
        }
    }
    if submitter {
        // RFC 4954 5: no client is trusted to name who submitted a message first.
        line += " AUTH=<>";
    }
    line + "\r\n"
}

/// RCPT, likewise.
pub(in crate::transport) fn rcpt_line(recipient: &Recipient, capabilities: &Capabilities) -> String {
    let ascii = as_ascii(capabilities, recipient.mailbox.is_ascii(), || recipient.mailbox.in_ascii());
    let mut line = format!("RCPT TO:<{}>", ascii.as_ref().unwrap_or(&recipient.mailbox));
    if capabilities.dsn {
        if let Some(notify) = recipient.notify {
            let _ = write!(line, " NOTIFY={notify}");
        }
        // RFC 3461 5.2.1: where there was none we may add one. Nobody asked for it, and some servers that offer DSN refuse it.
        if let Some(orcpt) = recipient.orcpt.as_deref().filter(|orcpt| is_parameter(orcpt)) {
            let sent = if capabilities.smtputf8 { Cow::Borrowed(orcpt) } else { in_ascii(orcpt) };
            // No server has to take what has grown beyond the limit; it only names the recipient in notices.
            if matches!(sent, Cow::Borrowed(_)) || sent.len() <= MAX_ORCPT {
                line += &format!(" ORCPT={sent}");
            }
        }
    }
    line + "\r\n"
}

/// RFC 3461 4.2: characters of ORCPT.
const MAX_ORCPT: usize = 500;

/// The 7-bit form of an address (RFC 6533 3, utf-8-addr-xtext): a server without SMTPUTF8 must not see another.
fn in_ascii(orcpt: &str) -> Cow<'_, str> {
    if orcpt.is_ascii() {
        return orcpt.into();
    }
    let encoded = |c: char| if c.is_ascii() { c.to_string() } else { format!("\\x{{{:X}}}", u32::from(c)) };
    orcpt.chars().map(encoded).collect::<String>().into()
}

/// An address as a next hop without SMTPUTF8 has it: with A-labels (RFC 5890), which name the same domain. Whoever has none was
/// judged before.
fn as_ascii<T>(capabilities: &Capabilities, is_ascii: bool, ascii: impl FnOnce() -> Option<T>) -> Option<T> {
    if capabilities.smtputf8 || is_ascii { None } else { ascii() }
}

/// RFC 5321 4.1.2 esmtp-value: without this a frozen value could smuggle a command in.
fn is_parameter(value: &str) -> bool {
    !value.is_empty() && value.chars().all(|c| c.is_ascii_graphic() || (!c.is_ascii() && !c.is_control()))
}
