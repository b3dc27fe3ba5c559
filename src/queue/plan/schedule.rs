//! The schedule: what has to be done with a message now, decided from its envelope and its receipts alone. Pure.
//!
//! A recipient is judged alone. Settled ones are never planned again; expiry needs both age and attempts, and age grows only
//! by the capped gaps between counted attempts, so neither an outage of the route nor a clock that jumps can bounce a queue.

use std::time::Duration;

use super::ledger::{Account, Ledger, Standing};
use crate::address::Mailbox;
use crate::clock::{Timestamp, varied};
use crate::envelope::{Envelope, Recipient};
use crate::id::SpoolId;
use crate::queue::dsn::notice::NoticeKind;
use crate::queue::dsn::provenance;
use crate::receipt::Receipt;

/// When to try again, and when to give up.
///
/// ```
/// use std::time::Duration;
///
/// use leafmail::queue::Schedule;
///
/// let schedule = Schedule { give_up: Duration::from_secs(86_400), ..Schedule::default() };
/// assert_eq!(schedule.retry[0], Duration::from_secs(60));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// The waiting times after the first, second, ... attempt; the last one repeats. Each [varies](varied).
    pub retry: Vec<Duration>,
    /// The age at which a recipient expires, provided that each interval was used at least once.
    pub give_up: Duration,
    /// The age at which the delay is reported to the sender, once; never unless it is below `give_up`.
    pub delay_notice: Duration,
    /// What becomes of a message that may have been delivered already.
    pub in_doubt: InDoubt,
    /// Senders to whom no notice is written, as our own notices leave with them: one that came back must not be answered.
    pub unanswered: Vec<Mailbox>,
}

/// What becomes of a message that was handed over, but whose answer was lost, so that it may have been delivered already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InDoubt {
    /// It is sent again: a second copy is better than none.
    #[default]
    Resend,
    /// It is held until a person decides.
    Hold,
}

/// What repeats where no interval is configured.
const DEFAULT_INTERVAL: Duration = minutes(120);

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

impl Default for Schedule {
    /// 1, 5, 15, 30, 60 minutes, then every two hours; a notice after 4 hours; 4 days (RFC 5321 4.5.4.1: "at least 4-5 days").
    fn default() -> Self {
        Self {
            retry: [1, 5, 15, 30, 60, 120].map(minutes).into(),
            give_up: minutes(4 * 24 * 60),
            delay_notice: minutes(4 * 60),
            in_doubt: InDoubt::Resend,
            unanswered: Vec::new(),
        }
    }
}

/// What has to be done with a message. Every step but `Wait` and `Finish` leads to a receipt, after which it is planned again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Report these failures to the sender. This comes before everything else, so that an interrupted notice is resumed with
    /// the same recipients, and thus with the same id.
    NotifyFailure(Vec<u16>),
    /// Report to the sender that these were relayed or delivered (RFC 3461 5.2.2, 5.2.3, 5.2.7.3). This comes before any other delivery,
    /// for the same reason.
    NotifySuccess(NoticeKind, Vec<u16>),
    /// These have been tried for long enough: record a failure for each.
    Expire(Vec<u16>),
    /// Report to the sender that these are delayed (RFC 3461 5.2.5). This too comes before any other delivery.
    NotifyDelay(Vec<u16>),
    /// These are due.
    Deliver(Vec<u16>),
    /// Nothing is due before this time.
    Wait(Timestamp),
    /// These may have the message already, and no other recipient is left to try: a person decides.
    Hold(Vec<u16>),
    /// These failed, no recipient is left to try, and the sender gets no notice: there is none, or there were too many. A person
    /// decides.
    Abandon(Vec<u16>),
    /// Every recipient is settled.
    Finish,
}

/// Whether waiting times count.
///
/// ```
/// use leafmail::queue::Urgency;
///
/// let by_hand = true;
/// let urgency = if by_hand { Urgency::Now } else { Urgency::Due };
/// assert_eq!(urgency, Urgency::Now);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// Only what is due.
    Due,
    /// All that is pending.
    Now,
}

/// The circumstances in which a plan is made.
#[derive(Clone, Copy)]
pub struct Situation<'a> {
    /// Whether the route to a recipient, by its index, may be used now. No recipient expires while it may not.
    pub usable: &'a dyn Fn(u16) -> bool,
    /// Whether waiting times count.
    pub urgency: Urgency,
    /// The time.
    pub now: Timestamp,
}

impl Schedule {
    /// The longest interval, without its variation.
    pub fn longest(&self) -> Duration {
        self.retry.iter().max().copied().unwrap_or(DEFAULT_INTERVAL)
    }

    /// The ledger of a message, with gaps capped as this schedule demands.
    pub fn ledger<'a>(&self, envelope: &Envelope, receipts: &'a [Receipt]) -> Ledger<'a> {
        Ledger::fold_by(envelope, receipts, &|attempts| self.step(attempts))
    }

    /// What has to be done with a message.
    pub fn plan(&self, id: SpoolId, envelope: &Envelope, receipts: &[Receipt], situation: Situation<'_>) -> Plan {
        let ledger = self.ledger(envelope, receipts);
        let unsettled = |index: usize, account: &Account<'_>| !account.is_settled(&envelope.recipients[index]);
        let failed = ledger.indices(|index, account| account.standing == Standing::Failed && unsettled(index, account));
        let has_sender = self.answers(envelope) && !provenance::is_marked(envelope);
        let untold = ledger.indices(|index, account| {
            account.standing == Standing::Failed && account.owes_notice(&envelope.recipients[index])
        });
        if has_sender && !untold.is_empty() {
            return Plan::NotifyFailure(untold);
        }
        for kind in [NoticeKind::Relayed, NoticeKind::Delivered, NoticeKind::Expanded] {
            let owing = |index: usize, account: &Account<'_>| {
                account.success() == Some(kind) && account.owes_report(&envelope.recipients[index])
            };
            let unreported = ledger.indices(owing);
            if has_sender && !unreported.is_empty() {
                return Plan::NotifySuccess(kind, unreported);
            }
        }
        let usable = |index: usize| u16::try_from(index).is_ok_and(situation.usable);
        let expired =
            ledger.indices(|index, account| self.is_open(account) && self.has_expired(account) && usable(index));
        if !expired.is_empty() {
            return Plan::Expire(expired);
        }
        let late = ledger.indices(|index, account| self.is_late(&envelope.recipients[index], account) && usable(index));
        if has_sender && !late.is_empty() {
            return Plan::NotifyDelay(late);
        }
        match self.next(id, envelope, &ledger, situation) {
            Some(plan) => plan,
            None if failed.is_empty() => Plan::Finish,
            None => Plan::Abandon(failed),
        }
    }

    /// Whether the sender is one who may receive notices.
    pub(in crate::queue) fn answers(&self, envelope: &Envelope) -> bool {
        let sender = envelope.reverse_path.mailbox().map(ToString::to_string);
        let is_ours = |sender: &str| self.unanswered.iter().any(|ours| ours.to_string().eq_ignore_ascii_case(sender));
        sender.is_some_and(|sender| !is_ours(&sender))
    }

    /// Who has to be tried now, whatever else is to be done.
    pub(in crate::queue) fn ripe(
        &self,
        id: SpoolId,
        envelope: &Envelope,
        receipts: &[Receipt],
        situation: Situation<'_>,
    ) -> Vec<u16> {
        self.ripe_of(id, envelope, &self.ledger(envelope, receipts), situation)
    }

    fn ripe_of(&self, id: SpoolId, envelope: &Envelope, ledger: &Ledger<'_>, situation: Situation<'_>) -> Vec<u16> {
        let due = |account: &Account<'_>| self.due_in(id, account, situation);
        let last = self.comes_last(envelope, ledger);
        let is_ripe = |index: usize, account: &Account<'_>| {
            self.is_open(account) && last != Some(index) && due(account) <= situation.now
        };
        let ripe = ledger.indices(is_ripe);
        ripe.into_iter().filter(|index| (situation.usable)(*index)).collect()
    }

    fn due_in(&self, id: SpoolId, account: &Account<'_>, situation: Situation<'_>) -> Timestamp {
        match situation.urgency {
            Urgency::Now => situation.now,
            Urgency::Due => self.due(id, account, situation.now),
        }
    }

    /// The recipient of the copy for the archive, as long as another one was never tried: a store that hangs delays no mail.
    pub(in crate::queue) fn comes_last(&self, envelope: &Envelope, ledger: &Ledger<'_>) -> Option<usize> {
        let archive = envelope.archive()?;
        let untried = |(index, account): (usize, &Account<'_>)| {
            index != archive && self.is_open(account) && account.last_attempt.is_none()
        };
        ledger.accounts().iter().enumerate().any(untried).then_some(archive)
    }

    /// Deliver, Wait or Hold, or `None` when nobody is pending.
    fn next(&self, id: SpoolId, envelope: &Envelope, ledger: &Ledger<'_>, situation: Situation<'_>) -> Option<Plan> {
        let ripe = self.ripe_of(id, envelope, ledger, situation);
        if !ripe.is_empty() {
            return Some(Plan::Deliver(ripe));
        }
        let due = |account: &Account<'_>| self.due_in(id, account, situation);
        let open = ledger.accounts().iter().filter(|account| self.is_open(account));
        let doubtful = || ledger.indices(|_, account| account.standing == Standing::Pending);
        let hold = || Some(doubtful()).filter(|doubtful| !doubtful.is_empty()).map(Plan::Hold);
        open.map(due).min().map(Plan::Wait).or_else(hold)
    }

    /// When each recipient that has to be tried, or reported to the sender, is due; by index.
    pub fn due_times(
        &self,
        id: SpoolId,
        envelope: &Envelope,
        receipts: &[Receipt],
        now: Timestamp,
    ) -> Vec<(u16, Timestamp)> {
        let ledger = self.ledger(envelope, receipts);
        let due = |index: &u16| {
            let account = ledger.accounts().get(usize::from(*index))?;
            let time = match account.last_attempt {
                None => envelope.received_at.min(now),
                Some(_) if self.is_open(account) => self.due(id, account, now),
                Some(_) => now,
            };
            Some((*index, time))
        };
        let has_sender = self.answers(envelope);
        let last = self.comes_last(envelope, &ledger);
        let is_ahead = |index: usize, account: &Account<'_>| {
            self.is_open(account) && last != Some(index)
                || has_sender && account.owes_notice(&envelope.recipients[index])
        };
        ledger.indices(is_ahead).iter().filter_map(due).collect()
    }

    /// Whether a recipient has to be tried: it is neither settled nor left to a person.
    pub(in crate::queue) fn is_open(&self, account: &Account<'_>) -> bool {
        account.standing == Standing::Pending && !(account.in_doubt && self.in_doubt == InDoubt::Hold)
    }

    /// When a pending recipient is next due; `now` when it was never tried.
    fn due(&self, id: SpoolId, account: &Account<'_>, now: Timestamp) -> Timestamp {
        match account.last_attempt {
            // An attempt in the future means that the clock went back. How long ago it was is unknown, and trying early is
            // harmless, whereas waiting could take years.
            Some(last) if last <= now => last + self.interval(id, account.attempts),
            _ => now,
        }
    }

    /// The waiting time after this number of attempts, without its variation. The gap between two attempts counts as this at most, so
    /// that a clock that jumps adds little.
    fn step(&self, attempts: u32) -> Duration {
        let step = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
        self.retry.get(step).or(self.retry.last()).copied().unwrap_or(DEFAULT_INTERVAL)
    }

    /// The waiting time after this number of attempts. Its variation depends on the message, so that messages that failed
    /// together do not return together; it is the same at each call.
    fn interval(&self, id: SpoolId, attempts: u32) -> Duration {
        varied(self.step(attempts), id.to_bits() as u64 ^ (id.to_bits() >> 64) as u64, attempts)
    }

    /// Whether the delay of a recipient has to be reported. Without NOTIFY that is up to the relay (RFC 3461 4.1).
    fn is_late(&self, recipient: &Recipient, account: &Account<'_>) -> bool {
        account.standing == Standing::Pending
            && !account.delay_notified
            && account.attempts > 0
            && account.age >= self.delay_notice
            && account.age < self.give_up
            && recipient.notify.is_none_or(|notify| notify.delay)
    }

    fn has_expired(&self, account: &Account<'_>) -> bool {
        let attempts = usize::try_from(account.attempts).unwrap_or(usize::MAX);
        account.age >= self.give_up && attempts >= self.retry.len().max(1)
    }
}

#[cfg(test)]
mod tests;
