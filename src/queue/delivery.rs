//! One message, worked on: claimed, planned, delivered, recorded, until there is nothing left to do for now.
//!
//! The claim is the only lock, and the receipts read under it the only state, so any number of runners may work side by side.
//! The order is what keeps the promises. When the answer to the end mark makes everybody settled, the next system call is the
//! unlink; otherwise it is the one receipt of all who were delivered. The notice of a failure is in the spool before the receipt
//! that says so, and leaves it only after. Events are told once all that is done.

use std::ops::ControlFlow::{self, Break, Continue};
use std::time::Duration;

use super::body::Octets;
use super::bounce::Report;
use super::ledger::{Standing, UNCOUNTED};
use super::line::Line;
use super::record::{self, Exchange};
use super::runner::Runner;
use super::schedule::{Plan, Situation, Urgency};
use crate::clock::Timestamp;
use crate::envelope::Envelope;
use crate::event::Event;
use crate::id::SpoolId;
use crate::receipt::{Happening, Outcome, Reason, Receipt};
use crate::smtp::EnhancedCode;
use crate::spool::{Claim, Claimed, Durability, Glance, Shelf, Spool, SpoolError, Trouble};
use crate::transport::{Consignment, Delivery, Dsn, Fault};

/// How working on a message ended.
#[derive(Debug)]
pub(super) enum End<C> {
    /// Everybody is settled; it is gone.
    Removed,
    /// It is due again then.
    Later(Timestamp),
    /// A person decides.
    SetAside,
    /// It cannot be read as a message, and is in `bad/` now.
    Damaged,
    /// Somebody else has it.
    Busy,
    /// It is not in the queue any more.
    Gone,
    /// The route does not work; nothing was recorded.
    Faulted(Fault),
    /// Trouble of our own, told already.
    Troubled,
    /// It was delivered, but neither its removal nor this receipt reached the disk. As long as the claim is kept, nobody
    /// delivers it again.
    Unrecorded(C, Receipt),
}

/// What came of working on a message.
#[derive(Debug)]
pub(super) struct Worked<C> {
    pub(super) end: End<C>,
    /// Notices that may now be delivered.
    pub(super) notices: Vec<SpoolId>,
    /// Whether the next hop judged a recipient: the route works.
    pub(super) answered: bool,
}

/// How long a notice waits for its original to know of it.
const GUARD_INTERVAL: Duration = Duration::from_secs(5);

impl<S: Spool> Runner<S> {
    /// Works on one message; at most one attempt is made.
    pub(super) fn work(&self, id: SpoolId, line: &mut Line, urgency: Urgency) -> Worked<S::Claim> {
        let end = match self.spool.claim(id) {
            Ok(Claimed::Ours(claim)) => return Task::new(self, claim).run(line, urgency),
            Ok(Claimed::Busy) => End::Busy,
            Ok(Claimed::Gone) => End::Gone,
            Err(error) if matches!(error.trouble, Trouble::Torn(_) | Trouble::Corrupt(_)) => {
                let text = error.to_string();
                self.tell(&Event::SetAside { name: id.to_string(), folder: Shelf::Bad.folder(), text });
                End::Damaged
            }
            Err(error) => {
                self.trouble(&error);
                End::Troubled
            }
        };
        Worked { end, notices: Vec::new(), answered: false }
    }

    fn trouble(&self, error: &SpoolError) {
        self.tell(&Event::Trouble { text: error.to_string() });
    }
}

/// Our work on one claimed message.
pub(super) struct Task<'r, S: Spool> {
    pub(super) runner: &'r Runner<S>,
    pub(super) claim: S::Claim,
    /// A copy, since the claim is written to while the transport reads this.
    pub(super) envelope: Envelope,
    pub(super) notices: Vec<SpoolId>,
    answered: bool,
    /// A receipt that must not get lost, but could not be written.
    unrecorded: Option<Receipt>,
}

pub(super) type Step<C> = ControlFlow<End<C>>;

impl<'r, S: Spool> Task<'r, S> {
    fn new(runner: &'r Runner<S>, claim: S::Claim) -> Self {
        let envelope = claim.envelope().clone();
        Self { runner, claim, envelope, notices: Vec::new(), answered: false, unrecorded: None }
    }

    fn run(mut self, line: &mut Line, urgency: Urgency) -> Worked<S::Claim> {
        let mut situation = Situation { route_open: true, urgency, now: self.runner.clock.now() };
        let mut attempted = false;
        let end = loop {
            let id = self.claim.id();
            let plan = self.runner.schedule.plan(id, &self.envelope, self.claim.receipts(), situation);
            let step = match plan {
                Plan::Bounce(failed) => self.notify(Report::Failed, &failed, situation.now),
                Plan::Report(relayed) => self.notify(Report::Relayed, &relayed, situation.now),
                Plan::Expire(expired) => self.expire(&expired, situation.now),
                Plan::Deliver(_) if attempted => Break(End::Later(situation.now)),
                Plan::Deliver(recipients) => {
                    attempted = true;
                    self.deliver(&recipients, line, situation.now)
                }
                Plan::Wait(until) => {
                    self.claim.note_due(until);
                    Break(End::Later(until))
                }
                Plan::Abandon(failed) => return self.abandon(&failed),
                Plan::Finish => self.finish(),
            };
            if let Break(end) = step {
                break end;
            }
            situation = Situation { urgency: Urgency::Due, now: self.runner.clock.now(), ..situation };
        };
        let end = match self.unrecorded {
            Some(receipt) => End::Unrecorded(self.claim, receipt),
            None => end,
        };
        Worked { end, notices: self.notices, answered: self.answered }
    }

    fn deliver(&mut self, recipients: &[u16], line: &mut Line, now: Timestamp) -> Step<S::Claim> {
        if let Some(until) = self.guarded(now) {
            return Break(End::Later(until));
        }
        let completes = self.completes(recipients);
        let (id, size, eight_bit) = (self.claim.id(), self.claim.size(), self.claim.seal().eight_bit);
        let runner = self.runner;
        let (clock, observer, route) = (runner.clock.as_ref(), runner.observer.as_ref(), runner.route.as_str());
        let mut body = Octets { claim: &mut self.claim, clock, observer, recipients, route, offset: 0, marked: false };
        let consignment = Consignment { id, envelope: &self.envelope, recipients, size, eight_bit };
        let result = line.transport(runner.dispatch.as_ref()).deliver(&consignment, &mut body);
        let marked = body.marked;
        match result {
            Err(fault) => {
                self.undo_mark(marked, recipients, &fault);
                Break(End::Faulted(fault))
            }
            // From the answer to the unlink there is no other system call: see the head of this file.
            Ok(delivery)
                if completes && all_delivered(&delivery, recipients) && !self.owes_report(&delivery, recipients) =>
            {
                match self.claim.remove() {
                    Ok(()) => {
                        self.answered = true;
                        self.exchange(&delivery, recipients, now).tell(runner);
                        runner.tell(&Event::Removed { id });
                        Break(End::Removed)
                    }
                    Err(error) => {
                        let step = self.record(&delivery, recipients, now);
                        runner.trouble(&error);
                        step
                    }
                }
            }
            Ok(delivery) => self.record(&delivery, recipients, now),
        }
    }

    /// Until when a notice waits, as its original does not know of it yet: if the original were claimed before, it could be
    /// reported once more.
    fn guarded(&self, now: Timestamp) -> Option<Timestamp> {
        let notice = self.envelope.origin.notice_of.as_ref()?;
        let told = |glance: &Glance| {
            let ledger = self.runner.schedule.ledger(&glance.envelope, &glance.receipts);
            let accounts = notice.recipients.iter().filter_map(|index| ledger.accounts().get(usize::from(*index)));
            accounts.into_iter().all(|account| match account.standing {
                Standing::Bounced => true,
                Standing::Delivered => account.unreported.is_none(),
                Standing::Pending | Standing::Failed => false,
            })
        };
        let free = match self.runner.spool.peek(notice.original) {
            Ok(None) => true,
            // What is corrupt will not be worked on again, so it cannot be reported again.
            Ok(Some(glance)) => glance.shelf == Shelf::Bad || told(&glance),
            Err(error) if matches!(error.trouble, Trouble::Torn(_) | Trouble::Corrupt(_)) => true,
            Err(error) => {
                self.runner.trouble(&error);
                false
            }
        };
        (!free).then(|| now + GUARD_INTERVAL)
    }

    /// Whether everybody is settled once these are.
    fn completes(&self, recipients: &[u16]) -> bool {
        let ledger = self.runner.schedule.ledger(&self.envelope, self.claim.receipts());
        let open = ledger.indices(|index, account| !account.is_settled(&self.envelope.recipients[index]));
        open.iter().all(|index| recipients.contains(index))
    }

    /// Whether the sender wants to hear of success, and the next hop will not tell (RFC 3461 5.2.2).
    fn owes_report(&self, delivery: &Delivery, recipients: &[u16]) -> bool {
        let wants_it = |index: &u16| {
            let recipient = self.envelope.recipients.get(usize::from(*index));
            recipient.and_then(|recipient| recipient.notify).is_some_and(|notify| notify.success)
        };
        delivery.dsn != Dsn::PassedOn
            && self.envelope.reverse_path.mailbox().is_some()
            && recipients.iter().any(wants_it)
    }

    fn exchange<'x>(&'x self, delivery: &'x Delivery, recipients: &'x [u16], started: Timestamp) -> Exchange<'x> {
        let (id, envelope, seal) = (self.claim.id(), &self.envelope, self.claim.seal());
        Exchange { id, envelope, seal, recipients, delivery, started, finished: self.runner.clock.now() }
    }

    /// Writes down what came of an attempt: first and synced, in one receipt, who was delivered.
    fn record(&mut self, delivery: &Delivery, recipients: &[u16], started: Timestamp) -> Step<S::Claim> {
        self.answered = true;
        let mut receipts = record::receipts(delivery, recipients, &self.runner.route, self.runner.clock.now());
        if self.owes_report(delivery, recipients) {
            record::mark_unreported(&mut receipts);
        }
        let mut step = Continue(());
        for receipt in receipts {
            // An attempt that a power cut makes forgotten does no harm.
            let buffered = matches!(receipt.what, Happening::Deferred | Happening::InDoubt);
            let durability = if buffered { Durability::Buffered } else { Durability::Synced };
            let precious = (receipt.what == Happening::Delivered).then(|| receipt.clone());
            if let Err(error) = self.claim.record(receipt, durability) {
                self.runner.trouble(&error);
                self.unrecorded = self.unrecorded.take().or(precious);
                step = Break(End::Troubled);
            }
        }
        self.exchange(delivery, recipients, started).tell(self.runner);
        step
    }

    /// A fault after the hand-over is no attempt either, so its mark must not become one.
    fn undo_mark(&mut self, marked: bool, recipients: &[u16], fault: &Fault) {
        if !marked {
            return;
        }
        let now = self.runner.clock.now();
        let mut undone = Receipt::new(now, Happening::Deferred, recipients.to_vec(), fault.reason.clone());
        undone.route = self.runner.route.clone();
        undone.relay = fault.relay.clone();
        undone.annotations.push((UNCOUNTED.to_owned(), String::new()));
        if let Err(error) = self.claim.record(undone, Durability::Buffered) {
            self.runner.trouble(&error);
        }
    }

    /// Gives recipients up: each gets a failure with the last reason, under the status of RFC 3463 X.4.7.
    fn expire(&mut self, recipients: &[u16], now: Timestamp) -> Step<S::Claim> {
        let mut receipts: Vec<Receipt> = Vec::new();
        {
            let ledger = self.runner.schedule.ledger(&self.envelope, self.claim.receipts());
            for index in recipients {
                let Some(last) = ledger.accounts().get(usize::from(*index)).and_then(|account| account.last) else {
                    continue;
                };
                let reason = Reason { status: EnhancedCode(4, 4, 7), ..last.reason.clone() };
                let mut failed = Receipt::new(now, Happening::Failed, vec![*index], reason);
                failed.route = last.route.clone();
                failed.relay = last.relay.clone();
                record::join(&mut receipts, failed);
            }
        }
        for receipt in receipts {
            let (named, text) = (receipt.recipients.clone(), receipt.reason.text.clone());
            if let Err(error) = self.claim.record(receipt, Durability::Synced) {
                return self.give_way(&error);
            }
            for recipient in named.iter().filter_map(|index| self.envelope.recipients.get(usize::from(*index))) {
                let (id, recipient) = (self.claim.id(), recipient.mailbox.clone());
                self.runner.tell(&Event::Expired { id, recipient, text: text.clone() });
            }
        }
        Continue(())
    }

    fn finish(&mut self) -> Step<S::Claim> {
        match self.claim.remove() {
            Ok(()) => {
                self.runner.tell(&Event::Removed { id: self.claim.id() });
                Break(End::Removed)
            }
            Err(error) => self.give_way(&error),
        }
    }

    /// Nobody can be told: RFC 5321 6.1 forbids a notice about a notice.
    fn abandon(self, failed: &[u16]) -> Worked<S::Claim> {
        let id = self.claim.id();
        let last = {
            let ledger = self.runner.schedule.ledger(&self.envelope, self.claim.receipts());
            let account = failed.first().and_then(|index| ledger.accounts().get(usize::from(*index)));
            account.and_then(|account| account.last).map_or(String::new(), |last| last.reason.text.clone())
        };
        let end = match self.claim.set_aside(Shelf::Failed) {
            Ok(()) => {
                let text = format!("it has no sender to tell that it failed: {last}");
                self.runner.tell(&Event::SetAside { name: id.to_string(), folder: Shelf::Failed.folder(), text });
                End::SetAside
            }
            Err(error) => {
                self.runner.trouble(&error);
                End::Troubled
            }
        };
        Worked { end, notices: self.notices, answered: self.answered }
    }

    pub(super) fn give_way(&self, error: &SpoolError) -> Step<S::Claim> {
        self.runner.trouble(error);
        Break(End::Troubled)
    }
}

fn all_delivered(delivery: &Delivery, recipients: &[u16]) -> bool {
    delivery.outcomes.len() == recipients.len()
        && delivery.outcomes.iter().all(|outcome| matches!(outcome, Outcome::Delivered(_)))
}
