//! The copy of a message for the members of a mailing list, or why the list does not take it.
//!
//! The copy is made as that for an alias is: its id is derived from the original, it is in the spool before the receipt that settles the
//! list in the original, and it leaves only after that. Its header and its sender are those of the list.

use std::collections::HashSet;
use std::ops::ControlFlow::Continue;
use std::sync::Arc;
use std::time::Duration;

use crate::address::{Mailbox, ReversePath};
use crate::annotation::{EXPANDED, LIST, VERP};
use crate::clock::Timestamp;
use crate::envelope::{Envelope, NoticeOf, Recipient, Recipients};
use crate::mailing_list::{MailingList, MembersUnknown};
use crate::queue::delivery::body::NewHeader;
use crate::queue::delivery::task::{DeliveryTask, NextStep};
use crate::receipt::{Outcome, Reason};
use crate::routing::list_header;
use crate::smtp::header::{end_of_field, split_field};
use crate::spool::{Claim, Spool};
use crate::transport::{Delivery, Dsn};

impl<S: Spool> DeliveryTask<'_, S> {
    /// Makes the copy for the members of a list.
    pub(super) fn distribute(&mut self, index: u16, list: &Arc<MailingList>, now: Timestamp) -> NextStep<S::Claim> {
        let old = match self.stored_header() {
            Ok(header) => header,
            Err(error) => return self.give_way(&error),
        };
        // Our own fields do not count, so what was taken from a client is not too large here.
        let size = self.claim.size().saturating_sub(old.len() as u64);
        let judged = list.refuses(&self.envelope.reverse_path, Some(size));
        let refusal = match judged {
            Ok(refusal) => refusal.or_else(|| list.refuses_header(fields(&old))),
            Err(unknown) => return self.wait_for_members(index, &unknown, now),
        };
        if let Some(refusal) = refusal {
            let reason = Reason::new(refusal.status(), refusal.text());
            return self.settle_list(index, Outcome::Failed(reason), now);
        }
        let members = match self.members(index, list) {
            Ok(members) => members,
            Err(unknown) => return self.wait_for_members(index, &unknown, now),
        };
        let Some(envelope) = self.for_members(index, list, members, now) else { return Continue(()) };
        let id = self.claim.id().derived(&[&b"list"[..], &index.to_be_bytes()].concat());
        let header = NewHeader { replaced: old.len() as u64, octets: list_header(&old, list) };
        match self.copy(id, &envelope, Some(&header)) {
            Ok(size) => self.settle(&[index], id, envelope, size, now),
            Err(error) => self.give_way(&error),
        }
    }

    /// Who gets a copy.
    fn members(&self, index: u16, list: &MailingList) -> Result<Vec<Mailbox>, MembersUnknown> {
        if list.members.are_asked() {
            return self.runner.meant_by(list);
        }
        Ok(self.destination(index).map(|to| to.several.clone()).unwrap_or_default())
    }

    /// The envelope of the copy: a new message of the list (RFC 3461 5.2.7.4), so wishes of the sender for notifications end here.
    fn for_members(
        &self,
        index: u16,
        list: &MailingList,
        mut members: Vec<Mailbox>,
        now: Timestamp,
    ) -> Option<Envelope> {
        let mut known = HashSet::new();
        members.retain(|member| known.insert(member.clone()));
        let recipients = Recipients::new(members.into_iter().map(Recipient::from).collect())?;
        let mut envelope = Envelope { recipients, ret: None, envid: None, ..self.envelope.clone() };
        envelope.reverse_path = ReversePath::Mailbox(list.bounces.clone());
        envelope.smtputf8 |= !list.bounces.is_ascii();
        envelope.annotations.push((EXPANDED.to_owned(), now.as_millis().to_string()));
        envelope.annotations.push((LIST.to_owned(), list.address.to_string()));
        if list.verp {
            envelope.annotations.push((VERP.to_owned(), String::new()));
        }
        envelope.origin.notice_of = Some(NoticeOf { original: self.claim.id(), recipients: vec![index] });
        Some(envelope)
    }

    /// Whoever knows the members gives no answer: the list waits, as for a next hop.
    fn wait_for_members(&mut self, index: u16, unknown: &MembersUnknown, now: Timestamp) -> NextStep<S::Claim> {
        self.tried.push(index);
        let reason = Reason::new(MembersUnknown::STATUS, unknown.to_string());
        self.settle_list(index, Outcome::Deferred(reason), now)
    }

    /// What becomes of the list, as if a next hop had said so. Of a failure its sender is notified; without a sender the message is kept
    /// in `failed/`.
    fn settle_list(&mut self, index: u16, outcome: Outcome, now: Timestamp) -> NextStep<S::Claim> {
        let (outcomes, relay) = (vec![outcome], String::new());
        // No next hop has answered.
        let answered = self.answered;
        let delivery =
            Delivery { outcomes, relay, connecting: Duration::ZERO, dsn: Dsn::NotPassedOn, route_trouble: None };
        let step = self.record(&delivery, &[index], now, false);
        self.answered = answered;
        step
    }
}

/// The fields of a header: names and bodies.
fn fields(mut header: &[u8]) -> impl Iterator<Item = (&str, &[u8])> {
    std::iter::from_fn(move || {
        while !header.is_empty() {
            let (field, rest) = header.split_at(end_of_field(header));
            header = rest;
            if let Some(found) = split_field(field) {
                return Some(found);
            }
        }
        None
    })
}
