//! What the binaries share: options, exit codes, the log, and the making of the pieces from the configuration.

mod exit;
mod logging;
mod options;
mod wiring;

pub(crate) use exit::{Exit, OrExit, finish};
pub(crate) use logging::Logging;
pub(crate) use options::{Common, report_checked};
pub(crate) use wiring::{Deliverer, observer, open_spool};
