//! What a policy service is asked, where, and how long it may take.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::policy::Listeners;

/// Where a service listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceAddress {
    /// Host and port.
    Inet(String, u16),
    /// A Unix socket.
    Unix(PathBuf),
}

impl ServiceAddress {
    /// The TCP port.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Inet(_, port) => Some(*port),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for ServiceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(host, port) if host.contains(':') => write!(f, "inet:[{host}]:{port}"),
            Self::Inet(host, port) => write!(f, "inet:{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// When a service is asked: Postfix's `protocol_state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceStage {
    /// A client connected.
    Connect,
    /// It gave its name.
    Helo,
    /// It named a sender.
    Mail,
    /// It named a recipient.
    Rcpt,
    /// Its message is whole.
    EndOfMessage,
}

/// The answer for a service that gives none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fallback {
    /// 451: the client tries again later.
    #[default]
    Defer,
    /// As if there were no such service.
    Accept,
}

/// What a service is asked, and how long it may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceSettings {
    /// Where it listens.
    pub address: ServiceAddress,
    /// When it is asked.
    pub stages: Vec<ServiceStage>,
    /// How long an answer may take, with connecting.
    pub timeout: Duration,
    /// The answer where it gives none.
    pub fallback: Fallback,
    /// Clients that it is not asked about.
    pub except: Vec<IpNet>,
    /// Where clients connect whose mail it is about.
    pub listeners: Listeners,
    /// Whether it is not asked about clients that logged in.
    pub except_logins: bool,
}

impl ServiceSettings {
    /// What the log and alarms call it.
    pub fn name(&self) -> String {
        format!("policy service {}", self.address)
    }
}
