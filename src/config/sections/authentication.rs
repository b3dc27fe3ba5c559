//! `[authentication]`: who sends mail, as far as the DNS can say.

use serde::Deserialize;

use super::strictness::{by_network, without_dns};
use crate::address::Domain;
use crate::config::error::Fault;
use crate::config::values;
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
    /// What becomes of a message with signatures of which none is right.
    #[serde(deserialize_with = "by_network")]
    pub dkim: ByNetwork,
    /// What becomes of a message that is not of the domain in its `From:`, as that domain wants it.
    #[serde(deserialize_with = "by_network")]
    pub dmarc: ByNetwork,
    /// What this relay is called in `Authentication-Results:`; `None`: its host name.
    #[serde(deserialize_with = "values::optional")]
    pub authserv_id: Option<Domain>,
    /// Whether clients of this site and those who logged in are checked too.
    pub own_clients: bool,
}

/// What this program was built without.
pub(in crate::config) fn faults(section: &AuthenticationSection) -> Vec<Fault> {
    let asking = [
        ("authentication.spf", &section.spf),
        ("authentication.spf_helo", &section.spf_helo),
        ("authentication.dkim", &section.dkim),
        ("authentication.dmarc", &section.dmarc),
    ];
    let missing = asking.into_iter().filter(|(_, check)| !cfg!(feature = "dns") && !check.is_off());
    let literal = section.authserv_id.as_ref().filter(|id| id.is_literal() || !id.is_ascii()).map(|id| {
        let reason =
            format!("expected a name such as mx.example.com in authentication.authserv_id, but found \"{id}\"");
        Fault::new("authentication.authserv_id", reason)
    });
    missing.map(|(key, _)| without_dns(key)).chain(literal).collect()
}
