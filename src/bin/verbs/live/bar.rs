//! The line that shows how far a flush of many messages is, where errors go to a terminal.
//!
//! The log of each message gives way to it; warnings are written above it. It goes when it is dropped.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use leafmail::admin::live::Progress;
use leafmail::config::Config;
use leafmail::queue::Runner;
use leafmail::spool::DirSpool;
use log::LevelFilter;

use super::screen::error_columns;
use crate::cli::Logging;
use crate::verbs::listing::routes;

/// Messages that are worth a line.
const MANY: usize = 20;
/// How often it is drawn.
const PAUSE: Duration = Duration::from_millis(200);
/// Erases what is right of the cursor, which rests at the begin of the line.
const ERASE: &[u8] = b"\x1b[K";

/// The line while it is shown.
pub(crate) struct Bar<'l> {
    logging: &'l Logging,
    level: LevelFilter,
    over: Arc<AtomicBool>,
    drawing: Option<JoinHandle<()>>,
}

impl<'l> Bar<'l> {
    /// Shows it, if there are many messages, and somebody at a terminal who did not ask for more than that.
    pub(crate) fn begin(
        config: &Config,
        logging: &'l Logging,
        runner: &mut Runner<DirSpool>,
        count: impl FnOnce(&DirSpool) -> usize,
    ) -> Option<Self> {
        if config.log.level > LevelFilter::Info {
            return None;
        }
        error_columns()?;
        let total = count(&runner.spool);
        if total <= MANY {
            return None;
        }
        let progress = Arc::new(Progress::new(total));
        let over = Arc::new(AtomicBool::new(false));
        let (shown, ended, config) = (Arc::clone(&progress), Arc::clone(&over), config.clone());
        let on_terminal = config.log.is_for_cron();
        let draw = move || {
            let (start, mut view) = (Instant::now(), (Instant::now(), routes(&config)));
            while !ended.load(Ordering::SeqCst) {
                if view.0.elapsed() > Duration::from_secs(1) {
                    view = (Instant::now(), routes(&config));
                }
                let columns = error_columns().unwrap_or(80).saturating_sub(1);
                write(&[ERASE, shown.line(start.elapsed(), &view.1, columns).as_bytes(), b"\r"].concat());
                thread::park_timeout(PAUSE);
            }
            write(ERASE);
        };
        let drawing = thread::Builder::new().name("progress".into()).spawn(draw).ok()?;
        runner.observer = Arc::new(vec![Arc::clone(&runner.observer), progress]);
        let level = log::max_level();
        if on_terminal {
            log::set_max_level(level.min(LevelFilter::Warn));
            logging.divert(Some(Box::new(|lines| write(&[ERASE, lines].concat()))));
        }
        Some(Self { logging, level, over, drawing: Some(drawing) })
    }
}

fn write(octets: &[u8]) {
    // A terminal that went away shows nothing, and there is nobody to tell.
    let _ = io::stderr().lock().write_all(octets);
}

impl Drop for Bar<'_> {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        if let Some(drawing) = self.drawing.take() {
            drawing.thread().unpark();
            let _ = drawing.join();
        }
        log::set_max_level(self.level);
        self.logging.divert(None);
    }
}
