//! Who the program runs as, and what it can do from then on: the order of it is what matters.
//!
//! First what needs root or is outside the sandbox (sockets, certificate, pid file), then [`assume`], then the spool is
//! opened, then [`lock_in`]; all of that while there is one thread, so that the log begins after it.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use leafmail::config::{Config, Sandbox, Task};
use leafmail::sys::identity::{self, Identity, IdentityError};
use leafmail::sys::sandbox::{self, Needs};
use leafmail::sys::split_off_helper;
use log::Level;
use sysexits::ExitCode;

use super::OrExit;

/// What is to be said of it, once there is a log.
#[must_use]
#[derive(Debug, Default)]
pub(crate) struct SandboxReport(pub(crate) Vec<(Level, String)>);

impl SandboxReport {
    /// Says it; a program that does not run continuously says what is in order only to those who want to hear more.
    pub(crate) fn log(&self, stay: Stay) {
        for (level, text) in &self.0 {
            let level = if (*level, stay) == (Level::Info, Stay::Short) { Level::Debug } else { *level };
            log::log!(level, "{text}");
        }
    }
}

/// For how long a program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stay {
    /// Permanently.
    Long,
    /// For one session, or one pass.
    Short,
}

/// Whom the configuration wants it to run as.
pub(crate) fn identity(config: &Config) -> anyhow::Result<Option<Identity>> {
    let Some(user) = &config.process.user else { return Ok(None) };
    let found = Identity::find(user, config.process.group.as_deref());
    found.map(Some).map_err(|error| anyhow::anyhow!("process.user: {error}")).or_exit(ExitCode::Config)
}

/// The user that it would run as.
pub(crate) fn uid(config: &Config) -> anyhow::Result<u32> {
    let named = identity(config)?.filter(|_| identity::is_root()).map(|identity| identity.ids().0);
    Ok(named.unwrap_or_else(|| rustix::process::geteuid().as_raw()))
}

/// Becomes that user; without one, gives up what goes beyond its own rights, root excepted.
pub(crate) fn assume(config: &Config) -> anyhow::Result<()> {
    if let Some(identity) = identity(config)? {
        if identity::is_root() {
            prepare(config, &identity);
        }
        become_user(&identity)?;
    }
    identity::renounce_capabilities().map_err(anyhow::Error::msg).or_exit(ExitCode::OsErr)
}

fn become_user(identity: &Identity) -> anyhow::Result<()> {
    identity.assume().or_else(|error| {
        let code = match error {
            IdentityError::NotRoot { .. } => ExitCode::NoPerm,
            IdentityError::Unknown(_) => ExitCode::Config,
            IdentityError::Failed { .. } => ExitCode::OsErr,
        };
        Err(error).or_exit(code)
    })
}

/// A file that root wrote is for the user that the programs run as.
pub(crate) fn hand_over(config: &Config, path: &Path) -> anyhow::Result<()> {
    let Some((uid, gid)) = identity(config)?.filter(|_| identity::is_root()).map(|identity| identity.ids()) else {
        return Ok(());
    };
    match std::os::unix::fs::lchown(path, Some(uid), Some(gid)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).or_exit(ExitCode::CantCreat),
        _ => Ok(()),
    }
}

/// Makes for the user what only root can make, where it is missing. What fails is reported by whoever needs it then.
pub(crate) fn prepare(config: &Config, identity: &Identity) {
    let (uid, gid) = identity.ids();
    if std::fs::DirBuilder::new().mode(0o700).create(&config.spool).is_ok() {
        let _ = std::os::unix::fs::lchown(&config.spool, Some(uid), Some(gid));
    }
    if let Some(path) = &config.log.file {
        let _ = make_file(path).and_then(|file| std::os::unix::fs::fchown(file, Some(uid), Some(gid)));
    }
}

/// Only where nothing is, not even a link.
fn make_file(path: &Path) -> io::Result<std::fs::File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Locks the process in, as the configuration wants it, with a helper outside for its commands.
pub(crate) fn lock_in(config: &Config, task: Task) -> anyhow::Result<SandboxReport> {
    let mut told = SandboxReport::default();
    if config.process.user.is_some()
        && let Some(reason) = config.unreadable_later()
    {
        told.0.push((Level::Warn, format!("as the user that this runs as: {reason}")));
    }
    if config.process.sandbox == Sandbox::Off {
        told.0.push((Level::Info, "sandbox: off".to_owned()));
        return Ok(told);
    }
    let needs = config.sandbox_needs(task);
    if !needs.commands.is_empty() {
        split_off_helper(needs.commands)
            .map_err(|error| anyhow::anyhow!("starting a process for commands: {error}"))
            .or_exit(ExitCode::OsErr)?;
    }
    let walls = sandbox::enter(&Needs {
        read: needs.read,
        write: needs.write,
        remove: needs.remove,
        connect: needs.ports,
        binds_source: needs.binds_source,
        system: needs.system,
    });
    match walls.gaps() {
        Some(gaps) if config.process.sandbox == Sandbox::Require => {
            let error = anyhow::anyhow!("process.sandbox is \"require\", but not all of it can be had: {gaps}");
            return Err(error).or_exit(ExitCode::OsErr);
        }
        Some(gaps) => told.0.push((Level::Warn, format!("not all of the sandbox can be had: {gaps}"))),
        None => {}
    }
    told.0.push((Level::Info, format!("sandbox: {walls}")));
    Ok(told)
}

/// What a program that keeps running says of being root.
pub(crate) fn root_remark() -> Option<String> {
    let remark = "running as root; set process.user to an ordinary user, to whom the spool belongs";
    identity::is_root().then(|| remark.to_owned())
}
