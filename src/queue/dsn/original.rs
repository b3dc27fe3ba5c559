//! What a notice is about: the message, those of its recipients that are reported, and who writes it.

use crate::address::{Domain, Mailbox};
use crate::clock::Timestamp;
use crate::envelope::{Envelope, Recipient, Seal};
use crate::id::SpoolId;
use crate::receipt::Reason;

/// No more octets of the original's header are read than this.
pub const MAX_HEADER: usize = 64 * 1024;

/// The message that a notice is about.
#[derive(Debug, Clone, Copy)]
pub struct OriginalMessage<'a> {
    /// Its id.
    pub id: SpoolId,
    /// Its envelope.
    pub envelope: &'a Envelope,
    /// What was known at its end.
    pub seal: &'a Seal,
    /// Its first octets, [`MAX_HEADER`] at most, or all of them.
    pub beginning: &'a [u8],
    /// Whether they are all, to be returned to the sender.
    pub whole: bool,
}

/// One recipient that a notice reports.
#[derive(Debug, Clone, Copy)]
pub struct Reported<'a> {
    /// The index in the envelope.
    pub index: u16,
    /// The recipient.
    pub recipient: &'a Recipient,
    /// Why.
    pub reason: &'a Reason,
    /// The next hop as `host[address]:port`, or empty.
    pub relay: &'a str,
    /// Whether a copy may have arrived, as the answer to an earlier attempt was lost.
    pub may_have_arrived: bool,
    /// Whether it waits because this relay has trouble of its own.
    pub is_our_trouble: bool,
    /// When it was last tried.
    pub last_attempt: Timestamp,
    /// Until when it will be tried, about.
    pub retry_until: Option<Timestamp>,
}

/// Who writes a notice, and when.
#[derive(Debug, Clone, Copy)]
pub struct Writer<'a> {
    /// This host.
    pub hostname: &'a Domain,
    /// The time.
    pub now: Timestamp,
    /// The address in `From:`; `None`: MAILER-DAEMON at this host.
    pub from: Option<&'a Mailbox>,
}
