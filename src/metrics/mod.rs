//! Metrics: what all processes of a spool have counted, and the queue in figures, as text for Prometheus.
//!
//! Each process counts in its memory, by an observer of events. Once a second a thread writes the counters into the process's own
//! file in `log/` of the spool, if they changed. Nothing is ever synced, no mail waits for it, and a failure stops no mail. A
//! process that ends adds its counters to the file of all; what a killed one left is added by the next. So the sums
//! grow over restarts, sessions of a super-server and runs of cron.
//!
//! No label holds text of a peer: labels are names of routes and words of this program.

mod accept;
mod cells;
mod collect;
mod families;
mod figures;
mod file;
mod observer;
mod readings;
mod text;

pub use accept::MetricsFormat;
pub use collect::figures;
pub use figures::{Figures, RouteFigures};
pub use file::{CounterFile, read_counters};
pub use observer::Counters;
pub use readings::Readings;
pub use text::metrics_text;
