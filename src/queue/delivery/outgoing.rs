//! A parcel: what goes out of a claimed message in one transaction, made up before the transport is asked.
//!
//! It is made from the claim alone, so that a message can be made ready while another is still on its way.

use super::body::{NewHeader, header_of};
use super::readdressing;
use super::task::Task;
use crate::clock::Timestamp;
use crate::envelope::Envelope;
use crate::routing::Rewriting;
use crate::spool::{Claim, Spool, SpoolError};
use crate::transport::Consignment;

/// See the module.
#[derive(Debug)]
pub(in crate::queue) struct Parcel {
    /// By index in the envelope, never empty.
    pub(in crate::queue) recipients: Vec<u16>,
    /// The envelope where it is not the frozen one.
    pub(in crate::queue) outgoing: Option<Envelope>,
    pub(in crate::queue) header: Option<NewHeader>,
    pub(in crate::queue) size: u64,
    pub(in crate::queue) eight_bit: bool,
}

impl Parcel {
    /// The parcel of this message.
    pub(in crate::queue) fn consignment<'a, S: Spool>(&'a self, task: &'a Task<'_, S>) -> Consignment<'a> {
        let envelope = self.outgoing.as_ref().unwrap_or(&task.envelope);
        let (id, recipients) = (task.claim.id(), &self.recipients);
        Consignment { id, envelope, recipients, size: self.size, eight_bit: self.eight_bit }
    }
}

impl<S: Spool> Task<'_, S> {
    /// The parcel for these recipients, who go together.
    pub(in crate::queue) fn pack(
        &self,
        recipients: Vec<u16>,
        rewriting: Option<&Rewriting>,
    ) -> Result<Parcel, SpoolError> {
        let readdressed = rewriting.is_some() || self.destinations.iter().any(|to| to.alias.is_some());
        let outgoing = readdressed.then(|| readdressing::outgoing(&self.envelope, &self.destinations, rewriting));
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
        Ok(Parcel { recipients, outgoing, header, size, eight_bit })
    }

    /// What goes out next, where that is the next step and nothing is in its way.
    pub(in crate::queue) fn next_parcel(&self, now: Timestamp) -> Option<Parcel> {
        let due = self.plain_delivery(now)?;
        let (group, rewriting) = self.group(&due)?;
        self.pack(group, rewriting).ok()
    }
}
