//! The lines of MAIL and RCPT, each with those parameters that the next hop offers to understand.
//!
//! Pure. What is frozen as xtext is sent octet for octet as it came; nothing can smuggle a second command in.

use std::fmt::Write;

use super::wire::Capabilities;
use crate::envelope::{BodyType, Recipient};
use crate::transport::delivery::DeliveryRequest;

/// MAIL with what the next hop offers to understand.
pub(in crate::transport) fn mail_line(request: &DeliveryRequest<'_>, capabilities: &Capabilities) -> String {
    let envelope = request.envelope;
    let mut line = format!("MAIL FROM:<{}>", envelope.reverse_path);
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
    line + "\r\n"
}

/// RCPT, likewise.
pub(in crate::transport) fn rcpt_line(recipient: &Recipient, capabilities: &Capabilities) -> String {
    let mut line = format!("RCPT TO:<{}>", recipient.mailbox);
    if capabilities.dsn {
        if let Some(notify) = recipient.notify {
            let _ = write!(line, " NOTIFY={notify}");
        }
        // RFC 3461 5.2.1: where there was none we may add one. Nobody asked for it, and some servers that offer DSN refuse it.
        if let Some(orcpt) = recipient.orcpt.as_deref().filter(|orcpt| is_parameter(orcpt)) {
            line += &format!(" ORCPT={orcpt}");
        }
    }
    line + "\r\n"
}

/// RFC 5321 4.1.2 esmtp-value: without this a frozen value could smuggle a command in.
fn is_parameter(value: &str) -> bool {
    !value.is_empty() && value.chars().all(|c| c.is_ascii_graphic() || (!c.is_ascii() && !c.is_control()))
}
