//! `metrics`: what all processes counted, and the queue in figures, as text for Prometheus.

mod health;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;
use leafmail::clock::Clock;
use leafmail::config::Config;
use leafmail::metrics::{self, MetricsFormat, Readings};
use leafmail::sys::SystemClock;
use sysexits::ExitCode;

use super::existing::existing_spool;
use super::helpers;
use super::listing::{routes, say};
use crate::cli::{self, OrExit};
pub(crate) use health::{HealthOptions, health};

/// What `metrics` is to write.
#[derive(Debug, Clone, Args)]
pub(crate) struct MetricsOptions {
    /// Write OpenMetrics 1.0 instead of the text format of Prometheus
    #[arg(long)]
    openmetrics: bool,
    /// Replace this file at once, for the textfile collector of node_exporter
    ///
    /// Everyone can read the file: it holds no address and no text of a message.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Writes them.
pub(crate) fn metrics(config: &Config, options: &MetricsOptions) -> anyhow::Result<()> {
    let format = if options.openmetrics { MetricsFormat::OpenMetrics } else { MetricsFormat::Prometheus };
    let text = metrics::metrics_text(&readings(config)?, format);
    match &options.output {
        Some(path) => replace(path, text.as_bytes()),
        None => say(&text),
    }
}

fn readings(config: &Config) -> anyhow::Result<Readings> {
    let spool = existing_spool(config)?;
    let figures = metrics::figures(&*spool, &routes(config), SystemClock.now(), env!("CARGO_PKG_VERSION"));
    let mut figures = figures.or_exit(ExitCode::IoErr)?;
    let room = rustix::fs::statvfs(&config.spool).or_exit(ExitCode::IoErr)?;
    let free = room.f_bavail.saturating_mul(room.f_frsize);
    figures.room(free, room.f_favail, cli::shortage(config).is_none());
    let silent = helpers::silent(config);
    config.helper_programs().iter().for_each(|name| figures.helper(name, silent.contains_key(name)));
    let counted = metrics::read_counters(&config.spool.join("log")).or_exit(ExitCode::IoErr)?;
    Ok(figures.and(&counted))
}

/// A reader sees the old file or the new one.
fn replace(path: &Path, octets: &[u8]) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        let mut file = tempfile_beside(folder)?;
        file.1.write_all(octets)?;
        file.1.set_permissions(std::fs::Permissions::from_mode(0o644))?;
        std::fs::rename(&file.0, path).inspect_err(|_| drop(std::fs::remove_file(&file.0)))
    };
    write().map_err(|error| anyhow!("writing {}: {error}", path.display())).or_exit(ExitCode::CantCreat)
}

/// A new file whose name the collector passes over, as it does not end with `.prom`.
fn tempfile_beside(folder: &Path) -> std::io::Result<(PathBuf, std::fs::File)> {
    let path = folder.join(format!(".leafmail-{}.new", std::process::id()));
    // What a killed process of the same number left.
    let _ = std::fs::remove_file(&path);
    let file = std::fs::OpenOptions::new().write(true).create_new(true).open(&path)?;
    Ok((path, file))
}
