//! How a message leaves the queue other than by delivery: expired, finished, held, or set aside. And how long a notice waits
//! for the receipt in its original.

use std::ops::ControlFlow::{Break, Continue};
use std::time::Duration;

use super::record;
use super::task::{DeliveryTask, End, NextStep, Worked};
use crate::annotation::{EXPANDED, HOLD};
use crate::clock::Timestamp;
use crate::event::Event;
use crate::queue::agenda::next_due::NextDue;
use crate::queue::dsn::notice::{NoticeKind, notice_id};
use crate::queue::plan::ledger::Standing;
use crate::queue::plan::schedule::Plan;
use crate::receipt::{Reason, Receipt, ReceiptKind};
use crate::smtp::EnhancedCode;
use crate::spool::{Claim, Durability, Folder, Glance, Spool, SpoolErrorKind};

/// How often a message that is to be held looks whether its other recipients have it.
const HOLD_INTERVAL: Duration = Duration::from_secs(60);

/// How often a notice looks whether its original has the receipt.
const GUARD_INTERVAL: Duration = Duration::from_secs(5);

impl<S: Spool> DeliveryTask<'_, S> {
    /// Until when a notice waits because its original has no receipt of it yet. If the notice left before that, the same could
    /// be reported twice.
    pub(super) fn guarded(&self, now: Timestamp) -> Option<Timestamp> {
        let notice = self.envelope.origin.notice_of.as_ref()?;
        let delay = self.claim.id() == notice_id(NoticeKind::Delayed, notice.original, &notice.recipients);
        let told = |glance: &Glance| {
            let ledger = self.runner.schedule.ledger(&glance.envelope, &glance.receipts);
            let accounts = notice.recipients.iter().filter_map(|index| ledger.accounts().get(usize::from(*index)));
            accounts.into_iter().all(|account| match account.standing {
                _ if delay => account.delay_notified,
                Standing::Bounced => true,
                Standing::Delivered => account.unreported.is_none(),
                Standing::Pending | Standing::Failed => false,
            })
        };
        let free = match self.runner.spool.peek(notice.original) {
            Ok(None) => true,
            // A corrupt or failed message is not worked on again, so it cannot be reported again.
            Ok(Some(glance)) => matches!(glance.folder, Folder::Bad | Folder::Failed) || told(&glance),
            Err(error) if matches!(error.kind, SpoolErrorKind::Torn(_) | SpoolErrorKind::Corrupt(_)) => true,
            Err(error) => {
                self.runner.trouble(&error);
                false
            }
        };
        (!free).then(|| now + GUARD_INTERVAL)
    }

    /// Records attempts that a process did not survive, so that what comes next is not taken for their answer: a sender who is
    /// notified of a refusal has to know that a copy may have arrived before.
    pub(in crate::queue) fn note_lost_answers(&mut self) {
        if self.claim.receipts().is_empty() {
            return;
        }
        let mut receipts: Vec<Receipt> = Vec::new();
        let ledger = self.runner.schedule.ledger(&self.envelope, self.claim.receipts());
        for index in ledger.indices(|_, account| account.lost.is_some()) {
            let Some(mark) = ledger.accounts().get(usize::from(index)).and_then(|account| account.lost) else {
                continue;
            };
            match receipts.iter_mut().find(|receipt| receipt.at == mark.at && receipt.route == mark.route) {
                Some(receipt) => receipt.recipients.push(index),
                None => {
                    let reason =
                        Reason::new(mark.reason.status, "handed over, but the process ended before the answer");
                    let mut lost = Receipt::new(mark.at, ReceiptKind::InDoubt, vec![index], reason);
                    (lost.route, lost.relay) = (mark.route.clone(), mark.relay.clone());
                    receipts.push(lost);
                }
            }
        }
        for receipt in receipts {
            if let Err(error) = self.claim.record(receipt, Durability::Buffered) {
                self.runner.trouble(&error);
            }
        }
    }

    /// Expires recipients: each gets a failure with the last reason, and the status X.4.7 of RFC 3463.
    pub(super) fn expire(&mut self, recipients: &[u16], now: Timestamp) -> NextStep<S::Claim> {
        let mut receipts: Vec<Receipt> = Vec::new();
        {
            let ledger = self.runner.schedule.ledger(&self.envelope, self.claim.receipts());
            for index in recipients {
                let Some(last) = ledger.accounts().get(usize::from(*index)).and_then(|account| account.last) else {
                    continue;
                };
                let reason = Reason { status: EnhancedCode(4, 4, 7), ..last.reason.clone() };
                let mut failed = Receipt::new(now, ReceiptKind::Failed, vec![*index], reason);
                failed.route = last.route.clone();
                failed.relay = last.relay.clone();
                record::join(&mut receipts, failed);
            }
        }
        for receipt in receipts {
            let (named, route, text) = (receipt.recipients.clone(), receipt.route.clone(), receipt.reason.text.clone());
            if let Err(error) = self.claim.record(receipt, Durability::Synced) {
                return self.give_way(&error);
            }
            for recipient in named.iter().filter_map(|index| self.envelope.recipients.get(usize::from(*index))) {
                let (id, recipient) = (self.claim.id(), recipient.mailbox.clone());
                let (route, text) = (route.clone(), text.clone());
                self.runner.emit(&Event::Expired { id, recipient, route, text });
            }
        }
        Continue(())
    }

    pub(in crate::queue) fn finish(&mut self) -> NextStep<S::Claim> {
        match self.claim.remove() {
            Ok(()) => {
                self.runner.emit(&Event::Removed { id: self.claim.id() });
                Break(End::Removed)
            }
            Err(error) => self.give_way(&error),
        }
    }

    /// Why a policy of the receiver wants a person to look at the message first, unless one has done so, or it was made from a
    /// message that somebody released.
    pub(super) fn held_by_policy(&self) -> Option<&str> {
        let (_, reason) = self.claim.seal().annotations.iter().find(|(name, _)| name == HOLD)?;
        let untouched = self.claim.receipts().iter().all(|receipt| receipt.what == ReceiptKind::Held);
        let is_copy = self.envelope.annotations.iter().any(|(name, _)| name == EXPANDED);
        (untouched && !is_copy).then_some(reason)
    }

    /// What is planned instead where routes hold their mail: what is owed to a sender comes first, and nobody expires there. The file
    /// is set aside as a whole, so it waits for the recipients on other routes.
    pub(super) fn plan_of_holding(&self, plan: Plan) -> Plan {
        let holds = self.route().dispatch.holds();
        match plan {
            Plan::Wait(_) => {}
            Plan::Deliver(_) | Plan::Expire(_) | Plan::NotifyDelay(_) if holds => {}
            _ => return plan,
        }
        let open = self.open();
        // An alias or a list gives others messages of their own, which are held in their turn.
        if open.is_empty() || open.iter().any(|index| self.means_several(*index)) {
            return plan;
        }
        let schedule = &self.runner.schedule;
        let ledger = schedule.ledger(&self.envelope, self.claim.receipts());
        let last = schedule.comes_last(&self.envelope, &ledger);
        let is_left =
            |index: &u16| ledger.accounts().get(usize::from(*index)).is_some_and(|account| !schedule.is_open(account));
        // Nobody else is tried before a person acts: the archive comes last, and who is in doubt is left to a person too.
        let waits =
            |index: &u16| self.holding_route(*index).is_some() || last == Some(usize::from(*index)) || is_left(index);
        if open.iter().all(waits) {
            return Plan::Hold(open.into_iter().filter(is_left).collect());
        }
        let is_here = |index: &u16| self.destination(*index).is_some_and(|to| to.route == self.job.route);
        let here: Vec<u16> = open.into_iter().filter(is_here).collect();
        if holds && !here.is_empty() { Plan::Deliver(here) } else { plan }
    }

    /// The recipients who are not settled.
    fn open(&self) -> Vec<u16> {
        let ledger = self.runner.schedule.ledger(&self.envelope, self.claim.receipts());
        ledger.indices(|_, account| account.standing == Standing::Pending)
    }

    /// The route of a recipient, where it holds its mail.
    fn holding_route(&self, index: u16) -> Option<&str> {
        let route = self.runner.routes.get(self.destination(index)?.route)?;
        route.dispatch.holds().then_some(route.name.as_str())
    }

    /// When a message is looked at again that is to be held once its other recipients have it.
    pub(super) fn until_held(&self, now: Timestamp) -> End<S::Claim> {
        let NextDue { mut due, .. } = self.next_due();
        due.iter_mut()
            .filter(|(route, _)| *route == self.job.route)
            .for_each(|(_, until)| *until = now + HOLD_INTERVAL);
        End::Later(NextDue { due, ..self.next_due() })
    }

    /// By the configuration a person decides: these recipients may have the message already, or a policy wants it.
    pub(in crate::queue) fn hold(mut self, doubtful: Vec<u16>, now: Timestamp) -> Worked<S::Claim> {
        let reason = match self.held_by_policy() {
            Some(reason) => {
                format!("a policy wants a person to look at it: {reason}; release it to send it, or remove it")
            }
            None if doubtful.is_empty() => {
                let route = self.open().into_iter().find_map(|index| self.holding_route(index)).unwrap_or_default();
                format!("the route {route} holds its mail: let it lead elsewhere, then release it, or remove it")
            }
            None => "it may have been delivered already: release it to send it again, or remove it".to_owned(),
        };
        let reason_of_receipt = Reason::new(EnhancedCode(4, 0, 0), reason.clone());
        let mut held = Receipt::new(now, ReceiptKind::Held, doubtful, reason_of_receipt);
        held.route = self.route().name.clone();
        let end = match self.claim.record(held, Durability::Synced) {
            Ok(()) => return self.set_aside(Folder::Hold, reason),
            Err(error) => {
                self.runner.trouble(&error);
                End::Troubled
            }
        };
        Worked { end, notices: self.notices, answered: self.answered, took: self.took }
    }

    /// The sender gets no notice: there is none (RFC 5321 6.1 forbids a notice about a notice), or there were too many.
    pub(in crate::queue) fn abandon(mut self, failed: &[u16], now: Timestamp) -> Worked<S::Claim> {
        match self.fail_without_notice(failed, now) {
            Ok(text) => self.set_aside(Folder::Failed, text),
            Err(error) => {
                self.runner.trouble(&error);
                Worked { end: End::Troubled, notices: self.notices, answered: self.answered, took: self.took }
            }
        }
    }

    fn set_aside(self, folder: Folder, text: String) -> Worked<S::Claim> {
        let id = self.claim.id();
        let end = match self.claim.set_aside(folder) {
            Ok(()) => {
                self.runner.emit(&Event::SetAside { name: id.to_string(), folder: folder.name(), text });
                End::SetAside
            }
            Err(error) => {
                self.runner.trouble(&error);
                End::Troubled
            }
        };
        Worked { end, notices: self.notices, answered: self.answered, took: self.took }
    }
}
