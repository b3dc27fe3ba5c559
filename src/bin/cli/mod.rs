//! What the binaries share: options, exit codes, the log, and the making of the pieces from the configuration.

mod exit;
mod logging;
mod options;
mod signals;
mod wiring;

pub(crate) use exit::{OrExit, finish};
pub(crate) use logging::Logging;
pub(crate) use options::{Common, parse_from, report_checked};
pub(crate) use signals::heed_signals;
pub(crate) use wiring::{aliases, open_spool, runner, shortage, sound, watch};
