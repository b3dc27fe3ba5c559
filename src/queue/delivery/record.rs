//! What one attempt becomes: receipts for the spool, events for the observers.
//!
//! The receipts are ordered by what must not get lost: the first one has all recipients who were delivered to.

use super::destination::Destination;
use crate::annotation::{UNCOUNTED, UNREPORTED};
use crate::clock::Timestamp;
use crate::envelope::{Envelope, Seal};
use crate::event::{Delays, Event};
use crate::id::SpoolId;
use crate::queue::dsn::notice::NoticeKind;
use crate::queue::runner::Runner;
use crate::receipt::{Outcome, Reason, Receipt, ReceiptKind};
use crate::smtp::EnhancedCode;
use crate::spool::Spool;
use crate::transport::Delivery;

/// The receipts of an attempt: one for all deliveries, then one for each reason of deferrals and of failures.
pub(in crate::queue) fn receipts(delivery: &Delivery, recipients: &[u16], route: &str, at: Timestamp) -> Vec<Receipt> {
    let mut receipts = Vec::new();
    for (index, outcome) in outcomes(delivery, recipients) {
        let what = match outcome {
            Outcome::Delivered(_) => ReceiptKind::Delivered,
            Outcome::Deferred(_) | Outcome::Postponed(_) => ReceiptKind::Deferred,
            Outcome::InDoubt(_) => ReceiptKind::InDoubt,
            Outcome::Failed(_) => ReceiptKind::Failed,
        };
        let mut receipt = Receipt::new(at, what, vec![index], outcome.reason().clone());
        receipt.route = route.to_owned();
        receipt.relay = delivery.relay.clone();
        if matches!(outcome, Outcome::Postponed(_)) {
            receipt.annotations.push((UNCOUNTED.to_owned(), String::new()));
        }
        join(&mut receipts, receipt);
    }
    receipts.sort_by_key(|receipt| match receipt.what {
        ReceiptKind::Delivered => 0,
        ReceiptKind::Failed => 2,
        _ => 1,
    });
    receipts
}

/// Notes that this relay has to report these deliveries to the sender, and as what.
pub(super) fn mark_unreported(receipts: &mut [Receipt], kind: NoticeKind) {
    for receipt in receipts.iter_mut().filter(|receipt| receipt.what == ReceiptKind::Delivered) {
        receipt.annotations.push((UNREPORTED.to_owned(), kind.action().to_owned()));
    }
}

/// Notes that these deferrals are no attempts: the reply was about this relay.
pub(super) fn mark_uncounted(receipts: &mut [Receipt]) {
    let counted = |receipt: &&mut Receipt| receipt.what == ReceiptKind::Deferred && receipt.annotations.is_empty();
    for receipt in receipts.iter_mut().filter(counted) {
        receipt.annotations.push((UNCOUNTED.to_owned(), String::new()));
    }
}

/// Adds a receipt, or its recipients to an equal one. All deliveries are in one receipt, whatever the replies said.
pub(in crate::queue) fn join(receipts: &mut Vec<Receipt>, fresh: Receipt) {
    let alike = |receipt: &&mut Receipt| {
        let told_alike = receipt.reason == fresh.reason
            && receipt.relay == fresh.relay
            && receipt.route == fresh.route
            && receipt.annotations == fresh.annotations;
        receipt.what == fresh.what && (told_alike || fresh.what == ReceiptKind::Delivered)
    };
    match receipts.iter_mut().find(alike) {
        Some(receipt) => receipt.recipients.extend(fresh.recipients),
        None => receipts.push(fresh),
    }
}

/// The recipients who are to be offered in another transaction.
pub(super) fn postponed(delivery: &Delivery, recipients: &[u16]) -> Vec<u16> {
    let is_postponed = |(_, outcome): &(&u16, &Outcome)| matches!(outcome, Outcome::Postponed(_));
    recipients.iter().zip(&delivery.outcomes).filter(is_postponed).map(|(index, _)| *index).collect()
}

/// The outcome of each recipient. A recipient for whom the transport returned none is in doubt.
fn outcomes(delivery: &Delivery, recipients: &[u16]) -> Vec<(u16, Outcome)> {
    let silent = || Outcome::InDoubt(Reason::new(EnhancedCode(4, 3, 0), "the transport told no outcome"));
    let outcome = |place: usize| delivery.outcomes.get(place).cloned().unwrap_or_else(silent);
    recipients.iter().enumerate().map(|(place, index)| (*index, outcome(place))).collect()
}

/// One attempt at one message.
pub(super) struct Attempt<'a> {
    pub(in crate::queue) id: SpoolId,
    pub(in crate::queue) envelope: &'a Envelope,
    pub(in crate::queue) seal: &'a Seal,
    pub(in crate::queue) recipients: &'a [u16],
    pub(super) destinations: &'a [Destination],
    pub(in crate::queue) route: &'a str,
    pub(in crate::queue) delivery: &'a Delivery,
    pub(in crate::queue) started: Timestamp,
    pub(in crate::queue) finished: Timestamp,
}

impl Attempt<'_> {
    /// Emits an event for each recipient.
    pub(in crate::queue) fn emit<S: Spool>(&self, runner: &Runner<S>) {
        for (index, outcome) in outcomes(self.delivery, self.recipients) {
            let index = usize::from(index);
            // Another attempt is under way, and tells of them.
            if matches!(outcome, Outcome::Postponed(_)) {
                continue;
            }
            let Some(written) = self.envelope.recipients.get(index).map(|recipient| &recipient.mailbox) else {
                continue;
            };
            let meant = self.destinations.get(index).and_then(|destination| destination.alias.as_ref());
            let relay = if self.delivery.relay.is_empty() { "none" } else { &self.delivery.relay };
            runner.emit(&Event::Attempted {
                id: self.id,
                sender: self.envelope.reverse_path.clone(),
                message_id: self.seal.message_id.clone(),
                recipient: meant.unwrap_or(written).clone(),
                written: meant.map(|_| written.clone()),
                route: self.route.to_owned(),
                relay: relay.to_owned(),
                delays: self.delays(),
                outcome,
            });
        }
    }

    fn delays(&self) -> Delays {
        let connecting = self.delivery.connecting;
        Delays {
            receiving: self.seal.completed_at.since(self.envelope.received_at),
            queued: self.started.since(self.seal.completed_at),
            connecting,
            transmitting: self.finished.since(self.started).saturating_sub(connecting),
        }
    }
}
