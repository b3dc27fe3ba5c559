//! Where a milter listens, how long it may take, and whose mail it sees.

use std::time::Duration;

use ipnet::IpNet;

use crate::policy::{Fallback, Listeners, ServiceAddress};

/// What a milter is asked, and how long it may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MilterSettings {
    /// Where it listens.
    pub address: ServiceAddress,
    /// How long connecting and agreeing on the protocol may take.
    pub connect_timeout: Duration,
    /// How long the answer to one step may take.
    pub command_timeout: Duration,
    /// How long it may be silent after the end of the message.
    pub content_timeout: Duration,
    /// The answer where it gives none.
    pub fallback: Fallback,
    /// Clients whose mail it does not see.
    pub except: Vec<IpNet>,
    /// Where clients connect whose mail it is about.
    pub listeners: Listeners,
    /// Whether it does not see the mail of clients that logged in.
    pub except_logins: bool,
    /// Further macros, by name, with the connection.
    pub macros: Vec<(String, String)>,
    /// The name of this host.
    pub hostname: String,
}

impl MilterSettings {
    /// What the log, notes and alarms call it.
    pub fn name(&self) -> String {
        format!("milter {}", self.address)
    }
}
