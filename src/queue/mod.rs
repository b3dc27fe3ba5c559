//! The queue: what becomes of accepted messages.
//!
//! *Scan, claim, plan, deliver, record.* One folder for each responsibility; a folder uses only those above it in this list:
//!
//! - [`dsn`] writes what a sender receives about a message: delivery status notifications (RFC 3461, RFC 3464). Pure.
//! - [`plan`] folds the receipts of a message into a ledger, and decides from it what is due. Pure.
//! - [`routes`] knows whether the next hop of a route can be used, and how fast; below it are the small files of
//!   `spool/routes/`, which all processes share.
//! - `agenda` orders the messages that wait, by route and by sender. Pure.
//! - `delivery` works on one claimed message, until there is nothing left to do for now.
//! - `workers` are the threads: a pass over the queue, or a continuous watch, and what wakes them up.
//!
//! [`Runner`] is what all of them are given: the spool, the routes, the schedule. The queue reaches the spool and the
//! transport through traits: it knows no concrete spool, and no protocol.

mod agenda;
mod delivery;
pub mod dsn;
pub mod plan;
pub mod routes;
mod runner;
mod stop;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod workers;

pub use crate::routing::Readdressing;
pub use dsn::NoticeSettings;
pub use plan::schedule::{InDoubt, Plan, Schedule, Situation, Urgency};
pub use routes::files::{HopFile, RouteFolder, SizeFile, change_shared};
pub use routes::limits::{ConnectionPermit, RouteLimits, SharedRouteLimits};
pub use routes::state::{RouteState, RouteStore};
pub use runner::{Route, Runner, Selection, Summary};
pub use stop::StopFlag;
pub use workers::wakeup::{FolderWatch, Polling, Wakeup, Wakeups, nudge, watch_folder};
