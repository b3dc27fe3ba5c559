//! The verbs that deliver: a pass over what is due, a flush of all or some of it, and watching for good.

use std::sync::Arc;

use anyhow::anyhow;
use leafmail::config::Config;
use leafmail::id::SpoolId;
use leafmail::queue::{Runner, Selection, Summary, Urgency};
use leafmail::spool::{DirSpool, Shelf, Shelves};
use serde_json::json;
use sysexits::ExitCode;

use super::existing_spool;
use super::filters::Filters;
use super::listing::{Stopped, for_each, routes, say};
use super::look::no_such_message;
use crate::cli::{self, Logging, OrExit};

/// One pass. Only trouble of our own is an error.
pub(crate) fn pass(config: &Config, logging: &Logging, urgency: Urgency, json: bool) -> anyhow::Result<()> {
    let runner = cli::runner(config, cli::open_spool(config)?)?;
    leave_at_signals(logging, &runner)?;
    let summary = runner.flush(Selection::All, urgency).or_exit(ExitCode::IoErr)?;
    report(&summary, json)
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
            Some(Shelf::Queue) => {}
            Some(Shelf::Hold) => return not_in_queue(*id, "it is held: release it"),
            Some(Shelf::Failed) => return not_in_queue(*id, "it failed: requeue it"),
            Some(Shelf::Bad) => return not_in_queue(*id, "it is damaged"),
            None => return no_such_message(*id),
        }
    } else if !filters.is_ids_only() {
        ids.clear();
        let routes = routes(config);
        let found = for_each(&spool, &filters.selected(&[Shelf::Queue], &routes)?, &routes, |listing| {
            ids.extend((listing.shelf == Shelf::Queue).then_some(listing.id));
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
    let runner = cli::runner(config, spool)?;
    leave_at_signals(logging, &runner)?;
    let summary = runner.flush_these(&ids, Urgency::Now);
    match (&ids[..], filters.is_ids_only()) {
        ([id], true) if summary.gone > 0 => no_such_message(*id),
        ([id], true) if summary.busy > 0 => {
            Err(anyhow!("{id}: it is being delivered now, or still arriving; try again")).or_exit(ExitCode::TempFail)
        }
        (_, true) if summary.gone + summary.busy > 0 => {
            report(&summary, json)?;
            let (code, what) = match summary.busy {
                0 => (ExitCode::NoInput, "are not in the queue"),
                _ => (ExitCode::TempFail, "are not in the queue, or are being delivered now"),
            };
            Err(anyhow!("{} of them {what}", summary.gone + summary.busy)).or_exit(code)
        }
        _ => report(&summary, json),
    }
}

fn not_in_queue(id: SpoolId, why: &str) -> anyhow::Result<()> {
    Err(anyhow!("{id}: {why}")).or_exit(ExitCode::DataErr)
}

fn report(summary: &Summary, as_json: bool) -> anyhow::Result<()> {
    log::debug!("{summary:?}");
    if as_json {
        let Summary { sent, deferred, bounced, set_aside, damaged, busy, gone, faults, troubles, remaining } = summary;
        say(&format!(
            "{}\n",
            json!({
                "sent": sent, "deferred": deferred, "bounced": bounced, "set_aside": set_aside, "damaged": damaged,
                "busy": busy, "gone": gone, "faults": faults, "troubles": troubles, "remaining": remaining,
            })
        ))?;
    }
    if summary.troubles > 0 {
        return Err(anyhow!("{} messages could not be worked on", summary.troubles)).or_exit(ExitCode::IoErr);
    }
    if summary.damaged > 0 {
        return Err(anyhow!("{} damaged messages were moved to bad/", summary.damaged)).or_exit(ExitCode::DataErr);
    }
    Ok(())
}

/// Works for good.
pub(crate) fn watch(config: &Config, logging: &Logging) -> anyhow::Result<()> {
    let runner = cli::runner(config, cli::open_spool(config)?)?;
    leave_at_signals(logging, &runner)?;
    if let Some(text) = cli::shortage(config) {
        log::warn!("{text}");
    }
    log::info!("watching {}", config.spool.display());
    cli::watch(&runner, config);
    log::info!("stopped");
    cli::sound(&runner.spool)
}

/// TERM and INT break off the deliveries under way, but for what was handed over already.
fn leave_at_signals(logging: &Logging, runner: &Runner<DirSpool>) -> anyhow::Result<()> {
    let stop = Arc::clone(&runner.stop);
    cli::heed_signals(logging, || {}, move || stop.raise())
}
