//! `[log]`: what is logged, in which form, and where.

use std::path::PathBuf;

use ipnet::IpNet;
use log::LevelFilter;
use serde::Deserialize;

use super::error::{Fault, unexpected};
use super::values::{self, FromText};
use crate::syslog::SystemLog;

/// `[log]`: what is logged, and where.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSection {
    /// How much.
    #[serde(deserialize_with = "values::text")]
    pub level: LevelFilter,
    /// In which form.
    #[serde(deserialize_with = "values::text")]
    pub format: LogFormat,
    /// Where to, where there is no `file`.
    #[serde(deserialize_with = "values::text")]
    pub to: LogTo,
    /// The file to append to.
    #[serde(deserialize_with = "values::optional")]
    pub file: Option<PathBuf>,
    /// Clients whose dialogue is logged line by line, at any level.
    #[serde(deserialize_with = "values::list")]
    pub trace_clients: Vec<IpNet>,
    /// Routes, by name, whose dialogue is logged line by line, at any level.
    #[serde(deserialize_with = "values::list")]
    pub trace_routes: Vec<String>,
    /// Octets of the history of what left the spool: 0, which is none, to 10 GB.
    #[serde(deserialize_with = "values::size::<0, 10_000_000_000, _>")]
    pub history: u64,
    /// Whether all processes count what happens, for `spoolrun metrics`.
    pub counters: bool,
}

impl Default for LogSection {
    fn default() -> Self {
        Self {
            level: LevelFilter::Info,
            format: LogFormat::Postfix,
            to: LogTo::Stderr,
            file: None,
            trace_clients: Vec::new(),
            trace_routes: Vec::new(),
            history: 32_000_000,
            counters: false,
        }
    }
}

impl LogSection {
    /// Whether lines on standard error would become mail because cron started the program.
    pub fn is_for_cron(&self) -> bool {
        self.file.is_none() && self.to == LogTo::Stderr
    }
}

/// The form of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines as Postfix writes them.
    #[default]
    Postfix,
    /// One JSON object a line.
    Json,
}

impl FromText for LogFormat {
    const EXPECTED: &'static str = "postfix or json";

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "postfix" => Ok(Self::Postfix),
            "json" => Ok(Self::Json),
            _ => Err(unexpected(Self::EXPECTED, text)),
        }
    }
}

/// As the configuration writes it.
impl std::str::FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::from_text(text)
    }
}

/// Where the log goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum LogTo {
    /// Standard error.
    #[default]
    Stderr,
    /// syslog or the journal.
    System(SystemLog),
}

impl FromText for LogTo {
    const EXPECTED: &'static str = "stderr, syslog, journal, syslog:PATH or journal:PATH";

    fn from_text(text: &str) -> Result<Self, String> {
        let (which, path) = text.split_once(':').map_or((text, None), |(which, path)| (which, Some(path)));
        let path = |default: &str| match path {
            None => Ok(PathBuf::from(default)),
            Some(path) if path.starts_with('/') && !path.contains('\0') => Ok(path.into()),
            Some(_) => Err(unexpected(Self::EXPECTED, text)),
        };
        match which {
            "stderr" if text == which => Ok(Self::Stderr),
            "syslog" => Ok(Self::System(SystemLog::Syslog(path(SystemLog::SYSLOG)?))),
            "journal" => Ok(Self::System(SystemLog::Journal(path(SystemLog::JOURNAL)?))),
            _ => Err(unexpected(Self::EXPECTED, text)),
        }
    }
}

/// What does not go together in `[log]`, and what does not exist of the routes that it names.
pub(super) fn faults(log: &LogSection, routes: &[String]) -> Vec<Fault> {
    let two_places = (log.file.is_some() && log.to != LogTo::Stderr)
        .then(|| Fault::new("log.file", "log.file and log.to name two places for the log; leave one of them out"));
    let unknown = log.trace_routes.iter().enumerate().filter(|(_, name)| !routes.contains(name));
    let unknown = unknown.map(|(index, name)| {
        let reason =
            format!("there is no route \"{}\" to be traced; there is {}", name.escape_debug(), routes.join(", "));
        Fault::new(format!("log.trace_routes[{index}]"), reason)
    });
    two_places.into_iter().chain(unknown).collect()
}
