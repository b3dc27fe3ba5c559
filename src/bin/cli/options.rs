//! The options that both binaries have, and what they do to the configuration.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser};
use leafmail::address::escaped;
use leafmail::config::{Config, LogFormat, LogTo, NONE_FOUND, RoutePlan, Sandbox};
use leafmail::mutant;
use leafmail::transport::NextHop;
use log::LevelFilter;

use sysexits::ExitCode;

use super::{Logging, OrExit};

/// The options of a command line, its first word being the program's name; otherwise how the program ends, what is to be said
/// being said.
pub(crate) fn parse_from<T: Parser>(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<T, std::process::ExitCode> {
    T::try_parse_from(arguments).map_err(|error| {
        // Help and version are no errors. Where nobody reads, there is nobody to tell.
        if error.use_stderr() {
            // It repeats what was given, which may be anything.
            let _ = write!(std::io::stderr(), "{}", escaped(&error.render().to_string()));
            return ExitCode::Usage.into();
        }
        let _ = error.print();
        std::process::ExitCode::SUCCESS
    })
}

/// Options of both binaries.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// The configuration; otherwise $LEAFMAIL_CONFIG, ./leafmail.toml, /etc/leafmail/leafmail.toml or built-in defaults
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
    /// The spool directory [default: ./spool]
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) spool: Option<PathBuf>,
    /// Where all mail goes, whatever routes there are: smtp://[USER@]HOST[:PORT], smtps://… or maildir:PATH [default: as the
    /// configuration says, else maildir:./inbox]
    #[arg(long, value_name = "URL", global = true)]
    pub(crate) relay: Option<NextHop>,
    /// Say more: the dialogue with clients and smarthosts; twice: everything
    #[arg(short, long, action = ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
    /// Append the log to a file instead of writing it to standard error
    #[arg(short = 'l', long = "log", value_name = "FILE", global = true)]
    pub(crate) log: Option<PathBuf>,
    /// The form of the log: postfix or json
    #[arg(long, value_name = "FORM", global = true)]
    pub(crate) log_format: Option<LogFormat>,
    /// Become this user where root starts it, as process.user
    #[arg(id = "run_as_user", long = "user", value_name = "USER", global = true)]
    pub(crate) user: Option<String>,
    /// Become this group, as process.group [default: the user's own]
    #[arg(id = "run_as_group", long = "group", value_name = "GROUP", global = true)]
    pub(crate) group: Option<String>,
    /// Lock itself in: auto, off or require, as process.sandbox
    #[arg(long, value_name = "MODE", global = true)]
    pub(crate) sandbox: Option<Sandbox>,
    /// Check the configuration and the files that it names, say what is wrong, and exit
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

    /// Starts the log.
    pub(crate) fn logging(&self, program: &'static str, config: &Config) -> anyhow::Result<Logging> {
        let logging = Logging::start(program, &config.log).map_err(|error| cannot_log(config, &error));
        let logging = logging.or_exit(ExitCode::CantCreat)?;
        if let Some(warning) = mutant::warning() {
            log::error!("{warning}");
        }
        Ok(logging)
    }
}

/// What `--check` says of a configuration that is in order, once the files that it names were looked at.
pub(crate) fn report_checked(config: &Config) -> anyhow::Result<String> {
    config.check_files().or_exit(ExitCode::Config)?;
    super::confine::identity(config)?;
    super::aliases(config)?;
    let remarks = config.remarks(super::confine::uid(config)?);
    let warnings: String =
        super::shortage(config).iter().chain(&remarks).map(|text| format!("warning: {text}\n")).collect();
    let routes: String = config.routes().iter().map(route_line).collect();
    Ok(format!("{warnings}{routes}{}\n", conclusion(config)))
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

/// A route and its next hops, in the order in which they are tried.
fn route_line(plan: &RoutePlan) -> String {
    let hops: Vec<_> = plan.hops.iter().map(|hop| hop.next_hop.to_string()).collect();
    let which = if plan.criteria.is_everything() { "all other mail" } else { "some mail" };
    format!("route {}: {which} to {}\n", plan.name, hops.join(", then "))
}
