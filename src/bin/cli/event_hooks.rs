//! The event hooks of this process: started once, after the sandbox was entered, and ended before the log is.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use leafmail::config::Config;
use leafmail::event::Observer;
use leafmail::event_hook::{EventHook, EventHookSettings};
use leafmail::sys::SystemClock;

/// How long what still waits at the end of the program may take, over all hooks.
const LAST_REPORTS: Duration = Duration::from_secs(5);

static STARTED: OnceLock<Vec<Arc<EventHook>>> = OnceLock::new();

/// The observers of events that report to hooks; none without `[[event_hook]]`.
pub(crate) fn event_hooks(config: &Config) -> impl Iterator<Item = Arc<dyn Observer>> + use<> {
    let start = |settings: EventHookSettings| {
        let name = settings.name.clone();
        let failed = |error: &std::io::Error| log::error!("{name}: no thread for it: {error}; mail goes on without it");
        EventHook::start(settings, Arc::new(SystemClock)).inspect_err(failed).ok()
    };
    let hooks = STARTED.get_or_init(|| config.event_hooks().into_iter().filter_map(start).collect());
    hooks.iter().map(|hook| Arc::clone(hook) as Arc<dyn Observer>)
}

/// Reports what still waits, for some seconds at most. To be called while there is a log.
pub(crate) fn end_event_hooks() {
    let hooks = STARTED.get().map_or(&[][..], Vec::as_slice);
    let deadline = Instant::now() + LAST_REPORTS;
    hooks.iter().for_each(|hook| hook.end(deadline));
    hooks.iter().for_each(|hook| hook.ended());
}
