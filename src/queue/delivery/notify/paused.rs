//! Messages that wait for a paused route: their delay is reported to the sender, once, as the relay's own trouble.
//!
//! While a route is paused no message pays for it: none is claimed for it, and none gets older. So this looks at them apart. A
//! notice that would wait for the same trouble as its message is not written, as it would come after it.

use std::ops::ControlFlow;

use crate::clock::Timestamp;
use crate::id::SpoolId;
use crate::queue::delivery::job::Job;
use crate::queue::delivery::task::DeliveryTask;
use crate::queue::dsn::notice::NoticeKind;
use crate::queue::dsn::provenance;
use crate::queue::plan::ledger::Standing;
use crate::queue::plan::schedule::Urgency;
use crate::queue::routes::state::Pause;
use crate::queue::runner::Runner;
use crate::spool::{Claim, Claimed, Folder, Glance, Spool};

/// What came of a look at a message that may wait for a paused route.
pub(in crate::queue) enum Delay {
    /// Its sender has this notice now.
    Reported(SpoolId),
    /// There is nothing to report, as long as the route is paused.
    Nothing,
    /// Another has it, or it cannot be read or written now.
    Later,
}

impl<S: Spool> Runner<S> {
    /// Since when a pause has to have gone on for delays to be reported; `None` where they are not reported at all.
    pub(in crate::queue) fn is_long(&self, pause: &Pause) -> bool {
        let schedule = &self.schedule;
        schedule.delay_notice < schedule.give_up && pause.age() >= schedule.delay_notice && !pause.by_hand
    }

    /// Reports the delay of a message to its sender if it has waited long enough for the paused `route`. `is_open`: whether another
    /// route can be used.
    pub(in crate::queue) fn report_pause(
        &self,
        id: SpoolId,
        route: usize,
        pause: &Pause,
        is_open: &dyn Fn(usize) -> bool,
    ) -> Delay {
        let now = self.clock.now();
        match self.spool.peek(id) {
            Ok(Some(glance)) if glance.busy => return Delay::Later,
            Ok(Some(glance)) if self.delayed(&glance, route, is_open, now).is_empty() => return Delay::Nothing,
            Ok(Some(_)) => {}
            Ok(None) => return Delay::Nothing,
            Err(_) => return Delay::Later,
        }
        let Ok(Claimed::Ours(claim)) = self.spool.claim(id) else { return Delay::Later };
        let job = Job { id, route, urgency: Urgency::Due, large: false, probe: false };
        let mut task = DeliveryTask::new(self, claim, job);
        let late = task.delayed(route);
        if late.is_empty() {
            return Delay::Nothing;
        }
        task.pause = Some(pause.clone());
        match task.notify(NoticeKind::Delayed, &late, now) {
            ControlFlow::Continue(()) => task.notices.first().map_or(Delay::Nothing, |notice| Delay::Reported(*notice)),
            ControlFlow::Break(_) => Delay::Later,
        }
    }

    /// The recipients of a message whose delay on this route is to be reported, by a notice that does not wait itself.
    fn delayed(&self, glance: &Glance, route: usize, is_open: &dyn Fn(usize) -> bool, now: Timestamp) -> Vec<u16> {
        let envelope = &glance.envelope;
        let has_waited = now.since(envelope.received_at) >= self.schedule.delay_notice;
        let is_ours = provenance::is_ours(envelope) || !self.schedule.answers(envelope);
        let Some(sender) = envelope.reverse_path.mailbox().filter(|_| has_waited && !is_ours) else {
            return Vec::new();
        };
        if glance.folder != Folder::Queue || !is_open(self.route_of_notice(sender, now)) {
            return Vec::new();
        }
        let destinations = self.destinations(envelope);
        let ledger = self.schedule.ledger(envelope, &glance.receipts);
        ledger.indices(|index, account| {
            destinations.get(index).is_some_and(|to| to.route == route)
                && account.standing == Standing::Pending
                && !account.delay_notified
                && envelope.recipients[index].notify.is_none_or(|notify| notify.delay)
        })
    }
}

impl<S: Spool> DeliveryTask<'_, S> {
    /// The same under the claim, which nobody else can change meanwhile.
    fn delayed(&self, route: usize) -> Vec<u16> {
        let glance = Glance {
            folder: Folder::Queue,
            envelope: self.envelope.clone(),
            seal: self.claim.seal().clone(),
            size: self.claim.size(),
            receipts: self.claim.receipts().to_vec(),
            busy: false,
        };
        self.runner.delayed(&glance, route, &|_| true, self.runner.clock.now())
    }
}
