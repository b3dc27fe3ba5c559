//! When a message is next due, on which routes, and what decides who goes first: its sender, and whether it is large.

use crate::address::ReversePath;
use crate::clock::Timestamp;
use crate::queue::plan::schedule::Urgency;

/// A message of more octets is large: others overtake it, and it may not take all connections of a route.
pub(in crate::queue) const LARGE: u64 = 1 << 20;

/// When a message is next due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::queue) struct NextDue {
    pub(in crate::queue) kind: MessageKind,
    /// When it is next due on each route that recipients are still to be reached by.
    pub(in crate::queue) due: Vec<(usize, Timestamp)>,
}

impl NextDue {
    /// The one of a message that cannot be looked at.
    pub(in crate::queue) fn unknown(now: Timestamp) -> Self {
        Self { kind: MessageKind::UNKNOWN, due: vec![(0, now)] }
    }

    /// What of it is due now on routes other than `tried`; an urgent message is due on all of them.
    pub(in crate::queue) fn without(&self, tried: &[usize], urgency: Urgency, now: Timestamp) -> Self {
        let open = self.due.iter().filter(|(route, _)| !tried.contains(route));
        let open = open.map(|(route, due)| (*route, if urgency == Urgency::Now { now.min(*due) } else { *due }));
        Self { kind: self.kind, due: open.filter(|(_, due)| *due <= now).collect() }
    }
}

/// What decides who goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::queue) struct MessageKind {
    /// A hash of the sender. Two senders with one hash do no harm.
    pub(in crate::queue) sender: u32,
    pub(in crate::queue) large: bool,
}

impl MessageKind {
    /// The one of a message that was not looked at.
    pub(super) const UNKNOWN: Self = Self { sender: 0, large: false };

    pub(in crate::queue) fn of(sender: &ReversePath, size: u64) -> Self {
        // FNV-1a (Fowler, Noll, Vo), over the domain and the local part in lower case.
        let octets = sender.to_string().into_bytes();
        let hash = octets.iter().fold(0x811c_9dc5_u32, |hash, octet| {
            (hash ^ u32::from(octet.to_ascii_lowercase())).wrapping_mul(0x0100_0193)
        });
        Self { sender: hash, large: size > LARGE }
    }
}
