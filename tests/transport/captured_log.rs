//! The log of this process, whole, for tests that look for what must not be in it.

use std::sync::{Mutex, Once, PoisonError};

struct Capture(Mutex<String>);

static LOG: Capture = Capture(Mutex::new(String::new()));

impl log::Log for Capture {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let mut text = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let traced = if record.target() == leafmail::smtp::DIALOGUE { "dialogue: " } else { "" };
        *text += &format!("{traced}{}\n", record.args());
    }

    fn flush(&self) {}
}

/// Keeps every line from now on, of all tests.
pub(crate) fn capture() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&LOG).unwrap();
        log::set_max_level(log::LevelFilter::Trace);
    });
}

/// All lines so far.
pub(crate) fn captured() -> String {
    LOG.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
