//! The queue: what becomes of accepted messages.
//!
//! *Scan, claim, plan, deliver, record.* [`ledger`] says where each recipient stands, [`schedule`] what is due, [`route`]
//! whether the next hop can be used and [`bounce`] what the sender is told; those four are pure. [`Runner`] does what they
//! decide, through the traits of the spool and the transport: it knows neither where messages lie nor who takes them.

mod agenda;
mod beyond;
mod body;
pub mod bounce;
mod delivery;
mod ending;
mod expansion;
mod gate;
mod lane;
pub mod ledger;
mod line;
mod mime;
mod notices;
mod notify;
pub mod pace;
mod pace_file;
mod parcel;
mod prospect;
mod readdressing;
mod record;
mod report;
mod returned;
pub mod route;
pub mod route_file;
mod runner;
pub mod schedule;
mod shared_file;
mod shift;
mod size_file;
mod stop;
pub mod tally;
mod task;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod turnstile;
mod wakeup;

pub use notices::Notices;
pub use readdressing::Readdressing;
pub use route::{RouteState, RouteStore};
pub use route_file::RouteFolder;
pub use runner::{Route, Runner, Selection, Summary};
pub use schedule::{InDoubt, Plan, Schedule, Situation, Urgency};
pub use shared_file::change_shared;
pub use size_file::SizeFile;
pub use stop::StopFlag;
pub use turnstile::{RouteTurnstile, Slot, Turnstile};
pub use wakeup::{FolderWatch, Polling, Wakeup, Wakeups, nudge, watch_folder};
