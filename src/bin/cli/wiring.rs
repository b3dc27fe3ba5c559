//! The pieces, made from the configuration.

use std::sync::{Arc, mpsc};
use std::thread;

use leafmail::clock::longest_varied;
use leafmail::config::{Config, ListSection, RoutePlan};
use leafmail::event::Observer;
use leafmail::history::{HistoryFile, HistoryObserver};
use leafmail::mailing_list::MailingLists;
use leafmail::queue::{
    HopFile, NoticeSettings, Readdressing, Route, RouteFolder, Runner, Schedule, SharedRouteLimits, StopFlag,
    watch_folder,
};
use leafmail::routing::{AliasFile, LocalDomains};
use leafmail::smtp::long_lines::LongLines;
use leafmail::spool::{DirSpool, Folder, SpoolError, SpoolErrorKind, SpoolSettings, mark};
use leafmail::sys::{self, SystemClock};
use leafmail::transport::{self, RouteSettings};

use sysexits::ExitCode;

use super::OrExit;

/// The spool directory, made where it is not there yet.
pub(crate) fn open_spool(config: &Config) -> anyhow::Result<Arc<DirSpool>> {
    DirSpool::open(&config.spool, spool_settings(config), Arc::new(SystemClock)).map(Arc::new).or_else(cannot_open)
}

/// Why the spool would refuse every message, before the first is refused.
pub(crate) fn shortage(config: &Config) -> Option<String> {
    spool_settings(config).shortage_at(&config.spool)
}

fn spool_settings(config: &Config) -> SpoolSettings {
    let longest = config.queue.retry.iter().max().copied().unwrap_or_default();
    SpoolSettings {
        longest_interval: longest_varied(longest).max(SpoolSettings::default().longest_interval),
        reserve_octets: config.reserve.space,
        reserve_inodes: config.reserve.inodes,
        largest_message: config.message.max_size,
        sync: config.spool_sync,
        ..SpoolSettings::default()
    }
}

fn cannot_open<T>(error: SpoolError) -> anyhow::Result<T> {
    let SpoolErrorKind::OtherOwner(uid) = error.kind else { return Err(error).or_exit(ExitCode::CantCreat) };
    let whose = match sys::account(uid) {
        Some(account) => format!("user {} (uid {uid})", account.name),
        None => format!("the user with uid {uid}"),
    };
    let path = error.path.display();
    Err(anyhow::anyhow!("opening {path}: it belongs to {whose}: run this as that user")).or_exit(ExitCode::NoPerm)
}

/// The mark of the spool; none where there is no spool yet.
pub(crate) fn own_mark(config: &Config) -> Option<String> {
    mark(&config.spool, &config.hostname).ok()
}

/// The settings of a next hop, which must not be this relay.
pub(crate) fn knowing_ourselves(config: &Config, hop: RouteSettings) -> RouteSettings {
    RouteSettings { own_mark: own_mark(config), ..hop }
}

/// What forwards mail over the configured routes, in either binary.
pub(crate) fn runner(config: &Config, spool: Arc<DirSpool>) -> anyhow::Result<Runner<DirSpool>> {
    let stop = Arc::new(StopFlag::with_patience(config.queue.stop_wait).or_exit(ExitCode::OsErr)?);
    let states = config.spool.join("routes");
    let route = |plan: RoutePlan| {
        let hops: Vec<_> = plan.hops.into_iter().map(|hop| knowing_ourselves(config, hop)).collect();
        let memory = Arc::new(HopFile::new(&states, &plan.name));
        let dispatch = transport::dispatch_with_memory(&hops, stop.leaving(), memory).or_exit(ExitCode::Config)?;
        let (connections, clock) = (dispatch.connections(), Arc::new(SystemClock));
        let limits = Arc::new(SharedRouteLimits::new(&states, &plan.name, connections, plan.pace, clock));
        Ok(Route { name: plan.name, criteria: plan.criteria, dispatch, limits })
    };
    let senders: Vec<_> =
        config.routes().into_iter().filter_map(|plan| Some((plan.name, plan.notices_from?))).collect();
    Ok(Runner {
        spool,
        routes: config.routes().into_iter().map(route).collect::<anyhow::Result<_>>()?,
        readdressing: Arc::new(Readdressing {
            aliases: aliases(config)?,
            lists: mailing_lists(config)?,
            rewritings: config.rewritings(),
            wrapped_routes: wrapped_routes(config),
            signing: config.signing(),
        }),
        schedule: Schedule {
            retry: config.queue.retry.clone(),
            give_up: config.queue.give_up,
            delay_notice: config.queue.delay_notice,
            in_doubt: config.queue.in_doubt,
            unanswered: senders.iter().map(|(_, sender)| sender.clone()).collect(),
        },
        states: Arc::new(RouteFolder::new(&states)),
        observer: Arc::new(beside(super::log_observer(config), config)),
        clock: Arc::new(SystemClock),
        hostname: config.hostname.clone(),
        return_full: config.queue.return_full,
        notices: NoticeSettings {
            admin: config.notices.admin.clone(),
            per_hour: config.notices.per_hour,
            copy_failures: config.notices.copy_failures,
            senders,
        },
        stop,
    })
}

/// The routes over which long lines are wrapped.
fn wrapped_routes(config: &Config) -> Vec<String> {
    let wraps = |plan: &RoutePlan| plan.long_lines == LongLines::Wrap;
    config.routes().into_iter().filter(wraps).map(|plan| plan.name).collect()
}

/// Whoever watches a runner besides `first`: the history of what left the spool, and those that watch everything.
pub(crate) fn beside(first: Arc<dyn Observer>, config: &Config) -> Vec<Arc<dyn Observer>> {
    [first, history(config)].into_iter().chain(super::shared_observers(config)).collect()
}

/// The history of what left the spool.
fn history(config: &Config) -> Arc<dyn Observer> {
    let file = HistoryFile::new(config.spool.join("log"), config.log.history);
    Arc::new(HistoryObserver::new(file, Arc::new(SystemClock)))
}

/// The aliases, if there are any.
pub(crate) fn aliases(config: &Config) -> anyhow::Result<Option<AliasFile>> {
    let local = LocalDomains { domains: config.local_domains(), default: config.default_domain().clone() };
    let table = config.aliases.table.clone();
    match &config.aliases.file {
        Some(path) => AliasFile::load(path.clone(), table, local).map(Some).or_exit(ExitCode::Config),
        None if table.is_empty() => Ok(None),
        None => AliasFile::without_file(table, local).map(Some).or_exit(ExitCode::Config),
    }
}

/// The mailing lists.
pub(crate) fn mailing_lists(config: &Config) -> anyhow::Result<MailingLists> {
    let lists = config.list.iter().map(ListSection::list).collect::<Result<Vec<_>, _>>().or_exit(ExitCode::Config)?;
    Ok(MailingLists::new(lists.into_iter().flatten().collect()))
}

/// Forwards continuously, until the runner's stop flag is raised.
pub(crate) fn watch(runner: &Runner<DirSpool>, config: &Config) {
    let queue = config.spool.join(Folder::Queue.name());
    let routes = config.spool.join("routes");
    let monitor = super::monitor(runner, config);
    thread::scope(|scope| {
        let (watching, ended) = mpsc::channel();
        if let Some(monitor) = &monitor {
            scope.spawn(move || monitor.keep_watch(&ended));
        }
        runner.watch(watch_folder(&queue, &routes, Arc::clone(&runner.stop)));
        drop::<mpsc::Sender<()>>(watching);
    });
}

/// A disk that failed to sync ends the program, so that whoever supervises it knows.
pub(crate) fn sound(spool: &DirSpool) -> anyhow::Result<()> {
    if spool.is_poisoned() {
        return Err(anyhow::anyhow!("the disk failed to sync; nothing more is accepted")).or_exit(ExitCode::IoErr);
    }
    Ok(())
}
