//! What is checked of clients, senders and recipients, and how strictly.

use ipnet::IpNet;

use crate::address::{AddressPattern, Domain};
use crate::policy::{ClientInfo, Fallback, ListenerPattern};

/// What a check does where it finds something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strictness {
    /// It is not made.
    #[default]
    Off,
    /// The message gets a note.
    Note,
    /// The client is refused.
    Refuse,
}

/// How strict a check is with the clients of each network and at each address of this relay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ByNetwork {
    /// With those in no network below.
    pub elsewhere: Strictness,
    /// With those of a network; the narrowest counts.
    pub networks: Vec<(IpNet, Strictness)>,
    /// With those at an address that this relay listens at; it counts before networks.
    pub listeners: Vec<(ListenerPattern, Strictness)>,
}

impl ByNetwork {
    /// The same for all.
    pub fn all(elsewhere: Strictness) -> Self {
        Self { elsewhere, ..Self::default() }
    }

    /// Whether it is off for all.
    pub fn is_off(&self) -> bool {
        let networks = self.networks.iter().map(|(_, strictness)| *strictness);
        let listeners = self.listeners.iter().map(|(_, strictness)| *strictness);
        networks.chain(listeners).chain([self.elsewhere]).all(|strictness| strictness == Strictness::Off)
    }

    pub(in crate::policy) fn of(&self, client: &ClientInfo<'_>) -> Strictness {
        let here =
            |(pattern, _): &&(ListenerPattern, Strictness)| client.listener.is_some_and(|at| pattern.matches(at));
        let at_listener = self.listeners.iter().filter(here).max_by_key(|(pattern, _)| pattern.is_exact());
        if let Some((_, strictness)) = at_listener {
            return *strictness;
        }
        let those = self.networks.iter().filter(|(network, _)| client.peer.is_in(std::slice::from_ref(network)));
        those.max_by_key(|(network, _)| network.prefix_len()).map_or(self.elsewhere, |(_, strictness)| *strictness)
    }
}

/// All checks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckSettings {
    /// Whether the name in HELO exists.
    pub helo_resolvable: ByNetwork,
    /// Whether that name and the client's address lead to each other.
    pub helo_verified: ByNetwork,
    /// Whether the sender's domain takes mail.
    pub sender_domain: ByNetwork,
    /// Whether the recipient's domain does.
    pub recipient_domain: ByNetwork,
    /// Whether the sender's local part is made of usual characters and dots.
    pub sender_characters: ByNetwork,
    /// Whether the recipient's is.
    pub recipient_characters: ByNetwork,
    /// Whether lists of the DNS have the client.
    pub listed: ByNetwork,
    /// The lists.
    pub lists: Vec<DnsListSettings>,
    /// The sum of weights from which on a client is taken for listed.
    pub threshold: i32,
    /// The networks of this site, whose clients are not checked.
    pub own_networks: Vec<IpNet>,
    /// Whether they are all the same, as are those who logged in.
    pub own_clients: bool,
    /// Recipients whose domains the configuration names itself: they need not be in the DNS.
    pub known: Vec<AddressPattern>,
}

impl CheckSettings {
    /// Whether a name server is asked.
    pub fn asks(&self) -> bool {
        let asking = [&self.helo_resolvable, &self.helo_verified, &self.sender_domain, &self.recipient_domain];
        asking.iter().any(|check| !check.is_off()) || self.asks_lists()
    }

    /// Whether nothing is checked.
    pub fn is_off(&self) -> bool {
        !self.asks() && self.sender_characters.is_off() && self.recipient_characters.is_off()
    }

    pub(super) fn asks_lists(&self) -> bool {
        !self.lists.is_empty() && !self.listed.is_off()
    }
}

/// A list of the DNS (RFC 5782).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsListSettings {
    /// Below which addresses are looked up.
    pub zone: Domain,
    /// What being on it weighs; below zero for a list of good clients.
    pub weight: i32,
    /// Which answers mean that an address is on it.
    pub answers: Vec<IpNet>,
    /// What happens while it does not answer.
    pub no_answer: Fallback,
}

impl DnsListSettings {
    /// What the log and alarms call it.
    pub fn name(&self) -> String {
        format!("dnsbl {}", self.zone)
    }
}
