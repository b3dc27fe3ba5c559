//! The ledger: the standing of each recipient, folded from a message's receipts. Pure.
//!
//! Receipts are facts in the order in which they happened, and the only state. The fold never fails: it ignores an index that
//! the envelope does not have. A settled recipient stays settled; only a failure that was not reported can be requeued.

use std::time::Duration;

use crate::annotation::{HANDED_OVER, REPORTED, UNCOUNTED, UNREPORTED, WITHHELD};
use crate::clock::Timestamp;
use crate::envelope::{Envelope, Recipient};
use crate::queue::dsn::notice::NoticeKind;
use crate::receipt::{Receipt, ReceiptKind};

/// What the receipts say about all recipients, in the order of the envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger<'a> {
    accounts: Vec<Account<'a>>,
}

/// What the receipts say about one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account<'a> {
    /// Whether anything is left to do, and what.
    pub standing: Standing,
    /// Attempts that count: a route's faults do not, nor does what came before a requeue.
    pub attempts: u32,
    /// The time between those attempts, in which neither an outage nor a clock that jumps makes anything old: each gap is capped, and
    /// all of them together last no longer than the time since the earliest attempt.
    pub age: Duration,
    /// When the last of them was.
    pub last_attempt: Option<Timestamp>,
    /// The receipt of the last attempt, with its reason.
    pub last: Option<&'a Receipt>,
    /// Whether a copy may have arrived although nothing confirmed it.
    pub in_doubt: bool,
    /// Whether that was ever so, of which a sender who is notified of the failure has to know.
    pub was_in_doubt: bool,
    /// Whether a permanent refusal was taken for a deferral, as it may have been about this relay: the next one is believed.
    pub doubted: bool,
    /// The receipt of the notice of its failure.
    pub notice: Option<&'a Receipt>,
    /// Whether the delay was reported to the sender.
    pub delay_notified: bool,
    /// The receipt of a delivery that this relay has to report to the sender, and has not yet.
    pub unreported: Option<&'a Receipt>,
    /// Whether the failure is not reported because there were too many notices: a person decides.
    pub withheld: bool,
    /// The mark of an attempt of which nothing was recorded: the process ended before the answer.
    pub(in crate::queue) lost: Option<&'a Receipt>,
    mark: Option<&'a Receipt>,
    /// The earliest of the attempts by its time; where the clock went back, that is not the first.
    earliest: Option<Timestamp>,
}

/// The state of a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Neither delivered nor given up.
    Pending,
    /// The next hop took responsibility: settled.
    Delivered,
    /// Failed permanently; not reported to the sender yet.
    Failed,
    /// Failed permanently, and the notice is in the spool: settled.
    Bounced,
}

impl<'a> Ledger<'a> {
    /// Folds `receipts`. A gap between two attempts counts as `longest_gap` at most.
    pub fn fold(envelope: &Envelope, receipts: &'a [Receipt], longest_gap: Duration) -> Self {
        Self::fold_by(envelope, receipts, &|_| longest_gap)
    }

    /// Folds `receipts`. The gap after a number of attempts counts as `longest_gap` of that number at most.
    pub(super) fn fold_by(envelope: &Envelope, receipts: &'a [Receipt], longest_gap: &dyn Fn(u32) -> Duration) -> Self {
        let mut ledger = Self { accounts: vec![Account::NEW; envelope.recipients.len()] };
        for receipt in receipts {
            // An act of a person that names no recipients is about all of them.
            let by_hand = matches!(receipt.what, ReceiptKind::Requeued | ReceiptKind::Held | ReceiptKind::Released);
            if by_hand && receipt.recipients.is_empty() {
                ledger.accounts.iter_mut().for_each(|account| account.enter(receipt, longest_gap));
            }
            for index in &receipt.recipients {
                if let Some(account) = ledger.accounts.get_mut(usize::from(*index)) {
                    account.enter(receipt, longest_gap);
                }
            }
        }
        for account in &mut ledger.accounts {
            account.lost = account.mark;
            account.count_mark(longest_gap);
        }
        ledger
    }

    /// All accounts, by index in the envelope.
    pub fn accounts(&self) -> &[Account<'a>] {
        &self.accounts
    }

    /// The recipients for whom `wanted` holds, by index.
    pub fn indices(&self, wanted: impl Fn(usize, &Account<'a>) -> bool) -> Vec<u16> {
        let matching = self.accounts.iter().enumerate().filter(|(index, account)| wanted(*index, account));
        matching.filter_map(|(index, _)| u16::try_from(index).ok()).collect()
    }
}

impl<'a> Account<'a> {
    const NEW: Self = Self {
        standing: Standing::Pending,
        attempts: 0,
        age: Duration::ZERO,
        last_attempt: None,
        last: None,
        in_doubt: false,
        was_in_doubt: false,
        doubted: false,
        notice: None,
        delay_notified: false,
        unreported: None,
        withheld: false,
        lost: None,
        mark: None,
        earliest: None,
    };

    /// Whether nothing is left to do for `recipient`, whose account this is. A failure that the sender does not want reported
    /// (RFC 3461 5.2.6) needs no notice.
    pub fn is_settled(&self, recipient: &Recipient) -> bool {
        match self.standing {
            Standing::Pending => false,
            Standing::Delivered => !self.owes_report(recipient),
            Standing::Bounced => true,
            Standing::Failed => recipient.notify.is_some_and(|notify| !notify.failure),
        }
    }

    /// Whether it must still be reported that the message was relayed to `recipient` (RFC 3461 5.2.2).
    pub fn owes_report(&self, recipient: &Recipient) -> bool {
        self.unreported.is_some() && recipient.notify.is_some_and(|notify| notify.success)
    }

    /// Whether the failure of `recipient`, or the delivery to it, must still be reported, if there is a sender.
    pub fn owes_notice(&self, recipient: &Recipient) -> bool {
        self.owes_report(recipient)
            || self.standing == Standing::Failed && !self.withheld && !self.is_settled(recipient)
    }

    /// What is to be reported of that delivery.
    pub fn success(&self) -> Option<NoticeKind> {
        let annotations = &self.unreported?.annotations;
        let action = annotations.iter().find(|(name, _)| name == UNREPORTED).map_or("", |(_, action)| action);
        Some(NoticeKind::of_success(action))
    }

    fn enter(&mut self, receipt: &'a Receipt, longest_gap: &dyn Fn(u32) -> Duration) {
        match receipt.what {
            ReceiptKind::Requeued => self.requeue(),
            ReceiptKind::Delivered if noted(receipt, REPORTED) => self.unreported = None,
            ReceiptKind::Delivered => {
                self.settle(Standing::Delivered, receipt);
                self.unreported = noted(receipt, UNREPORTED).then_some(receipt);
            }
            ReceiptKind::Bounced => {
                self.notice = self.notice.or(Some(receipt));
                self.settle(Standing::Bounced, receipt);
            }
            ReceiptKind::Failed if noted(receipt, WITHHELD) => self.withheld = self.standing == Standing::Failed,
            ReceiptKind::Failed if self.standing == Standing::Pending => {
                self.settle(Standing::Failed, receipt);
                self.last = Some(receipt);
            }
            ReceiptKind::InDoubt if noted(receipt, HANDED_OVER) => {
                // An earlier mark that no receipt ended was a crash.
                self.count_mark(longest_gap);
                self.mark = Some(receipt);
                self.in_doubt = true;
            }
            ReceiptKind::Deferred if noted(receipt, UNCOUNTED) => {
                self.mark = None;
                self.in_doubt = false;
            }
            ReceiptKind::Deferred | ReceiptKind::InDoubt => {
                self.mark = None;
                self.in_doubt = receipt.what == ReceiptKind::InDoubt;
                self.was_in_doubt |= self.in_doubt;
                self.doubted |= receipt.reason.reply_code.is_some_and(|code| code >= 500);
                self.count(receipt, longest_gap);
            }
            ReceiptKind::DelayNotified => self.delay_notified = true,
            // A person knows of the doubt, and wants the message sent.
            ReceiptKind::Released => {
                self.count_mark(longest_gap);
                self.in_doubt = false;
            }
            ReceiptKind::Failed | ReceiptKind::Held => {}
        }
    }

    fn requeue(&mut self) {
        if !matches!(self.standing, Standing::Delivered | Standing::Bounced) {
            // A copy may have arrived whatever a person does.
            *self = Self { was_in_doubt: self.was_in_doubt || self.mark.is_some(), ..Self::NEW };
        }
    }

    fn settle(&mut self, standing: Standing, receipt: &Receipt) {
        if !matches!(self.standing, Standing::Delivered | Standing::Bounced) {
            self.standing = standing;
            self.mark = None;
            self.in_doubt = false;
            self.last_attempt = self.last_attempt.max(Some(receipt.at));
        }
    }

    fn count_mark(&mut self, longest_gap: &dyn Fn(u32) -> Duration) {
        if let Some(mark) = self.mark.take() {
            self.was_in_doubt = true;
            self.count(mark, longest_gap);
        }
    }

    fn count(&mut self, receipt: &'a Receipt, longest_gap: &dyn Fn(u32) -> Duration) {
        let gap = self.last_attempt.map_or(Duration::ZERO, |last| receipt.at.since(last));
        let earliest = self.earliest.map_or(receipt.at, |earliest| earliest.min(receipt.at));
        self.earliest = Some(earliest);
        let age = self.age.saturating_add(gap.min(longest_gap(self.attempts)));
        self.age = age.min(receipt.at.since(earliest));
        self.attempts = self.attempts.saturating_add(1);
        self.last_attempt = Some(receipt.at);
        self.last = Some(receipt);
    }
}

fn noted(receipt: &Receipt, name: &str) -> bool {
    receipt.annotations.iter().any(|(noted, _)| noted == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::testing::{at, envelope, mark, receipt};

    const GAP: Duration = Duration::from_secs(7200);

    fn only<'a>(receipts: &'a [Receipt]) -> Account<'a> {
        Ledger::fold(&envelope("s@x", &["a@x"]), receipts, GAP).accounts()[0].clone()
    }

    #[test]
    fn each_recipient_has_its_own_account() {
        let receipts = [
            receipt(at(0), ReceiptKind::Deferred, &[0, 1, 2]),
            receipt(at(60), ReceiptKind::Delivered, &[0]),
            receipt(at(60), ReceiptKind::Failed, &[1]),
            receipt(at(60), ReceiptKind::Deferred, &[2, 9]),
        ];
        let ledger = Ledger::fold(&envelope("s@x", &["a@x", "b@x", "c@x"]), &receipts, GAP);
        let standings: Vec<_> = ledger.accounts().iter().map(|account| account.standing).collect();
        assert_eq!(standings, [Standing::Delivered, Standing::Failed, Standing::Pending]);
        assert_eq!(ledger.accounts()[2].attempts, 2);
        assert_eq!(ledger.accounts()[2].age, Duration::from_secs(60));
    }

    #[test]
    fn a_mark_counts_as_an_attempt_only_when_nothing_ended_it() {
        let ended = [mark(at(0), &[0]), receipt(at(1), ReceiptKind::Deferred, &[0])];
        assert_eq!((only(&ended).attempts, only(&ended).in_doubt), (1, false));
        let lost = [mark(at(0), &[0]), receipt(at(1), ReceiptKind::InDoubt, &[0])];
        assert_eq!((only(&lost).attempts, only(&lost).in_doubt), (1, true));
        let crashed_twice = [mark(at(0), &[0]), mark(at(60), &[0])];
        assert_eq!((only(&crashed_twice).attempts, only(&crashed_twice).in_doubt), (2, true));
        let mut fault = receipt(at(1), ReceiptKind::Deferred, &[0]);
        fault.annotations.push((UNCOUNTED.into(), String::new()));
        let faulted = [mark(at(0), &[0]), fault];
        assert_eq!((only(&faulted).attempts, only(&faulted).last_attempt), (0, None));
    }

    #[test]
    fn a_requeue_forgets_attempts_and_failures_but_no_settlement() {
        let again = [
            receipt(at(0), ReceiptKind::Deferred, &[0]),
            receipt(at(60), ReceiptKind::Failed, &[0]),
            receipt(at(70), ReceiptKind::Requeued, &[]),
        ];
        assert_eq!(only(&again), Account::NEW);
        let delivered = [receipt(at(0), ReceiptKind::Delivered, &[0]), receipt(at(70), ReceiptKind::Requeued, &[0])];
        assert_eq!(only(&delivered).standing, Standing::Delivered);
        let bounced = [receipt(at(0), ReceiptKind::Bounced, &[0]), receipt(at(70), ReceiptKind::Requeued, &[0])];
        assert_eq!(only(&bounced).standing, Standing::Bounced);
    }

    #[test]
    fn a_delivery_that_nobody_reports_is_settled_once_it_is_told() {
        let mut relayed = receipt(at(0), ReceiptKind::Delivered, &[0]);
        relayed.annotations.push((UNREPORTED.into(), String::new()));
        let mut told = receipt(at(1), ReceiptKind::Delivered, &[0]);
        told.annotations.push((REPORTED.into(), String::new()));
        let mut recipient = envelope("s@x", &["a@x"]).recipients[0].clone();
        assert!(only(&[relayed.clone()]).is_settled(&recipient), "nobody asked");
        recipient.notify = Some(crate::envelope::Notify { success: true, failure: true, delay: false });
        assert!(!only(&[relayed.clone()]).is_settled(&recipient));
        assert!(only(&[relayed, told]).is_settled(&recipient));
        assert!(only(&[receipt(at(0), ReceiptKind::Delivered, &[0])]).is_settled(&recipient), "the next hop tells");
    }

    #[test]
    fn an_act_by_hand_that_names_recipients_is_about_these_alone() {
        let receipts = [
            receipt(at(0), ReceiptKind::Failed, &[0, 1]),
            receipt(at(60), ReceiptKind::Requeued, &[0]),
            receipt(at(70), ReceiptKind::Deferred, &[]),
        ];
        let ledger = Ledger::fold(&envelope("s@x", &["a@x", "b@x"]), &receipts, GAP);
        assert_eq!(ledger.accounts()[0], Account::NEW);
        assert_eq!(ledger.accounts()[1].standing, Standing::Failed);
    }

    #[test]
    fn a_failure_is_owed_to_the_sender_unless_it_was_told_or_withheld_or_is_not_wanted() {
        let failed = receipt(at(0), ReceiptKind::Failed, &[0]);
        let mut withheld = receipt(at(1), ReceiptKind::Failed, &[0]);
        withheld.annotations.push((WITHHELD.into(), String::new()));
        let mut recipient = envelope("s@x", &["a@x"]).recipients[0].clone();
        let owes = |receipts: &[Receipt]| only(receipts).owes_notice(&recipient);
        assert!(owes(std::slice::from_ref(&failed)));
        assert!(!owes(&[failed.clone(), withheld.clone()]));
        assert!(!owes(&[failed.clone(), receipt(at(1), ReceiptKind::Bounced, &[0])]));
        assert!(!owes(&[receipt(at(0), ReceiptKind::Deferred, &[0])]));
        assert_eq!(only(&[withheld]).standing, Standing::Pending, "there is no failure that it is about");
        for failure in [true, false] {
            recipient.notify = Some(crate::envelope::Notify { success: true, failure, delay: false });
            let receipts = [failed.clone()];
            let account = only(&receipts);
            assert_eq!((account.owes_notice(&recipient), account.is_settled(&recipient)), (failure, !failure));
        }
    }

    #[test]
    fn a_success_is_told_by_its_kind_and_the_telling_settles_nothing() {
        for (action, kind) in [("delivered", NoticeKind::Delivered), ("", NoticeKind::Relayed)] {
            let mut delivered = receipt(at(0), ReceiptKind::Delivered, &[0]);
            delivered.annotations.push((UNREPORTED.into(), action.into()));
            assert_eq!(only(&[delivered]).success(), Some(kind));
        }
        let delivered = receipt(at(0), ReceiptKind::Delivered, &[0]);
        assert_eq!(only(&[delivered.clone(), receipt(at(1), ReceiptKind::Failed, &[0])]).last, None);
        let mut told = delivered;
        told.annotations.push((REPORTED.into(), String::new()));
        assert_eq!(only(&[told]).standing, Standing::Pending);
    }

    #[test]
    fn who_was_refused_and_deferred_all_the_same_stays_doubted() {
        let deferred = receipt(at(0), ReceiptKind::Deferred, &[0]);
        let mut refused = deferred.clone();
        refused.reason.reply_code = Some(500);
        assert!(only(&[refused, deferred.clone()]).doubted);
        assert!(!only(&[deferred]).doubted);
    }

    #[test]
    fn a_gap_counts_as_the_longest_at_most_and_a_backward_jump_as_nothing() {
        let year = 365 * 86_400;
        let receipts = [
            receipt(at(10 * year), ReceiptKind::Deferred, &[0]),
            receipt(at(20 * year), ReceiptKind::Deferred, &[0]),
            receipt(at(0), ReceiptKind::Deferred, &[0]),
        ];
        assert_eq!(only(&receipts[..2]).age, GAP);
        assert_eq!(only(&receipts).age, Duration::ZERO, "all that is known is that it was tried just now");
    }

    #[test]
    fn a_clock_that_goes_forward_and_back_makes_nothing_older_than_it_is() {
        let receipts: Vec<_> = [0, 60, 90_000, 120, 95_000, 180, 99_000, 240]
            .map(|time| receipt(at(1_000_000 + time), ReceiptKind::Deferred, &[0]))
            .into();
        assert_eq!(only(&receipts).age, Duration::from_secs(240));
    }
}
