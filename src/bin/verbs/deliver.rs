//! The verbs that deliver: a pass over what is due, a flush of all or some of it, and watching continuously.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::anyhow;
use leafmail::admin::{self, Kept};
use leafmail::config::Config;
use leafmail::id::SpoolId;
use leafmail::queue::{Runner, Selection, Summary, Urgency};
use leafmail::spool::{DirSpool, Folder, Manage, Spool};
use leafmail::supervisor;
use log::LevelFilter;
use serde_json::json;
use sysexits::ExitCode;

use super::existing::existing_spool;
use super::explain::places;
use super::filters::Filters;
use super::listing::{Stopped, for_each, routes, say, say_folded, tell};
use super::live::{Bar, LiveView};
use super::look::no_such_message;
use crate::cli::confine::SandboxReport;
use crate::cli::screen::Screen;
use crate::cli::{self, Logging, OrExit, Reader, Stay};

/// One pass. Only trouble of our own is an error.
pub(crate) fn pass(config: &Config, logging: &Logging, urgency: Urgency, json: bool) -> anyhow::Result<()> {
    let mut runner = cli::runner(config, cli::open_spool(config)?)?;
    leave_at_signals(logging, &runner)?;
    let monitor = cli::monitor(&runner, config);
    monitor.as_ref().inspect(|monitor| monitor.beat());
    let now = runner.clock.now();
    let screen = screen(config, &mut runner, urgency);
    let bar = Bar::begin(config, logging, &mut runner, |spool| {
        let mut due = 0;
        // What cannot be listed is reported by the pass itself.
        let _ = spool.scan(Folder::Queue, &mut |entry| due += usize::from(urgency == Urgency::Now || entry.due <= now));
        due
    });
    let flushed = runner.flush(Selection::All, urgency).or_exit(ExitCode::IoErr);
    let somebody_watches = bar.is_some();
    screen.into_iter().for_each(Screen::end);
    logging.catch_up();
    drop(bar);
    let summary = flushed?;
    monitor.inspect(|monitor| monitor.look());
    cli::end_shared_observers();
    log::debug!("{}", words(&summary));
    match urgency {
        Urgency::Now => answer(config, &runner.spool, &summary, &waiting(&runner.spool, &summary), json)?,
        Urgency::Due if somebody_watches => {
            let kept = kept(config, &runner.spool, &summary, &waiting(&runner.spool, &summary));
            let kept: String = kept.iter().map(Kept::text).collect();
            tell(format!("{}\n{kept}", words(&summary)).trim_end()).or_exit(ExitCode::IoErr)?;
        }
        Urgency::Due => {}
    }
    report(&summary)
}

/// What is left in the queue, as far as it can be listed.
fn waiting(spool: &DirSpool, summary: &Summary) -> Vec<SpoolId> {
    if summary.remaining == 0 { Vec::new() } else { spool.ids(Folder::Queue).unwrap_or_default() }
}

/// Tries messages now, whatever was due.
pub(crate) fn flush(
    config: &Config,
    logging: &Logging,
    filters: &Filters,
    dry_run: bool,
    json: bool,
) -> anyhow::Result<()> {
    let spool = existing_spool(config)?;
    let mut ids = filters.ids.clone();
    if let ([id], true) = (&filters.ids[..], filters.is_ids_only()) {
        match spool.locate(*id).or_exit(ExitCode::IoErr)? {
            Some(Folder::Queue) => {}
            Some(Folder::Hold) => return not_in_queue(*id, "it is held: release it"),
            Some(Folder::Failed) => return not_in_queue(*id, "it failed: requeue it"),
            Some(Folder::Bad) => return not_in_queue(*id, "it is damaged"),
            None => return no_such_message(*id),
        }
    } else if !filters.is_ids_only() {
        ids.clear();
        let routes = routes(config);
        let found = for_each(&spool, &filters.selected(&[Folder::Queue], &routes)?, &routes, |listing| {
            ids.extend((listing.folder == Folder::Queue).then_some(listing.id));
            Ok(())
        });
        found.or_else(Stopped::explain)?;
    }
    if dry_run {
        for id in &ids {
            say(&match json {
                true => format!("{}\n", json!({ "queue_id": id.to_string(), "verb": "flushed", "result": "would" })),
                false => format!("{id}: would be tried now\n"),
            })?;
        }
        return Ok(());
    }
    let mut runner = cli::runner(config, spool)?;
    leave_at_signals(logging, &runner)?;
    let screen = screen(config, &mut runner, Urgency::Now);
    let bar = Bar::begin(config, logging, &mut runner, |_| ids.len());
    let summary = runner.flush_these(&ids, Urgency::Now);
    cli::end_shared_observers();
    screen.into_iter().for_each(Screen::end);
    logging.catch_up();
    drop(bar);
    log::debug!("{}", words(&summary));
    match (&ids[..], filters.is_ids_only()) {
        ([id], true) if summary.gone > 0 => no_such_message(*id),
        ([id], true) if summary.busy > 0 => {
            Err(anyhow!("{id}: it is being delivered now, or still arriving; try again")).or_exit(ExitCode::TempFail)
        }
        (_, true) if summary.gone + summary.busy > 0 => {
            answer(config, &runner.spool, &summary, &ids, json)?;
            report(&summary)?;
            let (code, what) = match summary.busy {
                0 => (ExitCode::NoInput, "are not in the queue"),
                _ => (ExitCode::TempFail, "are not in the queue, or are being delivered now"),
            };
            Err(anyhow!("{} of them {what}", summary.gone + summary.busy)).or_exit(code)
        }
        _ => {
            answer(config, &runner.spool, &summary, &ids, json)?;
            report(&summary)
        }
    }
}

/// Tells a person at a terminal what becomes of each message, where somebody flushes by hand.
fn screen(config: &Config, runner: &mut Runner<DirSpool>, urgency: Urgency) -> Option<Screen> {
    if urgency != Urgency::Now || Reader::of(&config.log) == Reader::Log {
        return None;
    }
    let screen = Screen::begin(true, runner.routes.len(), BTreeMap::new())?;
    runner.observer = Arc::new(cli::wiring::beside(screen.observer(), config));
    Some(screen)
}

/// What came of a run, in one line.
fn words(summary: &Summary) -> String {
    let Summary { sent, deferred, bounced, remaining, faults, .. } = summary;
    format!(
        "{sent} sent, {deferred} deferred, {faults} kept as a route failed, {bounced} notices written, {remaining} left in \
         the queue"
    )
}

/// Why mail was kept, if it was, of these messages.
fn kept(config: &Config, spool: &DirSpool, summary: &Summary, ids: &[SpoolId]) -> Vec<Kept> {
    if summary.remaining == 0 {
        return Vec::new();
    }
    admin::kept(spool, ids, &routes(config), &places(config))
}

/// Says on standard output what came of a run, and why mail was kept.
fn answer(config: &Config, spool: &DirSpool, summary: &Summary, ids: &[SpoolId], as_json: bool) -> anyhow::Result<()> {
    let kept = kept(config, spool, summary, ids);
    if !as_json {
        let kept: String = kept.iter().map(Kept::text).collect();
        return say_folded(&format!("{}\n{kept}", words(summary)));
    }
    let Summary { sent, deferred, bounced, set_aside, damaged, busy, gone, faults, troubles, remaining } = summary;
    say(&format!(
        "{}\n",
        json!({
            "sent": sent, "deferred": deferred, "bounced": bounced, "set_aside": set_aside, "damaged": damaged,
            "busy": busy, "gone": gone, "faults": faults, "troubles": troubles, "remaining": remaining,
            "kept": kept.iter().map(Kept::json).collect::<Vec<_>>(),
        })
    ))
}

fn not_in_queue(id: SpoolId, why: &str) -> anyhow::Result<()> {
    Err(anyhow!("{id}: {why}")).or_exit(ExitCode::DataErr)
}

/// What the run itself failed at, as an error.
fn report(summary: &Summary) -> anyhow::Result<()> {
    if summary.troubles > 0 {
        return Err(anyhow!("{} messages could not be worked on", summary.troubles)).or_exit(ExitCode::IoErr);
    }
    if summary.damaged > 0 {
        return Err(anyhow!("{} damaged messages were moved to bad/", summary.damaged)).or_exit(ExitCode::DataErr);
    }
    Ok(())
}

/// Runs continuously; on a terminal with a live view, unless somebody wants to read the log there.
pub(crate) fn watch(config: &Config, logging: &Logging, plain: bool, told: &SandboxReport) -> anyhow::Result<()> {
    let mut runner = cli::runner(config, cli::open_spool(config)?)?;
    leave_at_signals(logging, &runner)?;
    let wordy = config.log.level > LevelFilter::Info && config.log.file.is_none();
    let view = if plain || wordy { None } else { LiveView::begin(config, logging, &mut runner) };
    // What is said before the view is there would stay on the terminal beside it.
    told.log(Stay::Long);
    if let Some(text) = cli::shortage(config) {
        view.iter().filter(|_| config.log.file.is_some()).for_each(|view| view.note(&format!("warning: {text}")));
        log::warn!("{text}");
    }
    cli::root_remark().iter().for_each(|remark| log::warn!("{remark}"));
    log::info!("watching {}", config.spool.display());
    supervisor::tell_ready();
    cli::watch(&runner, config);
    drop(view);
    cli::end_shared_observers();
    log::info!("stopped");
    cli::sound(&runner.spool)
}

/// TERM and INT break off the deliveries under way, but for what was handed over already.
fn leave_at_signals(logging: &Logging, runner: &Runner<DirSpool>) -> anyhow::Result<()> {
    let stop = Arc::clone(&runner.stop);
    cli::heed_signals(logging, || {}, move || stop.raise())
}
