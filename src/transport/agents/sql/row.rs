//! One row: what is stored of a message for one recipient.

use std::sync::Arc;

use crate::transport::agents::message::{MessageColumns, time};
use crate::transport::delivery::DeliveryRequest;

/// What all rows of a message share.
#[derive(Debug)]
pub(super) struct Mail {
    pub(super) spool_id: String,
    pub(super) sender: String,
    pub(super) received: String,
    pub(super) columns: MessageColumns,
    /// The octets as they came.
    pub(super) octets: Arc<Vec<u8>>,
}

impl Mail {
    /// That of a request whose message these octets are.
    pub(super) fn of(request: &DeliveryRequest<'_>, octets: Vec<u8>) -> Self {
        let received = request.envelope.received_at.as_millis() / 1000;
        Self {
            spool_id: request.id.to_string(),
            sender: request.envelope.reverse_path.to_string(),
            received: time(received),
            columns: MessageColumns::of(&octets, received),
            octets: Arc::new(octets),
        }
    }

    /// That of a row which is taken back.
    pub(super) fn rehearsed() -> Self {
        Self {
            spool_id: "doctor".to_owned(),
            sender: String::new(),
            received: time(0),
            columns: MessageColumns::of(b"", 0),
            octets: Arc::default(),
        }
    }

    /// About how many octets a row of it has on its way.
    pub(super) fn size(&self) -> usize {
        let MessageColumns { from, to, subject, body, .. } = &self.columns;
        self.octets.len() + from.len() + to.len() + subject.len() + body.len() + 4096
    }
}

/// The recipient as it is stored: domains are written in any case.
pub(super) fn recipient(mailbox: &str) -> String {
    match mailbox.rsplit_once('@') {
        Some((local, domain)) => format!("{local}@{}", domain.to_ascii_lowercase()),
        None => mailbox.to_owned(),
    }
}
