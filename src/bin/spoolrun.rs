//! spoolrun - the forwarder of leafmail: hands the mail in the spool to the smarthost, and shows and manages the queue.
//!
//! Without a verb it tries once what is due, for cron; `watch` works for good. Mail that stays deferred is no error: cron
//! stays silent. Called as `mailq`, it lists the queue.
#![warn(clippy::unwrap_used, clippy::panic)]

mod cli;
mod verbs;

use std::ffi::OsString;
use std::path::Path;

use clap::Parser;
use leafmail::config::Task;
use leafmail::sys;
use log::LevelFilter;
use sysexits::ExitCode;

use cli::{Common, OrExit};
use verbs::Verb;

/// Forwards the mail in the spool, and shows and manages the queue
#[derive(Debug, Parser)]
#[command(name = "spoolrun", version, after_help = AFTER_HELP)]
struct Options {
    #[command(flatten)]
    common: Common,
    /// Log the dialogue of this route line by line, without passwords and messages; may be given several times
    #[arg(long, value_name = "ROUTE", global = true)]
    trace: Vec<String>,
    #[command(subcommand)]
    verb: Option<Verb>,
}

const AFTER_HELP: &str = "\
Without a verb: try once what is due, and exit; for cron. Mail that stays deferred is no error. Such a run is silent but \
for trouble of its own; with -l FILE it keeps a log, with -v it says what it does. Called as mailq: list.
Exit codes are those of sysexits.h; 64: usage, 65: damaged messages were found, or what was asked for cannot be done to a \
message, 66: no such message, 69: doctor found a fault, 74: trouble with the disk, 75: it is being delivered now; of \
several, the worst.";

fn main() -> std::process::ExitCode {
    sys::set_umask();
    sys::outlive_file_size_limit();
    match cli::parse_from::<Options>(arguments()) {
        Ok(options) => cli::finish("spoolrun", run(&options)),
        Err(code) => code,
    }
}

/// The command line. Under the name `mailq`, it is that of `list`.
fn arguments() -> Vec<OsString> {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    let called = arguments.first().and_then(|name| Path::new(name).file_name());
    if called.is_some_and(|name| name == "mailq") {
        arguments.insert(1, "list".into());
    }
    arguments
}

fn run(options: &Options) -> anyhow::Result<()> {
    let mut config = options.common.configuration()?;
    config.log.trace_routes.extend_from_slice(&options.trace);
    config.check().or_exit(ExitCode::Config)?;
    if options.common.check {
        return verbs::say(&cli::report_checked(&config)?);
    }
    let quiet = options.verb.as_ref().is_none_or(Verb::tells_by_itself);
    if quiet && config.log.is_for_cron() && config.log.level == LevelFilter::Info {
        // What a run from cron says becomes mail, of which the next run would have something to say; what somebody does by
        // hand is told on standard output already.
        config.log.level = LevelFilter::Error;
    }
    cli::assume(&config)?;
    let told = if options.verb.as_ref().is_none_or(Verb::forwards) {
        cli::lock_in(&config, Task::Forward)?
    } else {
        cli::confine::Told::default()
    };
    let logging = options.common.logging("spoolrun", &config)?;
    match &options.verb {
        None => verbs::pass(&config, &logging, &told),
        Some(verb) => verb.run(&config, &logging, &told),
    }
}
