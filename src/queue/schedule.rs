//! The schedule: what is to be done with a message now, decided from its envelope and its receipts alone. Pure.
//!
//! A recipient is judged alone. Settled ones are never planned again; expiry needs both age and attempts, and age grows only
//! by the capped gaps between counted attempts, so neither an outage of the route nor a clock that jumps can bounce a queue.

use std::time::Duration;

use super::bounce::Report;
use super::ledger::{Account, Ledger, Standing};
use crate::address::ReversePath;
use crate::clock::Timestamp;
use crate::envelope::{Envelope, Recipient};
use crate::id::SpoolId;
use crate::receipt::Receipt;

/// When to try again, and when to give up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// The waiting times after the first, second, ... attempt; the last one repeats. Each varies by 20 % either way.
    pub retry: Vec<Duration>,
    /// The age at which a recipient is given up, provided that each interval was used at least once.
    pub give_up: Duration,
    /// The age at which the sender is told of the delay, once; never where it is not below `give_up`.
    pub delay_notice: Duration,
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
        }
    }
}

/// What is to be done with a message. Every step but `Wait` and `Finish` leads to a receipt, after which it is planned anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// The sender is to be told of these failures. Comes before everything else, so that a bounce that was interrupted is
    /// resumed with the same recipients and thus under the same id.
    Bounce(Vec<u16>),
    /// The sender is to be told that these were relayed or delivered (RFC 3461 5.2.2, 5.2.3). Comes before any other delivery,
    /// for the same reason.
    Report(Report, Vec<u16>),
    /// These have been tried for long enough: a failure is to be recorded for each.
    Expire(Vec<u16>),
    /// The sender is to be told that these are delayed (RFC 3461 5.2.5). Comes before any other delivery, as a report does.
    Delay(Vec<u16>),
    /// These are due.
    Deliver(Vec<u16>),
    /// Nothing is due before this time.
    Wait(Timestamp),
    /// These failed, nobody is left to try, and there is no sender to tell, or too many were told: a person decides.
    Abandon(Vec<u16>),
    /// Everybody is settled.
    Finish,
}

/// Whether waiting times are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// Only what is due.
    Due,
    /// All that is pending.
    Now,
}

/// Under which circumstances a plan is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Situation {
    /// Whether the route may be used; nothing expires while it may not.
    pub route_open: bool,
    /// Whether waiting times are kept.
    pub urgency: Urgency,
    /// The time.
    pub now: Timestamp,
}

impl Schedule {
    /// The longest interval, without its variation: more than this no gap between two attempts counts as.
    pub fn longest(&self) -> Duration {
        self.retry.iter().max().copied().unwrap_or(DEFAULT_INTERVAL)
    }

    /// The ledger of a message, with gaps capped as this schedule demands.
    pub fn ledger<'a>(&self, envelope: &Envelope, receipts: &'a [Receipt]) -> Ledger<'a> {
        Ledger::fold(envelope, receipts, self.longest())
    }

    /// What is to be done with a message.
    pub fn plan(&self, id: SpoolId, envelope: &Envelope, receipts: &[Receipt], situation: Situation) -> Plan {
        let ledger = self.ledger(envelope, receipts);
        let unsettled = |index: usize, account: &Account<'_>| !account.is_settled(&envelope.recipients[index]);
        let failed = ledger.indices(|index, account| account.standing == Standing::Failed && unsettled(index, account));
        let has_sender = envelope.reverse_path != ReversePath::Null;
        let untold = ledger.indices(|index, account| {
            account.standing == Standing::Failed && !account.withheld && unsettled(index, account)
        });
        if has_sender && !untold.is_empty() {
            return Plan::Bounce(untold);
        }
        for report in [Report::Relayed, Report::Delivered] {
            let owing = |index: usize, account: &Account<'_>| {
                account.success() == Some(report) && account.owes_report(&envelope.recipients[index])
            };
            let unreported = ledger.indices(owing);
            if has_sender && !unreported.is_empty() {
                return Plan::Report(report, unreported);
            }
        }
        let expired = ledger.indices(|_, account| account.standing == Standing::Pending && self.has_expired(account));
        if situation.route_open && !expired.is_empty() {
            return Plan::Expire(expired);
        }
        let late = ledger.indices(|index, account| self.is_late(&envelope.recipients[index], account));
        if has_sender && situation.route_open && !late.is_empty() {
            return Plan::Delay(late);
        }
        match self.next(id, &ledger, situation) {
            Some(plan) => plan,
            None if failed.is_empty() => Plan::Finish,
            None => Plan::Abandon(failed),
        }
    }

    /// Deliver or Wait, or `None` when nobody is pending.
    fn next(&self, id: SpoolId, ledger: &Ledger<'_>, situation: Situation) -> Option<Plan> {
        let due = |account: &Account<'_>| match situation.urgency {
            Urgency::Now => situation.now,
            Urgency::Due => self.due(id, account, situation.now),
        };
        let pending = |account: &Account<'_>| account.standing == Standing::Pending;
        let ripe = ledger.indices(|_, account| pending(account) && due(account) <= situation.now);
        if situation.route_open && !ripe.is_empty() {
            return Some(Plan::Deliver(ripe));
        }
        ledger.accounts().iter().filter(|account| pending(account)).map(due).min().map(Plan::Wait)
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

    /// The waiting time after so many attempts. Its variation depends on the message, so that what failed together does not
    /// return together, but is the same whenever it is asked for.
    fn interval(&self, id: SpoolId, attempts: u32) -> Duration {
        let step = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
        let interval = self.retry.get(step).or(self.retry.last()).copied().unwrap_or(DEFAULT_INTERVAL);
        vary(interval, id.to_bits() as u64 ^ (id.to_bits() >> 64) as u64, attempts)
    }

    /// Whether the sender is to be told that a recipient waits. Where NOTIFY is absent, that is up to us (RFC 3461 4.1).
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

/// `interval` changed by up to 20 % either way, always alike for the same `seed` and `step`.
pub(super) fn vary(interval: Duration, seed: u64, step: u32) -> Duration {
    // The finalizer of SplitMix64 (Steele, Lea, Flood 2014): each bit of the input reaches every bit of the result.
    let mut mixed = seed.wrapping_add(u64::from(step).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    let permille = 800 + u32::try_from((mixed ^ mixed >> 31) % 401).unwrap_or(200);
    interval.saturating_mul(permille) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::{Notify, Recipients};
    use crate::queue::ledger::{REPORTED, UNREPORTED};
    use crate::queue::testing::{at, envelope, id, mark, receipt};
    use crate::receipt::Happening;
    use proptest::prelude::*;

    fn due(now: Timestamp) -> Situation {
        Situation { route_open: true, urgency: Urgency::Due, now }
    }

    fn plan(envelope: &Envelope, receipts: &[Receipt], now: Timestamp) -> Plan {
        Schedule::default().plan(id(1), envelope, receipts, due(now))
    }

    #[test]
    fn a_new_message_is_due_at_once_even_before_its_own_time() {
        let envelope = envelope("s@x", &["a@x", "b@x"]);
        assert_eq!(plan(&envelope, &[], at(0)), Plan::Deliver(vec![0, 1]));
    }

    #[test]
    fn each_recipient_waits_its_own_interval() {
        let envelope = envelope("s@x", &["a@x", "b@x", "c@x"]);
        let receipts = [
            receipt(at(0), Happening::Deferred, &[0, 1]),
            receipt(at(0), Happening::Delivered, &[2]),
            receipt(at(60), Happening::Deferred, &[1]),
        ];
        assert!(
            matches!(plan(&envelope, &receipts[..2], at(10)), Plan::Wait(until) if until >= at(48) && until <= at(72))
        );
        assert_eq!(plan(&envelope, &receipts, at(100)), Plan::Deliver(vec![0]));
        assert_eq!(plan(&envelope, &receipts, at(60 + 361)), Plan::Deliver(vec![0, 1]));
        let now = Situation { urgency: Urgency::Now, ..due(at(61)) };
        assert_eq!(Schedule::default().plan(id(1), &envelope, &receipts, now), Plan::Deliver(vec![0, 1]));
    }

    #[test]
    fn a_closed_route_delivers_and_expires_nothing() {
        let envelope = envelope("s@x", &["a@x"]);
        let closed = |now| Situation { route_open: false, ..due(now) };
        let old: Vec<_> = (0..80).map(|hour| receipt(at(7200 * hour), Happening::Deferred, &[0])).collect();
        assert_eq!(plan(&envelope, &old, at(7200 * 80)), Plan::Expire(vec![0]));
        let waits = Schedule::default().plan(id(1), &envelope, &old, closed(at(7200 * 80)));
        assert!(matches!(waits, Plan::Wait(_)), "{waits:?}");
    }

    #[test]
    fn nothing_expires_by_age_alone() {
        let schedule = Schedule { retry: vec![minutes(1); 3], give_up: Duration::ZERO, ..Schedule::default() };
        let envelope = envelope("s@x", &["a@x"]);
        let receipts: Vec<_> = (0..3).map(|n| receipt(at(100 * n), Happening::Deferred, &[0])).collect();
        let plan = |attempts| schedule.plan(id(1), &envelope, &receipts[..attempts], due(at(900)));
        assert_eq!((plan(2), plan(3)), (Plan::Deliver(vec![0]), Plan::Expire(vec![0])));
    }

    #[test]
    fn a_failure_is_bounced_before_anything_else_and_never_without_a_sender() {
        let receipts = [receipt(at(0), Happening::Failed, &[1])];
        assert_eq!(plan(&envelope("s@x", &["a@x", "b@x"]), &receipts, at(1)), Plan::Bounce(vec![1]));
        assert_eq!(plan(&envelope("", &["a@x", "b@x"]), &receipts, at(1)), Plan::Deliver(vec![0]));
        let all = [receipt(at(0), Happening::Failed, &[0, 1])];
        assert_eq!(plan(&envelope("", &["a@x", "b@x"]), &all, at(1)), Plan::Abandon(vec![0, 1]));
    }

    #[test]
    fn a_crash_between_end_mark_and_answer_waits_like_an_attempt() {
        let receipts = [mark(at(0), &[0])];
        assert!(matches!(plan(&envelope("s@x", &["a@x"]), &receipts, at(1)), Plan::Wait(_)));
    }

    #[test]
    fn intervals_vary_by_a_fifth_and_not_from_asking_to_asking() {
        let schedule = Schedule::default();
        let intervals: Vec<_> = (0..200).map(|n| schedule.interval(id(n), 1).as_millis()).collect();
        assert!(intervals.iter().all(|interval| (48_000..=72_000).contains(interval)), "{intervals:?}");
        assert!(intervals.iter().any(|interval| *interval < 52_000) && intervals.iter().any(|i| *i > 68_000));
        assert_eq!(schedule.interval(id(3), 2), schedule.interval(id(3), 2));
    }

    /// What a simulated next hop says to one recipient.
    fn happening() -> impl Strategy<Value = Happening> {
        prop_oneof![
            8 => Just(Happening::Deferred),
            1 => Just(Happening::InDoubt),
            1 => Just(Happening::Failed),
            1 => Just(Happening::Delivered),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn it_always_ends_and_settles_nobody_twice(
            outcomes in prop::collection::vec(happening(), 1..60),
            recipients in 1_usize..5,
            has_sender: bool,
            jumps in prop::collection::vec(-315_360_000_i64..315_360_000, 0..3),
        ) {
            let names: Vec<_> = (0..recipients).map(|n| format!("r{n}@x")).collect();
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            let mut envelope = envelope(if has_sender { "s@x" } else { "" }, &names);
            // The first one wants to hear of success, of which no next hop tells.
            let notify = Some(Notify { success: true, failure: true, delay: false });
            let mut list = envelope.recipients.to_vec();
            list[0].notify = notify;
            envelope.recipients = Recipients::new(list).unwrap();
            let mut reported = false;
            let schedule = Schedule::default();
            let mut receipts: Vec<Receipt> = Vec::new();
            let mut settled = vec![false; recipients];
            let mut bounced = vec![false; recipients];
            let mut delayed = vec![false; recipients];
            let (mut now, mut outcome, mut jumps) = (at(315_360_000), outcomes.iter().cycle(), jumps.into_iter());
            for step in 0..2_000 {
                let record = |what, list: &[u16]| receipt(now, what, list);
                match schedule.plan(id(7), &envelope, &receipts, due(now)) {
                    Plan::Finish | Plan::Abandon(_) => return Ok(()),
                    Plan::Wait(until) => {
                        prop_assert!(until > now && until <= now + schedule.longest().mul_f64(1.2));
                        now = until;
                    }
                    Plan::Bounce(list) => {
                        for index in &list {
                            prop_assert!(has_sender && !std::mem::replace(&mut bounced[usize::from(*index)], true));
                        }
                        receipts.push(record(Happening::Bounced, &list));
                    }
                    Plan::Delay(list) => {
                        for index in &list {
                            // The first one did not ask for it.
                            prop_assert!(has_sender && *index > 0 && !settled[usize::from(*index)]);
                            prop_assert!(!std::mem::replace(&mut delayed[usize::from(*index)], true));
                        }
                        receipts.push(record(Happening::DelayNotified, &list));
                    }
                    Plan::Report(report, list) => {
                        prop_assert_eq!(report, Report::Relayed);
                        prop_assert!(has_sender && list == [0] && !std::mem::replace(&mut reported, true));
                        let mut told = record(Happening::Delivered, &list);
                        told.annotations.push((REPORTED.into(), String::new()));
                        receipts.push(told);
                    }
                    Plan::Expire(list) => receipts.push(record(Happening::Failed, &list)),
                    Plan::Deliver(list) => for index in list {
                        prop_assert!(!settled[usize::from(index)], "a settled recipient is planned");
                        let what = *outcome.next().unwrap();
                        settled[usize::from(index)] = matches!(what, Happening::Delivered | Happening::Failed);
                        let mut judged = record(what, &[index]);
                        judged.annotations.push((UNREPORTED.into(), String::new()));
                        receipts.push(judged);
                    }
                }
                if step % 40 == 39 && let Some(seconds) = jumps.next() {
                    now = Timestamp::from_millis(now.as_millis().saturating_add_signed(seconds * 1000));
                }
            }
            prop_assert!(false, "it did not end");
        }

        #[test]
        fn no_clock_bounces_what_was_tried_less_often_than_four_days_hold_intervals(
            mut times in prop::collection::vec(0_u64..2_000_000_000, 1..48), sorted: bool, now in 0_u64..4_000_000_000,
        ) {
            if sorted { times.sort_unstable(); }
            let envelope = envelope("s@x", &["a@x"]);
            let receipts: Vec<_> =
                times.iter().map(|time| receipt(at(*time), Happening::Deferred, &[0])).collect();
            let plan = plan(&envelope, &receipts, at(now));
            prop_assert!(matches!(plan, Plan::Deliver(_) | Plan::Wait(_) | Plan::Delay(_)), "{plan:?}");
        }
    }
}
