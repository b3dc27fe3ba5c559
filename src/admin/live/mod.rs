//! The live view of a runner: what it counts, what it knows of the queue, and how that looks on a page of text.
//!
//! Nothing here reads the clock, knows a terminal or prints. A [`LiveObserver`] receives events, a [`Survey`] reads
//! the spool when it is asked to, and [`frame()`] turns both into lines. No line contains a control character, or is
//! wider than requested.

mod frame;
mod observer;
mod progress;
mod rate;
mod survey;
mod text;

pub use frame::{FrameLine, FrameTone, View, frame};
pub use observer::{Counts, LiveObserver, Noted, RouteCounts};
pub use progress::Progress;
pub use survey::{Backlog, QueueView, Survey};
