//! What goes out of a claimed message in one transaction.

use super::body::NewHeader;
use crate::envelope::Envelope;
use crate::id::SpoolId;
use crate::spool::SpoolError;
use crate::transport::{DeliveryRequest, RouteFailure};

/// A message as it goes out, for recipients who share one transaction.
#[derive(Debug)]
pub(in crate::queue) struct OutgoingMessage {
    /// By index in the envelope; never empty, and each of another mailbox where aliases meet.
    pub(super) recipients: Vec<u16>,
    /// Those whose alias means the mailbox of another of them, and the place of that one: its outcome is theirs.
    pub(super) twins: Vec<(u16, usize)>,
    /// The envelope, unless it is the frozen one.
    pub(super) outgoing: Option<Envelope>,
    pub(super) header: Option<NewHeader>,
    /// Whether its body is encoded on the way, as it has long lines.
    pub(super) encodes_body: bool,
    pub(super) size: u64,
    pub(super) eight_bit: bool,
}

impl OutgoingMessage {
    /// All whom it concerns: the recipients, then the others of their mailboxes.
    pub(super) fn all(&self) -> Vec<u16> {
        self.recipients.iter().copied().chain(self.twins.iter().map(|(index, _)| *index)).collect()
    }

    /// What the transport receives of it; `frozen` is the envelope of the message.
    pub(super) fn request<'a>(&'a self, id: SpoolId, frozen: &'a Envelope) -> DeliveryRequest<'a> {
        let envelope = self.outgoing.as_ref().unwrap_or(frozen);
        DeliveryRequest { id, envelope, recipients: &self.recipients, size: self.size, eight_bit: self.eight_bit }
    }
}

/// Why a message cannot be prepared.
#[derive(Debug)]
pub(in crate::queue) enum Unprepared {
    /// It cannot be read.
    Spool(SpoolError),
    /// The route cannot be used for it.
    Route(RouteFailure),
}

impl From<SpoolError> for Unprepared {
    fn from(error: SpoolError) -> Self {
        Self::Spool(error)
    }
}
