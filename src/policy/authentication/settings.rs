//! What is checked of the senders of mail, and how strictly.

use ipnet::IpNet;

use crate::address::Domain;
use crate::policy::ByNetwork;

/// All checks of `[authentication]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthenticationSettings {
    /// What becomes of a client that the domain of the sender does not permit.
    pub spf: ByNetwork,
    /// What becomes of one that its own name in HELO does not permit.
    pub spf_helo: ByNetwork,
    /// What becomes of a message with signatures of which none is right.
    pub dkim: ByNetwork,
    /// What becomes of a message that is not of the domain in its `From:`.
    pub dmarc: ByNetwork,
    /// What this relay is called in `Authentication-Results:`.
    pub authserv_id: Domain,
    /// This relay, as the fields that it adds name it.
    pub hostname: Domain,
    /// The networks of this site, whose clients are not checked.
    pub own_networks: Vec<IpNet>,
    /// Whether they are all the same, as are those who logged in.
    pub own_clients: bool,
}

impl AuthenticationSettings {
    /// Whether nothing is checked.
    pub fn is_off(&self) -> bool {
        [&self.spf, &self.spf_helo, &self.dkim, &self.dmarc].iter().all(|check| check.is_off())
    }
}
