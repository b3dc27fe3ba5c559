//! The threads: they work through the queue once, or watch it continuously, and wake up when it changes.

mod concurrency;
mod delays;
mod lookahead;
mod passes;
mod pauses;
mod pool;
mod route_states;
mod scan;
pub(super) mod wakeup;
mod worker;
