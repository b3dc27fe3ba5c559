//! The log while a terminal shows something else: lines for standard error go to the view, and there again once it ends.

use crate::cli::Logging;
use crate::cli::logging::LogJob;
use crate::cli::sink::{Sink, Taker, standard_error};

impl Logging {
    /// Lines that would go to standard error go elsewhere from now on, or with `None` there again. A log in a file goes on.
    pub(super) fn divert(&self, elsewhere: Option<Taker>) {
        let taker = elsewhere.unwrap_or_else(standard_error);
        self.jobs.offer(LogJob::Sink(Box::new(|sink| {
            if matches!(sink, Sink::Taker(_)) {
                *sink = Sink::Taker(taker);
            }
        })));
    }
}
