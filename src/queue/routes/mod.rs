//! Whether the next hop of a route can be used, and how fast.
//!
//! The decisions are pure; what all processes share is in the small files of [`files`].

pub(in crate::queue) mod connection;
pub mod files;
pub(in crate::queue) mod gate;
pub mod limits;
pub mod pace;
pub mod state;
