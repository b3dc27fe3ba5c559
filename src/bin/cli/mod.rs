//! What the binaries share: options, exit codes, the log, and the making of the pieces from the configuration.

mod confine;
mod exit;
mod logging;
mod observer;
mod options;
mod sentry;
mod signals;
mod sink;
mod style;
pub(crate) mod wiring;

#[allow(unused_imports, reason = "only smtpd has a supervisor")]
pub(crate) use confine::{Told, assume, identity, lock_in, prepare, warn_of_root};
#[allow(unused_imports, reason = "only smtpd has a supervisor")]
pub(crate) use exit::code_of;
pub(crate) use exit::{OrExit, finish};
pub(crate) use logging::Logging;
pub(crate) use observer::log_observer;
pub(crate) use options::{Common, parse_from, report_checked};
pub(crate) use sentry::sentry;
pub(crate) use signals::heed_signals;
pub(crate) use wiring::{aliases, open_spool, runner, shortage, sound, watch};
