//! The options that both binaries have, and what they do to the configuration.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use clap::{ArgAction, Args, Command, FromArgMatches};
use leafmail::address::escaped;
use leafmail::config::{Config, LogFormat, LogTo, NONE_FOUND, RoutePlan, Sandbox};
use leafmail::mutant;
use leafmail::transport::{NextHop, url_forms};
use log::LevelFilter;

use sysexits::ExitCode;

use super::help::COMMON;
use super::{Logging, OrExit, Reader};

/// The options of a command line, whose first word is the program's name.
pub(crate) fn parse_from<T: FromArgMatches>(mut command: Command, arguments: &[OsString]) -> Result<T, clap::Error> {
    let mut matches = command.try_get_matches_from_mut(arguments)?;
    T::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
}

/// Prints why a command line was not accepted, or the help or version that it asked for. Returns how the program ends.
pub(crate) fn explain_usage(error: &clap::Error) -> std::process::ExitCode {
    // Where nobody reads, the exit code has to do.
    if error.use_stderr() {
        // It repeats what was given, which may be anything.
        let _ =
            write!(std::io::stderr(), "{}", super::screen::terminal::for_errors(&escaped(&error.render().to_string())));
        return ExitCode::Usage.into();
    }
    let _ = error.print();
    std::process::ExitCode::SUCCESS
}

/// `--relay` in short.
const RELAY: &str = "Deliver to URL: smtp://HOST, maildir:PATH or another";

/// In full, with the forms that this build knows.
fn relay_in_full() -> String {
    let forms: String = url_forms().map(|(form, what)| format!("  {form:<27} {what}\n")).collect();
    format!(
        "Deliver all mail to URL instead of by the configured routes.\nThe forms are:\n{forms}\
         The configuration names the file with the password of USER.\n\
         [default: as configured, else maildir:./inbox]"
    )
}

/// Options of both binaries.
#[derive(Debug, Args)]
#[command(next_help_heading = COMMON)]
pub(crate) struct Common {
    /// Read the configuration from FILE
    ///
    /// Without this option: from the file in $LEAFMAIL_CONFIG, else ./leafmail.toml, else /etc/leafmail/leafmail.toml. If there
    /// is none of these, built-in defaults apply.
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
    /// Keep mail in this spool directory
    ///
    /// [default: as configured, else ./spool]
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) spool: Option<PathBuf>,
    #[arg(long, value_name = "URL", global = true, help = RELAY, long_help = relay_in_full())]
    pub(crate) relay: Option<NextHop>,
    /// Log more: the SMTP dialogues; twice: everything
    #[arg(short, long, action = ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
    /// Append the log to FILE, not to standard error
    #[arg(short = 'l', long = "log", value_name = "FILE", global = true)]
    pub(crate) log: Option<PathBuf>,
    /// Format of the log: postfix or json
    #[arg(long, value_name = "FORMAT", global = true)]
    pub(crate) log_format: Option<LogFormat>,
    /// If started by root, change to this user (process.user)
    #[arg(id = "run_as_user", long = "user", value_name = "USER", global = true)]
    pub(crate) user: Option<String>,
    /// If started by root, change to this group (process.group)
    ///
    /// [default: the user's group]
    #[arg(id = "run_as_group", long = "group", value_name = "GROUP", global = true)]
    pub(crate) group: Option<String>,
    /// Restrict own access to files and system calls: auto, off, require
    ///
    /// With require, the program exits if the kernel cannot do it. Overrides process.sandbox.
    #[arg(long, value_name = "MODE", global = true)]
    pub(crate) sandbox: Option<Sandbox>,
    /// Check the configuration and its files, then exit
    #[arg(long, global = true)]
    pub(crate) check: bool,
}

impl Common {
    /// The configuration with what the command line changes; not checked yet.
    pub(crate) fn configuration(&self) -> anyhow::Result<Config> {
        let environment = std::env::var_os("LEAFMAIL_CONFIG");
        let mut config = Config::find(self.config.as_deref(), environment.as_deref()).or_exit(ExitCode::Config)?;
        if let Some(spool) = &self.spool {
            config.spool.clone_from(spool);
        }
        if let Some(next_hop) = &self.relay {
            config.relay_to(next_hop.clone());
        }
        if let Some(file) = &self.log {
            config.log.file = Some(file.clone());
            config.log.to = LogTo::Stderr;
        }
        if let Some(user) = &self.user {
            (config.process.user, config.process.group) = (Some(user.clone()), None);
        }
        config.process.group = self.group.clone().or(config.process.group);
        config.process.sandbox = self.sandbox.unwrap_or(config.process.sandbox);
        if let Some(format) = self.log_format {
            config.log.format = format;
        }
        config.log.level = match self.verbose {
            0 => config.log.level,
            1 => config.log.level.max(LevelFilter::Debug),
            _ => LevelFilter::Trace,
        };
        Ok(config)
    }

    /// Starts the log, for whoever reads it.
    pub(crate) fn logging(&self, program: &'static str, config: &Config, reader: Reader) -> anyhow::Result<Logging> {
        let logging = Logging::start(program, &config.log, reader).map_err(|error| cannot_log(config, &error));
        let logging = logging.or_exit(ExitCode::CantCreat)?;
        if let Some(warning) = mutant::warning() {
            log::error!("{warning}");
        }
        Ok(logging)
    }
}

/// What `--check` says of a configuration that is in order, once the files that it names were looked at; `more` are further
/// warnings.
pub(crate) fn report_checked(config: &Config, more: &[String]) -> anyhow::Result<String> {
    config.check_files().or_exit(ExitCode::Config)?;
    super::confine::identity(config)?;
    super::aliases(config)?;
    super::mailing_lists(config)?;
    let remarks = config.remarks(super::confine::uid(config)?);
    let warnings: String =
        super::shortage(config).iter().chain(&remarks).chain(more).map(|text| format!("warning: {text}\n")).collect();
    let routes = config.routes();
    let lines: String = routes.iter().map(|plan| route_line(plan, routes.len() == 1)).collect();
    Ok(format!("{warnings}{lines}{}\n", conclusion(config)))
}

/// The last line: which configuration is in order, or that there is none.
fn conclusion(config: &Config) -> String {
    match config.path() {
        Some(path) => format!("{}: in order", path.display()),
        None if *config == Config::default() => {
            format!("{NONE_FOUND}: built-in defaults, which listen nowhere and deliver to ./inbox")
        }
        None => format!("{NONE_FOUND}: built-in defaults and the command line, in order"),
    }
}

/// Which file the log cannot be written to, and what is missing.
fn cannot_log(config: &Config, error: &std::io::Error) -> anyhow::Error {
    let Some(file) = &config.log.file else { return anyhow::anyhow!("starting the log: {error}") };
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists());
    let missing = folder.map(|folder| format!("; the folder {} is not there", folder.display())).unwrap_or_default();
    anyhow::anyhow!("opening the log file {}: {error}{missing}", file.display())
}

/// A route and its next hops, in the order in which they are tried; `alone`: there is no other route.
fn route_line(plan: &RoutePlan, alone: bool) -> String {
    let hops: Vec<_> = plan.hops.iter().map(|hop| hop.next_hop.to_string()).collect();
    let which = match (plan.criteria.is_everything(), alone) {
        (true, true) => "all mail",
        (true, false) => "all other mail",
        (false, _) => "some mail",
    };
    format!("route {}: {which} to {}\n", plan.name, hops.join(", then "))
}
