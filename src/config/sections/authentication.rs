//! `[authentication]`: who sends mail, as far as the DNS can say.

use serde::Deserialize;

use super::strictness::{by_network, without_dns};
use crate::config::error::Fault;
use crate::policy::ByNetwork;

/// `[authentication]`: each check is off, noted or refused, for all clients or by network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthenticationSection {
    /// What becomes of a client that the sender's domain does not permit.
    #[serde(deserialize_with = "by_network")]
    pub spf: ByNetwork,
    /// What becomes of one that its own name in HELO does not permit.
    #[serde(deserialize_with = "by_network")]
    pub spf_helo: ByNetwork,
    /// Whether clients of this site and those who logged in are checked too.
    pub own_clients: bool,
}

/// What this program was built without.
pub(in crate::config) fn faults(section: &AuthenticationSection) -> Vec<Fault> {
    let asking = [("authentication.spf", &section.spf), ("authentication.spf_helo", &section.spf_helo)];
    let missing = asking.into_iter().filter(|(_, check)| !cfg!(feature = "dns") && !check.is_off());
    missing.map(|(key, _)| without_dns(key)).collect()
}
