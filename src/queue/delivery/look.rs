//! A look at a message without claiming it: when it is next due, and on which route.

use crate::clock::Timestamp;
use crate::envelope::Envelope;
use crate::id::SpoolId;
use crate::queue::agenda::next_due::{MessageKind, NextDue};
use crate::queue::runner::Runner;
use crate::receipt::Receipt;
use crate::spool::{Folder, Spool};

/// The result of a look at a message.
pub(in crate::queue) enum Look {
    Due(NextDue),
    /// Another process has it.
    Busy,
    Gone,
    /// It cannot be read; whoever claims it will find out why.
    Unknown,
}

impl<S: Spool> Runner<S> {
    /// Looks at a message without claiming it; an urgent one is due now.
    pub(in crate::queue) fn look(&self, id: SpoolId, pressing: bool) -> Look {
        match self.spool.peek(id) {
            Ok(Some(glance)) if glance.folder != Folder::Queue => Look::Gone,
            Ok(Some(glance)) if glance.busy => Look::Busy,
            Ok(Some(glance)) => {
                let mut next_due = self.next_due(id, &glance.envelope, &glance.receipts, glance.size);
                if pressing {
                    let now = self.clock.now();
                    next_due.due.iter_mut().for_each(|(_, due)| *due = now.min(*due));
                }
                Look::Due(next_due)
            }
            Ok(None) => Look::Gone,
            Err(_) => Look::Unknown,
        }
    }

    /// When a message with these receipts is next due.
    pub(in crate::queue) fn next_due(
        &self,
        id: SpoolId,
        envelope: &Envelope,
        receipts: &[Receipt],
        size: u64,
    ) -> NextDue {
        let now = self.clock.now();
        let destinations = self.destinations(envelope);
        let mut due: Vec<(usize, Timestamp)> = Vec::new();
        for (index, time) in self.schedule.due_times(id, envelope, receipts, now) {
            let Some(route) = destinations.get(usize::from(index)).map(|to| to.route) else { continue };
            match due.iter_mut().find(|(known, _)| *known == route) {
                Some((_, earliest)) => *earliest = time.min(*earliest),
                None => due.push((route, time)),
            }
        }
        if due.is_empty() {
            // No recipient is left to reach: what remains to do needs no route.
            due.push((destinations.first().map_or(0, |to| to.route), now));
        }
        NextDue { kind: MessageKind::of(&envelope.reverse_path, size), due }
    }
}
