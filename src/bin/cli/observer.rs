//! Who writes events to the log, in the form that the configuration wants.

use std::sync::Arc;

use leafmail::config::{Config, LogFormat};
use leafmail::event::{JsonObserver, LogObserver, Observer, OncePerMinute};

/// The observer that logs.
pub(crate) fn log_observer(config: &Config) -> Arc<dyn Observer> {
    Arc::new(OncePerMinute::new(match config.log.format {
        LogFormat::Postfix => Arc::new(LogObserver),
        LogFormat::Json => Arc::new(JsonObserver),
    }))
}
