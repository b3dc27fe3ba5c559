//! `smtpd` as a service: what listens for good, alone or as a worker, the supervisor above it, and what `--status` shows.

mod listening;
mod mail_list;
pub(crate) mod pages;
mod single;
mod sockets;
mod status;
mod supervise;
mod telling;

use std::path::PathBuf;

use clap::Args;
use leafmail::config::{Config, LogTo};
use leafmail::supervisor::WorkerEnv;
use leafmail::syslog::SystemLog;

pub(crate) use mail_list::SpoolLister;
pub(crate) use single::{has_client, serve_one, turn_away};
pub(crate) use sockets::sockets_are_handed_over;
pub(crate) use status::status;

use crate::Options;
use crate::cli::Reader;

/// Options of a service.
#[derive(Debug, Args)]
pub(crate) struct ServiceOptions {
    /// Keep a worker running; reload at HUP
    ///
    /// A worker process accepts the mail; the supervisor restarts it if it dies. At HUP the supervisor reads the configuration
    /// again and starts a new worker; the old one finishes its sessions.
    #[arg(long, conflicts_with = "one")]
    pub(crate) supervise: bool,
    /// Go into the background once ready
    ///
    /// Without a log file, the log then goes to syslog.
    #[arg(long, conflicts_with = "one")]
    pub(crate) daemon: bool,
    /// Write the process ID to FILE, and keep it locked
    #[arg(long, value_name = "FILE", conflicts_with = "one")]
    pub(crate) pid_file: Option<PathBuf>,
    /// Show the workers of a running supervisor, then exit
    ///
    /// The exit code is 0 if a worker accepts mail, else 69.
    #[arg(long)]
    pub(crate) status: bool,
    /// With --status: print a JSON object
    #[arg(short = 'j', long, requires = "status", hide_short_help = true)]
    pub(crate) json: bool,
}

impl ServiceOptions {
    /// Whether it is to be a service.
    pub(crate) fn is_set(&self) -> bool {
        self.supervise || self.daemon || self.pid_file.is_some()
    }

    /// Who reads what is said.
    pub(crate) fn reader(&self, config: &Config) -> Reader {
        if self.daemon { Reader::Log } else { Reader::of(&config.log) }
    }

    /// What the options change in the configuration.
    pub(crate) fn change(&self, config: &mut Config) {
        if self.daemon && config.log.is_for_cron() {
            config.log.to = LogTo::System(SystemLog::Syslog(SystemLog::SYSLOG.into()));
        }
    }
}

/// Listens until TERM or INT: as a worker, under a supervisor, or alone.
pub(crate) fn listen_for_good(options: &Options, config: &Config) -> anyhow::Result<()> {
    match WorkerEnv::given() {
        Some(orders) => listening::as_worker(options, config, &orders),
        None if options.service.supervise => supervise::supervise(options, config),
        None => listening::alone(options, config),
    }
}
