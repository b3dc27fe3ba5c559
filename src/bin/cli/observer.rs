//! Who watches what happens: the log, in the form that the configuration wants, and what is the same in every process: event
//! hooks and counters. They are started once, after the sandbox was entered, and ended before the log is.

use std::sync::{Arc, OnceLock};

use leafmail::config::{Config, LogFormat};
use leafmail::event::{JsonObserver, LogObserver, Observer, OncePerMinute};
use leafmail::metrics::{CounterFile, Counters};
use leafmail::sys::SystemClock;

use super::event_hooks::{end_event_hooks, event_hooks};

static COUNTING: OnceLock<Option<(Arc<Counters>, Arc<CounterFile>)>> = OnceLock::new();

/// The observer that logs.
pub(crate) fn log_observer(config: &Config) -> Arc<dyn Observer> {
    Arc::new(OncePerMinute::new(match config.log.format {
        LogFormat::Postfix => Arc::new(LogObserver),
        LogFormat::Json => Arc::new(JsonObserver),
    }))
}

/// Those that are the same for whoever receives and whoever delivers.
pub(crate) fn shared_observers(config: &Config) -> impl Iterator<Item = Arc<dyn Observer>> + use<> {
    event_hooks(config).chain(counters(config))
}

/// Ends them, within some seconds. To be called while there is a log.
pub(crate) fn end_shared_observers() {
    end_event_hooks();
    if let Some(Some((_, file))) = COUNTING.get() {
        file.end();
    }
}

/// What counts; none without `log.counters`.
fn counters(config: &Config) -> Option<Arc<dyn Observer>> {
    if !config.log.counters {
        return None;
    }
    let begin = || {
        let routes: Vec<String> = config.routes().into_iter().map(|plan| plan.name).collect();
        let counters = Arc::new(Counters::new(&routes, Arc::new(SystemClock)));
        let failed = |error: &std::io::Error| log::warn!("nothing is counted: {error}; mail goes on without it");
        let file = CounterFile::begin(&config.spool.join("log"), Arc::clone(&counters)).inspect_err(failed).ok()?;
        Some((counters, file))
    };
    COUNTING.get_or_init(begin).as_ref().map(|(counters, _)| Arc::clone(counters) as Arc<dyn Observer>)
}
