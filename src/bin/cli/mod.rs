//! What the binaries share: options, exit codes, the log, and the making of the pieces from the configuration.

mod exit;
mod logging;
mod observer;
mod options;
mod sentry;
mod signals;
mod sink;
mod style;
mod wiring;

pub(crate) use exit::{OrExit, finish};
pub(crate) use logging::Logging;
pub(crate) use observer::log_observer;
pub(crate) use options::{Common, parse_from, report_checked};
pub(crate) use sentry::sentry;
pub(crate) use signals::heed_signals;
#[allow(unused_imports, reason = "smtpd has no view")]
pub(crate) use wiring::history;
#[allow(unused_imports, reason = "smtpd asks no next hop itself")]
pub(crate) use wiring::knowing_ourselves;
#[allow(unused_imports, reason = "spoolrun greets nobody")]
pub(crate) use wiring::own_mark;
pub(crate) use wiring::{aliases, open_spool, runner, shortage, sound, watch};
