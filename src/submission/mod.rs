//! Submission by programs of this host: their input to `sendmail` becomes a message with its recipients; and a client
//! that hands it to the receiver.
//!
//! Pure, except for the client, which reads and writes a stream of its caller. A text is never refused for its form,
//! only for recipients that cannot be read, because none of them may be lost. What a relayed message needs is added:
//! `From:`, `Date:`, `Message-ID:`, a domain to addresses without one. `Bcc:` is removed.

mod addresses;
mod author;
mod client;
mod text;

pub use client::{Order, SubmitFailure, list_mail, submit};
pub use text::LoneDot;

use crate::address::{Domain, Mailbox};
use crate::clock::Timestamp;
use crate::smtp::long_lines::{self, LongLines};
use addresses::addresses;
use text::{Field, Text};

/// What the caller of `sendmail` asks for, and who it is.
#[derive(Debug, Clone)]
pub struct Request {
    /// Whether the recipients of the header count (`-t`).
    pub from_header: bool,
    /// What a line with a single dot is.
    pub dot: LoneDot,
    /// The recipients of the command line; each may be a list as a header field has it.
    pub recipients: Vec<String>,
    /// For `From:` where there is none.
    pub author: Mailbox,
    /// The author's full name; may be empty.
    pub full_name: String,
    /// For addresses without a domain.
    pub default_domain: Domain,
    /// The fields that the receiver demands; of these `To` and `Subject` can be made up.
    pub required: Vec<String>,
    /// For `Date:`.
    pub now: Timestamp,
    /// For `Message-ID:`, with its angle brackets.
    pub message_id: String,
    /// What becomes of lines of more than 998 octets, which many servers refuse.
    pub long_lines: LongLines,
}

/// A message that can be relayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// To whom; at least one, none twice.
    pub recipients: Vec<Mailbox>,
    /// With CRLF line ends.
    pub octets: Vec<u8>,
}

/// Why there is nothing to submit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Neither the command line nor, with `-t`, the header names one.
    #[error("no recipients; name them on the command line, or in To:, Cc: or Bcc: with -t")]
    NoRecipients,
    /// Recipients that cannot be read; `place` is a field such as `To:`, or the command line.
    #[error("{place} {list:?}: {reason}")]
    Recipients {
        /// Where they stand.
        place: String,
        /// The text, shortened.
        list: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Makes a message of what a program wrote.
///
/// # Errors
/// When there is no recipient, or one cannot be read.
pub fn compose(input: &[u8], request: &Request) -> Result<Submission, Unfit> {
    let mut text = Text::read(input, request.dot);
    let mut recipients = Vec::new();
    for operand in &request.recipients {
        add(&mut recipients, operand.as_bytes(), "on the command line:", &request.default_domain)?;
    }
    if request.from_header {
        for field in recipient_fields(&text.fields) {
            add(&mut recipients, &field.body, &format!("{}:", field.name), &request.default_domain)?;
        }
    }
    if recipients.is_empty() {
        return Err(Unfit::NoRecipients);
    }
    // What the recipients of copies must not see, and what only the last relay may say (RFC 5321 4.4).
    text.fields.retain(|field| !["Bcc", "Resent-Bcc", "Return-Path"].iter().any(|name| field.is(name)));
    for field in &mut text.fields {
        qualify(field, &request.default_domain);
    }
    complete(&mut text.fields, request);
    let octets = text.octets();
    let wrapped = if request.long_lines == LongLines::Wrap { long_lines::wrapped(&octets) } else { None };
    // What cannot be wrapped goes as it is: a next hop may take it.
    Ok(Submission { recipients, octets: wrapped.and_then(Result::ok).unwrap_or(octets) })
}

/// The one address in a text, as `-f` has it.
///
/// # Errors
/// In words, when there is not exactly one.
pub fn single_mailbox(text: &str, default_domain: &Domain) -> Result<Mailbox, String> {
    match &addresses(text.as_bytes())?[..] {
        [one] => Mailbox::parse_path(&one.text, Some(default_domain)).map_err(|error| error.to_string()),
        _ => Err("expected one address".to_owned()),
    }
}

/// RFC 5322 3.6.6: if a message is resent, only the recipients of the resending count.
fn recipient_fields(fields: &[Field]) -> impl Iterator<Item = &Field> {
    const ORDINARY: [&str; 3] = ["To", "Cc", "Bcc"];
    const RESENT: [&str; 3] = ["Resent-To", "Resent-Cc", "Resent-Bcc"];
    let any = |names: &[&str], field: &Field| names.iter().any(|name| field.is(name));
    let names = if fields.iter().any(|field| any(&RESENT, field)) { RESENT } else { ORDINARY };
    fields.iter().filter(move |field| any(&names, field))
}

fn add(recipients: &mut Vec<Mailbox>, list: &[u8], place: &str, default_domain: &Domain) -> Result<(), Unfit> {
    let unfit = |reason: String| {
        let shown: String = String::from_utf8_lossy(list.trim_ascii()).chars().take(200).collect();
        Unfit::Recipients { place: place.to_owned(), list: shown, reason }
    };
    for found in addresses(list).map_err(|reason| unfit(reason.to_owned()))? {
        let mailbox =
            Mailbox::parse_path(&found.text, Some(default_domain)).map_err(|error| unfit(error.to_string()))?;
        if !recipients.contains(&mailbox) {
            recipients.push(mailbox);
        }
    }
    Ok(())
}

/// Gives a domain to the addresses of a field that have none: the world does not know who `root` is. A field that cannot be
/// read stays as it is.
fn qualify(field: &mut Field, domain: &Domain) {
    const ADDRESSES: [&str; 5] = ["From", "Sender", "Reply-To", "To", "Cc"];
    let name = field.name.get(..7).filter(|start| start.eq_ignore_ascii_case("Resent-"));
    let name = name.map_or(field.name.as_str(), |start| &field.name[start.len()..]);
    if !ADDRESSES.iter().any(|address| name.eq_ignore_ascii_case(address)) {
        return;
    }
    let Ok(found) = addresses(&field.body) else { return };
    for address in found.iter().rev() {
        let has_none = Mailbox::parse(&address.text, None).is_err();
        if has_none && Mailbox::parse(&address.text, Some(domain)).is_ok() {
            field.body.splice(address.end..address.end, format!("@{domain}").into_bytes());
        }
    }
}

/// Adds what misses. A field that is there but empty would be refused as missing, so it is replaced.
fn complete(fields: &mut Vec<Field>, request: &Request) {
    let is_resent = fields.iter().any(|field| field.is("Resent-To") || field.is("Resent-From"));
    let author = author::author(&request.author, &request.full_name);
    let required = |name: &str| request.required.iter().any(|required| required.eq_ignore_ascii_case(name));
    let mut ensure = |name: &str, text: &str| {
        if !fields.iter().any(|field| field.is(name) && !field.is_empty()) {
            fields.retain(|field| !field.is(name));
            fields.push(Field::new(name, text));
        }
    };
    ensure("From", &author);
    if is_resent {
        ensure("Resent-From", &author);
        ensure("Resent-Date", &request.now.rfc5322());
    }
    ensure("Date", &request.now.rfc5322());
    ensure("Message-ID", &request.message_id);
    if required("To") {
        ensure("To", "undisclosed-recipients:;");
    }
    if required("Subject") {
        ensure("Subject", "(no subject)");
    }
}

#[cfg(test)]
mod tests;
