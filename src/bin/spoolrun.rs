//! spoolrun - the forwarder of leafmail: hands the mail in the spool to the smarthost, and shows and manages the queue.
//!
//! Without a verb it tries once what is due, for cron; `watch` runs continuously. Mail that stays deferred is no error: cron
//! stays silent. Called as `mailq`, it lists the queue.
#![warn(clippy::unwrap_used, clippy::panic)]

mod cli;
#[cfg(feature = "manual")]
mod manual;
mod verbs;

use std::ffi::OsString;
use std::path::Path;

use clap::{Command, CommandFactory, Parser};
use leafmail::config::Task;
use leafmail::sys;
use log::LevelFilter;
use sysexits::ExitCode;

use cli::help::{COMMON, Page, dressed};
use cli::{Common, OrExit, Reader};
use verbs::Verb;

/// Delivers the mail in the spool, and shows and manages the queue
#[derive(Debug, Parser)]
#[command(name = "spoolrun", version)]
struct Options {
    #[command(flatten)]
    common: Common,
    /// Log the SMTP dialogue of this route, without passwords and messages; repeatable
    #[arg(long, value_name = "ROUTE", global = true, help_heading = COMMON)]
    trace: Vec<String>,
    #[command(subcommand)]
    verb: Option<Verb>,
}

fn main() -> std::process::ExitCode {
    #[cfg(feature = "manual")]
    if let Some(code) = manual::write_if_asked(|folder| {
        let see_also = ["leafmail(7)", "leafmail.toml(5)", "smtpd(8)", "mailq(1)"];
        manual::program(folder, command(Name::Spoolrun), verbs::PAGES, &see_also)
    }) {
        return code;
    }
    sys::set_umask();
    sys::outlive_file_size_limit();
    sys::keep_ended_children();
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    let name = Name::of(&arguments);
    if name == Name::Mailq {
        arguments.insert(1, "list".into());
    }
    match cli::parse_from::<Options>(command(name), &arguments) {
        Ok(options) => cli::finish("spoolrun", run(&options)),
        Err(error) => cli::explain_usage(&error),
    }
}

/// What the program is called by. As `mailq`, its command line is that of `list`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Name {
    Spoolrun,
    Mailq,
}

impl Name {
    fn of(arguments: &[OsString]) -> Self {
        let called = arguments.first().and_then(|name| Path::new(name).file_name());
        if called.is_some_and(|name| name == "mailq") { Self::Mailq } else { Self::Spoolrun }
    }
}

/// The command line, with its help.
fn command(name: Name) -> Command {
    let is_list = |page: &Page| page.verb == verbs::MAILQ.verb;
    match name {
        Name::Spoolrun => dressed(Options::command(), verbs::PAGES),
        Name::Mailq => {
            let pages = verbs::PAGES.iter().filter(|page| !is_list(page)).chain([&verbs::MAILQ]);
            let usage = |list: Command| list.override_usage("mailq [OPTIONS] [ID]...");
            dressed(Options::command(), pages).mut_subcommand(verbs::MAILQ.verb, usage)
        }
    }
}

fn run(options: &Options) -> anyhow::Result<()> {
    let mut config = options.common.configuration()?;
    config.log.trace_routes.extend_from_slice(&options.trace);
    #[cfg(feature = "page")]
    if let Some(Verb::Serve(options)) = &options.verb {
        options.apply(&mut config);
    }
    config.check().or_exit(ExitCode::Config)?;
    if options.common.check {
        return verbs::say_folded(&cli::report_checked(&config, &[])?);
    }
    if let Some(Verb::SqlSchema(options)) = &options.verb {
        return verbs::sql_schema(options);
    }
    if let Some(Verb::DkimKey(options)) = &options.verb {
        // As whoever calls it, who may write where the user of leafmail may not.
        return verbs::dkim_key(&config, options);
    }
    let quiet = options.verb.as_ref().is_none_or(Verb::tells_by_itself);
    if quiet && config.log.is_for_cron() && config.log.level == LevelFilter::Info {
        // What a run from cron says becomes mail, of which the next run would have something to say; what somebody does by
        // hand is reported on standard output already.
        config.log.level = LevelFilter::Error;
    }
    #[cfg(feature = "page")]
    if matches!(&options.verb, Some(Verb::Serve(_))) {
        return verbs::serve(&config, &options.common);
    }
    let delivers = options.verb.as_ref().is_none_or(Verb::forwards);
    if delivers && config.path().is_none() && options.common.spool.is_none() {
        // The built-in defaults are a folder of wherever this is started: by mistake it would look healthy.
        verbs::spool_is_there(&config)?;
    }
    if delivers {
        // Before there are threads.
        sys::keep_to_one_heap();
    }
    let seen = options.verb.as_ref().map(|verb| verb.look_first(&config)).unwrap_or_default();
    cli::assume(&config)?;
    let told = if delivers { cli::lock_in(&config, Task::Forward)? } else { cli::confine::SandboxReport::default() };
    let reader = options.verb.as_ref().map_or(Reader::Log, |verb| verb.reader(&config));
    let logging = options.common.logging("spoolrun", &config, reader)?;
    match &options.verb {
        None => verbs::pass(&config, &logging, &told),
        Some(verb) => verb.run(&config, &logging, &told, seen),
    }
}

#[cfg(test)]
mod tests {
    use super::{Name, command, verbs};
    use crate::cli::help::{check_examples, parses};

    #[test]
    fn every_verb_has_examples_that_can_be_parsed() {
        check_examples("spoolrun", || command(Name::Spoolrun), verbs::PAGES);
    }

    #[test]
    fn the_examples_of_mailq_are_command_lines_of_list() {
        for (line, _) in verbs::MAILQ.examples {
            parses(&command(Name::Mailq), &line.replacen("mailq", "mailq list", 1));
        }
    }
}
