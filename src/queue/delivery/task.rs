//! The work on one message: it is claimed, then planned and worked on until nothing is left to do for now.
//!
//! The claim is the only lock, and the receipts that are read under it are the only state, so any number of runners may work
//! side by side. `attempt.rs` carries out a delivery; `ending.rs` has the other ways out of the queue.

use std::collections::HashSet;
use std::ops::ControlFlow::{self, Break, Continue};
use std::time::Duration;

use super::destination::Destination;
use super::follow::Follow;
use super::job::Job;
use super::outgoing::{OutgoingMessage, Unprepared};
use crate::address::Mailbox;
use crate::clock::Timestamp;
use crate::envelope::Envelope;
use crate::event::Event;
use crate::id::SpoolId;
use crate::queue::agenda::next_due::{LARGE, NextDue};
use crate::queue::dsn::notice::NoticeKind;
use crate::queue::plan::schedule::{Plan, Situation, Urgency};
use crate::queue::routes::connection::RouteConnection;
use crate::queue::routes::pace::Obstacle;
use crate::queue::routes::state::Pause;
use crate::queue::runner::{Route, Runner};
use crate::receipt::Receipt;
use crate::routing::Rewriting;
use crate::spool::{Claim, Claimed, Folder, Spool, SpoolError, SpoolErrorKind};
use crate::transport::RouteFailure;

/// How working on a message ended.
#[derive(Debug)]
pub(in crate::queue) enum End<C> {
    /// Every recipient is settled; the message is removed.
    Removed,
    /// It is due again later.
    Later(NextDue),
    /// It was only looked at: it is large, and its turn has not come.
    Sorted(NextDue),
    /// A person decides.
    SetAside,
    /// It cannot be read as a message, and is in `bad/` now.
    Damaged,
    /// Another process has it.
    Busy,
    /// It is not in the queue any more.
    Gone,
    /// The route does not work. No recipient got an outcome, or the reply was about this relay.
    Faulted(RouteFailure, NextDue),
    /// The route has to wait for others, or for its pace; nothing was done.
    Slowed(Obstacle, NextDue),
    /// Trouble of our own, reported already.
    Troubled,
    /// It was delivered, but neither its removal nor this receipt reached the disk. As long as the claim is kept, no process
    /// delivers it again.
    Unrecorded(C, Receipt),
}

/// The result of working on a message.
#[derive(Debug)]
pub(in crate::queue) struct Worked<C> {
    pub(in crate::queue) end: End<C>,
    /// Notices that may now be delivered.
    pub(in crate::queue) notices: Vec<SpoolId>,
    /// Whether the next hop answered for a recipient, so that the route works.
    pub(in crate::queue) answered: bool,
    /// How long the last transaction took, without connecting.
    pub(in crate::queue) took: Option<Duration>,
}

impl<C> Worked<C> {
    /// The next hop was not asked.
    pub(in crate::queue) fn unasked(end: End<C>) -> Self {
        Self { end, notices: Vec::new(), answered: false, took: None }
    }
}

/// Transactions that settle nobody, but find out how many recipients go in one, beside one for each recipient.
const MOST_FURTHER: usize = 16;

impl<S: Spool> Runner<S> {
    /// Claims a message for one route; otherwise how that ended.
    pub(in crate::queue) fn begin(&self, job: Job) -> Result<DeliveryTask<'_, S>, Box<Worked<S::Claim>>> {
        let id = job.id;
        let end = match self.spool.claim(id) {
            Ok(Claimed::Ours(claim)) => return Ok(DeliveryTask::new(self, claim, job)),
            Ok(Claimed::Busy) => End::Busy,
            Ok(Claimed::Gone) => End::Gone,
            Err(error) if matches!(error.kind, SpoolErrorKind::Torn(_) | SpoolErrorKind::Corrupt(_)) => {
                let text = error.to_string();
                self.emit(&Event::SetAside { name: id.to_string(), folder: Folder::Bad.name(), text });
                End::Damaged
            }
            Err(error) => {
                self.trouble(&error);
                End::Troubled
            }
        };
        Err(Box::new(Worked::unasked(end)))
    }

    pub(in crate::queue) fn trouble(&self, error: &SpoolError) {
        self.emit(&Event::Trouble { text: error.to_string() });
    }
}

/// The work on one claimed message.
pub(in crate::queue) struct DeliveryTask<'r, S: Spool> {
    pub(in crate::queue) runner: &'r Runner<S>,
    pub(in crate::queue) claim: S::Claim,
    /// A copy, since the claim is written to while the transport reads this.
    pub(in crate::queue) envelope: Envelope,
    pub(in crate::queue) notices: Vec<SpoolId>,
    pub(in crate::queue) job: Job,
    /// Where each recipient's copy goes.
    pub(super) destinations: Vec<Destination>,
    /// Recipients that were tried.
    pub(in crate::queue) tried: Vec<u16>,
    /// Transactions that were begun.
    pub(super) transactions: usize,
    pub(in crate::queue) answered: bool,
    pub(in crate::queue) took: Option<Duration>,
    /// Whether waiting times count; once all recipients were tried they do.
    urgency: Urgency,
    /// What the next hop said about this relay after it had the message.
    pub(in crate::queue) route_trouble: Option<RouteFailure>,
    /// The pause of its route, where the delay is reported because of it.
    pub(super) pause: Option<Pause>,
    /// A receipt that must not get lost, but could not be written.
    pub(in crate::queue) unrecorded: Option<Receipt>,
}

pub(super) type NextStep<C> = ControlFlow<End<C>>;

impl<'r, S: Spool> DeliveryTask<'r, S> {
    pub(super) fn new(runner: &'r Runner<S>, claim: S::Claim, job: Job) -> Self {
        let envelope = claim.envelope().clone();
        let destinations = runner.destinations(&envelope);
        let (notices, tried, urgency) = (Vec::new(), Vec::new(), job.urgency);
        Self {
            runner,
            claim,
            envelope,
            notices,
            job,
            destinations,
            tried,
            transactions: 0,
            answered: false,
            took: None,
            urgency,
            route_trouble: None,
            pause: None,
            unrecorded: None,
        }
    }

    /// Works on the message, first by sending `first` if it is prepared. Each recipient is tried at most once.
    pub(in crate::queue) fn run(
        mut self,
        mut first: Option<OutgoingMessage>,
        connection: &mut RouteConnection,
        next: &mut dyn Follow,
    ) -> Worked<S::Claim> {
        self.note_lost_answers();
        let end = loop {
            let now = self.runner.clock.now();
            let step = match first.take() {
                Some(message) => self.send(message, connection, next),
                None => match self.plan(now) {
                    Plan::NotifyFailure(failed) => self.notify(NoticeKind::Failed, &failed, now),
                    Plan::NotifySuccess(kind, told) => self.notify(kind, &told, now),
                    Plan::NotifyDelay(late) => self.notify(NoticeKind::Delayed, &late, now),
                    Plan::Expire(expired) => self.expire(&expired, now),
                    Plan::Deliver(recipients) => self.attempt(recipients, connection, next, now),
                    Plan::Wait(until) => {
                        self.claim.note_due(until);
                        Break(self.later())
                    }
                    Plan::Hold(doubtful) => return self.hold(doubtful, now),
                    Plan::Abandon(failed) => return self.abandon(&failed, now),
                    Plan::Finish => self.finish(),
                },
            };
            if let Break(end) = step {
                break self.tell_before(end);
            }
        };
        let end = match (self.unrecorded, self.route_trouble) {
            (Some(receipt), _) => End::Unrecorded(self.claim, receipt),
            (None, Some(fault)) if let End::Later(next_due) = end => End::Faulted(fault, next_due),
            _ => end,
        };
        Worked { end, notices: self.notices, answered: self.answered, took: self.took }
    }

    /// Once this task has found somebody out to be refused, all others who are due are tried before their sender is notified: of
    /// all at once. What an earlier process found out is reported before anything else, as the id of its notice tells whom.
    fn plan(&self, now: Timestamp) -> Plan {
        if self.held_by_policy().is_some() {
            return Plan::Hold(Vec::new());
        }
        let usable = |index: u16| self.destination(index).is_some_and(|to| to.route == self.job.route);
        if self.transactions > 0 && self.goes_on() {
            let untried = |index: u16| usable(index) && !self.tried.contains(&index);
            let situation = Situation { usable: &untried, urgency: self.urgency, now };
            let due = self.runner.schedule.ripe(self.claim.id(), &self.envelope, self.claim.receipts(), situation);
            if !due.is_empty() {
                return Plan::Deliver(due);
            }
        }
        let plan = self.full_plan(&usable, now);
        let one_holds = self.runner.routes.iter().any(|route| route.dispatch.holds());
        if one_holds { self.plan_of_holding(plan) } else { plan }
    }

    fn full_plan(&self, usable: &dyn Fn(u16) -> bool, now: Timestamp) -> Plan {
        let situation = Situation { usable, urgency: self.urgency, now };
        self.runner.schedule.plan(self.claim.id(), &self.envelope, self.claim.receipts(), situation)
    }

    /// Where this task ends early, its sender is notified of what it found out.
    fn tell_before(&mut self, end: End<S::Claim>) -> End<S::Claim> {
        if self.transactions == 0 || !matches!(end, End::Later(_) | End::Sorted(_) | End::Faulted(..) | End::Slowed(..))
        {
            return end;
        }
        loop {
            let now = self.runner.clock.now();
            let step = match self.full_plan(&|_| false, now) {
                Plan::NotifyFailure(failed) => self.notify(NoticeKind::Failed, &failed, now),
                Plan::NotifySuccess(kind, told) => self.notify(kind, &told, now),
                _ => break,
            };
            if let Break(trouble) = step {
                return trouble;
            }
        }
        match end {
            End::Later(_) => End::Later(self.next_due()),
            End::Sorted(_) => End::Sorted(self.next_due()),
            End::Faulted(fault, _) => End::Faulted(fault, self.next_due()),
            End::Slowed(obstacle, _) => End::Slowed(obstacle, self.next_due()),
            end => end,
        }
    }

    /// Whether others may be tried: once the route said that it takes no more, it is not asked again.
    fn goes_on(&self) -> bool {
        self.route_trouble.is_none() && self.transactions <= MOST_FURTHER + self.envelope.recipients.len()
    }

    /// Takes the next step for the recipients that are due.
    fn attempt(
        &mut self,
        mut due: Vec<u16>,
        connection: &mut RouteConnection,
        next: &mut dyn Follow,
        now: Timestamp,
    ) -> NextStep<S::Claim> {
        let goes_on = self.goes_on();
        due.retain(|index| goes_on && !self.tried.contains(index));
        let (several, single): (Vec<u16>, Vec<u16>) = due.into_iter().partition(|index| self.means_several(*index));
        if several.is_empty() && single.is_empty() {
            // It remains to find out when they are due again.
            return match std::mem::replace(&mut self.urgency, Urgency::Due) {
                Urgency::Now => Continue(()),
                Urgency::Due => Break(self.later()),
            };
        }
        if let Some(until) = self.guarded(now) {
            let due = vec![(self.job.route, until)];
            return Break(End::Later(NextDue { due, ..self.next_due() }));
        }
        if !several.is_empty() {
            return self.expand(&several, now);
        }
        if self.route().dispatch.holds() {
            return Break(self.until_held(now));
        }
        if self.is_out_of_turn() {
            return Break(End::Sorted(self.next_due()));
        }
        let Some((group, rewriting)) = self.group(&single) else { return Break(self.later()) };
        match self.prepare(group, rewriting) {
            Ok(message) => self.send(message, connection, next),
            Err(Unprepared::Spool(error)) => self.give_way(&error),
            Err(Unprepared::Route(fault)) => Break(End::Faulted(fault, self.next_due())),
        }
    }

    /// Delivers a message if the route lets it through.
    fn send(
        &mut self,
        message: OutgoingMessage,
        connection: &mut RouteConnection,
        next: &mut dyn Follow,
    ) -> NextStep<S::Claim> {
        if let Err(obstacle) =
            connection.pass(self.route().limits.as_ref(), &self.route().name, |event| self.runner.emit(&event))
        {
            return Break(End::Slowed(obstacle, self.next_due()));
        }
        self.deliver(message, connection, next)
    }

    /// The recipients that are due, if nothing else has to be done before they are delivered to.
    pub(super) fn plain_delivery(&self, now: Timestamp) -> Option<Vec<u16>> {
        let Plan::Deliver(due) = self.plan(now) else { return None };
        let is_plain = due.iter().all(|index| !self.means_several(*index));
        (is_plain && !self.route().dispatch.holds() && self.guarded(now).is_none() && !self.is_out_of_turn())
            .then_some(due)
    }

    /// Those that share one transaction with the first, and their rewriting.
    pub(super) fn group(&self, due: &[u16]) -> Option<(Vec<u16>, Option<&'r Rewriting>)> {
        let first = *due.first()?;
        let most = if self.is_verp() { Some(1) } else { self.route().dispatch.most_recipients() };
        let most = most.unwrap_or(usize::MAX).max(1);
        let together = due.iter().copied().filter(|index| self.go_together(*index, first));
        if most >= due.len() || self.destinations.iter().all(|to| to.alias.is_none()) {
            return Some((together.take(most).collect(), self.rewriting(first)));
        }
        // Those whose aliases mean one mailbox are one recipient.
        let mut mailboxes = HashSet::new();
        let fits = |index: &u16| {
            let Some(mailbox) = self.meant(*index) else { return false };
            mailboxes.contains(mailbox) || mailboxes.len() < most && mailboxes.insert(mailbox)
        };
        Some((together.filter(fits).collect(), self.rewriting(first)))
    }

    pub(super) fn means_several(&self, index: u16) -> bool {
        self.destination(index).is_some_and(Destination::means_several)
    }

    /// Whether two recipients can share one transaction.
    fn go_together(&self, one: u16, other: u16) -> bool {
        let rewritten_alike = match (self.rewriting(one), self.rewriting(other)) {
            (Some(one), Some(other)) => std::ptr::eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        let domain = |index| self.meant(index).map(Mailbox::domain);
        rewritten_alike && (!self.route().dispatch.per_domain() || domain(one) == domain(other))
    }

    /// The address that a recipient's address stands for.
    pub(in crate::queue) fn meant(&self, index: u16) -> Option<&Mailbox> {
        let written = &self.envelope.recipients.get(usize::from(index))?.mailbox;
        Some(self.destination(index)?.alias.as_ref().unwrap_or(written))
    }

    pub(super) fn destination(&self, index: u16) -> Option<&Destination> {
        self.destinations.get(usize::from(index))
    }

    /// The rewriting for a recipient's copy.
    fn rewriting(&self, index: u16) -> Option<&'r Rewriting> {
        self.runner.rewriting(&self.envelope, self.meant(index)?, self.job.route)
    }

    /// A large message that was taken before its size was known makes way for others.
    fn is_out_of_turn(&self) -> bool {
        self.claim.size() > LARGE && !self.job.large && !self.job.probe
    }

    pub(in crate::queue) fn next_due(&self) -> NextDue {
        self.runner.next_due(self.claim.id(), &self.envelope, self.claim.receipts(), self.claim.size())
    }

    pub(in crate::queue) fn later(&self) -> End<S::Claim> {
        End::Later(self.next_due())
    }

    pub(in crate::queue) fn route(&self) -> &'r Route {
        &self.runner.routes[self.job.route]
    }

    pub(super) fn give_way(&self, error: &SpoolError) -> NextStep<S::Claim> {
        self.runner.trouble(error);
        Break(End::Troubled)
    }
}
