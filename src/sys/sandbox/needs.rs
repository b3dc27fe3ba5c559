//! What a process needs of its host, once it is locked in.

use std::path::PathBuf;

/// What a process needs, once it is locked in. A path that is not there stands for the nearest folder above it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Files and folders, with all below, that are read.
    pub read: Vec<PathBuf>,
    /// Files and folders, with all below, in which files are written, made and removed too.
    pub write: Vec<PathBuf>,
    /// Folders in which sockets and files are removed.
    pub remove: Vec<PathBuf>,
    /// The TCP ports that are connected to.
    pub connect: Vec<u16>,
    /// Whether connections are made from addresses that the configuration names, so that sockets are bound.
    pub binds_source: bool,
    /// How much of the system.
    pub system: SystemReach,
}

/// How much of the system a process reads and asks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SystemReach {
    /// Names, libraries, authorities of TLS, and what else programs of a relay need.
    #[default]
    Usual,
    /// The time zone and the kernel's tables.
    Little,
    /// The same, and no socket is connected anywhere.
    NoConnections,
}
