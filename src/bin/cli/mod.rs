//! What the binaries share: options, exit codes, the log, and the making of the pieces from the configuration.

pub(crate) mod confine;
mod event_hooks;
pub(crate) mod exit;
pub(crate) mod help;
pub(crate) mod logging;
mod monitor;
mod observer;
mod options;
pub(crate) mod screen;
mod signals;
pub(crate) mod sink;
mod style;
pub(crate) mod wiring;

pub(crate) use confine::{Stay, assume, lock_in, root_remark};
pub(crate) use exit::{OrExit, finish};
pub(crate) use logging::Logging;
pub(crate) use monitor::monitor;
pub(crate) use observer::{end_shared_observers, log_observer, shared_observers};
pub(crate) use options::{Common, explain_usage, parse_from, report_checked};
pub(crate) use screen::Reader;
pub(crate) use signals::heed_signals;
pub(crate) use wiring::{aliases, mailing_lists, open_spool, runner, shortage, sound, watch};
