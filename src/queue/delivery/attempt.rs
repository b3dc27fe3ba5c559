//! One attempt at delivery: what goes out, and what is recorded of it.
//!
//! The order keeps the promises. When the reply to the end mark settles every recipient, the next system call is the unlink;
//! otherwise it is the one receipt of all who were delivered to. Events are emitted after that.

use std::ops::ControlFlow::{Break, Continue};

use std::time::{Duration, Instant};

use super::body::MessageBody;
use super::follow::Follow;
use super::outgoing::OutgoingMessage;
use super::record::{self, Attempt};
use super::task::{DeliveryTask, End, NextStep};
use crate::annotation::UNCOUNTED;
use crate::clock::Timestamp;
use crate::event::Event;
use crate::queue::dsn::notice::NoticeKind;
use crate::queue::routes::connection::RouteConnection;
use crate::receipt::{Outcome, Receipt, ReceiptKind};
use crate::spool::{Claim, Durability, Spool};
use crate::transport::{Delivery, DeliveryRequest, Dsn, RouteFailure, may_be_ours};

impl<S: Spool> DeliveryTask<'_, S> {
    /// Hands a message over. Before that, the one that follows it is prepared, if there is one.
    pub(in crate::queue) fn deliver(
        &mut self,
        message: OutgoingMessage,
        connection: &mut RouteConnection,
        next: &mut dyn Follow,
    ) -> NextStep<S::Claim> {
        let now = self.runner.clock.now();
        let all = message.all();
        self.tried.extend(&all);
        self.transactions += 1;
        let completes = self.completes(&all);
        let (id, runner, job) = (self.claim.id(), self.runner, self.job);
        let transport = connection.transport(runner.routes[job.route].dispatch.as_ref());
        if transport.looks_ahead() && !job.probe {
            next.look();
        }
        let (clock, observer, route) = (runner.clock.as_ref(), runner.observer.as_ref(), self.route().name.as_str());
        let OutgoingMessage { recipients, twins, outgoing, header, encodes_body, size, eight_bit } = message;
        let envelope = outgoing.as_ref().unwrap_or(&self.envelope);
        let request = DeliveryRequest { id, envelope, recipients: &recipients, size, eight_bit };
        let recipients = all.as_slice();
        let mut body = MessageBody::new(&mut self.claim, clock, observer, recipients, route, header)
            .encoding(encodes_body)
            .before(&mut *next);
        let began = Instant::now();
        let result = transport.deliver(&request, &mut body).map(|delivery| with_twins(delivery, &twins));
        self.took = result.as_ref().ok().map(|delivery| began.elapsed().saturating_sub(delivery.connecting));
        let marked = body.marked;
        match result.map(|delivery| self.doubting(delivery, recipients)) {
            Err(fault) if fault.in_transaction && next.may_be_why(id) => self.put_off(fault, recipients, now),
            Err(fault) => {
                self.undo_mark(marked, recipients, &fault);
                Break(End::Faulted(fault, self.next_due()))
            }
            // From the answer to the unlink there is no other system call: see the head of this file.
            Ok(delivery)
                if completes && all_delivered(&delivery, recipients) && !self.owes_report(&delivery, recipients) =>
            {
                match self.claim.remove() {
                    Ok(()) => {
                        self.answered = true;
                        self.attempted(&delivery, recipients, now).emit(runner);
                        runner.emit(&Event::Removed { id });
                        Break(End::Removed)
                    }
                    Err(error) => {
                        let step = self.record(&delivery, recipients, now, marked);
                        runner.trouble(&error);
                        step
                    }
                }
            }
            Ok(delivery) => self.record(&delivery, recipients, now, marked),
        }
    }

    /// A refusal that may be about this relay is believed the second time only: it becomes a deferral, which its receipt tells.
    fn doubting(&self, mut delivery: Delivery, recipients: &[u16]) -> Delivery {
        let doubtful = |outcome: &Outcome| matches!(outcome, Outcome::Failed(reason) if may_be_ours(reason));
        if !delivery.outcomes.iter().any(doubtful) {
            return delivery;
        }
        let ledger = self.runner.schedule.ledger(&self.envelope, self.claim.receipts());
        for (outcome, index) in delivery.outcomes.iter_mut().zip(recipients) {
            let doubted = ledger.accounts().get(usize::from(*index)).is_some_and(|account| account.doubted);
            if let (true, false, Outcome::Failed(reason)) = (doubtful(outcome), doubted, &*outcome) {
                *outcome = Outcome::Deferred(reason.deferred());
            }
        }
        delivery
    }

    /// Whether every recipient is settled once these are.
    fn completes(&self, recipients: &[u16]) -> bool {
        let ledger = self.runner.schedule.ledger(&self.envelope, self.claim.receipts());
        let open = ledger.indices(|index, account| !account.is_settled(&self.envelope.recipients[index]));
        open.iter().all(|index| recipients.contains(index))
    }

    /// Whether the sender asked for reports of success, and the next hop will not send them (RFC 3461 5.2.2).
    fn owes_report(&self, delivery: &Delivery, recipients: &[u16]) -> bool {
        let wants_it = |index: &u16| {
            let recipient = self.envelope.recipients.get(usize::from(*index));
            recipient.and_then(|recipient| recipient.notify).is_some_and(|notify| notify.success)
        };
        delivery.dsn != Dsn::PassedOn
            && self.envelope.reverse_path.mailbox().is_some()
            && recipients.iter().any(wants_it)
    }

    fn attempted<'x>(&'x self, delivery: &'x Delivery, recipients: &'x [u16], started: Timestamp) -> Attempt<'x> {
        Attempt {
            id: self.claim.id(),
            envelope: &self.envelope,
            seal: self.claim.seal(),
            recipients,
            destinations: &self.destinations,
            route: &self.route().name,
            delivery,
            started,
            finished: self.runner.clock.now(),
        }
    }

    /// Records the outcome of an attempt. The first receipt, which is synced, has all recipients who were delivered to.
    pub(super) fn record(
        &mut self,
        delivery: &Delivery,
        recipients: &[u16],
        started: Timestamp,
        marked: bool,
    ) -> NextStep<S::Claim> {
        self.answered = true;
        let mut receipts = record::receipts(delivery, recipients, &self.route().name, self.runner.clock.now());
        let postponed = record::postponed(delivery, recipients);
        if !marked {
            // There is no mark to take back.
            receipts.retain(|receipt| !receipt.recipients.iter().all(|index| postponed.contains(index)));
        }
        self.tried.retain(|index| !postponed.contains(index));
        if self.owes_report(delivery, recipients) {
            let kind = if delivery.dsn == Dsn::Final { NoticeKind::Delivered } else { NoticeKind::Relayed };
            record::mark_unreported(&mut receipts, kind);
        }
        if delivery.route_trouble.is_some() {
            // A reply about this relay counts against no recipient.
            record::mark_uncounted(&mut receipts);
        }
        let mut step = Continue(());
        for receipt in receipts {
            // If a power cut loses an attempt, no harm is done.
            let buffered = matches!(receipt.what, ReceiptKind::Deferred | ReceiptKind::InDoubt);
            let durability = if buffered { Durability::Buffered } else { Durability::Synced };
            let precious = (receipt.what == ReceiptKind::Delivered).then(|| receipt.clone());
            if let Err(error) = self.claim.record(receipt, durability) {
                self.runner.trouble(&error);
                self.unrecorded = self.unrecorded.take().or(precious);
                step = Break(End::Troubled);
            }
        }
        self.attempted(delivery, recipients, started).emit(self.runner);
        // Recipients to be reported to the sender are reported first.
        self.route_trouble =
            delivery.route_trouble.clone().map(|reason| RouteFailure::new(reason, delivery.relay.clone()));
        step
    }

    /// The next hop twice ended the dialogue at this message, and takes others as far as is known: the message is deferred, and
    /// does not keep them waiting.
    fn put_off(&mut self, fault: RouteFailure, recipients: &[u16], started: Timestamp) -> NextStep<S::Claim> {
        let answered = self.answered;
        let RouteFailure { reason, relay, .. } = fault;
        let reason = reason.deferred();
        let outcomes = recipients.iter().map(|_| Outcome::Deferred(reason.clone())).collect();
        let (connecting, dsn) = (Duration::ZERO, Dsn::NotPassedOn);
        let step =
            self.record(&Delivery { outcomes, relay, connecting, dsn, route_trouble: None }, recipients, started, true);
        // It says nothing about the route.
        self.answered = answered;
        step
    }

    /// A fault of the route after the hand-over is no attempt either, so its in-doubt receipt must not become one.
    fn undo_mark(&mut self, marked: bool, recipients: &[u16], fault: &RouteFailure) {
        if !marked {
            return;
        }
        let now = self.runner.clock.now();
        let mut undone = Receipt::new(now, ReceiptKind::Deferred, recipients.to_vec(), fault.reason.clone());
        undone.route = self.route().name.clone();
        undone.relay = fault.relay.clone();
        undone.annotations.push((UNCOUNTED.to_owned(), String::new()));
        if let Err(error) = self.claim.record(undone, Durability::Buffered) {
            self.runner.trouble(&error);
        }
    }
}

/// With the outcomes of those who share a mailbox with another.
fn with_twins(mut delivery: Delivery, twins: &[(u16, usize)]) -> Delivery {
    for (_, place) in twins {
        let outcome = delivery.outcomes.get(*place).cloned();
        delivery.outcomes.extend(outcome);
    }
    delivery
}

fn all_delivered(delivery: &Delivery, recipients: &[u16]) -> bool {
    delivery.outcomes.len() == recipients.len()
        && delivery.outcomes.iter().all(|outcome| matches!(outcome, Outcome::Delivered(_)))
}
