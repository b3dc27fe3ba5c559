//! Which events are reported, and under which name.

use crate::event::Event;
use crate::receipt::Outcome;

/// What happened to a message or to one of its recipients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// It was accepted: it is on disk.
    Accepted,
    /// The next hop accepted it for a recipient.
    Delivered,
    /// It is tried again.
    Deferred,
    /// It was refused permanently.
    Bounced,
    /// Its time is over.
    Expired,
    /// It was moved to `hold/`.
    Held,
    /// It was moved to `failed/` or `bad/`.
    Failed,
}

impl EventKind {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Accepted, Self::Delivered, Self::Deferred, Self::Bounced, Self::Expired, Self::Held, Self::Failed];

    /// Its name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Delivered => "delivered",
            Self::Deferred => "deferred",
            Self::Bounced => "bounced",
            Self::Expired => "expired",
            Self::Held => "held",
            Self::Failed => "failed",
        }
    }

    /// What an event is, if it is one of them.
    pub(super) fn of(event: &Event) -> Option<Self> {
        match event {
            Event::Accepted { .. } => Some(Self::Accepted),
            Event::Attempted { outcome, .. } => match outcome {
                Outcome::Delivered(_) => Some(Self::Delivered),
                Outcome::Deferred(_) | Outcome::InDoubt(_) => Some(Self::Deferred),
                Outcome::Failed(_) => Some(Self::Bounced),
                // Another attempt is under way.
                Outcome::Postponed(_) => None,
            },
            Event::Expired { .. } => Some(Self::Expired),
            Event::SetAside { folder: "hold", .. } => Some(Self::Held),
            Event::SetAside { .. } => Some(Self::Failed),
            _ => None,
        }
    }
}

/// The route of an event, where it has one.
pub(super) fn route(event: &Event) -> Option<&str> {
    match event {
        Event::Attempted { route, .. } | Event::Expired { route, .. } => Some(route),
        _ => None,
    }
}
