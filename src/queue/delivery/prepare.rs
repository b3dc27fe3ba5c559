//! Prepares an outgoing message: the addresses and the header with which the next hop receives it.
//!
//! Only the claim is needed for that, so a message can be prepared while another is being delivered.

use super::body::{NewHeader, header_of};
use super::outgoing::OutgoingMessage;
use super::readdressing;
use super::task::DeliveryTask;
use crate::clock::Timestamp;
use crate::queue::dsn::notice::is_ours;
use crate::routing::Rewriting;
use crate::spool::{Claim, Spool, SpoolError};
use crate::transport::DeliveryRequest;

impl<S: Spool> DeliveryTask<'_, S> {
    /// The message for these recipients, who share one transaction.
    pub(super) fn prepare(
        &self,
        recipients: Vec<u16>,
        rewriting: Option<&Rewriting>,
    ) -> Result<OutgoingMessage, SpoolError> {
        let notice_sender = self.runner.notice_sender(self.job.route).filter(|_| is_ours(&self.envelope));
        let readdressed = rewriting.is_some() || self.destinations.iter().any(|to| to.alias.is_some());
        let outgoing = (readdressed || notice_sender.is_some())
            .then(|| readdressing::outgoing(&self.envelope, &self.destinations, rewriting, notice_sender));
        let header = match rewriting.filter(|rewriting| rewriting.changes_header()) {
            None => None,
            Some(rewriting) => {
                let failed = |error| SpoolError::new("reading", self.claim.id().to_string(), error);
                let old = header_of(&self.claim).map_err(failed)?;
                Some(NewHeader { replaced: old.len() as u64, octets: rewriting.header(&old) })
            }
        };
        let (mut size, mut eight_bit) = (self.claim.size(), self.claim.seal().eight_bit);
        if let Some(header) = &header {
            size = size - header.replaced + header.octets.len() as u64;
            eight_bit |= !header.octets.is_ascii();
        }
        Ok(OutgoingMessage { recipients, outgoing, header, size, eight_bit })
    }

    /// The message that goes out next, if delivery is the next step and nothing prevents it.
    pub(in crate::queue) fn next_outgoing(&self, now: Timestamp) -> Option<OutgoingMessage> {
        let due = self.plain_delivery(now)?;
        let (group, rewriting) = self.group(&due)?;
        self.prepare(group, rewriting).ok()
    }

    /// What the transport receives of it.
    pub(in crate::queue) fn request<'a>(&'a self, message: &'a OutgoingMessage) -> DeliveryRequest<'a> {
        message.request(self.claim.id(), &self.envelope)
    }
}
