//! The one configuration of both binaries.
//!
//! A [`Config`] is read from a TOML file, or is the built-in defaults, which serve the loopback only. The command line's
//! own settings are put into its public fields, then [`Config::check`] looks at the whole; nothing runs on a configuration
//! that was not checked. No input makes this panic, an unknown key is an error, and errors name file, line and reason.

mod check;
mod credentials;
mod error;
mod file;
mod files;
mod listen;
mod network;
mod route;
mod sections;
mod security;
mod units;
mod values;

pub use error::ConfigError;
pub use file::locate;
pub use listen::{Front, ListenAddress};
pub use route::{OAuth2, Relay, TokenUrl};
pub use sections::{
    BareNewline, Clients, Limits, Listen, Log, Message, Protocol, Queue, Recipients, Reserve, Senders, Verify,
};
pub use security::{Auth, Tls};
pub use units::parse_duration;

use std::path::PathBuf;

use serde::Deserialize;

use crate::address::Domain;
use crate::policy::{AddressList, Rules};
use crate::transport::{NextHop, RouteSettings};
use file::Origin;

/// All that a user can set. Relative paths are relative to the working directory.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What this relay calls itself; by default the machine's host name.
    #[serde(deserialize_with = "values::text")]
    pub hostname: Domain,
    /// The domain of addresses without one; `None`: the host name.
    #[serde(deserialize_with = "values::optional")]
    pub default_domain: Option<Domain>,
    /// The spool directory.
    #[serde(deserialize_with = "values::text")]
    pub spool: PathBuf,
    /// Where `smtpd` listens.
    pub listen: Listen,
    /// Who may connect.
    pub clients: Clients,
    /// The certificate that clients are shown.
    pub tls: Tls,
    /// Who may log in.
    pub auth: Auth,
    /// Who may be named in MAIL.
    pub senders: Senders,
    /// Who may be named in RCPT.
    pub recipients: Recipients,
    /// What VRFY and EXPN may tell.
    pub verify: Verify,
    /// What a message may be.
    pub message: Message,
    /// The dialect.
    pub protocol: Protocol,
    /// What clients may take.
    pub limits: Limits,
    /// What the spool leaves free.
    pub reserve: Reserve,
    /// Where mail goes.
    pub relay: Relay,
    /// When to try again, and when to give up.
    pub queue: Queue,
    /// What is told to whom.
    pub log: Log,
    #[serde(skip)]
    origin: Origin,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hostname: machine_name(),
            default_domain: None,
            spool: PathBuf::from("./spool"),
            listen: Listen::default(),
            clients: Clients::default(),
            tls: Tls::default(),
            auth: Auth::default(),
            senders: Senders::default(),
            recipients: Recipients::default(),
            verify: Verify::default(),
            message: Message::default(),
            protocol: Protocol::default(),
            limits: Limits::default(),
            reserve: Reserve::default(),
            relay: Relay::default(),
            queue: Queue::default(),
            log: Log::default(),
            origin: Origin::default(),
        }
    }
}

/// The machine's host name where it is a domain name, else `localhost`.
fn machine_name() -> Domain {
    let name = rustix::system::uname();
    let name = name.nodename().to_str().ok().and_then(|name| name.parse::<Domain>().ok());
    name.filter(|name| !name.is_literal()).unwrap_or_else(|| "localhost".parse().expect("localhost is a domain name"))
}

impl Config {
    /// The file that it was read from; `None` for the built-in defaults.
    pub fn path(&self) -> Option<&std::path::Path> {
        self.origin.path.as_deref()
    }

    /// The domain of addresses without one.
    pub fn default_domain(&self) -> &Domain {
        self.default_domain.as_ref().unwrap_or(&self.hostname)
    }

    /// Sends mail elsewhere, as `--relay` and `--deliver` do. The file's credentials go along only if
    /// there is a user to whom they can belong, and its pin only where certificates are looked at.
    pub fn relay_to(&mut self, next_hop: NextHop) {
        self.relay.url = next_hop;
        self.origin.forget("relay.url");
        self.relay.forget_other_host();
    }

    /// What the built-in policies go by.
    pub fn rules(&self) -> Rules {
        let networks = self.clients.networks.iter().chain(&self.clients.own_public_networks).copied().collect();
        Rules {
            networks,
            auth_networks: self.clients.auth_networks.clone(),
            helo: self.clients.helo.clone(),
            verify: self.clients.verify,
            senders: AddressList { allow: self.senders.allow.clone(), deny: self.senders.deny.clone() },
            recipients: AddressList { allow: self.recipients.allow.clone(), deny: self.recipients.deny.clone() },
            default_domain: self.default_domain().clone(),
            required_headers: self.message.required_headers.clone(),
        }
    }

    /// The route that mail takes.
    pub fn route(&self) -> RouteSettings {
        self.relay.settings(&self.hostname, &self.spool)
    }
}

#[cfg(test)]
mod tests;
