//! The command line of `smtpd`, and what it changes in the configuration.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use ipnet::IpNet;
use leafmail::config::{self, Config, ListenAddress, LogTo};
use leafmail::syslog::SystemLog;

use crate::cli::{Common, Reader};
use crate::passwd::PasswdOptions;

/// Receives mail by SMTP and keeps it safe in the spool until it is delivered
#[derive(Debug, Parser)]
#[command(name = "smtpd", version)]
pub(crate) struct Options {
    #[arg(long, value_name = "ADDRESS", conflicts_with = "one", help = LISTEN_FORMS, long_help = LISTEN)]
    pub(crate) listen: Vec<ListenAddress>,
    /// Accept mail at this port of 127.0.0.1
    #[arg(short, long, value_name = "PORT", conflicts_with = "one")]
    pub(crate) port: Option<u16>,
    /// Serve one session on standard input and output, of any type
    #[arg(long, hide_short_help = true)]
    pub(crate) one: bool,
    /// Also deliver the mail, as `spoolrun watch` does
    #[arg(long, conflicts_with = "one")]
    pub(crate) deliver: bool,
    /// Support only the minimum of RFC 821: no EHLO, no enhanced codes
    #[arg(long, hide_short_help = true)]
    pub(crate) strict_821: bool,
    /// Offer STARTTLS with a temporary certificate, for tests
    ///
    /// Its fingerprint is logged.
    #[arg(long)]
    pub(crate) self_signed: bool,
    /// Log the SMTP dialogue with clients in NETWORK; repeatable
    ///
    /// NETWORK is an address or a network such as 192.0.2.0/24. Passwords and messages are not logged.
    #[arg(long, value_name = "NETWORK", value_parser = config::parse_network, hide_short_help = true)]
    pub(crate) trace: Vec<IpNet>,
    #[command(flatten)]
    pub(crate) service: ServiceOptions,
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) verb: Option<ServiceVerb>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ServiceVerb {
    /// Set or remove a user's password, in the file of auth.users
    ///
    /// The password is read from standard input. A terminal does not show it.
    Passwd(PasswdOptions),
    #[command(external_subcommand)]
    Other(Vec<OsString>),
}

/// `--listen` in short.
const LISTEN_FORMS: &str =
    "Accept mail at 127.0.0.1:2525, tls:0.0.0.0:465, login:..., unix:/PATH or proxy:...; repeatable";
/// And in full.
const LISTEN: &str = "\
Accept mail at ADDRESS. Repeatable. The forms are:
  127.0.0.1:2525, [::1]:2525  SMTP, STARTTLS if configured
  tls:0.0.0.0:465             TLS from the start
  login:0.0.0.0:587           SMTP; clients must log in
  proxy:127.0.0.1:2526        behind a proxy (PROXY protocol)
  unix:/run/leafmail.sock     for programs of this host
Prefixes combine in this order: proxy:tls:login:127.0.0.1:4650";

impl Options {
    /// The configuration with what the command line changes; not checked yet.
    pub(crate) fn configured(&self) -> anyhow::Result<Config> {
        let mut config = self.common.configuration()?;
        let addresses = self.listen.iter().cloned();
        let port = self.port.map(|port| {
            ListenAddress::Tcp(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port), config::ListenPrefixes::default())
        });
        let addresses: Vec<_> = addresses.chain(port).collect();
        if !addresses.is_empty() {
            config.listen.addresses = addresses;
        }
        config.protocol.strict_821 |= self.strict_821;
        config.tls.self_signed |= self.self_signed;
        config.log.trace_clients.extend(&self.trace);
        self.service.change(&mut config);
        Ok(config)
    }
}

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
