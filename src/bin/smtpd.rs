//! smtpd - the receiver of leafmail: takes mail by SMTP and keeps it safe in the spool.
//!
//! With `--listen`, or addresses in the configuration, it serves many clients; with a socket or a pipe on standard input it
//! serves that one client and leaves. With `--deliver` it forwards the mail as well.
#![warn(clippy::unwrap_used, clippy::panic)]

mod cli;
#[path = "verbs/listing.rs"]
mod listing;
#[cfg(feature = "manual")]
mod manual;
#[path = "cli/passwd.rs"]
mod passwd;
#[cfg(feature = "manual")]
#[path = "manual/reference.rs"]
mod reference;
#[path = "cli/security.rs"]
mod security;
#[path = "cli/sendmail/mod.rs"]
mod sendmail;
mod service;

use std::ffi::{OsStr, OsString};

use clap::builder::ValueParser;
use clap::{Command, CommandFactory};
use leafmail::config::{Config, NONE_FOUND};
use leafmail::driver::spawner_names_client;
use leafmail::sys::{self, HiddenStderr, StandardInput};
use sysexits::ExitCode;

use cli::OrExit;
use cli::help::dressed;
use sendmail::{Role, Site};
use service::options::{Options, ServiceVerb};

fn main() -> std::process::ExitCode {
    #[cfg(feature = "manual")]
    if let Some(code) = manual::write_if_asked(write_manual) {
        return code;
    }
    let hidden = sys::keep_stderr_from_client(spawner_names_client());
    sys::set_umask();
    sys::outlive_file_size_limit();
    sys::keep_ended_children();
    let mut arguments = std::env::args_os();
    if let Some(role) = arguments.next().and_then(|name| Role::of(&name)) {
        let arguments: Vec<OsString> = arguments.collect();
        return cli::finish("sendmail", sendmail::run(&sendmail::installed_site(), role, &arguments));
    }
    match parse(&std::env::args_os().collect::<Vec<_>>()) {
        Ok(options) => cli::finish("smtpd", hidden.or_exit(ExitCode::OsErr).and_then(|hidden| run(&options, hidden))),
        Err(error) => cli::explain_usage(&error),
    }
}

/// The command line. The names of sendmail are verbs with a grammar of their own, so clap hands their arguments over as they
/// are, and does not list them. For help, and to explain what is wrong, they are verbs like others.
fn parse(arguments: &[OsString]) -> Result<Options, clap::Error> {
    let is_known = |verb: &ServiceVerb| match verb {
        ServiceVerb::Passwd(_) => true,
        ServiceVerb::Other(words) => words.first().and_then(|name| Role::of(name)).is_some(),
    };
    let parsed = cli::parse_from::<Options>(command(), arguments);
    if parsed.as_ref().is_ok_and(|options| options.verb.as_ref().is_none_or(is_known)) {
        return parsed;
    }
    let all_verbs = with_known_verbs(command()).subcommands(sendmail::help::commands());
    cli::parse_from::<Options>(all_verbs, arguments).and(parsed)
}

/// With no verbs but those that clap knows.
fn with_known_verbs(command: Command) -> Command {
    command.allow_external_subcommands(false).external_subcommand_value_parser(None::<ValueParser>)
}

/// The manual, with the pages that belong to no program alone.
#[cfg(feature = "manual")]
fn write_manual(folder: &std::path::Path) -> std::io::Result<()> {
    let see_also = ["leafmail(7)", "leafmail.toml(5)", "spoolrun(8)", "sendmail(1)"];
    manual::program(folder, with_known_verbs(command()), service::pages::PAGES, &see_also)?;
    reference::write(folder)
}

/// The command line, with its help.
fn command() -> Command {
    dressed(Options::command(), service::pages::PAGES)
}

fn run(options: &Options, mut hidden: Option<HiddenStderr>) -> anyhow::Result<()> {
    // A person may have started it by ssh, whose one socket looks like a client's.
    let mut give_back = || hidden.take().map_or(Ok(()), HiddenStderr::give_back).or_exit(ExitCode::OsErr);
    if matches!(options.verb, Some(ServiceVerb::Passwd(_))) || options.common.check || options.service.status {
        give_back()?;
    }
    let config = options.configured().inspect_err(|error| turn_away(options, None, error))?;
    match &options.verb {
        Some(ServiceVerb::Passwd(verb)) => return passwd::passwd(&config, verb),
        Some(ServiceVerb::Other(arguments)) => return other_verb(config, arguments),
        None => {}
    }
    let checked = config.check().or_exit(ExitCode::Config);
    checked.inspect_err(|error| turn_away(options, Some(&config), error))?;
    if options.common.check {
        let report = cli::report_checked(&config, &config.strict_for_devices())?;
        // Files that can be read, but not used.
        security::security(&config, security::certificate(&config)?)?;
        return listing::say_folded(&report);
    }
    if options.service.status {
        return service::status(&config, options.service.json);
    }
    match mode(options, &config)? {
        Mode::Listen => {
            give_back()?;
            service::listen_continuously(options, &config)
        }
        Mode::One => {
            // Only the session keeps the client's connection.
            drop(hidden);
            service::serve_one(&options.common, &config, options.service.reader(&config))
        }
    }
}

/// If a client waits on standard input, as far as the command line says, for a configuration that cannot be used.
fn turn_away(options: &Options, config: Option<&Config>, error: &anyhow::Error) {
    let listens = !options.listen.is_empty() || options.port.is_some() || options.deliver || options.service.is_set();
    let asks = options.verb.is_some() || options.common.check || options.service.status;
    if options.one || (!listens && !asks && service::has_client()) {
        service::turn_away(config, error);
    }
}

/// The names that smtpd may be called by are verbs too.
fn other_verb(config: Config, arguments: &[OsString]) -> anyhow::Result<()> {
    let (name, arguments) = arguments.split_first().map_or((OsStr::new(""), arguments), |(name, rest)| (name, rest));
    // The parser lets no other name pass.
    let role = Role::of(name).ok_or_else(|| anyhow::anyhow!("unknown verb {name:?}")).or_exit(ExitCode::Usage)?;
    config.check().or_exit(ExitCode::Config)?;
    sendmail::run(&Site { config, has_spool: true }, role, arguments)
}

enum Mode {
    Listen,
    One,
}

fn mode(options: &Options, config: &Config) -> anyhow::Result<Mode> {
    if options.one {
        return Ok(Mode::One);
    }
    if !config.listen.addresses.is_empty() || service::sockets_are_handed_over() {
        return Ok(Mode::Listen);
    }
    if options.deliver || options.service.is_set() {
        return Err(anyhow::anyhow!(
            "--deliver, --supervise and --daemon need an address to listen on: --listen 127.0.0.1:2525"
        ))
        .or_exit(ExitCode::Usage);
    }
    match sys::standard_input() {
        StandardInput::Socket | StandardInput::Pipe => Ok(Mode::One),
        StandardInput::Other => {
            let named = match config.path() {
                Some(path) => format!("{} names no listen.addresses", path.display()),
                None => NONE_FOUND.to_owned(),
            };
            Err(anyhow::anyhow!(
                "nothing to do: {named}, and no socket or pipe is on standard input\n\
                 to try it: smtpd -p 2525 --deliver\nall options: smtpd -h"
            ))
            .or_exit(ExitCode::Usage)
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_verb_has_examples_that_can_be_parsed() {
        crate::cli::help::check_examples("smtpd", super::command, super::service::pages::PAGES);
    }
}
