//! Routing: by which route, and under which addresses, a message goes on. Pure.
//!
//! What was frozen at acceptance is never changed: routes, rewriting and aliases are found anew at each run of the queue, so
//! that a configuration that was mended frees what waits.

mod criteria;
mod rewriting;

pub use criteria::{Criteria, choose};
pub use rewriting::Rewriting;
