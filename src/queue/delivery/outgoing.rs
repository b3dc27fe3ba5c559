//! What goes out of a claimed message in one transaction.

use super::body::NewHeader;
use crate::envelope::Envelope;
use crate::id::SpoolId;
use crate::transport::DeliveryRequest;

/// A message as it goes out, for recipients who share one transaction.
#[derive(Debug)]
pub(in crate::queue) struct OutgoingMessage {
    /// By index in the envelope; never empty.
    pub(super) recipients: Vec<u16>,
    /// The envelope, unless it is the frozen one.
    pub(super) outgoing: Option<Envelope>,
    pub(super) header: Option<NewHeader>,
    pub(super) size: u64,
    pub(super) eight_bit: bool,
}

impl OutgoingMessage {
    /// What the transport receives of it; `frozen` is the envelope of the message.
    pub(super) fn request<'a>(&'a self, id: SpoolId, frozen: &'a Envelope) -> DeliveryRequest<'a> {
        let envelope = self.outgoing.as_ref().unwrap_or(frozen);
        DeliveryRequest { id, envelope, recipients: &self.recipients, size: self.size, eight_bit: self.eight_bit }
    }
}
