//! Prepares an outgoing message: the addresses and the header with which the next hop receives it.
//!
//! Only the claim is needed for that, so a message can be prepared while another is being delivered.

mod signing;
mod wrapping;

use std::collections::HashMap;

use super::body::NewHeader;
use super::outgoing::{OutgoingMessage, Unprepared};
use super::readdressing;
use super::task::DeliveryTask;
use crate::clock::Timestamp;
use crate::queue::dsn::notice::is_ours;
use crate::routing::Rewriting;
use crate::spool::{Claim, Spool};
use crate::transport::DeliveryRequest;

impl<S: Spool> DeliveryTask<'_, S> {
    /// The message for these recipients, who share one transaction.
    pub(super) fn prepare(
        &self,
        recipients: Vec<u16>,
        rewriting: Option<&Rewriting>,
    ) -> Result<OutgoingMessage, Unprepared> {
        let notice_sender = self.runner.notice_sender(self.job.route).filter(|_| is_ours(&self.envelope));
        let copy_sender = recipients.first().and_then(|first| self.sender_of_copy(*first));
        let aliases = || self.destinations.iter().any(|to| to.alias.is_some());
        let readdressed = rewriting.is_some() || notice_sender.is_some() || copy_sender.is_some() || aliases();
        let outgoing = readdressed
            .then(|| readdressing::outgoing(&self.envelope, &self.destinations, rewriting, notice_sender, copy_sender));
        let rewritten = match rewriting.filter(|rewriting| rewriting.changes_header()) {
            None => None,
            Some(rewriting) => {
                let old = self.stored_header()?;
                let (octets, kept) = rewriting.header_and_kept(&old);
                if !kept.is_empty() {
                    let (id, kept) = (self.claim.id(), kept.join(", "));
                    log::info!("{id}: header fields that stay as they are, because a signature covers them: {kept}");
                }
                Some(NewHeader { replaced: old.len() as u64, octets })
            }
        };
        let wrapping = self.wraps_long_lines(rewritten.as_ref())?;
        let encoded_body = wrapping.as_ref().and_then(|wrapping| wrapping.encoded_body);
        let header = wrapping.map(|wrapping| wrapping.header).or(rewritten);
        let header = self.signed(header, encoded_body.is_some())?;
        let (mut size, mut eight_bit) = (self.claim.size(), self.claim.seal().eight_bit);
        if let Some(header) = &header {
            size = encoded_body.unwrap_or(size.saturating_sub(header.replaced)) + header.octets.len() as u64;
            eight_bit = eight_bit && encoded_body.is_none() || !header.octets.is_ascii();
        }
        let encodes_body = encoded_body.is_some();
        let (recipients, twins) = self.without_twins(recipients);
        Ok(OutgoingMessage { recipients, twins, outgoing, header, encodes_body, size, eight_bit })
    }

    /// The recipients of whom each means another mailbox, and the others with the place of the one that means theirs.
    fn without_twins(&self, recipients: Vec<u16>) -> (Vec<u16>, Vec<(u16, usize)>) {
        if recipients.len() < 2 || self.destinations.iter().all(|to| to.alias.is_none()) {
            return (recipients, Vec::new());
        }
        let (mut known, mut single, mut twins) = (HashMap::new(), Vec::new(), Vec::new());
        for index in recipients {
            let place = self.meant(index).map(|mailbox| *known.entry(mailbox).or_insert(single.len()));
            match place {
                Some(place) if place < single.len() => twins.push((index, place)),
                _ => single.push(index),
            }
        }
        (single, twins)
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
