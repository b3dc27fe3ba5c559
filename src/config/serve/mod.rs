//! `[serve]`: where the page and the API listen, and under which names. Without TLS nobody but this host reaches them.

mod shown;

pub use shown::ShownSetting;

use std::path::PathBuf;

use serde::Deserialize;

use super::error::{Fault, unexpected};
use super::listen::{ListenAddress, ListenPrefixes};
use super::values::{self, FromText};

use crate::address::Domain;

/// `[serve]`: the page and the API of `spoolrun serve`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServeSection {
    /// Where it listens; never empty.
    #[serde(deserialize_with = "values::non_empty_list")]
    pub addresses: Vec<ListenAddress>,
    /// The names of this host under which browsers ask for it, besides those of the loopback.
    #[serde(deserialize_with = "values::list")]
    pub hosts: Vec<Domain>,
    /// The certificate with its chain, PEM.
    #[serde(deserialize_with = "values::optional")]
    pub certificate: Option<PathBuf>,
    /// Its private key, PEM.
    #[serde(deserialize_with = "values::optional")]
    pub key: Option<PathBuf>,
    /// What users may do who can open the Unix socket; root and the user of the programs may do everything.
    #[serde(deserialize_with = "values::list")]
    pub socket_roles: Vec<ServeRole>,
}

/// What a visitor of the page may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServeRole {
    /// See everything but the content of messages.
    Read,
    /// Change messages and routes.
    Act,
    /// Fetch the octets of messages.
    Content,
}

impl ServeRole {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Act => "act",
            Self::Content => "content",
        }
    }
}

impl FromText for ServeRole {
    const EXPECTED: &'static str = "read, act or content";

    fn from_text(text: &str) -> Result<Self, String> {
        let found = [Self::Read, Self::Act, Self::Content].into_iter().find(|role| role.name() == text);
        found.ok_or_else(|| unexpected(Self::EXPECTED, text))
    }
}

impl Default for ServeSection {
    fn default() -> Self {
        let loopback = ([127, 0, 0, 1], 8025).into();
        Self {
            addresses: vec![ListenAddress::Tcp(loopback, ListenPrefixes::default())],
            hosts: Vec::new(),
            certificate: None,
            key: None,
            socket_roles: vec![ServeRole::Read],
        }
    }
}

impl ServeSection {
    /// Whether other hosts can reach it.
    pub fn is_public(&self) -> bool {
        self.addresses.iter().any(is_public)
    }
}

fn is_public(address: &ListenAddress) -> bool {
    address.socket().is_some_and(|socket| !socket.ip().to_canonical().is_loopback())
}

/// What would show the queue to a network in clear text, or means nothing.
pub(super) fn faults(serve: &ServeSection) -> Vec<Fault> {
    let mut faults = Vec::new();
    if *serve == ServeSection::default() {
        return faults;
    }
    if !cfg!(feature = "page") {
        let reason = "this leafmail was built without the feature page, and has no page to serve";
        return vec![Fault::new("serve.addresses", reason)];
    }
    for address in &serve.addresses {
        if matches!(address, ListenAddress::Tcp(_, prefixes) if *prefixes != ListenPrefixes::default()) {
            let reason = format!("serve.addresses: {address} has a prefix, which is for listen.addresses alone");
            faults.push(Fault::new("serve.addresses", reason));
        }
    }
    match (&serve.certificate, &serve.key) {
        (Some(_), None) => faults.push(Fault::new("serve.certificate", "serve.certificate needs serve.key")),
        (None, Some(_)) => faults.push(Fault::new("serve.key", "serve.key needs serve.certificate")),
        (Some(_), Some(_)) => {}
        (None, None) => {
            for address in serve.addresses.iter().filter(|address| is_public(address)) {
                let reason = format!(
                    "serve.addresses: other hosts can reach {address}, and would read tokens and mail addresses in clear \
                     text; set serve.certificate and serve.key, or listen at 127.0.0.1 or a Unix socket"
                );
                faults.push(Fault::new("serve.addresses", reason));
            }
        }
    }
    faults
}
