//! spoolrun - the forwarder of leafmail: hands the mail in the spool to the smarthost, and shows and manages the queue.
//!
//! Without a verb it tries once what is due, for cron; `watch` works for good. Mail that stays deferred is no error: cron
//! stays silent.
#![warn(clippy::unwrap_used, clippy::panic)]

mod cli;
#[path = "cli/doctor.rs"]
mod doctor;
#[path = "cli/explain.rs"]
mod explain;

use std::io::{self, Write};
use std::sync::Arc;

use anyhow::anyhow;
use clap::{Parser, Subcommand};
use leafmail::admin::{self, CopyError, Removal};
use leafmail::config::Config;
use leafmail::id::SpoolId;
use leafmail::queue::route::Pause;
use leafmail::queue::{RouteFolder, RouteState, RouteStore, Runner, Selection, Urgency};
use leafmail::spool::{DirSpool, Shelf, Spool};
use leafmail::sys;
use log::LevelFilter;
use sysexits::ExitCode;

use cli::{Common, Logging, OrExit};

/// Forwards the mail in the spool, and shows and manages the queue
#[derive(Debug, Parser)]
#[command(name = "spoolrun", version, after_help = AFTER_HELP)]
struct Options {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    verb: Option<Verb>,
}

const AFTER_HELP: &str = "\
Without a verb: try once what is due, and exit; for cron. Mail that stays deferred is no error. Such a run is silent but \
for trouble of its own; with -l FILE it keeps a log, with -v it says what it does.
Exit codes are those of sysexits.h; 65: damaged messages were found, 66: no such message, 69: doctor found a \
fault, 75: it is being delivered now.";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Work for good: at once on new mail, and again when it is due
    Watch,
    /// Try now, whatever was due: the whole queue, or one message
    Flush {
        /// The message; without it, all
        id: Option<SpoolId>,
    },
    /// List the queue, in the form of Postfix's mailq
    List {
        /// One JSON object a line, with the names of postqueue -j
        #[arg(long)]
        json: bool,
    },
    /// Show one message: its envelope, and all that happened to it
    Show {
        /// The message
        id: SpoolId,
        /// As a JSON object
        #[arg(long)]
        json: bool,
    },
    /// Say in plain words where mail is, why it is not delivered, and which setting to change; also for mail that has left
    Explain(explain::ExplainOptions),
    /// Go through all steps of a delivery up to RCPT, and ask the receiver as strangers would: what is not in order?
    Doctor(doctor::DoctorOptions),
    /// Write the octets of a message to standard output
    Cat {
        /// The message
        id: SpoolId,
    },
    /// Remove a message; nobody is told
    Remove {
        /// The message
        id: SpoolId,
    },
    /// Read and check every message; nothing is changed
    Verify {
        /// As JSON, one object a line
        #[arg(long)]
        json: bool,
    },
}

fn main() -> std::process::ExitCode {
    sys::set_umask();
    match cli::parse::<Options>() {
        Ok(options) => cli::finish("spoolrun", run(&options)),
        Err(code) => code,
    }
}

fn run(options: &Options) -> anyhow::Result<()> {
    let mut config = options.common.configuration()?;
    config.check().or_exit(ExitCode::Config)?;
    if options.common.check {
        return say(&cli::report_checked(&config)?);
    }
    if options.verb.is_none() && config.log.file.is_none() && config.log.level == LevelFilter::Info {
        // What a run from cron says becomes mail, of which the next run would have something to say.
        config.log.level = LevelFilter::Error;
    }
    let logging = options.common.logging("spoolrun", &config)?;
    match &options.verb {
        None => flush(&config, &logging, Selection::All, Urgency::Due),
        Some(Verb::Flush { id: None }) => flush(&config, &logging, Selection::All, Urgency::Now),
        Some(Verb::Flush { id: Some(id) }) => flush(&config, &logging, Selection::One(*id), Urgency::Now),
        Some(Verb::Watch) => watch(&config, &logging),
        Some(Verb::List { json }) => list(&config, &*existing_spool(&config)?, *json),
        Some(Verb::Show { id, json }) => show(&*existing_spool(&config)?, *id, *json),
        Some(Verb::Explain(options)) => say(&explain::explain(&config, existing_spool(&config)?, options)?),
        Some(Verb::Doctor(options)) => doctor::doctor(&config, options, &mut say),
        Some(Verb::Cat { id }) => cat(&*existing_spool(&config)?, *id),
        Some(Verb::Remove { id }) => remove(&config, &*existing_spool(&config)?, *id),
        Some(Verb::Verify { json }) => verify(&*existing_spool(&config)?, *json),
    }
}

/// The spool, for the verbs that look or tidy. One that was made only to be looked at would say that the queue is empty,
/// whatever lies in the right one.
fn existing_spool(config: &Config) -> anyhow::Result<Arc<DirSpool>> {
    if matches!(config.spool.symlink_metadata(), Err(error) if error.kind() == io::ErrorKind::NotFound) {
        return Err(anyhow!("there is no spool {}; --spool or the configuration says where", config.spool.display()))
            .or_exit(ExitCode::NoInput);
    }
    cli::open_spool(config)
}

/// One pass. Only trouble of our own is an error.
fn flush(config: &Config, logging: &Logging, which: Selection, urgency: Urgency) -> anyhow::Result<()> {
    let runner = cli::runner(config, cli::open_spool(config)?)?;
    leave_at_signals(logging, &runner)?;
    let summary = runner.flush(which, urgency).or_exit(ExitCode::IoErr)?;
    log::debug!("{summary:?}");
    match which {
        Selection::One(id) if summary.gone > 0 => no_such_message(id),
        Selection::One(id) if summary.busy > 0 => is_busy(id),
        _ if summary.troubles > 0 => {
            Err(anyhow!("{} messages could not be worked on", summary.troubles)).or_exit(ExitCode::IoErr)
        }
        _ if summary.damaged > 0 => {
            Err(anyhow!("{} damaged messages were moved to bad/", summary.damaged)).or_exit(ExitCode::DataErr)
        }
        _ => Ok(()),
    }
}

fn watch(config: &Config, logging: &Logging) -> anyhow::Result<()> {
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

fn list(config: &Config, spool: &DirSpool, json: bool) -> anyhow::Result<()> {
    let pause = pause(config);
    let listings = admin::listings(spool, &[Shelf::Queue, Shelf::Hold], pause.as_ref()).or_exit(ExitCode::IoErr)?;
    say(&if json { admin::json_lines(&listings) } else { admin::table(&listings) })
}

/// Why the route is not used at present.
fn pause(config: &Config) -> Option<Pause> {
    let routes = RouteFolder::new(config.spool.join("routes"));
    match routes.load(&config.route().name) {
        Ok(Some(RouteState::Paused(pause))) => Some(pause),
        _ => None,
    }
}

fn show(spool: &DirSpool, id: SpoolId, json: bool) -> anyhow::Result<()> {
    match admin::history(spool, id).or_exit(ExitCode::IoErr)? {
        None => no_such_message(id),
        Some(history) if json => say(&format!("{}\n", history.json())),
        Some(history) => say(&history.text()),
    }
}

fn cat(spool: &DirSpool, id: SpoolId) -> anyhow::Result<()> {
    match admin::copy_message(spool, id, &mut io::stdout().lock()) {
        Ok(true) => Ok(()),
        Ok(false) => no_such_message(id),
        // The reader has seen enough.
        Err(CopyError::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(error).or_exit(ExitCode::IoErr),
    }
}

fn remove(config: &Config, spool: &DirSpool, id: SpoolId) -> anyhow::Result<()> {
    // What is damaged can be removed too; then the history lacks it.
    let before = spool.peek(id).ok().flatten();
    match admin::remove(spool, id).or_exit(ExitCode::IoErr)? {
        Removal::Removed => {
            log::info!("{id}: removed by hand");
            explain::note_removed(config, id, before.as_ref());
            Ok(())
        }
        Removal::Busy => is_busy(id),
        Removal::NotThere => no_such_message(id),
    }
}

fn verify(spool: &DirSpool, json: bool) -> anyhow::Result<()> {
    let checked = admin::check(spool).or_exit(ExitCode::IoErr)?;
    for (shelf, finding) in &checked.unsound {
        let Err(error) = &finding.size else { continue };
        say(&match json {
            true => format!(
                "{}\n",
                serde_json::json!({ "folder": shelf.folder(), "name": finding.name, "error": error.to_string() })
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

fn no_such_message(id: SpoolId) -> anyhow::Result<()> {
    Err(anyhow!("there is no message {id}")).or_exit(ExitCode::NoInput)
}

fn is_busy(id: SpoolId) -> anyhow::Result<()> {
    Err(anyhow!("{id} is being delivered or still arriving; try again")).or_exit(ExitCode::TempFail)
}

/// To standard output; a reader that has seen enough is no error.
fn say(text: &str) -> anyhow::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.or_exit(ExitCode::IoErr),
    }
}
