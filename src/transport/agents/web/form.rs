//! What is posted of a message: itself, the JSON of the hooks, or a template with parts of it. Pure but for the file of the template.
//!
//! Invariant: the octets of a message are a body or a value of JSON, and an address in the header has no octet that would end its line.

use serde_json::{Value, json};

use super::place::BodyForm;
use super::template::MessageTemplate;
use crate::envelope::Recipient;
use crate::smtp::header::{Beginning, end_of_field, split_field};
use crate::transport::agents::message::MessageColumns;
use crate::transport::delivery::DeliveryRequest;

/// What the JSON of a message has of its body at most.
const LARGEST_CONTENTS: usize = 25 * 1024 * 1024;

/// What is posted, with its type.
#[derive(Debug)]
pub(super) struct Posted {
    pub(super) content_type: &'static str,
    pub(super) octets: Vec<u8>,
}

/// A key that a service knows a repetition by: which message, and which of its recipients.
pub(super) fn key(request: &DeliveryRequest<'_>) -> String {
    let index = request.recipients.first().copied().unwrap_or_default();
    format!("{}-{index}", request.id)
}

/// The sender, empty for a notification.
pub(super) fn sender(request: &DeliveryRequest<'_>) -> String {
    request.envelope.reverse_path.mailbox().map(ToString::to_string).unwrap_or_default()
}

impl Posted {
    /// What is posted of these octets.
    ///
    /// # Errors
    /// In words, when the template cannot be used.
    pub(super) fn of(
        form: &BodyForm,
        request: &DeliveryRequest<'_>,
        recipient: &Recipient,
        octets: Vec<u8>,
    ) -> Result<Self, String> {
        let (content_type, octets) = match form {
            BodyForm::Message => ("message/rfc822", octets),
            BodyForm::Json => ("application/json", as_json(request, recipient, &octets).to_string().into_bytes()),
            BodyForm::Template(file) => {
                let template = MessageTemplate::read(file)?;
                ("application/json", filled(&template, request, recipient, &octets).into_bytes())
            }
        };
        Ok(Self { content_type, octets })
    }
}

/// The schema of the hooks, at the stage `delivery`.
fn as_json(request: &DeliveryRequest<'_>, recipient: &Recipient, octets: &[u8]) -> Value {
    let mut kept = Beginning::new(LARGEST_CONTENTS);
    kept.add(octets);
    let (mut rest, body) = kept.parts();
    let mut headers = Vec::new();
    while !rest.is_empty() {
        let (field, tail) = rest.split_at(end_of_field(rest));
        if let Some((name, value)) = split_field(field) {
            headers.push(json!([name, String::from_utf8_lossy(value.trim_ascii())]));
        }
        rest = tail;
    }
    json!({
        "context": { "stage": "delivery", "queue": { "id": request.id.to_string(), "key": key(request) } },
        "envelope": {
            "from": { "address": sender(request) },
            "to": [{ "address": recipient.mailbox.to_string() }],
        },
        "message": {
            "headers": headers,
            "contents": String::from_utf8_lossy(body),
            "size": kept.size(),
            "truncated": kept.is_cut(),
        },
    })
}

fn filled(template: &MessageTemplate, request: &DeliveryRequest<'_>, recipient: &Recipient, octets: &[u8]) -> String {
    let columns = MessageColumns::of(octets, 0);
    template.filled(&|name| match name {
        "from" => columns.from.clone(),
        "to" => columns.to.clone(),
        // Chats refuse an empty text.
        "subject" if columns.subject.is_empty() => "(no subject)".to_owned(),
        "subject" => columns.subject.clone(),
        "text" => columns.body.replace("\r\n", "\n").trim().to_owned(),
        "sender" => sender(request),
        "recipient" => recipient.mailbox.to_string(),
        "id" => request.id.to_string(),
        _ => key(request),
    })
}
