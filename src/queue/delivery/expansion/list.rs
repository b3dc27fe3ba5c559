//! The copy of a message for the members of a mailing list, or why the list does not take it.
//!
//! The copy is made as that for an alias is: its id is derived from the original, it is in the spool before the receipt that settles the
//! list in the original, and it leaves only after that. Its header and its sender are those of the list.

use std::collections::HashSet;
use std::ops::ControlFlow::Continue;
use std::sync::Arc;
use std::time::Duration;

use crate::address::ReversePath;
use crate::annotation::{EXPANDED, LIST, VERP};
use crate::clock::Timestamp;
use crate::envelope::{Envelope, NoticeOf, Recipient, Recipients};
use crate::mailing_list::{ListRefusal, MailingList};
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
        let refusal = list.refuses(&self.envelope.reverse_path, Some(size));
        if let Some(refusal) = refusal.or_else(|| list.refuses_header(fields(&old))) {
            return self.refuse(index, refusal, now);
        }
        let Some(envelope) = self.for_members(index, list, now) else { return Continue(()) };
        let id = self.claim.id().derived(&[&b"list"[..], &index.to_be_bytes()].concat());
        let header = NewHeader { replaced: old.len() as u64, octets: list_header(&old, list) };
        match self.copy(id, &envelope, Some(&header)) {
            Ok(size) => self.settle(&[index], id, envelope, size, now),
            Err(error) => self.give_way(&error),
        }
    }

    /// The envelope of the copy: a new message of the list (RFC 3461 5.2.7.4), so wishes of the sender for notifications end here.
    fn for_members(&self, index: u16, list: &MailingList, now: Timestamp) -> Option<Envelope> {
        let mut known = HashSet::new();
        let members = self.destinations.get(usize::from(index))?.several.iter().filter(|member| known.insert(*member));
        let recipients = Recipients::new(members.cloned().map(Recipient::from).collect())?;
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

    /// The list does not take it: a failure like one that a next hop reports, so its sender is notified, and without a sender it is
    /// kept in `failed/`.
    fn refuse(&mut self, index: u16, refusal: ListRefusal, now: Timestamp) -> NextStep<S::Claim> {
        let outcomes = vec![Outcome::Failed(Reason::new(refusal.status(), refusal.text()))];
        let relay = String::new();
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
