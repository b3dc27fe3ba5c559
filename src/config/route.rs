//! `[relay]`: the next hop, its credentials and its time-outs.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::values::{self, FromText};
use crate::address::Domain;
use crate::transport::{NextHop, NextHopError, RouteSettings, Secret, Timeouts};

/// `[relay]`: where mail goes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Relay {
    /// Where to, and as whom.
    #[serde(deserialize_with = "values::text")]
    pub url: NextHop,
    /// A file whose first line is the password. One of the three at most.
    #[serde(deserialize_with = "values::optional")]
    pub password_file: Option<PathBuf>,
    /// An environment variable that holds the password.
    #[serde(deserialize_with = "values::optional")]
    pub password_env: Option<String>,
    /// A shell command whose first line of output is the password.
    #[serde(deserialize_with = "values::optional")]
    pub password_command: Option<String>,
    /// A PEM file with the only certificate authorities to trust; `None`: the system's.
    #[serde(deserialize_with = "values::optional")]
    pub ca_file: Option<PathBuf>,
    /// What we call ourselves there; `None`: the host name.
    #[serde(deserialize_with = "values::optional")]
    pub helo: Option<Domain>,
    /// How many deliveries may run side by side: 1 to 100.
    #[serde(deserialize_with = "values::whole::<1, 100, _, _>")]
    pub connections: usize,
    /// How long each step may take.
    #[serde(deserialize_with = "timeouts")]
    pub timeouts: Timeouts,
}

impl Default for Relay {
    fn default() -> Self {
        Self {
            url: NextHop::Maildir("./inbox".into()),
            password_file: None,
            password_env: None,
            password_command: None,
            ca_file: None,
            helo: None,
            connections: 4,
            timeouts: Timeouts::default(),
        }
    }
}

impl Relay {
    /// The keys of the password that are set, with what they name; [`super::Config::check`] allows one at most.
    pub(super) fn passwords(&self) -> Vec<(&'static str, Secret)> {
        let file = self.password_file.clone().map(|path| ("password_file", Secret::File(path)));
        let variable = self.password_env.clone().map(|name| ("password_env", Secret::Environment(name)));
        let command = self.password_command.clone().map(|command| ("password_command", Secret::Command(command)));
        [file, variable, command].into_iter().flatten().collect()
    }

    /// The user that the URL names.
    pub(super) fn user(&self) -> Option<&str> {
        match &self.url {
            NextHop::Smarthost(smarthost) => smarthost.user.as_deref(),
            NextHop::Maildir(_) => None,
        }
    }

    pub(super) fn settings(&self, hostname: &Domain) -> RouteSettings {
        RouteSettings {
            name: "relay".to_owned(),
            next_hop: self.url.clone(),
            password: self.passwords().into_iter().map(|(_, secret)| secret).next(),
            ca_file: self.ca_file.clone(),
            helo: self.helo.clone().unwrap_or_else(|| hostname.clone()),
            connections: self.connections,
            timeouts: self.timeouts,
        }
    }
}

/// `[relay.timeouts]`: from 1 s to 1 h each.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TimeoutsTable {
    #[serde(deserialize_with = "values::duration::<1, 3_600, _>")]
    connect: Duration,
    #[serde(deserialize_with = "values::duration::<1, 3_600, _>")]
    command: Duration,
    #[serde(deserialize_with = "values::duration::<1, 3_600, _>")]
    data: Duration,
    #[serde(deserialize_with = "values::duration::<1, 3_600, _>")]
    block: Duration,
    #[serde(deserialize_with = "values::duration::<1, 3_600, _>")]
    end_of_data: Duration,
}

impl Default for TimeoutsTable {
    fn default() -> Self {
        let Timeouts { connect, command, data, block, end_of_data } = Timeouts::default();
        Self { connect, command, data, block, end_of_data }
    }
}

/// The transport's own type knows nothing of the file.
fn timeouts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timeouts, D::Error> {
    let TimeoutsTable { connect, command, data, block, end_of_data } = TimeoutsTable::deserialize(deserializer)?;
    Ok(Timeouts { connect, command, data, block, end_of_data })
}

impl FromText for NextHop {
    const EXPECTED: &'static str = "a next hop such as smtp://user@mail.example.com:587 or maildir:./inbox";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: NextHopError| error.to_string())
    }
}
