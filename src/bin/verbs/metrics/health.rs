//! `health`: whether mail is delivered, for the health checks of containers. One line, and an exit code.
//!
//! It tests what an open port does not show: that the spool can be read and has room, and that due messages are tried. That
//! a smarthost does not work is no fault of this relay, which a restart would not mend: only `--strict` reports it.

use std::convert::Infallible;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use anyhow::anyhow;
use clap::Args;
use leafmail::admin::{self, Filter, RouteView, Routes, Selected, Visited};
use leafmail::clock::Clock;
use leafmail::config::Config;
use leafmail::id::SpoolId;
use leafmail::spool::{DirSpool, Folder, Spool};
use leafmail::sys::SystemClock;
use sysexits::ExitCode;

use super::super::existing::existing_spool;
use super::super::filters::duration;
use super::super::listing::{routes, say};
use crate::cli::{self, OrExit};

/// Messages that are looked at to find one that somebody works on.
const MOST_LOOKED_AT: usize = 1_000;

/// What counts as healthy.
#[derive(Debug, Clone, Args)]
pub(crate) struct HealthOptions {
    /// Mail that is due for so long must have been tried
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = duration)]
    overdue: Duration,
    /// Also report routes that have been paused for longer than alarm.route_paused, and messages older than alarm.oldest
    #[arg(long)]
    strict: bool,
}

/// Says it.
pub(crate) fn health(config: &Config, options: &HealthOptions) -> anyhow::Result<()> {
    let spool = existing_spool(config)?;
    let routes = routes(config);
    let now = SystemClock.now();
    let (mut messages, mut oldest, mut due) = (0_u64, None::<SpoolId>, Vec::new());
    spool
        .scan(Folder::Queue, &mut |entry| {
            messages += 1;
            oldest = Some(oldest.map_or(entry.id, |oldest| oldest.min(entry.id)));
            if now.since(entry.due) >= options.overdue && due.len() < MOST_LOOKED_AT {
                due.push(entry.id);
            }
        })
        .or_exit(ExitCode::IoErr)?;
    let mut faults: Vec<String> = cli::shortage(config).into_iter().collect();
    if !due.is_empty()
        && !was_busy(config, options.overdue)
        && let Some(id) = neglected(&spool, &routes, due)
    {
        let seconds = options.overdue.as_secs();
        faults.push(format!("nobody delivers: {id} has been due for more than {seconds} s, and was not tried"));
    }
    let age = oldest.map(|id| now.since(id.time()));
    if options.strict {
        let since = |since: u64| now.as_millis().saturating_sub(since) / 1_000;
        let paused = routes.all().iter().filter(|route| {
            let pause = route.pause().filter(|pause| !pause.by_hand);
            pause.is_some_and(|pause| since(pause.since) >= config.alarm.route_paused.as_secs())
        });
        faults.extend(paused.filter_map(RouteView::why));
        let is_old = |age: &Duration| *age >= config.alarm.oldest;
        faults.extend(age.filter(is_old).map(|age| format!("the oldest message has waited for {} s", age.as_secs())));
    }
    if !faults.is_empty() {
        return Err(anyhow!("unhealthy: {}", faults.join("; "))).or_exit(ExitCode::Unavailable);
    }
    let waited = age.map(|age| format!(", the oldest for {} s", age.as_secs())).unwrap_or_default();
    say(&format!("healthy: {messages} messages wait{waited}\n"))
}

/// Whether a message left within this time, as far as the history tells: then a long queue is worked on.
fn was_busy(config: &Config, within: Duration) -> bool {
    let now = SystemClock.now().as_millis() / 1_000;
    let is_recent = |at: i64| u64::try_from(at).is_ok_and(|at| now.saturating_sub(at) < within.as_secs());
    config.spool.join("log/history").metadata().is_ok_and(|status| is_recent(status.mtime()))
}

/// A message that could be tried, where nobody works on any of them.
fn neglected(spool: &DirSpool, routes: &Routes, due: Vec<SpoolId>) -> Option<SpoolId> {
    let selected = Selected { ids: due, folders: vec![Folder::Queue], filter: Filter::default() };
    let is_open = |name: &str| routes.named(name).is_none_or(|route| route.why().is_none());
    let (mut found, mut is_busy) = (None, false);
    let _: Result<(), Infallible> = admin::visit(spool, &selected, routes, SystemClock.now(), |visited| {
        if let Visited::Message(listing) = visited {
            is_busy |= listing.busy;
            if listing.recipients.iter().any(|one| one.route.as_deref().is_none_or(is_open)) {
                found = found.or(Some(listing.id));
            }
        }
        Ok(())
    });
    found.filter(|_| !is_busy)
}
