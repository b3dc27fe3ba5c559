//! The spool as the verbs that look or tidy need it: one that exists already.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::anyhow;
use leafmail::config::{Config, NONE_FOUND};
use leafmail::spool::DirSpool;
use sysexits::ExitCode;

use crate::cli::{self, OrExit};

/// The spool, for the verbs that look or tidy. One that was made only to be looked at would say that the queue is empty,
/// whatever is in the right one.
pub(super) fn existing_spool(config: &Config) -> anyhow::Result<Arc<DirSpool>> {
    spool_is_there(config)?;
    cli::open_spool(config)
}

/// An error where nothing is, or an empty folder: looking makes no spool.
pub(crate) fn spool_is_there(config: &Config) -> anyhow::Result<()> {
    let spool = &config.spool;
    let is_missing =
        |path: &Path| matches!(path.symlink_metadata(), Err(error) if error.kind() == io::ErrorKind::NotFound);
    let why = match config.path() {
        Some(path) => format!("--spool or {} says where", path.display()),
        None => format!("{NONE_FOUND}; --spool or --config says where"),
    };
    if is_missing(spool) {
        return Err(anyhow!("there is no spool {}; {why}", spool.display())).or_exit(ExitCode::NoInput);
    }
    let is_own = spool.metadata().is_ok_and(|status| status.uid() == rustix::process::geteuid().as_raw());
    let is_empty = is_own && spool.read_dir().is_ok_and(|mut entries| entries.next().is_none());
    if is_empty {
        return Err(anyhow!("there is no spool in the empty folder {}; {why}", spool.display()))
            .or_exit(ExitCode::NoInput);
    }
    Ok(())
}
