//! The pieces, made from the configuration.

use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use leafmail::config::Config;
use leafmail::event::{LogObserver, Observer};
use leafmail::queue::{RouteFolder, Runner, Schedule, StopFlag, watch_folder};
use leafmail::spool::{DirSpool, Reserve, Shelf, SpoolSettings};
use leafmail::sys::SystemClock;
use leafmail::transport;

use super::{Exit, OrExit};

/// The spool directory, made where it is not there yet.
pub(crate) fn open_spool(config: &Config) -> anyhow::Result<Arc<DirSpool>> {
    let settings = SpoolSettings {
        reserve: Reserve { space: config.reserve.space, inodes: config.reserve.inodes },
        largest_message: config.message.max_size,
        ..SpoolSettings::default()
    };
    DirSpool::open(&config.spool, settings, Arc::new(SystemClock)).map(Arc::new).or_exit(Exit::CannotCreate)
}

/// What forwards mail, in either binary.
pub(crate) struct Deliverer {
    runner: Runner<DirSpool>,
    stop: Arc<StopFlag>,
    queue: std::path::PathBuf,
}

impl Deliverer {
    /// A runner over the configured route.
    pub(crate) fn new(config: &Config, spool: Arc<DirSpool>) -> anyhow::Result<Self> {
        let route = config.route();
        let stop = Arc::new(StopFlag::new().or_exit(Exit::System)?);
        let runner = Runner {
            spool,
            dispatch: transport::dispatch(&route).or_exit(Exit::Config)?,
            schedule: Schedule {
                retry: config.queue.retry.clone(),
                give_up: config.queue.give_up,
                delay_notice: config.queue.delay_notice,
            },
            route: route.name,
            routes: Arc::new(RouteFolder::new(config.spool.join("routes"))),
            observer: observer(),
            clock: Arc::new(SystemClock),
            hostname: config.hostname.clone(),
            stop: Arc::clone(&stop),
        };
        Ok(Self { runner, stop, queue: config.spool.join(Shelf::Queue.folder()) })
    }

    /// The runner itself, for a single pass.
    pub(crate) fn runner(&self) -> &Runner<DirSpool> {
        &self.runner
    }

    /// Raised, it ends the watch.
    pub(crate) fn stop(&self) -> Arc<StopFlag> {
        Arc::clone(&self.stop)
    }

    /// Works for good, until the stop flag is raised.
    pub(crate) fn watch(&self) {
        self.runner.watch(watch_folder(Path::new(&self.queue), Arc::clone(&self.stop)));
    }

    /// Works for good in a thread of its own.
    pub(crate) fn watch_aside(self) -> anyhow::Result<JoinHandle<()>> {
        thread::Builder::new().name("queue".to_owned()).spawn(move || self.watch()).or_exit(Exit::System)
    }
}

/// Who is told what happens.
pub(crate) fn observer() -> Arc<dyn Observer> {
    Arc::new(LogObserver)
}
