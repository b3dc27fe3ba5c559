//! What the session tells whoever watches: its dialogue, and everything that it refuses.
//!
//! Nothing is refused in silence. Each negative reply is noted once, with the command that it answers; where only a
//! farewell says why the session ends, its end is noted with that reason.

mod refusals;
mod slip;
mod transcript;
mod verb;
