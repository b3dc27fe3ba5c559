//! The live view of a runner: what it counts, what it knows of the queue, and how that looks on a page of text.
//!
//! Nothing here reads the clock, knows a terminal or prints: a [`LiveObserver`] is told of events, a [`Survey`] looks at the
//! spool when it is asked to, and [`frame()`] makes lines of both. No line holds a control character, or is wider than asked.

mod frame;
mod observer;
mod progress;
mod rate;
mod survey;
mod text;

pub use frame::{Line, Tone, View, frame};
pub use observer::{Counts, LiveObserver, Noted, RouteCounts};
pub use progress::Progress;
pub use survey::{Backlog, QueueView, Survey};
