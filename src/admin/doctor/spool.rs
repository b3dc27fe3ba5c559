//! The spool: its owner, whether it can be written, messages set aside in it, free space, and whether the clock is
//! plausible.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use rustix::process::geteuid;

use super::writing::probe_writing;
use crate::clock::Timestamp;
use crate::history::search;
use crate::spool::{Folder, Spool};
use crate::transport::Step;

/// What is to be looked at.
#[derive(Debug, Clone)]
pub struct SpoolPlan<'a> {
    /// The spool directory.
    pub path: &'a Path,
    /// Why every message would be refused, where the disk is too full.
    pub shortage: Option<String>,
    /// What makes a new message durable, where that could be found out.
    pub durability: Option<String>,
    /// The time.
    pub now: Timestamp,
}

/// 2025-01-01: a clock that shows less was never set.
const LONG_AGO: Timestamp = Timestamp::from_millis(1_735_689_600_000);
/// A message from so far ahead means that the clock went back.
const AHEAD: Duration = Duration::from_secs(3_600);

/// Looks at the directory before it is opened by `open`, whose error is in words.
pub fn probe_spool<S: Spool>(
    plan: &SpoolPlan<'_>,
    open: impl FnOnce() -> Result<S, String>,
    tell: &mut dyn FnMut(Step),
) {
    if !directory(plan, tell) || !probe_writing(plan.path, tell) {
        return;
    }
    tell(match &plan.shortage {
        Some(text) => Step::fault("room", text.clone(), "Make room on the disk, or lower [reserve] space or inodes."),
        None => Step::ok("room", "the disk has more free than the reserve ([reserve])"),
    });
    if let Some(text) = &plan.durability {
        tell(Step::ok("syncs", text.clone()));
    }
    let spool = match open() {
        Ok(spool) => spool,
        Err(error) => return tell(Step::fault("spool", error, "Run this as the user of leafmail.")),
    };
    let newest = folders(&spool, tell);
    tell(clock(plan.now, newest));
    tell(history(plan.path));
}

fn directory(plan: &SpoolPlan<'_>, tell: &mut dyn FnMut(Step)) -> bool {
    let shown = plan.path.display();
    let metadata = match plan.path.metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let remedy =
                "smtpd makes it at its first start; if there is one elsewhere, name it in spool or by --spool.";
            tell(Step::fault("spool", format!("{shown} is not there"), remedy));
            return false;
        }
        Err(error) => {
            tell(Step::fault("spool", format!("{shown}: {error}"), "Run this as the user of leafmail."));
            return false;
        }
    };
    let (owner, us, mode) = (metadata.uid(), geteuid().as_raw(), metadata.mode() & 0o777);
    if owner != us {
        let remedy = "Run smtpd, spoolrun and this as the user that the spool belongs to.";
        tell(Step::fault("spool", format!("{shown} belongs to uid {owner}, this runs as uid {us}"), remedy));
        return false;
    }
    tell(match mode & 0o077 {
        0 => Step::ok("spool", format!("{shown} belongs to this user, mode {mode:03o}")),
        _ => Step::warning(
            "spool",
            format!("{shown} has mode {mode:03o}, so that others may look into mail"),
            format!("chmod 700 {shown}"),
        ),
    });
    true
}

/// The number of messages in each folder; the time of the newest one, by its id.
fn folders<S: Spool>(spool: &S, tell: &mut dyn FnMut(Step)) -> Option<Timestamp> {
    let mut newest = None;
    for folder in Folder::ALL {
        let entries = match spool.entries(folder) {
            Ok(entries) => entries,
            Err(error) => {
                tell(Step::fault("folder", error.to_string(), "Look at the disk, and at the owner of the folder."));
                continue;
            }
        };
        newest = newest.max(entries.iter().map(|entry| entry.id.time()).max());
        let found = format!("{}/: {} messages", folder.name(), entries.len());
        tell(match folder {
            Folder::Failed if !entries.is_empty() => Step::warning(
                "folder",
                found,
                "These could not be delivered, and nobody was told: spoolrun explain ID says why, for each.",
            ),
            Folder::Bad if !entries.is_empty() => {
                Step::warning("folder", found, "These are damaged: look at the disk; spoolrun verify tells more.")
            }
            Folder::Hold if !entries.is_empty() => {
                Step::warning("folder", found, "A person has to decide: spoolrun release ID, or spoolrun remove ID.")
            }
            _ => Step::ok("folder", found),
        });
    }
    newest
}

fn clock(now: Timestamp, newest: Option<Timestamp>) -> Step {
    let shown = now.listing();
    let remedy = "Set the clock, and keep it right by NTP: certificates and the ages of messages depend on it.";
    match newest {
        _ if now < LONG_AGO => Step::fault("clock", format!("it shows {}", now.rfc3339()), remedy),
        Some(newest) if newest > now + AHEAD => {
            Step::warning("clock", format!("it shows {shown}, but a message came on {}", newest.listing()), remedy)
        }
        _ => Step::ok("clock", shown),
    }
}

fn history(path: &Path) -> Step {
    match search(&path.join("log"), |_| true, 1) {
        Ok(entries) => Step::ok(
            "history",
            entries.first().map_or("no message has left yet".to_owned(), |last| {
                format!("the last message left on {}: {}", last.at().listing(), last.id)
            }),
        ),
        Err(error) => {
            Step::warning("history", error.to_string(), "Look at log/ in the spool: explain answers from it.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::ProbeVerdict;

    #[test]
    fn a_clock_that_cannot_be_right_is_told() {
        let now = Timestamp::from_millis(1_795_226_607_123);
        assert_eq!(clock(now, None).verdict, ProbeVerdict::Ok);
        assert_eq!(clock(now, Some(now)).verdict, ProbeVerdict::Ok);
        assert_eq!(clock(now, Some(now + AHEAD * 2)).verdict, ProbeVerdict::Warning);
        assert_eq!(clock(Timestamp::from_millis(5), None).verdict, ProbeVerdict::Fault);
    }
}
