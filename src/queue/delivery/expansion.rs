//! Aliases that stand for several addresses: these get a message of their own, made from the original.
//!
//! That message is in the spool before the receipt that settles the alias in the original, and leaves only after it, as a
//! notice does. Its id is derived from the original and the recipients, so a crash in between does not lead to a second one.
//! From then on each of the several recipients is settled alone. The members of a mailing list get theirs in the same way.

mod list;

use std::ops::ControlFlow::Continue;
use std::sync::Arc;

use super::body::NewHeader;
use super::task::{DeliveryTask, NextStep};
use crate::address::Mailbox;
use crate::annotation::{EXPANDED, NOTICE, UNREPORTED, VERP};
use crate::clock::Timestamp;
use crate::envelope::{Envelope, NoticeOf, Recipient, Recipients};
use crate::event::Event;
use crate::id::SpoolId;
use crate::mailing_list::verp_sender;
use crate::queue::dsn::notice::NoticeKind;
use crate::queue::dsn::provenance;
use crate::receipt::{Reason, Receipt, ReceiptKind};
use crate::smtp::{EnhancedCode, Notify, xtext};
use crate::spool::{Claim, Draft, Durability, Spool, SpoolError, SpoolErrorKind};

/// The most recipients of one such message, unless a single alias has more: indices and receipts have limits.
const MOST: usize = 1_000;

/// Octets copied at a time.
const PIECE: usize = 256 * 1024;

impl<S: Spool> DeliveryTask<'_, S> {
    /// Makes the message for the addresses that these recipients stand for; for the first of them, where all are too many.
    pub(super) fn expand(&mut self, recipients: &[u16], now: Timestamp) -> NextStep<S::Claim> {
        let of_list = |index: &u16| Some((*index, Arc::clone(self.destination(*index)?.list.as_ref()?)));
        if let Some((index, list)) = recipients.iter().find_map(of_list) {
            return self.distribute(index, &list, now);
        }
        let mut count = 0;
        let fits = |index: &&u16| {
            count += self.destination(**index).map_or(0, |to| to.several.len());
            count <= MOST
        };
        let fitting = recipients.iter().take_while(fits).count().max(1);
        let recipients = &recipients[..fitting.min(recipients.len())];
        let Some(envelope) = self.expanded(recipients, now) else { return Continue(()) };
        let indices: Vec<u8> =
            b"expanded".iter().copied().chain(recipients.iter().flat_map(|i| i.to_be_bytes())).collect();
        let id = self.claim.id().derived(&indices);
        match self.copy(id, &envelope, None) {
            Ok(size) => self.settle(recipients, id, envelope, size, now),
            Err(error) => self.give_way(&error),
        }
    }

    /// The copy is in the spool: these recipients are settled in the original.
    fn settle(
        &mut self,
        recipients: &[u16],
        id: SpoolId,
        envelope: Envelope,
        size: u64,
        now: Timestamp,
    ) -> NextStep<S::Claim> {
        let Envelope { recipients: into, reverse_path: sender, .. } = envelope;
        let reason = Reason::new(EnhancedCode(2, 0, 0), format!("goes on as {id} to {} recipients", into.len()));
        // RFC 3461 5.2.7.3: of an alias, success is that it was expanded. Where nobody asked, nothing may wait for a report.
        let may_report = self.runner.schedule.answers(&self.envelope) && !provenance::is_ours(&self.envelope);
        let wants_it = |index: &u16| {
            let recipient = self.envelope.recipients.get(usize::from(*index)).filter(|_| may_report);
            recipient.and_then(|recipient| recipient.notify).is_some_and(|notify| notify.success)
        };
        let (reported, others): (Vec<u16>, Vec<u16>) = recipients.iter().partition(|index| wants_it(index));
        for (settled, is_reported) in [(reported, true), (others, false)] {
            if settled.is_empty() {
                continue;
            }
            let mut settled = Receipt::new(now, ReceiptKind::Delivered, settled, reason.clone());
            if is_reported {
                settled.annotations.push((UNREPORTED.to_owned(), NoticeKind::Expanded.action().to_owned()));
            }
            if let Err(error) = self.claim.record(settled, Durability::Synced) {
                return self.give_way(&error);
            }
        }
        let message_id = self.claim.seal().message_id.clone();
        let recipients = into;
        let accepted = Event::Accepted {
            id,
            client: None,
            sender,
            size,
            recipients,
            message_id,
            origin_client: None,
            synced_in: std::time::Duration::ZERO,
        };
        self.runner.emit(&accepted);
        self.runner.emit(&Event::Expanded { id: self.claim.id(), into: id });
        self.notices.push(id);
        Continue(())
    }

    fn expanded(&self, recipients: &[u16], now: Timestamp) -> Option<Envelope> {
        let mut several: Vec<Recipient> = Vec::new();
        let mut routes = Vec::new();
        for index in recipients {
            let original = self.envelope.recipients.get(usize::from(*index))?;
            let written = || format!("rfc822;{}", xtext::encode(&original.mailbox.to_string()));
            let route = self.envelope.chosen_route(&original.mailbox);
            for mailbox in &self.destinations.get(usize::from(*index))?.several {
                if several.iter().all(|known| known.mailbox != *mailbox) {
                    // RFC 3461 5.2.7.3: this relay reports success; failures are still reported to the sender.
                    let notify = original.notify.map(|notify| Notify { success: false, ..notify });
                    let orcpt = original.orcpt.clone().or_else(|| Some(written()));
                    several.push(Recipient { mailbox: mailbox.clone(), notify, orcpt });
                    routes.extend(route.map(|route| (route, mailbox.clone())));
                }
            }
        }
        let mut envelope = self.envelope.clone();
        envelope.recipients = Recipients::new(several)?;
        routes.into_iter().for_each(|(route, mailbox)| envelope.choose_route(route, Some(&mailbox)));
        if provenance::is_ours(&envelope) {
            envelope.annotations.push((NOTICE.to_owned(), EXPANDED.to_owned()));
        }
        envelope.annotations.push((EXPANDED.to_owned(), now.as_millis().to_string()));
        envelope.origin.notice_of = Some(NoticeOf { original: self.claim.id(), recipients: recipients.to_vec() });
        Some(envelope)
    }

    /// Whether this copy of a list has a sender for each recipient.
    pub(super) fn is_verp(&self) -> bool {
        self.envelope.annotations.iter().any(|(name, _)| name == VERP)
    }

    /// The sender with which such a copy goes to a recipient.
    pub(super) fn sender_of_copy(&self, recipient: u16) -> Option<Mailbox> {
        let bounces = self.envelope.reverse_path.mailbox().filter(|_| self.is_verp())?;
        Some(verp_sender(bounces, self.meant(recipient)?))
    }

    /// Copies the message, with another header if there is one; the octets of the copy.
    fn copy(&self, id: SpoolId, envelope: &Envelope, header: Option<&NewHeader>) -> Result<u64, SpoolError> {
        let replaced = header.map_or(0, |header| header.replaced);
        let size = self.claim.size().saturating_sub(replaced) + header.map_or(0, |header| header.octets.len() as u64);
        let copied = self.runner.spool.open_as(id, envelope).and_then(|mut draft| {
            let (mut piece, mut offset) = (vec![0; PIECE], replaced);
            if let Some(header) = header {
                draft.append(&header.octets)?;
            }
            loop {
                let read = self.claim.read_at(offset, &mut piece);
                match read.map_err(|error| SpoolError::new("reading", self.claim.id().to_string(), error))? {
                    0 => break,
                    octets => {
                        draft.append(&piece[..octets])?;
                        offset += octets as u64;
                    }
                }
            }
            // What is read is with the changes of its header.
            draft.commit(&self.claim.seal().without_edits())
        });
        match copied {
            Ok(_) => Ok(size),
            Err(error) if matches!(error.kind, SpoolErrorKind::Exists) => Ok(size),
            Err(error) => Err(error),
        }
    }
}
