//! The session: one client's dialogue, without sockets, files or clocks.

mod headers;
mod question;

pub use headers::HeaderBlock;
pub use question::{Question, Verdict};
