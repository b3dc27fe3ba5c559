//! The verbs that look at messages and change nothing: show, cat, shape, stats, verify.

use std::io;

use anyhow::anyhow;
use leafmail::admin::{self, CopyError, Of, Selected, Shape, Stats};
use leafmail::clock::Clock;
use leafmail::config::Config;
use leafmail::id::SpoolId;
use leafmail::spool::{DirSpool, Folder, Manage};
use leafmail::sys::SystemClock;
use sysexits::ExitCode;

use super::helpers;
use super::listing::{Stopped, code_of, for_each, routes, say, tell, worse};
use crate::cli::OrExit;

/// Each message in full.
pub(crate) fn show(spool: &DirSpool, ids: &[SpoolId], json: bool) -> anyhow::Result<()> {
    let mut worst = None;
    for id in ids {
        match admin::history(spool, *id) {
            Ok(Some(history)) if json => say(&format!("{}\n", history.json()))?,
            Ok(Some(history)) => say(&history.text())?,
            Ok(None) if ids.len() == 1 => return no_such_message(*id),
            Ok(None) => {
                worst = worse(worst, ExitCode::NoInput);
                tell(&format!("there is no message {id}"))?;
            }
            Err(error) if ids.len() == 1 => {
                let code = code_of(&error);
                return Err(error).or_exit(code);
            }
            Err(error) => {
                worst = worse(worst, code_of(&error));
                tell(&error.to_string())?;
            }
        }
    }
    worst.map_or(Ok(()), |code| Stopped::Unreadable(code).explain())
}

/// The octets of a message.
pub(crate) fn cat(spool: &DirSpool, id: SpoolId, json: bool) -> anyhow::Result<()> {
    let mut octets = Vec::new();
    let copied = match json {
        true => admin::copy_message(spool, id, &mut octets),
        false => admin::copy_message(spool, id, &mut io::stdout().lock()),
    };
    match copied {
        // JSON has no octets: what is not UTF-8 is shown as such.
        Ok(true) if json => say(&format!(
            "{}\n",
            serde_json::json!({ "queue_id": id.to_string(), "message": String::from_utf8_lossy(&octets) })
        )),
        Ok(true) => Ok(()),
        Ok(false) => no_such_message(id),
        // The reader has seen enough.
        Err(CopyError::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(CopyError::Spool(error)) => {
            let code = code_of(&error);
            Err(error).or_exit(code)
        }
        Err(error) => Err(error).or_exit(ExitCode::IoErr),
    }
}

/// Age by domain.
pub(crate) fn shape(config: &Config, spool: &DirSpool, selected: &Selected, of: Of, json: bool) -> anyhow::Result<()> {
    let now = SystemClock.now();
    let mut shape = Shape::default();
    let outcome = for_each(spool, selected, &routes(config), |listing| {
        shape.count(listing, of, now);
        Ok(())
    });
    match json {
        true => say(&shape.json().iter().map(|object| format!("{object}\n")).collect::<String>())?,
        false => say(&shape.text())?,
    }
    outcome.or_else(Stopped::explain)
}

/// Figures.
pub(crate) fn stats(config: &Config, spool: &DirSpool, selected: &Selected, json: bool) -> anyhow::Result<()> {
    let (now, routes) = (SystemClock.now(), routes(config));
    let mut stats = Stats::of(helpers::silent(config));
    let outcome = for_each(spool, selected, &routes, |listing| {
        stats.count(listing);
        Ok(())
    });
    stats.count_bad(spool.verify(Folder::Bad).or_exit(ExitCode::IoErr)?.len());
    match json {
        true => say(&format!("{}\n", stats.json(&routes, now)))?,
        false => say(&stats.text(&routes, now))?,
    }
    outcome.or_else(Stopped::explain)
}

/// Reads everything.
pub(crate) fn verify(spool: &DirSpool, json: bool) -> anyhow::Result<()> {
    let checked = admin::check(spool).or_exit(ExitCode::IoErr)?;
    for (folder, finding) in &checked.unsound {
        let Err(error) = &finding.size else { continue };
        say(&match json {
            true => format!(
                "{}\n",
                serde_json::json!({ "folder": folder.name(), "name": finding.name, "error": error.to_string() })
            ),
            false => format!("{error}\n"),
        })?;
    }
    if !json {
        let (unsound, aside) = (checked.unsound.len(), checked.set_aside);
        say(&format!("{} in order, {unsound} damaged or foreign, {aside} set aside in bad/ before\n", checked.sound))?;
    }
    if checked.unsound.is_empty() {
        return Ok(());
    }
    Err(anyhow!("{} files are not in order", checked.unsound.len())).or_exit(ExitCode::DataErr)
}

pub(crate) fn no_such_message(id: SpoolId) -> anyhow::Result<()> {
    Err(anyhow!("there is no message {id}")).or_exit(ExitCode::NoInput)
}
