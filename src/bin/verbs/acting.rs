//! The verbs that change messages or routes: hold, release, requeue, expire, remove, export, import, pause, resume.
//!
//! Each message gets a line of its own, and each that was changed one in the log. The exit code is that of the worst.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use clap::Args;
use leafmail::admin::{self, Act, Acted, Hand, Original, Switched};
use leafmail::clock::Clock;
use leafmail::config::Config;
use leafmail::event::{Event, Observer};
use leafmail::history::Departure;
use leafmail::id::SpoolId;
use leafmail::queue::nudge;
use leafmail::spool::{DirSpool, Folder, SpoolError};
use leafmail::sys::SystemClock;
use serde_json::json;
use sysexits::ExitCode;

use super::existing::existing_spool;
use super::explain::Departures;
use super::filters::{Filters, duration, known_route};
use super::listing::{Stopped, code_of, for_each, routes, say, states, tell, worse};
use crate::cli::{self, OrExit};

/// How the verbs that change something do it.
#[derive(Debug, Args)]
pub(crate) struct Manner {
    /// Change nothing, only show what would be done
    #[arg(long)]
    dry_run: bool,
    /// Print JSON, one object per line
    #[arg(short = 'j', long)]
    json: bool,
    /// Reason, which is stored and shown
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
}

/// Which messages, and how.
#[derive(Debug, Args)]
pub(crate) struct Acting {
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    manner: Manner,
    /// Longest wait for busy messages, in total
    ///
    /// A message is busy while it is delivered.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "5s")]
    wait: Duration,
}

/// To or from where, and which messages.
#[derive(Debug, Args)]
pub(crate) struct Carrying {
    /// Folder with the exported messages; export creates it if it is missing
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    manner: Manner,
    /// Copy instead of move
    ///
    /// If both copies are delivered, the mail arrives twice.
    #[arg(long)]
    keep: bool,
}

/// Which route, and how.
#[derive(Debug, Args)]
pub(crate) struct Switching {
    /// Name of the route, as stats shows it
    route: String,
    #[command(flatten)]
    manner: Manner,
}

/// Hold, release, requeue, expire or remove.
pub(crate) fn act(config: &Config, options: &Acting, wanted: Act) -> anyhow::Result<()> {
    options.filters.check_said()?;
    let spool = existing_spool(config)?;
    let mut report = Report::new(wanted.done(), &options.manner, config);
    let usual: &[Folder] = match wanted {
        Act::Hold => &[Folder::Queue],
        Act::Release => &[Folder::Hold],
        Act::Requeue => &[Folder::Queue, Folder::Failed],
        Act::Expire | Act::Remove => &[Folder::Queue, Folder::Hold],
    };
    let ids = chosen(config, &spool, &options.filters, usual, &mut report)?;
    if options.manner.dry_run {
        ids.iter().for_each(|id| report.enter(*id, admin::would_act(&*spool, *id, wanted)));
    } else {
        let hand = Hand { uid: uid(), why: options.manner.why.clone() };
        let when: (&dyn Clock, Duration) = (&SystemClock, options.wait);
        let why = options.manner.why.as_deref().unwrap_or_default();
        let mut departures =
            (wanted == Act::Remove).then(|| Departures::of(config, &spool, &ids, Departure::Removed, why));
        admin::act_on_all(&*spool, &ids, wanted, &hand, when, |id, acted| {
            if let (Some(departures), Ok(Acted::Done(_))) = (&mut departures, &acted) {
                departures.note(id);
            }
            report.enter(id, acted);
        });
        // What came back into the queue woke who watches; what stayed there did not.
        if report.changed_in_queue && matches!(wanted, Act::Requeue | Act::Expire) {
            nudge(&config.spool.join("routes")).or_exit(ExitCode::IoErr)?;
        }
    }
    report.close()
}

/// Moves messages into a folder, to be carried to another host.
pub(crate) fn export(config: &Config, options: &Carrying) -> anyhow::Result<()> {
    let ours = existing_spool(config)?;
    carry(config, options, ("exported", Leaves::Ours), |folder| Ok((ours, folder)))
}

/// Takes the messages in such a folder over.
pub(crate) fn import(config: &Config, options: &Carrying) -> anyhow::Result<()> {
    carry(config, options, ("imported", Leaves::TheFolder), |folder| Ok((existing_spool(&folder)?, config.clone())))
}

/// A spool that is there, and where the other one is or is to be.
type FromTo = (Arc<DirSpool>, Config);

/// Which spool messages leave; the history is that of ours.
#[derive(PartialEq)]
enum Leaves {
    Ours,
    TheFolder,
}

fn carry(
    config: &Config,
    options: &Carrying,
    (what, leaves): (&'static str, Leaves),
    spools: impl FnOnce(Config) -> anyhow::Result<FromTo>,
) -> anyhow::Result<()> {
    let Carrying { directory: folder, filters, manner, keep } = options;
    filters.check_said()?;
    let mut there = config.clone();
    there.spool.clone_from(folder);
    let (from, to) = spools(there)?;
    let to = (!manner.dry_run).then(|| cli::open_spool(&to)).transpose()?;
    let mut report = Report::new(what, manner, config);
    let place = std::path::absolute(folder).unwrap_or_else(|_| folder.clone()).display().to_string();
    let all = [Folder::Queue, Folder::Hold, Folder::Failed];
    let original = if *keep { Original::Kept } else { Original::Removed };
    for id in chosen(config, &from, filters, &all, &mut report)? {
        let Some(to) = &to else {
            report.enter(id, admin::would_transfer(&*from, id));
            continue;
        };
        let mut departures = (leaves == Leaves::Ours && original == Original::Removed)
            .then(|| Departures::of(config, &from, &[id], Departure::Exported, &place));
        let moved = admin::transfer(&*from, &**to, id, original);
        if let (Some(departures), Ok(Acted::Done(_))) = (&mut departures, &moved) {
            departures.note(id);
        }
        report.enter(id, moved);
    }
    report.close()
}

/// Pauses a route, or resumes it.
pub(crate) fn switch(config: &Config, options: &Switching, pause: bool) -> anyhow::Result<()> {
    existing_spool(config)?;
    let (route, manner) = (&options.route, &options.manner);
    let routes = routes(config);
    known_route(route, &routes)?;
    let states = states(config);
    let is_so = routes.named(route).is_some_and(|view| match view.pause() {
        None => !pause,
        Some(state) => pause && state.by_hand,
    });
    let why = manner.why.as_deref().unwrap_or_default();
    let unsaved = |error| anyhow!("noting the state of route {route}: {error}");
    let switched = match (manner.dry_run, pause) {
        (true, _) if is_so => Switched::AsItWas,
        (true, _) => Switched::Done,
        (false, true) => {
            admin::pause(&states, route, why, SystemClock.now()).map_err(unsaved).or_exit(ExitCode::IoErr)?
        }
        (false, false) => admin::resume(&states, route).map_err(unsaved).or_exit(ExitCode::IoErr)?,
    };
    if switched == Switched::Done && !manner.dry_run {
        let paused = pause.then(|| why.to_owned());
        cli::log_observer(config).observe(&Event::RouteByHand { route: route.clone(), paused, uid: uid() });
    }
    let state = if pause { "paused by hand" } else { "open" };
    let result = match switched {
        Switched::AsItWas => "unchanged",
        Switched::Done if manner.dry_run => "would",
        Switched::Done => "done",
    };
    say(&match (manner.json, result) {
        (true, _) => format!("{}\n", json!({ "route": route, "state": state, "result": result })),
        (false, "unchanged") => format!("route {route}: it is {state} already\n"),
        (false, "would") => format!("route {route}: would be {state}\n"),
        (false, _) => format!("route {route}: {state}\n"),
    })
}

fn uid() -> u32 {
    rustix::process::getuid().as_raw()
}

/// The ids of the messages that are meant. Those that were named are not looked at first: they may be damaged.
fn chosen(
    config: &Config,
    spool: &DirSpool,
    filters: &Filters,
    usual: &[Folder],
    report: &mut Report<'_>,
) -> anyhow::Result<Vec<SpoolId>> {
    report.named = !filters.ids.is_empty();
    if filters.is_ids_only() {
        let mut ids = filters.ids.clone();
        ids.sort_unstable();
        ids.dedup();
        return Ok(ids);
    }
    let routes = routes(config);
    let mut ids = Vec::new();
    let found = for_each(spool, &filters.selected(usual, &routes)?, &routes, |listing| {
        ids.push(listing.id);
        Ok(())
    });
    match found {
        Ok(()) => {}
        Err(Stopped::Unreadable(code)) => report.worst = worse(report.worst, code),
        Err(stopped) => stopped.explain()?,
    }
    Ok(ids)
}

/// What becomes of each message, said and counted.
struct Report<'m> {
    /// What is done, as the log says it.
    what: &'static str,
    manner: &'m Manner,
    observer: Arc<dyn Observer>,
    /// Whether the messages were named: then one that is not there is an error.
    named: bool,
    worst: Option<ExitCode>,
    done: usize,
    /// Whether a message was changed that is in the queue.
    changed_in_queue: bool,
    /// What was said last of one that was not done.
    complaint: Option<String>,
    complaints: usize,
    /// Why standard output did not take a line, if so: what is done goes on all the same.
    unsaid: Option<anyhow::Error>,
}

impl<'m> Report<'m> {
    fn new(what: &'static str, manner: &'m Manner, config: &Config) -> Self {
        let observer = cli::log_observer(config);
        let (named, worst, done, changed_in_queue) = (false, None, 0, false);
        let (complaint, complaints, unsaid) = (None, 0, None);
        Self { what, manner, observer, named, worst, done, changed_in_queue, complaint, complaints, unsaid }
    }

    fn enter(&mut self, id: SpoolId, acted: Result<Acted, SpoolError>) {
        let what = self.what;
        let (result, code, detail) = match acted {
            Ok(Acted::Done(folder)) => {
                self.done += 1;
                self.changed_in_queue |= folder == Folder::Queue;
                if self.manner.dry_run {
                    ("would", None, format!("would be {what}, from {}/", folder.name()))
                } else {
                    self.observer.observe(&Event::ByHand { id, what, uid: uid() });
                    ("done", None, what.to_owned())
                }
            }
            Ok(Acted::AsItWas(why)) => ("unchanged", None, why.to_owned()),
            Ok(Acted::Refused(why)) => ("refused", Some(ExitCode::DataErr), why.to_owned()),
            Ok(Acted::Busy) => {
                let words = "it is being delivered now, or still arriving; try again".to_owned();
                ("busy", Some(ExitCode::TempFail), words)
            }
            Ok(Acted::NotThere) if self.named => {
                ("not found", Some(ExitCode::NoInput), "there is no such message".to_owned())
            }
            Ok(Acted::NotThere) => ("gone", None, "it has just left".to_owned()),
            Err(error) => ("error", Some(code_of(&error)), error.to_string()),
        };
        if self.manner.json {
            let object = json!({ "queue_id": id.to_string(), "verb": what, "result": result, "detail": detail });
            self.say(&format!("{object}\n"));
        } else if code.is_none() {
            self.say(&format!("{id}: {detail}\n"));
        }
        if let Some(code) = code {
            self.worst = worse(self.worst, code);
            self.complaints += 1;
            // The last one is said at the end, with the exit code.
            if let Some(before) = self.complaint.replace(format!("{id}: {detail}"))
                && !self.manner.json
            {
                let _nobody_reads = tell(&before);
            }
        }
    }

    fn say(&mut self, text: &str) {
        if self.unsaid.is_none() {
            self.unsaid = say(text).err();
        }
    }

    fn close(self) -> anyhow::Result<()> {
        if let Some(error) = self.unsaid {
            return Err(error.context(format!("{} were {}, but not all could be said", self.done, self.what)));
        }
        let Some(code) = self.worst else { return Ok(()) };
        let text = self.complaint.unwrap_or_else(|| "not everything could be read".to_owned());
        if self.complaints <= 1 {
            return Err(anyhow!("{text}")).or_exit(code);
        }
        tell(&text).or_exit(code)?;
        Err(anyhow!("{} were {}, {} were not", self.done, self.what, self.complaints)).or_exit(code)
    }
}
