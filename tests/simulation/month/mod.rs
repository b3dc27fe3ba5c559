//! A month behind a provider that limits whatever can be limited: every recipient gets the message once, and nothing bounces that
//! was not refused by name.
//!
//! Real are the spool on the disk, the queue, and the transport with its sockets, its logins and what it keeps of next hops
//! in `routes/`. The time is virtual: it is the queue's, the pace's, the memory's and the provider's. As from cron, there is a
//! run of a new process each minute, so what one run found out serves the next only where it was written down.
//! `LEAFMAIL_LAB=full` has 5,000 messages in 28 days, the short form 300 in less than two.

mod calendar;
mod copies;
mod provider;
mod relay;

use std::sync::Arc;

use calendar::{Calendar, MINUTE, Timetable};
use copies::Judge;
use provider::{Dialect, Provider};
use relay::Relay;

use crate::seeded::Chance;
use crate::support::lab;

/// The most that a message is addressed to.
const MOST_RECIPIENTS: usize = 500;

/// What the administrator has told leafmail of the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Knows {
    /// Nothing: all limits are learned from replies.
    Nothing,
    /// Each limit is configured.
    Everything,
}

/// How many recipients a message has: as many messages have 1 to 5 as have 6 to 25, or 100 to 500. In the short form, most have few.
fn recipients(chance: &mut Chance) -> usize {
    if !lab::full() && !chance.one_in(15) {
        return chance.between(1, 10);
    }
    let exponent = chance.below(1_000_001) as f64 / 1e6;
    (MOST_RECIPIENTS as f64).powf(exponent).round() as usize
}

/// When a message arrives: a third of all come in crowds of fifty, as the copies of a circular do.
fn arrival(chance: &mut Chance, messages: usize, length: u64) -> u64 {
    let crowds = messages / 150;
    if chance.one_in(3) {
        length / 100 * 65 / crowds as u64 * chance.between(1, crowds) as u64
    } else {
        chance.draw() % length
    }
}

fn live(knows: Knows) {
    let messages = lab::either(300, 5_000);
    let length = 28 * 24 * 60 * MINUTE * messages as u64 / 5_000;
    let calendar = Arc::new(Calendar::new());
    let timetable = Timetable::of(calendar.millis(), length);
    let judge = Arc::new(Judge::default());
    let host = |dialect| Provider::start(Arc::clone(&calendar), timetable.clone(), Arc::clone(&judge), dialect);
    let (first, second) = (host(Dialect::FIRST), host(Dialect::SECOND));
    let relay = Relay::new(Arc::clone(&calendar), Arc::clone(&judge), [first.address, second.address], knows);
    let mut chance = Chance::new(14);
    let mut arrivals: Vec<u64> =
        (0..messages).map(|_| calendar.millis() + arrival(&mut chance, messages, length)).collect();
    arrivals.sort_unstable();
    let (mut arrived, mut runs, mut longest) = (0, 0, 0);
    let end = calendar.millis() + 3 * length;
    loop {
        while arrived < arrivals.len() && arrivals[arrived] <= calendar.millis() {
            relay.accept(arrived, judge.letter(recipients(&mut chance), &mut chance));
            arrived += 1;
        }
        if calendar.millis() >= timetable.mended {
            relay.mend_password();
        }
        let remaining = relay.pass();
        runs += 1;
        longest = longest.max(remaining);
        if remaining == 0 {
            let Some(next) = arrivals.get(arrived) else { break };
            calendar.advance_to(*next);
        }
        calendar.advance_to((calendar.millis() / MINUTE + 1) * MINUTE);
        assert!(calendar.millis() < end, "{remaining} messages stay in the queue\n{}", relay.states());
    }
    let days = (calendar.millis() - arrivals[0]) as f64 / (24 * 60 * MINUTE) as f64;
    judge.conclude();
    let both = [first.figures(), second.figures()];
    both.iter().for_each(|figures| figures.assert_met(knows));
    let said = format!("{days:.1} days, {runs} runs, at most {longest} in the queue; {}; {both:?}", judge.figures());
    lab::report(&format!("month, knowing {knows:?}"), &said);
}

#[test]
fn a_month_behind_a_provider_whose_limits_are_learned() {
    live(Knows::Nothing);
}

#[test]
fn a_month_behind_a_provider_whose_limits_are_configured() {
    live(Knows::Everything);
}
