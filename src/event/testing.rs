//! An event that the tests of several forms of it share.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::event::{Delays, Event};
use crate::id::SpoolId;
use crate::receipt::{Outcome, Reason};
use crate::smtp::EnhancedCode;

/// A message, and an attempt at it that was answered with this text and 4.2.0.
pub(crate) fn attempted(text: &str) -> (SpoolId, Event) {
    let id = SpoolId::new(Timestamp::from_millis(1), 1, 1);
    let delays = Delays { receiving: Duration::from_millis(120), queued: Duration::from_secs(61), ..Delays::default() };
    let event = Event::Attempted {
        id,
        sender: crate::address::ReversePath::Null,
        message_id: None,
        recipient: "bob@example.com".parse().unwrap(),
        written: None,
        route: "relay".to_owned(),
        relay: "mx.example.com[192.0.2.9]:25".to_owned(),
        delays,
        outcome: Outcome::Deferred(Reason::new(EnhancedCode(4, 2, 0), text)),
    };
    (id, event)
}

/// A message, and an attempt at it that succeeded.
pub(crate) fn delivered() -> (SpoolId, Event) {
    let (id, mut event) = attempted("250 ok");
    if let Event::Attempted { outcome, .. } = &mut event {
        *outcome = Outcome::Delivered(Reason::new(EnhancedCode(2, 0, 0), "250 ok"));
    }
    (id, event)
}
