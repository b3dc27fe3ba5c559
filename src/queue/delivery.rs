//! One message, worked on: claimed, planned, delivered, recorded, until there is nothing left to do for now.
//!
//! The claim is the only lock, and the receipts read under it the only state, so any number of runners may work side by side.
//! The order is what keeps the promises. When the answer to the end mark makes everybody settled, the next system call is the
//! unlink; otherwise it is the one receipt of all who were delivered. The notice of a failure is in the spool before the receipt
//! that says so, and leaves it only after. Events are told once all that is done.

use std::ops::ControlFlow::{self, Break, Continue};
use std::time::Duration;

use super::body::{NewHeader, Octets, header_of};
use super::bounce::{Report, notice_id};
use super::ledger::{Standing, UNCOUNTED};
use super::line::Line;
use super::prospect::{LARGE, Prospect};
use super::readdressing::{self, Destination};
use super::record::{self, Exchange};
use super::runner::{Route, Runner};
use super::schedule::{Plan, Situation, Urgency};
use super::shift::Job;
use crate::clock::Timestamp;
use crate::envelope::Envelope;
use crate::event::Event;
use crate::id::SpoolId;
use crate::receipt::{Happening, Outcome, Reason, Receipt};
use crate::routing::Rewriting;
use crate::smtp::EnhancedCode;
use crate::spool::{Claim, Claimed, Durability, Glance, Shelf, Spool, SpoolError, Trouble};
use crate::transport::{Consignment, Delivery, Dsn, Fault};

/// How working on a message ended.
#[derive(Debug)]
pub(super) enum End<C> {
    /// Everybody is settled; it is gone.
    Removed,
    /// Something is still ahead of it.
    Later(Prospect),
    /// It was only looked at, since its turn has not come: it is large.
    Sorted(Prospect),
    /// A person decides.
    SetAside,
    /// It cannot be read as a message, and is in `bad/` now.
    Damaged,
    /// Somebody else has it.
    Busy,
    /// It is not in the queue any more.
    Gone,
    /// The route does not work; nothing was recorded.
    Faulted(Fault, Prospect),
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
    /// Works on one message for one route; each recipient is tried once at most.
    pub(super) fn work(&self, job: &Job, line: &mut Line) -> Worked<S::Claim> {
        let id = job.id;
        let end = match self.spool.claim(id) {
            Ok(Claimed::Ours(claim)) => return Task::new(self, claim, job).run(line),
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
    job: &'r Job,
    /// Where each recipient's copy goes.
    pub(super) destinations: Vec<Destination>,
    /// Recipients that were tried.
    tried: Vec<u16>,
    answered: bool,
    /// A receipt that must not get lost, but could not be written.
    unrecorded: Option<Receipt>,
}

pub(super) type Step<C> = ControlFlow<End<C>>;

impl<'r, S: Spool> Task<'r, S> {
    fn new(runner: &'r Runner<S>, claim: S::Claim, job: &'r Job) -> Self {
        let envelope = claim.envelope().clone();
        let destinations = runner.destinations(&envelope);
        let (notices, tried) = (Vec::new(), Vec::new());
        Self { runner, claim, envelope, notices, job, destinations, tried, answered: false, unrecorded: None }
    }

    fn run(mut self, line: &mut Line) -> Worked<S::Claim> {
        let mut urgency = self.job.urgency;
        let end = loop {
            let (id, now) = (self.claim.id(), self.runner.clock.now());
            let usable = |index: u16| self.destination(index).is_some_and(|to| to.route == self.job.route);
            let situation = Situation { usable: &usable, urgency, now };
            let plan = self.runner.schedule.plan(id, &self.envelope, self.claim.receipts(), situation);
            let step = match plan {
                Plan::Bounce(failed) => self.notify(Report::Failed, &failed, now),
                Plan::Report(report, told) => self.notify(report, &told, now),
                Plan::Delay(late) => self.notify(Report::Delayed, &late, now),
                Plan::Expire(expired) => self.expire(&expired, now),
                Plan::Deliver(recipients) => self.attempt(recipients, line, now),
                Plan::Wait(until) => {
                    self.claim.note_due(until);
                    Break(self.later())
                }
                Plan::Hold(doubtful) => return self.hold(doubtful, now),
                Plan::Abandon(failed) => return self.abandon(&failed, now),
                Plan::Finish => self.finish(),
            };
            if let Break(end) = step {
                break end;
            }
            urgency = if self.tried.is_empty() { urgency } else { Urgency::Due };
        };
        let end = match self.unrecorded {
            Some(receipt) => End::Unrecorded(self.claim, receipt),
            None => end,
        };
        Worked { end, notices: self.notices, answered: self.answered }
    }

    /// Makes the next step for those who are due.
    fn attempt(&mut self, mut due: Vec<u16>, line: &mut Line, now: Timestamp) -> Step<S::Claim> {
        due.retain(|index| !self.tried.contains(index));
        let (several, single): (Vec<u16>, Vec<u16>) =
            due.into_iter().partition(|index| self.destination(*index).is_some_and(|to| !to.several.is_empty()));
        if several.is_empty() && single.is_empty() {
            return Break(self.later());
        }
        if let Some(until) = self.guarded(now) {
            let due = vec![(self.job.route, until)];
            return Break(End::Later(Prospect { due, ..self.prospect() }));
        }
        if !several.is_empty() {
            return self.expand(&several, now);
        }
        if self.is_out_of_turn() {
            return Break(End::Sorted(self.prospect()));
        }
        let rewriting = self.rewriting(single[0]);
        let alike = |index: &u16| match (self.rewriting(*index), rewriting) {
            (Some(one), Some(other)) => std::ptr::eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        let group: Vec<u16> = single.iter().copied().filter(alike).collect();
        self.deliver(&group, rewriting, line, now)
    }

    fn destination(&self, index: u16) -> Option<&Destination> {
        self.destinations.get(usize::from(index))
    }

    /// The rewriting for a recipient's copy.
    fn rewriting(&self, index: u16) -> Option<&'r Rewriting> {
        let written = &self.envelope.recipients.get(usize::from(index))?.mailbox;
        let meant = self.destination(index)?.alias.as_ref().unwrap_or(written);
        self.runner.rewriting(&self.envelope, meant, self.job.route)
    }

    /// A large message that was taken before anybody knew that it is one makes way for others.
    fn is_out_of_turn(&self) -> bool {
        self.claim.size() > LARGE && !self.job.large && !self.job.probe
    }

    fn prospect(&self) -> Prospect {
        self.runner.prospect(self.claim.id(), &self.envelope, self.claim.receipts(), self.claim.size())
    }

    pub(super) fn later(&self) -> End<S::Claim> {
        End::Later(self.prospect())
    }

    fn deliver(
        &mut self,
        recipients: &[u16],
        rewriting: Option<&Rewriting>,
        line: &mut Line,
        now: Timestamp,
    ) -> Step<S::Claim> {
        self.tried.extend(recipients);
        let completes = self.completes(recipients);
        let id = self.claim.id();
        let runner = self.runner;
        let readdressed = rewriting.is_some() || self.destinations.iter().any(|to| to.alias.is_some());
        let outgoing = readdressed.then(|| readdressing::outgoing(&self.envelope, &self.destinations, rewriting));
        let header = match rewriting.filter(|rewriting| rewriting.changes_header()) {
            None => None,
            Some(rewriting) => match header_of(&self.claim) {
                Ok(old) => Some(NewHeader { replaced: old.len() as u64, octets: rewriting.header(&old) }),
                Err(error) => return self.give_way(&SpoolError::new("reading", id.to_string(), error)),
            },
        };
        let (mut size, mut eight_bit) = (self.claim.size(), self.claim.seal().eight_bit);
        if let Some(header) = &header {
            size = size - header.replaced + header.octets.len() as u64;
            eight_bit |= !header.octets.is_ascii();
        }
        let (clock, observer, route) = (runner.clock.as_ref(), runner.observer.as_ref(), self.route().name.as_str());
        let mut body = Octets::new(&mut self.claim, clock, observer, recipients, route, header);
        let envelope = outgoing.as_ref().unwrap_or(&self.envelope);
        let consignment = Consignment { id, envelope, recipients, size, eight_bit };
        let result = line.transport(runner.routes[self.job.route].dispatch.as_ref()).deliver(&consignment, &mut body);
        let marked = body.marked;
        match result {
            Err(fault) => {
                self.undo_mark(marked, recipients, &fault);
                Break(End::Faulted(fault, self.prospect()))
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
        let delay = self.claim.id() == notice_id(Report::Delayed, notice.original, &notice.recipients);
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
            // What is corrupt or failed will not be worked on again, so it cannot be reported again.
            Ok(Some(glance)) => matches!(glance.shelf, Shelf::Bad | Shelf::Failed) || told(&glance),
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
        let mut receipts = record::receipts(delivery, recipients, &self.route().name, self.runner.clock.now());
        if self.owes_report(delivery, recipients) {
            record::mark_unreported(&mut receipts, Report::Relayed);
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
        undone.route = self.route().name.clone();
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

    /// Nobody knows whether these have it, and the configuration wants a person to decide.
    fn hold(mut self, doubtful: Vec<u16>, now: Timestamp) -> Worked<S::Claim> {
        let reason = "it may have been delivered already: release it to send it again, or remove it";
        let held = Receipt::new(now, Happening::Held, doubtful, Reason::new(EnhancedCode(4, 0, 0), reason));
        let end = match self.claim.record(held, Durability::Synced) {
            Ok(()) => return self.set_aside(Shelf::Hold, reason.to_owned()),
            Err(error) => {
                self.runner.trouble(&error);
                End::Troubled
            }
        };
        Worked { end, notices: self.notices, answered: self.answered }
    }

    /// The sender cannot be told (RFC 5321 6.1 forbids a notice about a notice), or is not, as too many were.
    fn abandon(mut self, failed: &[u16], now: Timestamp) -> Worked<S::Claim> {
        match self.leave_untold(failed, now) {
            Ok(text) => self.set_aside(Shelf::Failed, text),
            Err(error) => {
                self.runner.trouble(&error);
                Worked { end: End::Troubled, notices: self.notices, answered: self.answered }
            }
        }
    }

    fn set_aside(self, shelf: Shelf, text: String) -> Worked<S::Claim> {
        let id = self.claim.id();
        let end = match self.claim.set_aside(shelf) {
            Ok(()) => {
                self.runner.tell(&Event::SetAside { name: id.to_string(), folder: shelf.folder(), text });
                End::SetAside
            }
            Err(error) => {
                self.runner.trouble(&error);
                End::Troubled
            }
        };
        Worked { end, notices: self.notices, answered: self.answered }
    }

    fn route(&self) -> &'r Route {
        &self.runner.routes[self.job.route]
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
