//! `[process]`: the user of the programs, their sandbox, and how `smtpd --supervise` restarts workers.

use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

use super::error::{Fault, unexpected};
use super::values::{self, FromText};

/// `[process]`: the process itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProcessSection {
    /// The user to become where root starts it, by name or number; `None`: whoever starts it.
    #[serde(deserialize_with = "values::optional")]
    pub user: Option<String>,
    /// The group to become; `None`: the user's own.
    #[serde(deserialize_with = "values::optional")]
    pub group: Option<String>,
    /// Whether it locks itself in.
    #[serde(deserialize_with = "values::text")]
    pub sandbox: Sandbox,
    /// The longest pause before a worker that died is replaced: 1 s to 10 m. The first is 0.1 s, and each twice the last.
    #[serde(deserialize_with = "values::duration::<1, 600, _>")]
    pub restart_at_most: Duration,
    /// How long a worker must live before the pauses begin again: 1 s to 1 h.
    #[serde(deserialize_with = "values::duration::<1, 3_600, _>")]
    pub healthy_after: Duration,
}

impl Default for ProcessSection {
    fn default() -> Self {
        Self {
            user: None,
            group: None,
            sandbox: Sandbox::Auto,
            restart_at_most: Duration::from_secs(30),
            healthy_after: Duration::from_secs(60),
        }
    }
}

/// Whether the programs lock themselves in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sandbox {
    /// As far as the kernel can; the log names what it cannot.
    #[default]
    Auto,
    /// Not at all.
    Off,
    /// Completely, or the program does not start.
    Require,
}

impl FromText for Sandbox {
    const EXPECTED: &'static str = "auto, off or require";

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "off" => Ok(Self::Off),
            "require" => Ok(Self::Require),
            _ => Err(unexpected(Self::EXPECTED, text)),
        }
    }
}

/// As the configuration writes it.
impl FromStr for Sandbox {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::from_text(text)
    }
}

/// What does not go together in `[process]`.
pub(super) fn faults(process: &ProcessSection) -> Vec<Fault> {
    let alone = process.group.is_some() && process.user.is_none();
    let fault = || Fault::new("process.group", "process.group is set, but process.user is not");
    alone.then(fault).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn a_group_needs_a_user_and_the_sandbox_has_three_modes() {
        let read = |text: &str| Config::parse(text, "leafmail.toml".as_ref());
        let fault = read("[process]\ngroup = \"mail\"").unwrap().check().unwrap_err().to_string();
        assert_eq!(fault, "leafmail.toml:2: process.group is set, but process.user is not");
        assert_eq!(read("[process]\nuser = \"u\"\ngroup = \"g\"").unwrap().check(), Ok(()));
        assert_eq!(read("[process]\nsandbox = \"require\"").unwrap().process.sandbox, Sandbox::Require);
        let wrong = read("[process]\nsandbox = \"on\"").unwrap_err().to_string();
        assert_eq!(wrong, "leafmail.toml:2: expected auto, off or require, but found \"on\"");
    }
}
